//! A Postgres for the tests: one private server for each test process, one database for each test.
//!
//! With `TEST_DATABASE_URL` set, that server is used instead; its user must be allowed to create databases. `TEST_POSTGRES_OPTIONS` are
//! more options of the private server, and win: it is fast and not durable, but benchmarks may have it otherwise.
//! This file uses no other test module, so that other targets can include it by its path.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Runs beside the tests, outlives them, and cleans up when its standard input ends: that happens however they end, by SIGKILL too.
/// `$1` is the folder of the binaries, `$2` the one of the server.
const KEEPER: &str = r#"
trap '' INT HUP TERM
cd "$2" || exit 1
"$1/initdb" -D data -U quotagraph -A trust -E UTF8 --no-locale --no-sync </dev/null >log 2>&1 &&
    "$1/pg_ctl" -D data -l server.log -w -o "-c listen_addresses='' -c unix_socket_directories='$2' -c port=5432 \
        -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=300 $TEST_POSTGRES_OPTIONS" start </dev/null >>log 2>&1 &&
    echo ready
exec >&-
cat >/dev/null
"$1/pg_ctl" -D data -m immediate -w stop </dev/null >/dev/null 2>&1
cd / && rm -rf "$2"
"#;

const INSTALL: &str = "the tests need Postgres 15 or newer: install it (Debian: `apt install postgresql`), put the folder of its \
    `initdb` on the PATH, or set TEST_DATABASE_URL to a server on which databases may be created";

/// A new, empty database. It goes with the private server, or, on one that stays, when this is dropped.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    /// How to reach it: `postgres://…`.
    pub(crate) url: String,
    name: String,
}

/// Makes a new, empty database.
///
/// # Panics
/// When there is no Postgres to make it on, with what to install.
pub(crate) async fn database() -> TestDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("quotagraph_test_{}_{number}_{:08x}", std::process::id(), rand::random::<u32>());
    let admin = server().admin_url();
    execute(&admin, format!("create database {name} template template0")).await;
    let mut url = url::Url::parse(&admin).expect("the URL of the test server is one");
    url.set_path(&name);
    TestDatabase { url: url.into(), name }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Server::Given(admin) = server() else { return };
        let statement = format!("drop database if exists {} with (force)", self.name);
        let drop_database = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(execute(admin, statement));
        };
        let dropped = std::thread::spawn(drop_database).join().is_ok();
        assert!(dropped || std::thread::panicking(), "the test database {} was not dropped", self.name);
    }
}

async fn execute(url: &str, statement: String) {
    let mut connection = PgConnection::connect(url).await.expect("the test server answers");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("the test server lets us make databases");
    connection.close().await.expect("the test server lets us go");
}

enum Server {
    /// Somebody else's, by its URL.
    Given(String),
    /// Ours. It lives as long as its keeper's standard input is open.
    Private { folder: PathBuf, _keeper: Child },
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => Server::Given(url),
        _ => start(&find_binaries().expect(INSTALL)),
    })
}

impl Server {
    fn admin_url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private { folder, .. } => format!("postgres://quotagraph@localhost:5432/postgres?host={}", folder.display()),
        }
    }
}

fn start(binaries: &Path) -> Server {
    let folder = tempfile::Builder::new().prefix("quotagraph-pg-").tempdir().expect("a temporary folder").keep();
    let (keeper, said) = keep(KEEPER, &[binaries, &folder], &folder);
    if said.trim() != "ready" {
        let log = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        panic!("the test server did not start:\n{}{}", log("log"), log("server.log"));
    }
    Server::Private { folder, _keeper: keeper }
}

/// Runs a script that keeps a server in a folder, as somebody whom servers let run them. Gives what it says until it has nothing more to say.
/// The server lives as long as the script's standard input is open.
pub(crate) fn keep(script: &str, arguments: &[&Path], folder: &Path) -> (Child, String) {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args(arguments);
    // A group of its own, so that a Ctrl-C that ends the tests leaves the keeper to clean up.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if folder.metadata().expect("our own folder").uid() == 0 {
        // Servers refuse to run as root.
        let (uid, gid) = unprivileged_user();
        chown(folder, Some(uid), Some(gid)).expect("root may give a folder away");
        command.uid(uid).gid(gid);
    }
    let mut keeper = command.spawn().expect("sh runs");
    let mut said = String::new();
    keeper.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    (keeper, said)
}

/// The user and group that run the server when the tests run as root.
fn unprivileged_user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("a list of users");
    let find = |name: &str| {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a user `postgres` or `nobody` to run the test server")
}

/// The folder of `initdb` and `pg_ctl`.
fn find_binaries() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let said = Command::new("pg_config").arg("--bindir").output().ok().map(|output| output.stdout);
    let configured = said.map(|text| PathBuf::from(String::from_utf8_lossy(&text).trim()));
    let candidates = on_path.into_iter().chain(debian_folders()).chain(configured);
    candidates.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
}

/// Where Debian puts the versions, the newest first.
fn debian_folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions = entries.filter_map(|e| Some((e.file_name().to_str()?.parse::<u32>().ok()?, e.path()))).collect::<Vec<_>>();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path.join("bin")).collect()
}
