//! Hearing what other replicas record.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::watch;

use super::feed::CHANNEL;

/// Listens on a connection of its own until that breaks, and marks the signal. Marks it once when it begins to listen, for what was missed.
pub(super) async fn listen(options: PgConnectOptions, signal: &watch::Sender<()>) -> Result<(), sqlx::Error> {
    // A pool of one, since that is what the listener wants. The store's own may have no connection to spare.
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_with(options).await?;
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
