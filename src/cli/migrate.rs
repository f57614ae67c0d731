//! `quotagraph migrate`

use std::path::Path;
use std::process::ExitCode;

use super::{Failed, load_config, open_store, output};
use crate::store::{AnalystRole, AnalystTenants};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also let this Postgres role read the views for analysts, and nothing else; makes the role (without login) when there is none.
    ///
    /// The views are described in docs/SQL.md. To let a person in: create role ana login; grant NAME to ana.
    #[arg(long, value_name = "NAME")]
    with_analyst_role: Option<String>,

    /// The tenants that the role may read from now on: ids with commas between them, or '*' for all. Without it, the role keeps those
    /// that it had; a new one has none.
    #[arg(long, value_name = "TENANTS", requires = "with_analyst_role", value_parser = parse_tenants)]
    analyst_tenants: Option<AnalystTenants>,
}

fn parse_tenants(text: &str) -> Result<AnalystTenants, String> {
    if text == "*" {
        return Ok(AnalystTenants::All);
    }
    let ids = text.split(',').map(|id| id.trim().parse()).collect::<Result<Vec<_>, _>>();
    ids.map(AnalystTenants::Only).map_err(|invalid| format!("{invalid}; write ids with commas between them, or * for all"))
}

pub(super) async fn run(config: Option<&Path>, args: Args) -> Result<ExitCode, Failed> {
    let store = open_store(&load_config(config)?).await?;
    let applied = store.migrate().await?;
    for migration in &applied {
        output::print_line(format_args!("applied {migration}"))?;
    }
    if applied.is_empty() {
        output::print_line("the database is up to date")?;
    }
    if let Some(role) = args.with_analyst_role {
        let granted = store.set_up_analyst(&role, args.analyst_tenants.as_ref()).await?;
        output::print_line(format_args!("role {role} reads {}", describe(&granted)))?;
        if !granted.unknown.is_empty() {
            output::say(format_args!("no tenant is known as {}; if one comes, the role reads it", granted.unknown.join(", ")));
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn describe(granted: &AnalystRole) -> String {
    match (granted.all, granted.tenants.as_slice()) {
        (true, _) => "all tenants".into(),
        (false, []) if !granted.unknown.is_empty() => "no tenant yet".into(),
        (false, []) => "no tenant yet: name some with --analyst-tenants".into(),
        (false, tenants) => tenants.join(", "),
    }
}
