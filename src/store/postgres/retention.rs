//! Thinning and forgetting old history.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgPool;

use super::PostgresStore;
use super::imports::mark_reduced;
use super::recording::{load_runs, write};
use super::row::{Instant, read_instant, read_runs, read_tenant, run_columns};
use super::statement::{Lock, Tx, attempt, failed, query};
use crate::quota::{Run, TenantId};
use crate::store::batch::Stretch;
use crate::store::retention::{FORGOTTEN_AT_ONCE, Thinning, forgetting, thinning};
use crate::store::{HistoryRetention, Retention, StoreError};

/// `$1` is the end of what is to be thinned, `$2` the start of what is kept; either may be null. Of a type with a second run up to then the first
/// is not needed.
const DUE: &str = "
select t.tenant_id
from tenants t
where (t.last_observed_at is not null and coalesce(t.thinned_until, '-infinity') < $1)
   or exists (
       select from unnest(t.space_types) as x (space_type)
       cross join lateral (
           select from space_runs s
           where s.tenant_no = t.tenant_no and s.space_type = x.space_type and s.first_at <= $2
           order by s.first_at offset 1 limit 1
       ) second
   )
order by t.tenant_no
limit $3";

/// The lock that recording takes, whether the tenant is still collected or not.
const LOCK_ROW: &str = "select space_types, thinned_until from tenants where tenant_id = $1 for no key update";

const OLDEST_AT: &str = "
select min(o.first_at)
from tenants t
cross join lateral unnest(t.space_types) as x (space_type)
cross join lateral (
    select s.first_at from space_runs s where s.tenant_no = t.tenant_no and s.space_type = x.space_type order by s.first_at limit 1
) o
where t.tenant_id = $1";

const OLDEST: &str = concat!(
    "select t.tenant_id, ",
    run_columns!(),
    "
from tenants t
cross join lateral unnest(t.space_types) as x (space_type)
cross join lateral (
    select * from space_runs o
    where o.tenant_no = t.tenant_no and o.space_type = x.space_type and o.first_at <= $2
    order by o.first_at limit $3
) s
where t.tenant_id = $1
order by s.space_type, s.first_at"
);

#[async_trait::async_trait]
impl HistoryRetention for PostgresStore {
    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        attempt("looking for old history", async {
            let mut tx = self.pool.begin().await?;
            let rows = query(DUE)
                .bind(retention.thin_until().map(Instant))
                .bind(retention.keep_from.map(Instant))
                .bind(i64::from(limit))
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            rows.iter().map(read_tenant).collect()
        })
        .await
    }

    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError> {
        retain(&self.pool, tenant, retention).await.map_err(failed("thinning of old history"))
    }
}

async fn retain(pool: &PgPool, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let free = query("select pg_try_advisory_xact_lock($1)").bind(Lock::Retention as i64);
    if !free.fetch_one(&mut *tx).await?.try_get::<bool, _>(0)? {
        tx.rollback().await?;
        return Ok(None);
    }
    let Some(row) = query(LOCK_ROW).bind(tenant.as_str()).fetch_optional(&mut *tx).await? else {
        tx.rollback().await?;
        return Ok(Some(0));
    };
    let space_types: Vec<i32> = row.try_get(0)?;
    let mut fewer = 0;
    if let Some(keep_from) = retention.keep_from {
        let stored = oldest(&mut tx, tenant, keep_from).await?;
        let changes = forgetting(tenant, &space_types, &stored, keep_from);
        fewer += changes.deleted.len();
        write(&mut tx, &changes).await?;
        if !changes.deleted.is_empty() {
            mark_reduced(&mut tx, tenant, (Timestamp::MIN, keep_from)).await?;
        }
    }
    let oldest_at = query(OLDEST_AT).bind(tenant.as_str()).fetch_one(&mut *tx).await?;
    if let Some(part) = retention.next_thinning(read_instant(&oldest_at, 0)?, read_instant(&row, 1)?) {
        fewer += thin(&mut tx, tenant, &space_types, part).await?;
    }
    tx.commit().await?;
    Ok(Some(fewer))
}

async fn oldest(tx: &mut Tx<'_>, tenant: &TenantId, up_to: Timestamp) -> Result<Vec<Run>, sqlx::Error> {
    let oldest = query(OLDEST).bind(tenant.as_str()).bind(Instant(up_to)).bind(i64::from(FORGOTTEN_AT_ONCE));
    Ok(read_runs(&oldest.fetch_all(&mut **tx).await?)?.remove(tenant).unwrap_or_default())
}

async fn thin(tx: &mut Tx<'_>, tenant: &TenantId, space_types: &[i32], part: Thinning) -> Result<usize, sqlx::Error> {
    // An empty stretch reads little and changes nothing.
    let stored = load_runs(tx, &Stretch::of_types(tenant, space_types, part.from, part.last_moment())).await?;
    let changes = thinning(tenant, space_types, stored.get(tenant).map_or(&[][..], Vec::as_slice), part);
    write(tx, &changes).await?;
    if !changes.deleted.is_empty() {
        mark_reduced(tx, tenant, (part.from, part.last_moment())).await?;
    }
    let done = query("update tenants set thinned_until = $2 where tenant_id = $1").bind(tenant.as_str()).bind(Instant(part.to));
    done.execute(&mut **tx).await?;
    Ok(changes.deleted.len().saturating_sub(changes.put.len()))
}
