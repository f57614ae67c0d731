//! Reading through the history of many tenants.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{Row, Transaction};

use super::row::{read_run, run_columns};
use crate::quota::{Run, TenantId};
use crate::store::instant::{millis, millis_at_or_after};
use crate::store::{RunScan, SnapshotPage};

const TYPES: &str = "
select t.tenant_no, x.value
from tenants t
cross join json_each(t.space_types) x
where t.tenant_id = ?1 and (?2 is null or x.value = ?2)
order by x.value";

/// Runs of one type: `?3` to `?4` is the range, `?5` the start after which they begin, or null.
const PAGE: &str = concat!(
    "select ",
    run_columns!(),
    "
from space_runs s
where s.tenant_no = ?1 and s.space_type = ?2
  and s.first_at >= coalesce((select max(b.first_at) from space_runs b
                              where b.tenant_no = ?1 and b.space_type = ?2 and b.first_at < ?3), ?3)
  and s.first_at < ?4
  and s.first_at > coalesce(?5, -9223372036854775808)
order by s.first_at
limit ?6"
);

/// [`crate::store::History::scan`]. A statement for each type: it costs no round trip here.
pub(super) async fn scan(
    readers: &SqlitePool,
    tenants: &[TenantId],
    scan: &RunScan,
) -> Result<Vec<(TenantId, SnapshotPage)>, sqlx::Error> {
    let mut tx = readers.begin().await?;
    let mut pages = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let runs = page_of(&mut tx, tenant, scan).await?;
        if !runs.is_empty() {
            pages.push((tenant.clone(), scan.cut_page(runs)));
        }
    }
    tx.commit().await?;
    Ok(pages)
}

async fn page_of(tx: &mut Transaction<'_, Sqlite>, tenant: &TenantId, scan: &RunScan) -> Result<Vec<Run>, sqlx::Error> {
    let types = sqlx::query(TYPES).bind(tenant.as_str()).bind(scan.space_type).fetch_all(&mut **tx).await?;
    let wanted = i64::from(scan.limit) + 1;
    let mut runs = Vec::new();
    for row in &types {
        let (number, space_type) = (row.try_get::<i64, _>(0)?, row.try_get::<i32, _>(1)?);
        let missing = wanted - i64::try_from(runs.len()).unwrap_or(wanted);
        if missing <= 0 || scan.after.is_some_and(|after| space_type < after.space_type) {
            continue;
        }
        let after = scan.after.filter(|after| after.space_type == space_type);
        let mut rows = sqlx::query(PAGE)
            .bind(number)
            .bind(space_type)
            .bind(millis_at_or_after(scan.range.from))
            .bind(millis_at_or_after(scan.range.to))
            .bind(after.map(|after| millis(after.first_at)))
            .bind(missing)
            .fetch(&mut **tx);
        while let Some(row) = rows.try_next().await? {
            runs.push(read_run(&row, 0)?);
        }
    }
    Ok(runs)
}
