//! Migrating, and refusing what may not be used.

use sqlx::postgres::{PgPool, Postgres};
use sqlx::{Row, Transaction};

use super::statement::{Lock, lock, query};
use crate::store::StoreError;
use crate::store::error::failed;
use crate::store::migrations::{self, Applied, Found, MARK, POSTGRES};

const OLDEST_SERVER: i32 = 15;

/// Tables of the schema that ours go to, without those that an extension brought.
const TABLES: &str = "
select c.relname::text
from pg_catalog.pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
  and not exists (
    select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
order by 1";

const CREATE_MARK: &str = "
create table if not exists quotagraph_migrations (
    name       text primary key,
    checksum   text not null,
    applied_at timestamptz not null default now()
)";

/// Applies what is missing, each migration in its own transaction; replicas that start together take turns.
pub(super) async fn migrate(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    check_server(pool).await?;
    let mut done = Vec::new();
    loop {
        let mut tx = pool.begin().await.map_err(failed("migration"))?;
        lock(&mut tx, Lock::Migrating).await.map_err(failed("migration"))?;
        let Some(next) = migrations::missing(POSTGRES, &find(&mut tx).await.map_err(failed("migration"))?)?.first() else {
            tx.commit().await.map_err(failed("migration"))?;
            return Ok(done);
        };
        apply(&mut tx, next).await.map_err(failed("migration"))?;
        tx.commit().await.map_err(failed("migration"))?;
        done.push(next.name.to_owned());
    }
}

async fn apply(tx: &mut Transaction<'_, Postgres>, next: &migrations::Migration) -> Result<(), sqlx::Error> {
    // Only once, for "if not exists" has the server tell what it skips.
    if POSTGRES.first().is_some_and(|first| first.name == next.name) {
        query(CREATE_MARK).execute(&mut **tx).await?;
    }
    sqlx::raw_sql(next.sql).execute(&mut **tx).await?;
    let insert = "insert into quotagraph_migrations (name, checksum) values ($1, $2)";
    query(insert).bind(next.name).bind(next.checksum()).execute(&mut **tx).await.map(drop)
}

/// Agrees when the server and what the database holds, if anything, are ours to use.
pub(super) async fn check_usable(pool: &PgPool) -> Result<(), StoreError> {
    check_server(pool).await?;
    migrations::missing(POSTGRES, &look(pool).await?).map(drop)
}

/// Agrees when the database has all migrations.
pub(super) async fn check_migrated(pool: &PgPool) -> Result<(), StoreError> {
    migrations::require_all(POSTGRES, &look(pool).await?)
}

async fn look(pool: &PgPool) -> Result<Found, StoreError> {
    let mut tx = pool.begin().await.map_err(failed("check"))?;
    let found = find(&mut tx).await.map_err(failed("check"))?;
    tx.commit().await.map_err(failed("check"))?;
    Ok(found)
}

async fn find(tx: &mut Transaction<'_, Postgres>) -> Result<Found, sqlx::Error> {
    let tables = query(TABLES).fetch_all(&mut **tx).await?;
    let tables = tables.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    if tables.is_empty() {
        return Ok(Found::Empty);
    }
    if tables.iter().all(|table| table != MARK) {
        return Ok(Found::Foreign(tables));
    }
    let rows = query("select name, checksum from quotagraph_migrations order by name").fetch_all(&mut **tx).await?;
    let applied = rows.iter().map(|row| Ok(Applied { name: row.try_get(0)?, checksum: row.try_get(1)? }));
    applied.collect::<Result<_, sqlx::Error>>().map(Found::Ours)
}

async fn check_server(pool: &PgPool) -> Result<(), StoreError> {
    let mut tx = pool.begin().await.map_err(failed("check"))?;
    let row = query("select current_setting('server_version_num')::int").fetch_one(&mut *tx).await.map_err(failed("check"))?;
    tx.commit().await.map_err(failed("check"))?;
    check_version(row.try_get(0).map_err(failed("check"))?)
}

fn check_version(server_version_num: i32) -> Result<(), StoreError> {
    let major = server_version_num / 10_000;
    if major >= OLDEST_SERVER {
        return Ok(());
    }
    Err(StoreError::Unusable(format!("the server is Postgres {major}: quotagraph needs Postgres {OLDEST_SERVER} or newer")))
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn servers_before_15_are_refused() {
        assert!(check_version(150_000).is_ok());
        assert!(check_version(140_012).unwrap_err().to_string().contains("Postgres 14"));
    }
}
