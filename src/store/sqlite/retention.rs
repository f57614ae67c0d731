//! Thinning and forgetting old history.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::imports::mark_reduced;
use super::recording::{load_runs, write};
use super::row::{read_instant, read_runs, read_tenant, run_columns};
use super::statement::{attempt, begin, failed};
use crate::quota::{Run, TenantId};
use crate::store::batch::Stretch;
use crate::store::instant::millis;
use crate::store::retention::{FORGOTTEN_AT_ONCE, Thinning, forgetting, thinning};
use crate::store::{HistoryRetention, Retention, StoreError};

/// `?1` is the end of what is to be thinned, `?2` the start of what is kept; either may be null. Of a type with a second run up to then the first
/// is not needed.
const DUE: &str = "
select t.tenant_id
from tenants t
where (t.last_observed_at is not null and coalesce(t.thinned_until, -9e15) < ?1)
   or exists (
       select 1 from json_each(t.space_types) x
       where (select s.first_at from space_runs s
              where s.tenant_no = t.tenant_no and s.space_type = x.value and s.first_at <= ?2
              order by s.first_at limit 1 offset 1) is not null
   )
order by t.tenant_no
limit ?3";

const ROW: &str = "
select t.space_types, t.thinned_until,
       (select min((select min(s.first_at) from space_runs s where s.tenant_no = t.tenant_no and s.space_type = x.value))
        from json_each(t.space_types) x)
from tenants t
where t.tenant_id = ?1";

const OLDEST: &str = concat!(
    "select t.tenant_id, ",
    run_columns!(),
    "
from tenants t
cross join space_runs s
where t.tenant_id = ?1 and s.tenant_no = t.tenant_no and s.space_type = ?2 and s.first_at <= ?3
order by s.first_at
limit ?4"
);

#[async_trait::async_trait]
impl HistoryRetention for SqliteStore {
    async fn retention_due(&self, retention: &Retention, limit: u32) -> Result<Vec<TenantId>, StoreError> {
        attempt("looking for old history", async {
            let rows = sqlx::query(DUE)
                .bind(retention.thin_until().map(millis))
                .bind(retention.keep_from.map(millis))
                .bind(limit)
                .fetch_all(&self.readers)
                .await?;
            rows.iter().map(read_tenant).collect()
        })
        .await
    }

    async fn retain(&self, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, StoreError> {
        retain(&self.writer, tenant, retention).await.map_err(failed("thinning of old history"))
    }
}

/// The one writer takes turns with recording.
async fn retain(writer: &SqlitePool, tenant: &TenantId, retention: &Retention) -> Result<Option<usize>, sqlx::Error> {
    let mut tx = begin(writer).await?;
    let Some(row) = sqlx::query(ROW).bind(tenant.as_str()).fetch_optional(&mut *tx).await? else { return Ok(Some(0)) };
    let space_types: Vec<i32> = serde_json::from_str(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let mut fewer = 0;
    if let Some(keep_from) = retention.keep_from {
        let stored = oldest(&mut tx, tenant, &space_types, keep_from).await?;
        let changes = forgetting(tenant, &space_types, &stored, keep_from);
        fewer += changes.deleted.len();
        write(&mut tx, &changes).await?;
        if !changes.deleted.is_empty() {
            mark_reduced(&mut tx, tenant, (Timestamp::MIN, keep_from)).await?;
        }
    }
    let row = sqlx::query(ROW).bind(tenant.as_str()).fetch_one(&mut *tx).await?;
    if let Some(part) = retention.next_thinning(read_instant(&row, 2)?, read_instant(&row, 1)?) {
        fewer += thin(&mut tx, tenant, &space_types, part).await?;
    }
    tx.commit().await?;
    Ok(Some(fewer))
}

async fn oldest(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    space_types: &[i32],
    up_to: Timestamp,
) -> Result<Vec<Run>, sqlx::Error> {
    let mut runs = Vec::new();
    let mut space_types = space_types.to_vec();
    space_types.sort_unstable();
    for space_type in space_types {
        let oldest = sqlx::query(OLDEST).bind(tenant.as_str()).bind(space_type).bind(millis(up_to)).bind(FORGOTTEN_AT_ONCE);
        let rows = oldest.fetch_all(&mut *connection).await?;
        runs.extend(read_runs(&rows)?.remove(tenant).unwrap_or_default());
    }
    Ok(runs)
}

async fn thin(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    space_types: &[i32],
    part: Thinning,
) -> Result<usize, sqlx::Error> {
    // An empty stretch reads little and changes nothing.
    let stored = load_runs(connection, &Stretch::of_types(tenant, space_types, part.from, part.last_moment())).await?;
    let changes = thinning(tenant, space_types, stored.get(tenant).map_or(&[][..], Vec::as_slice), part);
    write(connection, &changes).await?;
    if !changes.deleted.is_empty() {
        mark_reduced(connection, tenant, (part.from, part.last_moment())).await?;
    }
    let done = sqlx::query("update tenants set thinned_until = ?2 where tenant_id = ?1");
    done.bind(tenant.as_str()).bind(millis(part.to)).execute(connection).await?;
    Ok(changes.deleted.len().saturating_sub(changes.put.len()))
}
