//! Connecting to a server.

use std::str::FromStr;

use secrecy::ExposeSecret;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::statement::failed;
use crate::store::{Settings, StoreError};

/// `SQLSTATE` of a database that does not exist.
const INVALID_CATALOG_NAME: &str = "3D000";

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
    let pool = pool.connect_with(options.clone()).await.map_err(explain)?;
    Ok((pool, options))
}

fn explain(error: sqlx::Error) -> StoreError {
    match error.as_database_error() {
        Some(refusal) if refusal.code().as_deref() == Some(INVALID_CATALOG_NAME) => {
            StoreError::Unusable(format!("{}: create it, or name another one in the database URL", refusal.message()))
        }
        _ => failed("connection")(error),
    }
}
