//! Thinning and forgetting old history.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::row::{read_instant, read_runs, read_space_types, read_tenant, run_columns};
use super::statement::Tx;
use crate::quota::{Run, TenantId};
use crate::store::error::{attempt, failed};
use crate::store::instant::millis;
use crate::store::retention::FORGOTTEN_AT_ONCE;
use crate::store::session::{self, Retained, RetentionSession};
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

const ROW: &str = "select space_types, thinned_until from tenants where tenant_id = ?1";

const OLDEST_AT: &str = "
select min((select min(s.first_at) from space_runs s where s.tenant_no = t.tenant_no and s.space_type = x.value))
from tenants t
cross join json_each(t.space_types) x
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

/// Import by import, since that is how the index goes.
const MARK_REDUCED: &str = "
update import_runs
set is_reduced = 1
where import_id in (select import_id from imports where undone_at is null)
  and tenant_no = (select tenant_no from tenants where tenant_id = ?1) and first_at <= ?3 and last_at >= ?2 and not is_reduced";

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
        session::retain(self, tenant, retention).await.map_err(failed("thinning of old history"))
    }
}

impl RetentionSession for Tx<'_> {
    async fn try_lock_retention(&mut self) -> Result<bool, sqlx::Error> {
        // The one writer takes turns with recording.
        Ok(true)
    }

    async fn lock_retained(&mut self, tenant: &TenantId) -> Result<Option<Retained>, sqlx::Error> {
        let row = sqlx::query(ROW).bind(tenant.as_str()).fetch_optional(&mut **self).await?;
        let read = |row: &SqliteRow| Ok(Retained { space_types: read_space_types(row, 0)?, thinned_until: read_instant(row, 1)? });
        row.as_ref().map(read).transpose()
    }

    async fn oldest_runs(&mut self, tenant: &TenantId, space_types: &[i32], up_to: Timestamp) -> Result<Vec<Run>, sqlx::Error> {
        let mut runs = Vec::new();
        let mut space_types = space_types.to_vec();
        space_types.sort_unstable();
        for space_type in space_types {
            let oldest = sqlx::query(OLDEST).bind(tenant.as_str()).bind(space_type).bind(millis(up_to)).bind(FORGOTTEN_AT_ONCE);
            let rows = oldest.fetch_all(&mut **self).await?;
            runs.extend(read_runs(&rows)?.remove(tenant).unwrap_or_default());
        }
        Ok(runs)
    }

    async fn oldest_at(&mut self, tenant: &TenantId) -> Result<Option<Timestamp>, sqlx::Error> {
        read_instant(&sqlx::query(OLDEST_AT).bind(tenant.as_str()).fetch_one(&mut **self).await?, 0)
    }

    async fn mark_reduced(&mut self, tenant: &TenantId, (from, to): (Timestamp, Timestamp)) -> Result<(), sqlx::Error> {
        let mark = sqlx::query(MARK_REDUCED).bind(tenant.as_str()).bind(millis(from)).bind(millis(to));
        mark.execute(&mut **self).await.map(drop)
    }

    async fn set_thinned_until(&mut self, tenant: &TenantId, until: Timestamp) -> Result<(), sqlx::Error> {
        let set = sqlx::query("update tenants set thinned_until = ?2 where tenant_id = ?1");
        set.bind(tenant.as_str()).bind(millis(until)).execute(&mut **self).await.map(drop)
    }
}
