//! A pgbouncer in transaction mode before the Postgres of the tests: one for each test process.

use std::path::PathBuf;
use std::process::Child;
use std::sync::OnceLock;

use url::Url;

use super::postgres::keep;

/// Runs beside the tests, outlives them, and cleans up when its standard input ends. `$1` is the folder.
const KEEPER: &str = r#"
trap '' INT HUP TERM
cd "$1" || exit 1
# Debian puts it where only root looks.
PATH="$PATH:/usr/sbin:/usr/local/sbin"
pgbouncer -q pgbouncer.ini </dev/null >log 2>&1 &
while [ ! -S .s.PGSQL.6432 ] && kill -0 $! 2>/dev/null; do sleep 0.01; done
[ -S .s.PGSQL.6432 ] && echo ready
exec >&-
cat >/dev/null
kill $! 2>/dev/null
cd / && rm -rf "$1"
"#;

const INSTALL: &str = "the tests need pgbouncer: install it (Debian: `apt install pgbouncer`)";

struct Pgbouncer {
    folder: PathBuf,
    _keeper: Child,
}

/// How to reach a database of the test server through the pooler. With two sessions for each database, which whoever has a transaction gets.
///
/// # Panics
/// When there is no pgbouncer, with what to install.
pub(crate) fn pooled(direct: &str) -> String {
    static POOLER: OnceLock<Pgbouncer> = OnceLock::new();
    let mut url = Url::parse(direct).expect("the URL of a test database is one");
    let folder = &POOLER.get_or_init(|| start(&url)).folder;
    url.set_host(Some("localhost"))
        .and_then(|()| url.set_port(Some(6432)).map_err(|()| url::ParseError::InvalidPort))
        .expect("a host");
    url.query_pairs_mut().clear().append_pair("host", &folder.display().to_string());
    url.into()
}

fn start(server: &Url) -> Pgbouncer {
    let folder = tempfile::Builder::new().prefix("quotagraph-pgbouncer-").tempdir().expect("a temporary folder").keep();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let socket = server.query_pairs().find(|(key, _)| key == "host").map(|(_, folder)| folder.into_owned());
    let host = socket.unwrap_or_else(|| server.host_str().unwrap_or("localhost").to_owned());
    let password = server.password().map(|password| format!(" password={}", quoted(password))).unwrap_or_default();
    let config = format!(
        "[databases]\n* = host={} port={} user={}{password}\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 2\n\
         max_client_conn = 500\nserver_idle_timeout = 1\nauth_type = any\nlisten_port = 6432\nunix_socket_dir = {}\n",
        quoted(&host),
        server.port().unwrap_or(5432),
        quoted(server.username()),
        folder.display(),
    );
    std::fs::write(folder.join("pgbouncer.ini"), config).expect("our own folder");
    let (keeper, said) = keep(KEEPER, &[&folder], &folder);
    assert_eq!(said.trim(), "ready", "{INSTALL}\n{}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
    Pgbouncer { folder, _keeper: keeper }
}
