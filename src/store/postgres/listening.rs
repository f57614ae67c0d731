//! Hearing what other replicas record.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::sync::watch;

use super::statement::query;

/// Where replicas tell each other that changes were recorded. The message is empty: readers look for themselves.
pub(super) const CHANNEL: &str = "quotagraph_changes";

/// `SQLSTATE` of a start-up parameter that is refused.
const PROTOCOL_VIOLATION: &str = "08P01";

/// A setting of nobody's, by which a session is known to be ours: only a server that is connected to us alone has it from the start.
const SESSION: &str = "quotagraph.session";

/// Others cannot be heard: between us and the server is a pooler, such as pgbouncer in transaction mode, that gives a session to whoever
/// has a transaction for it. To listen there would not only be in vain: what is heard would break into the transactions of others.
#[derive(Debug)]
pub(super) struct Pooled;

/// Listens on a connection of its own until that breaks, and marks the signal. Marks it once when it begins to listen, for what was missed.
/// Returns at once where there is a pooler.
pub(super) async fn listen(options: PgConnectOptions, signal: &watch::Sender<()>) -> Result<Pooled, sqlx::Error> {
    let session = format!("{:016x}", rand::random::<u64>());
    let options = options.options([(SESSION, &session)]);
    // A pool of one, since that is what the listener wants. The store's own may have no connection to spare.
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_with(options).await;
    let pool = match pool {
        Err(error) if error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(PROTOCOL_VIOLATION)) => {
            return Ok(Pooled);
        }
        pool => pool?,
    };
    if session_of(&pool).await?.as_ref() != Some(&session) {
        return Ok(Pooled);
    }
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        signal.send_replace(());
        // `None`: the connection broke.
        if listener.try_recv().await?.is_none() {
            return Err(sqlx::Error::PoolClosed);
        }
    }
}

async fn session_of(pool: &PgPool) -> Result<Option<String>, sqlx::Error> {
    use sqlx::Row;
    query("select current_setting($1, true)").bind(SESSION).fetch_one(pool).await?.try_get(0)
}
