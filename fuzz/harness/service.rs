//! A whole service with two tenants, some history and the verifying simulator, on one thread that works only while an input is worked on.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use quotagraph::app::App;
use quotagraph::clock::TestClock;
use quotagraph::config;
use quotagraph::koodrive::Credential;
use quotagraph::quota::SpaceTypeAllocation;
use quotagraph::simulator::{Form, SimulatedTenant, Simulator, Values};
use quotagraph::store;
use tokio::runtime::{Builder, Runtime};

use super::NOW;
use super::answer::Answer;

/// An answer that takes longer is a fault.
const PATIENCE: Duration = Duration::from_secs(20);

const TENANTS: [&str; 2] = ["acme", "zenith"];

/// A running service.
pub struct Service {
    /// Host and port.
    pub address: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
    _simulator: Simulator,
}

static SERVICE: LazyLock<Mutex<(Runtime, Service)>> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let service = runtime.block_on(Service::start());
    Mutex::new((runtime, service))
});

/// Does something with the service. One at a time.
pub fn with_service(work: impl AsyncFnOnce(&Service)) {
    let running = SERVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let (runtime, service) = &*running;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work(service)).await.expect("an answer in time") });
}

impl Service {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = TestClock::new(NOW.parse().expect("an instant"));
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), TENANTS.map(simulated).to_vec(), Arc::new(clock.clone()));
        let simulator = simulator.await.expect("a free port");
        let folder = tempfile::tempdir().expect("a folder");
        let tables: String = TENANTS.iter().map(|id| table(id, simulator.endpoint().as_str())).collect();
        let settings = "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\nlimits.refreshes_per_minute = 1000000\n\
                        upstream.requests_per_second = 100000\n";
        let file = folder.path().join("quotagraph.toml");
        std::fs::write(&file, format!("{settings}{tables}")).expect("a file that can be written");
        for id in TENANTS {
            std::fs::write(folder.path().join(format!("{id}.secret")), secret_of(id)).expect("a file that can be written");
        }
        let none = || std::iter::empty::<(String, String)>();
        let config = config::load(Some(&file), none()).expect("a config");
        let watched = config::load_tenants(&config, none()).expect("tenants");
        let settings = store::Settings {
            url: format!("sqlite:{}", folder.path().join("quotagraph.db").display()).into(),
            max_connections: 2,
            acquire_timeout: Duration::from_secs(30),
            listen: false,
        };
        let store = store::open(&settings).await.expect("a database");
        store.migrate().await.expect("a migrated database");
        let app = App::build(&config, watched, store, Arc::new(clock.clone())).await.expect("a service");
        let (address, handle) = (app.address().to_string(), app.handle());
        tokio::spawn(app.run());
        for hour in 0..4 {
            let simulated = TENANTS.map(|id| simulator.tenant(id).expect("a tenant"));
            for tenant in &simulated {
                tenant.set_values(&values(hour)).expect("values of one kind");
            }
            handle.collector().collect_due().await.expect("a database that can be written");
            clock.advance(SignedDuration::from_mins(5));
        }
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { address, client, _folder: folder, _simulator: simulator }
    }

    /// Nothing for what cannot be an address, and so cannot be sent.
    pub async fn get(&self, path: &str) -> Option<Answer> {
        let request = self.client.get(format!("http://{}{path}", self.address)).build().ok()?;
        Some(self.send(request).await)
    }

    pub async fn post(&self, body: Vec<u8>) -> Answer {
        let request =
            self.client.post(format!("http://{}/graphql", self.address)).header("content-type", "application/json").body(body);
        self.send(request.build().expect("a request")).await
    }

    async fn send(&self, request: reqwest::Request) -> Answer {
        let response = self.client.execute(request).await.expect("an answer");
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (status, content_type) = (response.status().as_u16(), content_type.to_owned());
        Answer { status, content_type, body: response.bytes().await.expect("a whole answer").to_vec() }
    }
}

fn values(hour: i64) -> Vec<SpaceTypeAllocation> {
    vec![
        SpaceTypeAllocation { space_type: 0, allocated_gb: 100 + hour, total_gb: 500 },
        SpaceTypeAllocation { space_type: 1, allocated_gb: 10, total_gb: 50 + hour },
    ]
}

fn secret_of(id: &str) -> String {
    format!("secret of {id}")
}

fn simulated(id: &str) -> SimulatedTenant {
    SimulatedTenant {
        id: id.parse().expect("an id"),
        user_id: "1505084218764547200".to_owned(),
        credential: Credential::App { app_id: format!("app-of-{id}"), app_secret: secret_of(id).into() },
        values: Values::Fixed(values(0)),
        form: Form::ArrayOfNumbers,
    }
}

fn table(id: &str, endpoint: &str) -> String {
    format!(
        "[[tenants]]\nid = \"{id}\"\nendpoint = \"{endpoint}\"\nuser_id = \"1505084218764547200\"\nlabels = {{ region = \"{id}\" }}\n\
         auth = {{ app_id = \"app-of-{id}\", app_secret_file = \"{id}.secret\" }}\n"
    )
}
