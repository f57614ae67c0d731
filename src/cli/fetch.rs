//! `quotagraph fetch TENANT`

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::{Failed, output, upstream};
use crate::quota::{SpaceAllocation, SpaceTypeAllocation};

/// What is printed. Sums are wider than the numbers of `serde_json::Value`, so they are written as they are.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    tenant: &'a str,
    observed_at: String,
    allocated_gb: i128,
    total_gb: i128,
    utilization: Option<f64>,
    by_type: Vec<OfType>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfType {
    space_type: i32,
    allocated_gb: i64,
    total_gb: i64,
}

pub(super) async fn run(config: Option<&Path>, tenant: &str) -> Result<ExitCode, Failed> {
    let (client, watched) = upstream::open_one(config, tenant)?;
    let outcome = client.space_allocation(&watched.account).await;
    let allocation = outcome.map_err(|failure| format!("{tenant}: {}", upstream::describe(&failure)))?;
    let answer = serde_json::to_string_pretty(&Printed::new(tenant, &allocation))?;
    output::print_line(answer)?;
    Ok(ExitCode::SUCCESS)
}

impl<'a> Printed<'a> {
    fn new(tenant: &'a str, allocation: &SpaceAllocation) -> Self {
        let of_type =
            |t: &SpaceTypeAllocation| OfType { space_type: t.space_type, allocated_gb: t.allocated_gb, total_gb: t.total_gb };
        Self {
            tenant,
            observed_at: allocation.observed_at().to_string(),
            allocated_gb: allocation.allocated_gb(),
            total_gb: allocation.total_gb(),
            utilization: allocation.utilization(),
            by_type: allocation.by_type().iter().map(of_type).collect(),
        }
    }
}
