//! Reading the history.

use jiff::Timestamp;

use super::row::{Instant, read_runs, run_columns};
use super::statement::query;
use super::{PostgresStore, scanning};
use crate::quota::{Run, SpaceAllocation, TenantId, TimeRange};
use crate::store::error::{attempt, failed};
use crate::store::instant::raised;
use crate::store::shaping::newest_answers;
use crate::store::{History, RunScan, SnapshotPage, SnapshotQuery, StoreError};

/// One descent of the index for each tenant and type.
const NEWEST: &str = concat!(
    "select t.tenant_id, ",
    run_columns!(),
    "
from tenants t
cross join lateral unnest(t.space_types) as x (space_type)
cross join lateral (
    select * from space_runs n
    where n.tenant_no = t.tenant_no and n.space_type = x.space_type
    order by n.first_at desc limit 1
) s
where t.tenant_id = any ($1)"
);

/// `$2` to `$3` is the range, `$4` the type or null.
const IN_RANGE: &str = concat!(
    "select t.tenant_id, ",
    run_columns!(),
    "
from tenants t
cross join lateral unnest(t.space_types) as x (space_type)
cross join lateral (
    (select * from space_runs b
     where b.tenant_no = t.tenant_no and b.space_type = x.space_type and b.first_at < $2
     order by b.first_at desc limit 1)
    union all
    (select * from space_runs i
     where i.tenant_no = t.tenant_no and i.space_type = x.space_type and i.first_at >= $2 and i.first_at < $3)
) s
where t.tenant_id = any ($1) and ($4::int is null or x.space_type = $4)
order by t.tenant_id, s.space_type, s.first_at"
);

/// A page of each tenant, `$9` rows long, in an order of its own for each type, so that no type's history is read beyond the page.
/// `$2` is the type or null; `$3` to `$4` the range; `$5`, `$6` and `$7`, `$8` the places after and before which it lies.
macro_rules! page {
    ($direction:literal) => {
        concat!(
            "select t.tenant_id, ",
            run_columns!(),
            "
from tenants t
cross join lateral (
    select p.* from unnest(t.space_types) as x (space_type)
    cross join lateral (
        select * from space_runs p
        where p.tenant_no = t.tenant_no and p.space_type = x.space_type
          and p.first_at >= coalesce((select max(b.first_at) from space_runs b
                                      where b.tenant_no = t.tenant_no and b.space_type = x.space_type and b.first_at < $3), $3)
          and p.last_at >= $3 and p.first_at < $4
          and p.first_at >= $5 and (p.first_at > $5 or p.space_type > $6)
          and p.first_at <= $7 and (p.first_at < $7 or p.space_type < $8)
        order by p.first_at ",
            $direction,
            " limit $9
    ) p
    where $2::int is null or x.space_type = $2
    order by p.first_at ",
            $direction,
            ", p.space_type ",
            $direction,
            " limit $9
) s
where t.tenant_id = any ($1)
order by t.tenant_id, s.first_at ",
            $direction,
            ", s.space_type ",
            $direction
        )
    };
}
const PAGE_FORWARDS: &str = page!("asc");
const PAGE_BACKWARDS: &str = page!("desc");

#[async_trait::async_trait]
impl History for PostgresStore {
    async fn latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, SpaceAllocation)>, StoreError> {
        attempt("reading of newest snapshots", async {
            let mut tx = self.pool.begin().await?;
            let rows = query(NEWEST).bind(texts(tenants)).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(newest_answers(read_runs(&rows)?))
        })
        .await
    }

    async fn runs(
        &self,
        tenants: &[TenantId],
        range: TimeRange,
        space_type: Option<i32>,
    ) -> Result<Vec<(TenantId, Vec<Run>)>, StoreError> {
        attempt("reading of history", async {
            // For a dozen tenants the server expects enough rows to compile the statement (JIT), which takes longer than the statement.
            let mut tx = self.pool.begin_with("begin; set local jit = off").await?;
            let rows = query(IN_RANGE)
                .bind(texts(tenants))
                .bind(Instant(raised(range.from)))
                .bind(Instant(raised(range.to)))
                .bind(space_type)
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(read_runs(&rows)?.into_iter().collect())
        })
        .await
    }

    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        scanning::scan(&self.pool, tenants, scan).await.map_err(failed("reading of history"))
    }

    async fn snapshots(&self, tenants: &[TenantId], page: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        attempt("reading of snapshots", async {
            let (after, after_type) = page.after.map_or((Timestamp::MIN, i32::MIN), |key| (key.first_at, key.space_type));
            let (before, before_type) = page.before.map_or((Timestamp::MAX, i32::MAX), |key| (key.first_at, key.space_type));
            let mut tx = self.pool.begin().await?;
            let rows = query(if page.backwards { PAGE_BACKWARDS } else { PAGE_FORWARDS })
                .bind(texts(tenants))
                .bind(page.space_type)
                .bind(Instant(raised(page.from.unwrap_or(Timestamp::MIN))))
                .bind(Instant(raised(page.to.unwrap_or(Timestamp::MAX))))
                .bind(Instant(after))
                .bind(after_type)
                .bind(Instant(before))
                .bind(before_type)
                .bind(i64::from(page.limit) + 1)
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(read_runs(&rows)?.into_iter().map(|(tenant, runs)| (tenant, page.cut_page(runs))).collect())
        })
        .await
    }
}

fn texts(tenants: &[TenantId]) -> Vec<String> {
    tenants.iter().map(TenantId::to_string).collect()
}
