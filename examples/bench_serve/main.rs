//! The servers and clients that `bench/serve` and `bench/memory` measure and need. See `bench/README.md`.
//!
//! `upstream [--changing]` simulates KooDrive, `service ENDPOINT [--changing]` is the service in front of it, and `bare FILE` a bare axum handler
//! that reads a request's body and answers with the bytes of a file. Each prints its address and runs until it is killed. There are 1,000 tenants, or as
//! many as `--tenants N` says. `subscribe ADDRESS websocket|sse N` opens so many subscriptions to a service, prints a line when all are open, and
//! keeps them until it is killed. `ask ADDRESS LOAD FROM TO` asks the questions of these numbers of a load, `TO` excluded, one after the other.
//!
//! With `--quiet` the service collects nothing, so that it does nothing but answer.
#![expect(clippy::print_stdout, reason = "the address that was asked for")]

mod asking;
mod subscribers;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use quotagraph::access::KeyDigest;
use quotagraph::app::App;
use quotagraph::clock::{SharedClock, SystemClock};
use quotagraph::config::{Auth, AuthMode, Config, KeyConfig};
use quotagraph::koodrive::Credential;
use quotagraph::quota::{SpaceTypeAllocation, Tenant};
use quotagraph::simulator::{Form, SimulatedTenant, Simulator, Values};
use quotagraph::store;
use quotagraph::tenants::WatchedTenant;
use secrecy::SecretString;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let changing = arguments.iter().any(|argument| argument == "--changing");
    let count = arguments.iter().position(|argument| argument == "--tenants").and_then(|i| arguments.get(i + 1));
    let count = count.map_or(Ok(1000), |count| count.parse())?;
    match arguments.first().map(String::as_str) {
        Some("upstream") => simulate(tenants(count)?, changing).await,
        Some("service") => {
            let endpoint = arguments.get(1).ok_or("service needs the upstream's endpoint")?;
            let mut config = service_config();
            if changing {
                config.collector.interval = Duration::from_secs(1);
            }
            config.collector.enabled = !arguments.iter().any(|argument| argument == "--quiet");
            serve(endpoint, tenants(count)?, config).await
        }
        Some("subscribe") => {
            let [_, address, transport, count, ..] = arguments.as_slice() else {
                return Err("subscribe needs an address, a transport and a number".into());
            };
            subscribers::subscribe(address, transport, count.parse()?).await
        }
        Some("ask") => {
            let [_, address, load, from, to] = arguments.as_slice() else {
                return Err("ask needs an address, a load and the numbers of the first question and of that after the last".into());
            };
            asking::ask(address, load, from.parse()?..to.parse()?)
        }
        Some("bare") => answer_barely(arguments.get(1).ok_or("bare needs a file")?).await,
        _ => Err("give upstream, service, bare, ask or subscribe".into()),
    }
}

fn tenants(count: i64) -> Result<Vec<SimulatedTenant>, Box<dyn Error + Send + Sync>> {
    let simulate = |i: i64| {
        Ok(SimulatedTenant {
            id: format!("t{i:04}").parse()?,
            user_id: (1_505_084_218_764_547_200 + i).to_string(),
            credential: Credential::App { app_id: format!("app-{i}"), app_secret: SecretString::from(format!("secret-{i}")) },
            values: Values::Fixed(values(i)),
            form: Form::ArrayOfNumbers,
        })
    };
    (0..count).map(simulate).collect()
}

fn values(i: i64) -> Vec<SpaceTypeAllocation> {
    vec![SpaceTypeAllocation { space_type: 0, allocated_gb: 1000 + i, total_gb: 4000 }]
}

async fn simulate(tenants: Vec<SimulatedTenant>, changing: bool) -> Outcome {
    let clock: SharedClock = Arc::new(SystemClock);
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id.clone()).collect();
    let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into(), tenants, clock).await?;
    println!("{}", simulator.endpoint());
    for second in 0.. {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (i, id) in (0..).zip(&ids).filter(|_| changing) {
            if let Some(tenant) = simulator.tenant(id.as_str()) {
                tenant.set_values(&values(i + second % 100))?;
            }
        }
    }
    Ok(())
}

/// One key is let in, and no limit is met.
fn service_config() -> Config {
    let mut config = Config::default();
    config.server.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.upstream.requests_per_second = 100_000;
    config.limits.subscriptions_per_principal = 100_000;
    let key = KeyConfig {
        name: "bench".to_owned(),
        sha256: KeyDigest::of("bench").to_string(),
        tenants: vec!["*".to_owned()],
        roles: vec!["READ".to_owned(), "METRICS".to_owned()],
    };
    config.auth = Some(Auth { mode: AuthMode::Keys, failed_attempts_per_minute: 60, keys: vec![key], jwt: None });
    config
}

async fn serve(endpoint: &str, tenants: Vec<SimulatedTenant>, config: Config) -> Outcome {
    let clock: SharedClock = Arc::new(SystemClock);
    let folder = tempfile::tempdir()?;
    let store = store::open(&store::Settings {
        url: SecretString::from(format!("sqlite:{}", folder.path().join("bench.db").display())),
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
        listen: config.database.listen,
    })
    .await?;
    store.migrate().await?;
    let endpoint: url::Url = endpoint.parse()?;
    let watch = |simulated: SimulatedTenant| WatchedTenant {
        tenant: Tenant { id: simulated.id.clone(), name: simulated.id.to_string(), labels: Vec::new() },
        account: simulated.account(endpoint.clone()),
    };
    let app = App::build(&config, tenants.into_iter().map(watch).collect(), store, clock).await?;
    println!("http://{}", app.address());
    app.run().await?;
    Ok(())
}

async fn answer_barely(file: &str) -> Outcome {
    let answer = Bytes::from(std::fs::read(file)?);
    let handler = move |_body: Bytes| {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json; charset=utf-8")], answer) }
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    Ok(axum::serve(listener, Router::new().route("/graphql", post(handler))).await?)
}
