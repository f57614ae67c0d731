//! `quotagraph sign TENANT`

use std::path::Path;
use std::process::ExitCode;

use super::{Failed, output, upstream};

pub(super) fn run(config: Option<&Path>, tenant: &str) -> Result<ExitCode, Failed> {
    let (client, watched) = upstream::open_one(config, tenant)?;
    let request = client.signed_headers(&watched.account).map_err(|refused| format!("{tenant}: {refused}"))?;
    for (name, value) in &request.headers {
        output::print_line(format_args!("{name}: {value}"))?;
    }
    let url = &request.url;
    let file = config.map(|path| format!(" --config '{}'", path.display())).unwrap_or_default();
    output::say(format_args!(
        "They prove who asks, so keep them to yourself. A signature is good for 14 minutes. To use it:\n  quotagraph sign{file} {tenant} | curl -H @- '{url}'"
    ));
    Ok(ExitCode::SUCCESS)
}
