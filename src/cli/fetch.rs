//! `quotagraph fetch TENANT`

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{Failed, output, upstream};

pub(super) async fn run(config: Option<&Path>, tenant: &str) -> Result<ExitCode, Failed> {
    let (client, watched) = upstream::open_one(config, tenant)?;
    let outcome = client.space_allocation(&watched.account).await;
    let allocation = outcome.map_err(|failure| format!("{tenant}: {}", upstream::describe(&failure)))?;
    let by_type: Vec<_> = (allocation.by_type().iter())
        .map(|t| json!({ "spaceType": t.space_type, "allocatedGb": t.allocated_gb, "totalGb": t.total_gb }))
        .collect();
    let answer = json!({
        "tenant": tenant,
        "observedAt": allocation.observed_at().to_string(),
        "allocatedGb": allocation.allocated_gb(),
        "totalGb": allocation.total_gb(),
        "utilization": allocation.utilization(),
        "byType": by_type,
    });
    output::print_line(format_args!("{answer:#}"))?;
    Ok(ExitCode::SUCCESS)
}
