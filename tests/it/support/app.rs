//! The whole service over real HTTP: built as the commands build it, with the verifying simulator as its upstream and a clock that
//! stands still until a test moves it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use quotagraph::app::{App, AppError, AppHandle};
use quotagraph::clock::{SharedClock, TestClock};
use quotagraph::config::Config;
use quotagraph::koodrive::Credential;
use quotagraph::quota::{Label, SpaceTypeAllocation, Tenant};
use quotagraph::simulator::{Behaviour, Form, SimulatedTenant, Simulator, TenantHandle, Values};
use quotagraph::store::{self, SharedStore};
use quotagraph::tenants::WatchedTenant;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::faulty_store::FaultyStore;
use super::outage::Way;
use super::postgres;

/// When tests begin.
pub const START: &str = "2026-03-02T12:00:00Z";

/// Where a test's history is kept.
#[derive(Clone)]
pub enum Database {
    /// A file in a folder of its own.
    Sqlite(Arc<tempfile::TempDir>),
    /// A database of its own in the private server.
    Postgres(Arc<postgres::TestDatabase>),
    /// The same, by a way that can be cut.
    Cuttable { way: Arc<Way>, _database: Arc<postgres::TestDatabase> },
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub async fn postgres() -> Self {
        Self::Postgres(Arc::new(postgres::database().await))
    }

    pub async fn cuttable() -> (Self, Arc<Way>) {
        let database = postgres::database().await;
        let way = Arc::new(Way::open_to(&database.url));
        (Self::Cuttable { way: Arc::clone(&way), _database: Arc::new(database) }, way)
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("quotagraph.db").display()),
            Self::Postgres(database) => database.url.clone(),
            Self::Cuttable { way, .. } => way.url.clone(),
        }
    }

    pub async fn open(&self) -> SharedStore {
        let settings = store::Settings {
            url: SecretString::from(self.url()),
            max_connections: 5,
            acquire_timeout: std::time::Duration::from_secs(10),
            listen: true,
        };
        let store = store::open(&settings).await.unwrap();
        store.migrate().await.unwrap();
        store
    }
}

/// A tenant of a test.
#[derive(Clone, Debug)]
pub struct TenantSetup {
    pub id: String,
    pub name: String,
    pub labels: Vec<(&'static str, &'static str)>,
    pub values: Vec<SpaceTypeAllocation>,
}

/// A tenant with one space type.
pub fn tenant(id: &str, allocated_gb: i64, total_gb: i64) -> TenantSetup {
    let values = vec![SpaceTypeAllocation { space_type: 0, allocated_gb, total_gb }];
    TenantSetup { id: id.to_owned(), name: format!("{id} Ltd"), labels: Vec::new(), values }
}

impl TenantSetup {
    fn credential(&self) -> Credential {
        Credential::App { app_id: format!("app-of-{}", self.id), app_secret: SecretString::from(format!("secret of {}", self.id)) }
    }

    pub fn simulated(&self) -> SimulatedTenant {
        SimulatedTenant {
            id: self.id.parse().unwrap(),
            user_id: "1505084218764547200".to_owned(),
            credential: self.credential(),
            values: Values::Fixed(self.values.clone()),
            form: Form::ArrayOfNumbers,
        }
    }

    pub fn watched(&self, simulator: &Simulator) -> WatchedTenant {
        let labels = self.labels.iter().map(|(key, value)| Label { key: (*key).to_owned(), value: (*value).to_owned() }).collect();
        WatchedTenant {
            tenant: Tenant { id: self.id.parse().unwrap(), name: self.name.clone(), labels },
            account: self.simulated().account(simulator.endpoint()),
        }
    }
}

/// What stays when a service is restarted: the upstream, the time and the database.
pub struct World {
    pub simulator: Simulator,
    pub clock: TestClock,
    pub database: Database,
    pub tenants: Vec<TenantSetup>,
}

impl World {
    pub async fn new(database: Database, tenants: Vec<TenantSetup>) -> Self {
        let clock = TestClock::new(START.parse().unwrap());
        let shared: SharedClock = Arc::new(clock.clone());
        let simulated = tenants.iter().map(TenantSetup::simulated).collect();
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), simulated, shared).await.unwrap();
        Self { simulator, clock, database, tenants }
    }

    pub fn upstream(&self, id: &str) -> TenantHandle {
        self.simulator.tenant(id).unwrap()
    }

    /// Changes what a tenant's upstream says.
    pub fn set_values(&self, id: &str, values: &[(i32, i64, i64)]) {
        let values: Vec<_> = (values.iter())
            .map(|&(space_type, allocated_gb, total_gb)| SpaceTypeAllocation { space_type, allocated_gb, total_gb })
            .collect();
        self.upstream(id).set_values(&values).unwrap();
    }

    /// Changes how a tenant's upstream behaves.
    pub fn set_behaviour(&self, id: &str, behaviour: Value) {
        let behaviour: Behaviour = serde_json::from_value(behaviour).unwrap();
        self.upstream(id).set_behaviour(behaviour).unwrap();
    }

    pub fn now(&self) -> Timestamp {
        use quotagraph::clock::Clock as _;
        self.clock.now()
    }

    pub fn advance_s(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Starts the service. Its collector does not run by itself: tests step it.
    pub async fn start(&self) -> TestApp {
        self.start_with(|_| {}).await
    }

    pub async fn start_with(&self, configure: impl FnOnce(&mut Config)) -> TestApp {
        let watched = self.tenants.iter().map(|tenant| tenant.watched(&self.simulator)).collect();
        self.start_watching(watched, configure).await
    }

    pub async fn start_watching(&self, watched: Vec<WatchedTenant>, configure: impl FnOnce(&mut Config)) -> TestApp {
        let store = self.database.open().await;
        self.start_on(store, watched, configure).await
    }

    /// Starts the service on a store with faults.
    pub async fn start_on_faulty(&self, configure: impl FnOnce(&mut Config)) -> (TestApp, Arc<FaultyStore>) {
        self.start_on_breaking(&[], configure).await
    }

    /// Starts the service on a store of which some methods panic so many times from the start on.
    pub async fn start_on_breaking(
        &self,
        faults: &[(&'static str, u32)],
        configure: impl FnOnce(&mut Config),
    ) -> (TestApp, Arc<FaultyStore>) {
        let store = Arc::new(FaultyStore::over(self.database.open().await));
        for (method, times) in faults {
            store.break_down(method, *times);
        }
        let watched = self.tenants.iter().map(|tenant| tenant.watched(&self.simulator)).collect();
        (self.start_on(Arc::clone(&store) as SharedStore, watched, configure).await, store)
    }

    async fn start_on(&self, store: SharedStore, watched: Vec<WatchedTenant>, configure: impl FnOnce(&mut Config)) -> TestApp {
        let mut config = Config::default();
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.collector.enabled = false;
        config.upstream.requests_per_second = 100_000;
        config.upstream.retries = 0;
        configure(&mut config);
        let app = App::build(&config, watched, Arc::clone(&store), Arc::new(self.clock.clone())).await.unwrap();
        let base = format!("http://{}", app.address());
        let metrics_base = app.metrics_address().map(|address| format!("http://{address}"));
        let handle = app.handle();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        TestApp { base, metrics_base, client, handle, store, running: tokio::spawn(app.run()) }
    }
}

/// A running service.
pub struct TestApp {
    pub base: String,
    /// Where the figures alone are, if the config has such an address.
    pub metrics_base: Option<String>,
    pub client: reqwest::Client,
    pub handle: AppHandle,
    pub store: SharedStore,
    running: JoinHandle<Result<(), AppError>>,
}

impl TestApp {
    /// The answer to a document, `data` and `errors`.
    pub async fn ask(&self, query: &str) -> Value {
        self.ask_with(query, json!({})).await
    }

    pub async fn ask_with(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let request = self.client.post(format!("{}/graphql", self.base)).header("content-type", "application/json").body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "a well-formed request");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// The data of a document that must succeed.
    pub async fn data(&self, query: &str) -> Value {
        let mut answer = self.ask(query).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    }

    /// The code and the message of the only error of a document.
    pub async fn error(&self, query: &str) -> (String, String) {
        let answer = self.ask(query).await;
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{query}: {answer}"));
        assert_eq!(errors.len(), 1, "{answer}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&errors[0]["extensions"]["code"]), text(&errors[0]["message"]))
    }

    /// Status and body of the answer to what is posted.
    pub async fn post(&self, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}/graphql", self.base)).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a counter or gauge in `/metrics`, which with authentication is not for everybody.
    #[expect(clippy::unused_async, reason = "what is asked of a service is waited for, however it is asked")]
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.handle.metrics().encode().unwrap();
        let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Collects everything that is due.
    pub async fn collect(&self) -> usize {
        self.handle.collector().collect_due().await.unwrap()
    }

    /// Ends the service in order, with everything written.
    pub async fn stop(self) {
        self.handle.stop();
        self.running.await.unwrap().unwrap();
    }
}
