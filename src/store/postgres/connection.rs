//! Connecting to a server.

use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::time::timeout;

use crate::store::error::failed;
use crate::store::{Settings, StoreError};

/// `SQLSTATE` of a database that does not exist.
const INVALID_CATALOG_NAME: &str = "3D000";
/// Those of users that are not let in.
const INVALID_AUTHORIZATION: &str = "28000";
const INVALID_PASSWORD: &str = "28P01";

/// How long the last attempt may take.
const ONCE_MORE: Duration = Duration::from_secs(1);

/// Opens the pool with its first connection, so that a wrong address shows at once. Gives how to open more, too.
pub(super) async fn connect(settings: &Settings) -> Result<(PgPool, PgConnectOptions), StoreError> {
    let options = PgConnectOptions::from_str(settings.url.expose_secret()).map_err(|_| {
        StoreError::Unusable("the database URL is not understood: write postgres://USER:PASSWORD@HOST:PORT/DATABASE".into())
    })?;
    let options = options
        .application_name("quotagraph")
        // A start-up parameter that pgbouncer refuses. Nothing here reads floating-point numbers as text.
        .extra_float_digits(None)
        .disable_statement_logging();
    let pool = PgPoolOptions::new().max_connections(settings.max_connections).acquire_timeout(settings.acquire_timeout);
    match pool.connect_with(options.clone()).await {
        Ok(pool) => Ok((pool, options)),
        Err(sqlx::Error::PoolTimedOut) => Err(explain(find_cause(&options).await)),
        Err(error) => Err(explain(error)),
    }
}

/// Why there is no connection. The pool tries again and again until its time is over, and then says only that.
async fn find_cause(options: &PgConnectOptions) -> sqlx::Error {
    match timeout(ONCE_MORE, options.connect()).await {
        Ok(Err(cause)) => cause,
        Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
    }
}

fn explain(error: sqlx::Error) -> StoreError {
    let Some(refusal) = error.as_database_error() else { return failed("connection")(error) };
    let mend = match refusal.code().as_deref() {
        Some(INVALID_CATALOG_NAME) => "create it, or name another one in the database URL",
        Some(INVALID_PASSWORD | INVALID_AUTHORIZATION) => "look at the user and the password in the database URL",
        _ => return failed("connection")(error),
    };
    StoreError::Unusable(format!("{}: {mend}", refusal.message()))
}
