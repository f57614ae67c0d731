//! A folder with a config for the binary, and the verifying simulator as the upstream of its tenants, by the system's clock.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use quotagraph::clock::SystemClock;
use quotagraph::koodrive::Credential;
use quotagraph::simulator::{Simulator, TenantHandle};
use quotagraph::store::{self, SharedStore};
use serde_json::Value;
use tokio::process::Command;

use super::app::TenantSetup;
use super::process::{self, Finished, Running, patiently};

/// A folder, and the upstream that its config names.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub simulator: Simulator,
}

impl Site {
    /// A folder with a `quotagraph.toml` of these settings and tenants, whose secrets are in files.
    pub async fn new(settings: &str, tenants: &[TenantSetup]) -> Self {
        let simulated = tenants.iter().map(TenantSetup::simulated).collect();
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), simulated, Arc::new(SystemClock)).await.unwrap();
        let site = Self { folder: tempfile::tempdir().unwrap(), simulator };
        site.write("quotagraph.toml", &format!("{settings}\n{}", site.tables(tenants)));
        site
    }

    /// The same for `serve` on a free port.
    pub async fn serving(settings: &str, tenants: &[TenantSetup]) -> Self {
        Self::new(&format!("server.listen = \"127.0.0.1:0\"\n{settings}"), tenants).await
    }

    /// `[[tenants]]` of these tenants; their secrets are written beside.
    pub fn tables(&self, tenants: &[TenantSetup]) -> String {
        tenants.iter().map(|tenant| self.table(tenant)).collect()
    }

    fn table(&self, tenant: &TenantSetup) -> String {
        let simulated = tenant.simulated();
        let Credential::App { app_id, .. } = &simulated.credential else { unreachable!("tests have apps") };
        let (id, user_id, endpoint) = (&tenant.id, &simulated.user_id, self.simulator.endpoint());
        self.write(&format!("{id}.secret"), &format!("{}\n", secret_of(id)));
        format!(
            "[[tenants]]\nid = \"{id}\"\nendpoint = \"{endpoint}\"\nuser_id = \"{user_id}\"\n\
             auth = {{ app_id = \"{app_id}\", app_secret_file = \"{id}.secret\" }}\n"
        )
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file at once and for its owner alone, as a careful editor does.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(new, self.path().join(name)).unwrap();
    }

    pub fn upstream(&self, id: &str) -> TenantHandle {
        self.simulator.tenant(id).unwrap()
    }

    /// Opens and migrates a database of the folder, which nobody else uses yet.
    pub async fn store(&self, name: &str) -> SharedStore {
        let url = format!("sqlite:{}", self.path().join(name).display());
        let acquire_timeout = std::time::Duration::from_secs(30);
        let store =
            store::open(&store::Settings { url: url.into(), max_connections: 2, acquire_timeout, listen: false }).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    pub fn command(&self, args: &[&str]) -> Command {
        process::quotagraph(self.path(), args)
    }

    /// Runs a command to its end. Whatever it prints, it is no secret.
    pub async fn run(&self, args: &[&str]) -> Finished {
        let finished = process::run(self.command(args)).await;
        assert_no_secret(&finished);
        finished
    }

    /// Starts `serve` and waits until it serves.
    pub async fn serve(&self) -> Service {
        Service::start(self.command(&["serve"])).await
    }
}

/// A tenant's secret.
pub fn secret_of(id: &str) -> String {
    format!("secret of {id}")
}

/// Fails when a secret was printed.
pub fn assert_no_secret(finished: &Finished) {
    for text in [&finished.stdout, &finished.stderr] {
        assert!(!text.contains("secret of"), "{text}");
    }
}

/// A `serve` that serves.
pub struct Service {
    pub process: Running,
    pub base: String,
    pub client: reqwest::Client,
}

impl Service {
    /// Starts a command that logs that it serves, in either form of the log.
    pub async fn start(command: Command) -> Self {
        let mut process = Running::start(command);
        let line = process.stderr.line("127.0.0.1:").await;
        let from = line.find("127.0.0.1:").unwrap();
        let address: String = line[from..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        Self { process, base: format!("http://{address}"), client: client() }
    }

    /// The answer to a document.
    pub async fn ask(&self, query: &str) -> Value {
        ask(&self.client, &self.base, query).await
    }

    /// What a tenant has allocated, asked past all caches.
    pub async fn allocated(&self, id: &str) -> Value {
        let query = format!("{{ tenant(id: \"{id}\") {{ spaceAllocation(maxAge: \"PT0S\", onFailure: ERROR) {{ allocated }} }} }}");
        self.ask(&query).await
    }

    /// Ends it as an operator does.
    pub async fn terminate(self) -> Finished {
        self.process.signal("TERM");
        let finished = self.process.end().await;
        assert_no_secret(&finished);
        finished
    }
}

/// A client that goes straight to loopback.
pub fn client() -> reqwest::Client {
    // An error says that a test before has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The answer to a document.
pub async fn ask(client: &reqwest::Client, base: &str, query: &str) -> Value {
    let body = serde_json::json!({ "query": query }).to_string();
    let request = client.post(format!("{base}/graphql")).header("content-type", "application/json").body(body);
    let response = patiently("an answer", request.send()).await.unwrap();
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}
