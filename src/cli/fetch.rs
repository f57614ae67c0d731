//! `quotagraph fetch TENANT`
#![expect(clippy::print_stdout, reason = "the answer that was asked for")]

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{Failed, upstream};

pub(super) async fn run(config: Option<&Path>, tenant: &str) -> Result<ExitCode, Failed> {
    let (client, watched) = upstream::open_one(config, tenant)?;
    let allocation = client.space_allocation(&watched.account).await.map_err(|failure| format!("{tenant}: {failure}"))?;
    let by_type: Vec<_> = (allocation.by_type().iter())
        .map(|t| json!({ "spaceType": t.space_type, "allocatedGb": t.allocated_gb, "totalGb": t.total_gb }))
        .collect();
    let answer = json!({
        "tenant": tenant,
        "observedAt": allocation.observed_at().to_string(),
        "utilization": allocation.utilization(),
        "byType": by_type,
    });
    println!("{answer:#}");
    Ok(ExitCode::SUCCESS)
}
