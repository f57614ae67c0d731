//! Thinning and forgetting old history.

use jiff::Timestamp;
use sqlx::Row;

use super::PostgresStore;
use super::row::{Instant, read_instant, read_runs, read_tenant, run_columns};
use super::statement::{Lock, Tx, query, try_lock};
use crate::quota::{Run, TenantId};
use crate::store::error::{attempt, failed};
use crate::store::retention::FORGOTTEN_AT_ONCE;
use crate::store::session::{self, Retained, RetentionSession};
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

/// Import by import, since that is how the index goes.
const MARK_REDUCED: &str = "
update import_runs r
set is_reduced = true
from imports i, tenants t
where i.undone_at is null and t.tenant_id = $1 and r.import_id = i.import_id and r.tenant_no = t.tenant_no
  and r.first_at <= $3 and r.last_at >= $2 and not r.is_reduced";

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
        session::retain(self, tenant, retention).await.map_err(failed("thinning of old history"))
    }
}

impl RetentionSession for Tx<'_> {
    async fn try_lock_retention(&mut self) -> Result<bool, sqlx::Error> {
        try_lock(self, Lock::Retention).await
    }

    async fn lock_retained(&mut self, tenant: &TenantId) -> Result<Option<Retained>, sqlx::Error> {
        let row = query(LOCK_ROW).bind(tenant.to_string()).fetch_optional(&mut **self).await?;
        row.map(|row| Ok(Retained { space_types: row.try_get(0)?, thinned_until: read_instant(&row, 1)? })).transpose()
    }

    async fn oldest_runs(&mut self, tenant: &TenantId, _: &[i32], up_to: Timestamp) -> Result<Vec<Run>, sqlx::Error> {
        let oldest = query(OLDEST).bind(tenant.to_string()).bind(Instant(up_to)).bind(i64::from(FORGOTTEN_AT_ONCE));
        Ok(read_runs(&oldest.fetch_all(&mut **self).await?)?.remove(tenant).unwrap_or_default())
    }

    async fn oldest_at(&mut self, tenant: &TenantId) -> Result<Option<Timestamp>, sqlx::Error> {
        read_instant(&query(OLDEST_AT).bind(tenant.to_string()).fetch_one(&mut **self).await?, 0)
    }

    async fn mark_reduced(&mut self, tenant: &TenantId, (from, to): (Timestamp, Timestamp)) -> Result<(), sqlx::Error> {
        let mark = query(MARK_REDUCED).bind(tenant.to_string()).bind(Instant(from)).bind(Instant(to));
        mark.execute(&mut **self).await.map(drop)
    }

    async fn set_thinned_until(&mut self, tenant: &TenantId, until: Timestamp) -> Result<(), sqlx::Error> {
        let set = query("update tenants set thinned_until = $2 where tenant_id = $1");
        set.bind(tenant.to_string()).bind(Instant(until)).execute(&mut **self).await.map(drop)
    }
}
