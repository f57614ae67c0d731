//! The upstream client against the verifying simulator, over real HTTP.

mod breaker;
mod clock;
mod connections;
mod failures;
mod forms;
mod isolation;
mod limits;
mod logging;
mod proxies;
mod raw;
mod simulator_control;
mod simulator_verification;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use quotagraph::clock::TestClock;
use quotagraph::koodrive::{Account, Client, Credential, Failure, Settings};
use quotagraph::metrics::UpstreamMetrics;
use quotagraph::quota::{SpaceAllocation, SpaceTypeAllocation};
use quotagraph::simulator::{Behaviour, Form, SimulatedTenant, Simulator, TenantHandle, Values};

/// A simulator with some tenants, `t0`, `t1` and so on, and a client for them. Both clocks stand still.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
    pub(crate) tenants: Vec<SimulatedTenant>,
    pub(crate) our_clock: TestClock,
    pub(crate) server_clock: TestClock,
    registry: Registry,
}

/// Settings under which no test waits: repetitions follow at once, and the limits are out of the way.
pub(crate) fn quick() -> Settings {
    Settings {
        backoff_base: Duration::ZERO,
        requests_per_second: 1_000_000,
        concurrency: 1000,
        breaker_failures: 1000,
        attempt_timeout: Duration::from_secs(30),
        total_timeout: Duration::from_mins(1),
        ..Settings::default()
    }
}

pub(crate) fn now() -> Timestamp {
    "2026-03-29T00:59:58.75Z".parse().unwrap()
}

/// A tenant whose values no other one has.
pub(crate) fn tenant(i: usize) -> SimulatedTenant {
    let number = i64::try_from(i).unwrap();
    let values = SpaceTypeAllocation { space_type: 0, allocated_gb: 1000 + number, total_gb: 5000 + number };
    SimulatedTenant {
        id: format!("t{i}").parse().unwrap(),
        user_id: format!("15050842187645{i:05}"),
        credential: Credential::App { app_id: format!("app-{i}"), app_secret: format!("secret of {i}").into() },
        values: Values::Fixed(vec![values]),
        form: Form::ArrayOfNumbers,
    }
}

impl World {
    pub(crate) async fn of(tenants: usize, settings: Settings) -> Self {
        Self::with((0..tenants).map(tenant).collect(), settings).await
    }

    pub(crate) async fn with(tenants: Vec<SimulatedTenant>, settings: Settings) -> Self {
        let our_clock = TestClock::new(now());
        let server_clock = TestClock::new(now());
        let listen = "127.0.0.1:0".parse().unwrap();
        let simulator = Simulator::start(listen, tenants.clone(), Arc::new(server_clock.clone())).await.unwrap();
        let mut registry = Registry::default();
        let metrics = UpstreamMetrics::register(&mut registry);
        let client = Client::new(&settings, Arc::new(our_clock.clone()), metrics).unwrap();
        Self { simulator, client, tenants, our_clock, server_clock, registry }
    }

    pub(crate) fn account(&self, i: usize) -> Account {
        self.tenants[i].account(self.simulator.endpoint())
    }

    pub(crate) fn tenant(&self, i: usize) -> TenantHandle {
        self.simulator.tenant(self.tenants[i].id.as_str()).unwrap()
    }

    pub(crate) fn behave(&self, i: usize, behaviour: Behaviour) {
        self.tenant(i).set_behaviour(behaviour).unwrap();
    }

    pub(crate) async fn call(&self, i: usize) -> Result<SpaceAllocation, Failure> {
        self.client.space_allocation(&self.account(i)).await
    }

    /// Lets time pass for both sides.
    pub(crate) fn advance(&self, seconds: i64) {
        self.our_clock.advance(SignedDuration::from_secs(seconds));
        self.server_clock.advance(SignedDuration::from_secs(seconds));
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub(crate) fn healthy() -> Behaviour {
    Behaviour::default()
}
