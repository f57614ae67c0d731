//! `quotagraph sign TENANT`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer that was asked for, and how to use it")]

use std::path::Path;
use std::process::ExitCode;

use super::{Failed, upstream};

pub(super) fn run(config: Option<&Path>, tenant: &str) -> Result<ExitCode, Failed> {
    let (client, watched) = upstream::open_one(config, tenant)?;
    let request = client.signed_headers(&watched.account).map_err(|refused| format!("{tenant}: {refused}"))?;
    let url = &request.url;
    for (name, value) in &request.headers {
        println!("{name}: {value}");
    }
    eprintln!("valid for 14 minutes; use it like this: quotagraph sign {tenant} | curl -H @- '{url}'");
    Ok(ExitCode::SUCCESS)
}
