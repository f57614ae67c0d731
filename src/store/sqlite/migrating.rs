//! Migrating, and refusing what may not be used.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::statement::begin;
use crate::store::StoreError;
use crate::store::error::failed;
use crate::store::migrations::{self, Applied, Found, MARK, Migration, SQLITE};

const TABLES: &str = "select name from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name";

const CREATE_MARK: &str = "
create table if not exists quotagraph_migrations (
    name       text not null primary key,
    checksum   text not null,
    applied_at text not null default (strftime('%Y-%m-%dT%H:%M:%SZ'))
) strict";

/// Applies what is missing, each migration in its own transaction; processes that start together take turns.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<Vec<String>, StoreError> {
    let mut done = Vec::new();
    loop {
        let mut tx = begin(writer).await.map_err(failed("migration"))?;
        let Some(next) = migrations::missing(SQLITE, &find(&mut tx).await.map_err(failed("migration"))?)?.first() else {
            return Ok(done);
        };
        apply(&mut tx, next).await.map_err(failed("migration"))?;
        tx.commit().await.map_err(failed("migration"))?;
        done.push(next.name.to_owned());
    }
}

async fn apply(connection: &mut SqliteConnection, next: &Migration) -> Result<(), sqlx::Error> {
    sqlx::query(CREATE_MARK).execute(&mut *connection).await?;
    sqlx::raw_sql(next.sql).execute(&mut *connection).await?;
    let insert = "insert into quotagraph_migrations (name, checksum) values (?1, ?2)";
    sqlx::query(insert).bind(next.name).bind(next.checksum()).execute(connection).await.map(drop)
}

/// Agrees when what the database holds, if anything, is ours to use.
pub(super) fn check_usable(found: &Found) -> Result<(), StoreError> {
    migrations::missing(SQLITE, found).map(drop)
}

/// Agrees when the database has all migrations.
pub(super) async fn check_migrated(readers: &SqlitePool) -> Result<(), StoreError> {
    let mut connection = readers.acquire().await.map_err(failed("check"))?;
    migrations::require_all(SQLITE, &find(&mut connection).await.map_err(failed("check"))?)
}

/// Looks what the database holds.
pub(super) async fn find(connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
    let tables = sqlx::query(TABLES).fetch_all(&mut *connection).await?;
    let tables = tables.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    if tables.is_empty() {
        return Ok(Found::Empty);
    }
    if tables.iter().all(|table| table != MARK) {
        return Ok(Found::Foreign(tables));
    }
    let rows = sqlx::query("select name, checksum from quotagraph_migrations order by name").fetch_all(connection).await?;
    let applied = rows.iter().map(|row| Ok(Applied { name: row.try_get(0)?, checksum: row.try_get(1)? }));
    applied.collect::<Result<_, sqlx::Error>>().map(Found::Ours)
}
