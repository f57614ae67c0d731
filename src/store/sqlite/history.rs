//! Reading the history.

use jiff::Timestamp;
use sqlx::sqlite::Sqlite;
use sqlx::{Row, Transaction};

use super::row::{json_rows, read_run, read_runs, run_columns};
use super::{SqliteStore, scanning};
use crate::quota::{Run, SpaceAllocation, TenantId, TimeRange};
use crate::store::error::{attempt, failed};
use crate::store::instant::{millis, millis_at_or_after};
use crate::store::shaping::newest_answers;
use crate::store::{History, RunScan, SnapshotKey, SnapshotPage, SnapshotQuery, StoreError};

/// One descent of the tree for each tenant and type.
const NEWEST: &str = concat!(
    "select t.tenant_id, ",
    run_columns!(),
    "
from tenants t
cross join json_each(t.space_types) x
cross join space_runs s
where t.tenant_id in (select value from json_each(?1))
  and s.tenant_no = t.tenant_no and s.space_type = x.value
  and s.first_at = (select max(n.first_at) from space_runs n where n.tenant_no = t.tenant_no and n.space_type = x.value)"
);

/// `?2` to `?3` is the range, `?4` the type or null.
const IN_RANGE: &str = concat!(
    "select t.tenant_id, ",
    run_columns!(),
    "
from tenants t
cross join json_each(t.space_types) x
cross join space_runs s
where t.tenant_id in (select value from json_each(?1)) and (?4 is null or x.value = ?4)
  and s.tenant_no = t.tenant_no and s.space_type = x.value
  and s.first_at >= coalesce((select max(b.first_at) from space_runs b
                              where b.tenant_no = t.tenant_no and b.space_type = x.value and b.first_at < ?2), ?2)
  and s.first_at < ?3
order by t.tenant_id, s.space_type, s.first_at"
);

const TYPES: &str = "select t.tenant_no, x.value from tenants t cross join json_each(t.space_types) x where t.tenant_id = ?1";

/// A page of one type: `?3` to `?4` is the range; `?5`, `?6` and `?7`, `?8` are the places after and before which it lies.
macro_rules! page {
    ($direction:literal) => {
        concat!(
            "select ",
            run_columns!(),
            "
from space_runs s
where s.tenant_no = ?1 and s.space_type = ?2
  and s.first_at >= coalesce((select max(b.first_at) from space_runs b
                              where b.tenant_no = ?1 and b.space_type = ?2 and b.first_at < ?3), ?3)
  and s.last_at >= ?3 and s.first_at < ?4
  and s.first_at >= ?5 and (s.first_at > ?5 or s.space_type > ?6)
  and s.first_at <= ?7 and (s.first_at < ?7 or s.space_type < ?8)
order by s.first_at ",
            $direction,
            " limit ?9"
        )
    };
}
const PAGE_FORWARDS: &str = page!("asc");
const PAGE_BACKWARDS: &str = page!("desc");

#[async_trait::async_trait]
impl History for SqliteStore {
    async fn latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, SpaceAllocation)>, StoreError> {
        attempt("reading of newest snapshots", async {
            let ids = json_rows(tenants, |tenant| tenant.as_str().into());
            let rows = sqlx::query(NEWEST).bind(ids).fetch_all(&self.readers).await?;
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
            let rows = sqlx::query(IN_RANGE)
                .bind(json_rows(tenants, |tenant| tenant.as_str().into()))
                .bind(millis_at_or_after(range.from))
                .bind(millis_at_or_after(range.to))
                .bind(space_type)
                .fetch_all(&self.readers)
                .await?;
            Ok(read_runs(&rows)?.into_iter().collect())
        })
        .await
    }

    async fn scan(&self, tenants: &[TenantId], scan: &RunScan) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        scanning::scan(&self.readers, tenants, scan).await.map_err(failed("reading of history"))
    }

    /// There is no lateral join here to page each type in its own order, but then a statement costs
    /// no round trip either.
    async fn snapshots(&self, tenants: &[TenantId], page: &SnapshotQuery) -> Result<Vec<(TenantId, SnapshotPage)>, StoreError> {
        attempt("reading of snapshots", async {
            let mut tx = self.readers.begin().await?;
            let mut pages = Vec::with_capacity(tenants.len());
            for tenant in tenants {
                let runs = page_of(&mut tx, tenant, page).await?;
                if !runs.is_empty() {
                    pages.push((tenant.clone(), page.cut_page(runs)));
                }
            }
            tx.commit().await?;
            Ok(pages)
        })
        .await
    }
}

/// What a tenant's types have for a page, in the direction asked; more than the page holds.
async fn page_of(tx: &mut Transaction<'_, Sqlite>, tenant: &TenantId, page: &SnapshotQuery) -> Result<Vec<Run>, sqlx::Error> {
    let types = sqlx::query(TYPES).bind(tenant.as_str()).fetch_all(&mut **tx).await?;
    let types = types.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<(i64, i32)>, sqlx::Error>>()?;
    let after = page.after.unwrap_or(SnapshotKey { first_at: Timestamp::MIN, space_type: i32::MIN });
    let before = page.before.unwrap_or(SnapshotKey { first_at: Timestamp::MAX, space_type: i32::MAX });
    let mut runs = Vec::new();
    for (tenant_no, space_type) in types.into_iter().filter(|(_, listed)| page.space_type.is_none_or(|asked| asked == *listed)) {
        let rows = sqlx::query(if page.backwards { PAGE_BACKWARDS } else { PAGE_FORWARDS })
            .bind(tenant_no)
            .bind(space_type)
            .bind(millis_at_or_after(page.from.unwrap_or(Timestamp::MIN)))
            .bind(millis_at_or_after(page.to.unwrap_or(Timestamp::MAX)))
            .bind(millis(after.first_at))
            .bind(after.space_type)
            .bind(millis(before.first_at))
            .bind(before.space_type)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut **tx)
            .await?;
        for row in &rows {
            runs.push(read_run(row, 0)?);
        }
    }
    runs.sort_by_key(|run| (run.first_at, run.space_type));
    if page.backwards {
        runs.reverse();
    }
    Ok(runs)
}
