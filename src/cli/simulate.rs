//! `quotagraph simulate`

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use secrecy::ExposeSecret as _;
use tokio::net::lookup_host;

use super::signals::{END_OR_HANG_UP, Signals};
use super::{Failed, load_config, load_tenants, output, system_clock};
use crate::config::{DEFAULT_FILE, Listen};
use crate::koodrive::Credential;
use crate::simulator::demo::demo_tenants;
use crate::simulator::{SimulatedTenant, Simulator};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where it listens: an address or a host name, and a port; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    listen: Listen,

    /// How many tenants when there is no config to take them from.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tenants: u32,
}

pub(super) async fn run(config: Option<&Path>, args: Args) -> Result<ExitCode, Failed> {
    let configured = config.is_some() || Path::new(DEFAULT_FILE).exists();
    let tenants = if configured { configured_tenants(config)? } else { made_up_tenants(args.tenants)? };
    let count = output::count(tenants.len(), "tenant");
    let made_up = (!configured).then(|| tenants.clone());
    let simulator = start(&args.listen, tenants)
        .await
        .map_err(|cause| format!("cannot simulate on {}: {cause}; choose another address with --listen", args.listen))?;
    let address = simulator.addr();
    let mut signals = Signals::listen(&END_OR_HANG_UP)?;
    output::print_line(format_args!(
        "simulated KooDrive with {count} on http://{address}

It verifies signatures, dates and users as the real one does. To see the tenants and to tell one to fail:

  curl -s http://{address}/simulator/tenants
  curl -s -X PUT http://{address}/simulator/tenants/ID -d '{{\"status\": 503, \"fail_times\": 3}}'
  curl -s -X DELETE http://{address}/simulator/tenants/ID

Also: delay_ms, code (a business code), garbage (html, not_json, negative, …), drop, clock_skew_s, rate_limit_per_minute with retry_after_s,
values, form.
"
    ))?;
    if let Some(made_up) = made_up {
        output::print_line(example_config(&made_up, address)?)?;
    }
    signals.next().await;
    simulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Starts it on the first address of a name that can be listened on.
async fn start(listen: &Listen, tenants: Vec<SimulatedTenant>) -> io::Result<Simulator> {
    let addresses: Vec<SocketAddr> = match listen {
        Listen::Address(address) => vec![*address],
        Listen::Name { host, port } => lookup_host((host.as_str(), *port)).await?.collect(),
        Listen::Unix(_) => {
            let sentence = "an upstream is called by an address, and no socket in the file system";
            return Err(io::Error::new(io::ErrorKind::Unsupported, sentence));
        }
    };
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match Simulator::start(address, tenants.clone(), system_clock()).await {
            Ok(simulator) => return Ok(simulator),
            Err(cause) => failure = cause,
        }
    }
    Err(failure)
}

/// The tenants of a config, with its credentials and made-up values.
fn configured_tenants(config: Option<&Path>) -> Result<Vec<SimulatedTenant>, Failed> {
    let watched = load_tenants(&load_config(config)?)?;
    let values = demo_tenants(watched.len());
    let simulate = |(watched, demo): (crate::tenants::WatchedTenant, crate::simulator::demo::DemoTenant)| SimulatedTenant {
        id: watched.tenant.id,
        user_id: watched.account.user_id,
        credential: watched.account.credential,
        ..demo.simulated
    };
    Ok(watched.into_iter().zip(values).map(simulate).collect())
}

fn made_up_tenants(count: u32) -> Result<Vec<SimulatedTenant>, Failed> {
    telemetry::init(telemetry::LogFormat::Text, "info")?;
    Ok(demo_tenants(usize::try_from(count)?).into_iter().map(|demo| demo.simulated).collect())
}

/// A config for made-up tenants. Their credentials are worth nothing, so they may be shown.
fn example_config(tenants: &[SimulatedTenant], mut address: SocketAddr) -> Result<String, std::fmt::Error> {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let endpoint = format!("http://{address}");
    let mut config = String::from("A quotagraph.toml for them:\n\n");
    let mut secrets = String::from("and their secrets, for the shell that runs it:\n\n");
    for tenant in tenants {
        let (id, user_id) = (&tenant.id, &tenant.user_id);
        let variable = id.as_str().to_ascii_uppercase().replace(['-', '.'], "_");
        write!(config, "[[tenants]]\nid = \"{id}\"\nendpoint = \"{endpoint}\"\nuser_id = \"{user_id}\"\n[tenants.auth]\n")?;
        let (variable, secret) = match &tenant.credential {
            Credential::App { app_id, app_secret } => {
                let variable = variable + "_APP_SECRET";
                writeln!(config, "app_id = \"{app_id}\"\napp_secret_env = \"{variable}\"\n")?;
                (variable, app_secret)
            }
            Credential::Token { token, prefix } => {
                let variable = variable + "_TOKEN";
                writeln!(config, "token_env = \"{variable}\"\ntoken_prefix = \"{prefix}\"\n")?;
                (variable, token)
            }
        };
        writeln!(secrets, "export {variable}={}", secret.expose_secret())?;
    }
    Ok(config + &secrets)
}
