//! Opening a file.

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::migrating;
use crate::shown;
use crate::store::error::failed;
use crate::store::{Settings, StoreError};

/// Primary result codes of `SQLite` (<https://www.sqlite.org/rescode.html>).
const CANNOT_OPEN: &str = "14";
const NOT_A_DATABASE: &str = "26";

/// How long a statement waits for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens or creates the file: the pool of the one writer, and that of the readers.
pub(super) async fn connect(settings: &Settings) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let options = parse(settings)?;
    make_private(options.get_filename());
    let plain = plain(options).create_if_missing(true);
    check_usable(&plain).await?;

    let durable = plain.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full).foreign_keys(true);
    let writer = pool(settings, 1).connect_with(durable.clone()).await.map_err(failed("connection"))?;
    let readers =
        pool(settings, settings.max_connections).connect_with(durable.read_only(true)).await.map_err(failed("connection"))?;
    Ok((writer, readers))
}

/// Agrees when the file is there.
pub(in crate::store) fn require_file(settings: &Settings) -> Result<(), StoreError> {
    let options = parse(settings)?;
    let file = options.get_filename();
    if file.exists() {
        return Ok(());
    }
    // The config's other paths start from its folder, this one from the working directory: only the whole path shows where it was looked for.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let file = shown::path(&file);
    Err(StoreError::Unusable(format!(
        "there is no database file {file}: run the command where the file is, or name it in database.url; `quotagraph migrate` makes a new one"
    )))
}

/// Agrees when the file can be used, or could be made. Makes none.
pub(in crate::store) async fn check(settings: &Settings) -> Result<(), StoreError> {
    let options = parse(settings)?;
    let file = options.get_filename();
    if file.exists() {
        return check_usable(&plain(options).create_if_missing(false)).await;
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() { Ok(()) } else { Err(cannot_open(&shown::path(file))) }
}

fn parse(settings: &Settings) -> Result<SqliteConnectOptions, StoreError> {
    let url = settings.url.expose_secret();
    let options = SqliteConnectOptions::from_str(url).map_err(|_| {
        StoreError::Unusable("the database URL is not understood: write sqlite:PATH, such as sqlite:quotagraph.db".into())
    })?;
    if url.contains(":memory:") || url.contains("mode=memory") || options.get_filename().as_os_str().is_empty() {
        return Err(StoreError::Unusable("the database URL must name a file that stays: write sqlite:PATH".into()));
    }
    Ok(options)
}

/// The settings of every connection.
fn plain(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

/// Makes the file that is not there yet, so that nobody but its owner can read it, whatever the umask says. The files beside it, of `-wal` and
/// `-shm`, get its rights from `SQLite`. What goes wrong here is told when the file is opened.
fn make_private(file: &Path) {
    if file.exists() {
        return;
    }
    if let Ok(new) = File::options().write(true).create(true).truncate(false).mode(0o600).open(file) {
        let _ = new.set_permissions(Permissions::from_mode(0o600));
    }
}

/// Looks into the file before any setting is made that would stay in it, such as WAL mode in a file that is not ours.
async fn check_usable(plain: &SqliteConnectOptions) -> Result<(), StoreError> {
    let path = shown::path(plain.get_filename());
    let mut connection = plain.connect().await.map_err(|error| explain(error, &path))?;
    let found = migrating::find(&mut connection).await.map_err(|error| explain(error, &path))?;
    connection.close().await.map_err(failed("connection"))?;
    migrating::check_usable(&found)
}

fn pool(settings: &Settings, connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(settings.acquire_timeout)
        // A connection to a file does not go stale, and opening one again costs its caches.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn cannot_open(path: &str) -> StoreError {
    StoreError::Unusable(format!("the database file {path} cannot be opened: its folder must exist, and both must be writable"))
}

fn explain(error: sqlx::Error, path: &str) -> StoreError {
    match error.as_database_error().and_then(DatabaseError::code).as_deref() {
        Some(CANNOT_OPEN) if Path::new(path).is_dir() => {
            StoreError::Unusable(format!("the database file {path} is a folder: name a file in the database URL"))
        }
        Some(CANNOT_OPEN) => cannot_open(path),
        Some(NOT_A_DATABASE) => {
            StoreError::Unusable(format!("the file {path} is no SQLite database: name another one in the database URL"))
        }
        _ => failed("connection")(error),
    }
}
