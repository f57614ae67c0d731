//! Reading through the history of many tenants.

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgPool;

use super::row::{Instant, read_run, run_columns};
use super::statement::query;
use crate::quota::{Run, TenantId};
use crate::store::instant::raised;
use crate::store::{RunKey, RunScan, SnapshotPage};

/// A page of each tenant, `$7` rows long, with the tenant's place in the list instead of its id. `$2` to `$3` is the range, `$4` the type
/// or null, `$5` and `$6` the place after which it lies. No order over all tenants: to sort so many rows would take longer than to read them.
macro_rules! page {
    ($runs:literal) => {
        concat!(
            "select w.place::int, ",
            run_columns!(),
            "
from unnest($1::text[]) with ordinality as w (tenant_id, place)
join tenants t using (tenant_id)
cross join lateral (",
            $runs,
            ") s"
        )
    };
}

/// With the newest run of each type before the range.
const PAGE: &str = page!(
    "
    select p.* from unnest(t.space_types) as x (space_type)
    cross join lateral (
        select * from space_runs p
        where p.tenant_no = t.tenant_no and p.space_type = x.space_type
          and p.first_at >= coalesce((select max(b.first_at) from space_runs b
                                      where b.tenant_no = t.tenant_no and b.space_type = x.space_type and b.first_at < $2), $2)
          and p.first_at < $3
          and p.first_at > case when x.space_type = $5 then $6 else '-infinity' end
        order by p.first_at limit $7
    ) p
    where ($4::int is null or x.space_type = $4) and x.space_type >= $5
    order by p.space_type, p.first_at limit $7"
);

/// The same from the beginning of time, where none is before: one walk along the index, which takes half the time.
const PAGE_FROM_BEGINNING: &str = page!(
    "
    select * from space_runs p
    where p.tenant_no = t.tenant_no and (p.space_type, p.first_at) > ($5, $6)
      and p.first_at >= $2 and p.first_at < $3 and ($4::int is null or p.space_type = $4)
    order by p.space_type, p.first_at limit $7"
);

pub(super) async fn scan(
    pool: &PgPool,
    tenants: &[TenantId],
    scan: &RunScan,
) -> Result<Vec<(TenantId, SnapshotPage)>, sqlx::Error> {
    let after = scan.after.unwrap_or(RunKey { space_type: i32::MIN, first_at: Timestamp::MIN });
    let mut runs_of: Vec<Vec<Run>> = vec![Vec::new(); tenants.len()];
    // For a dozen tenants the server expects enough rows to compile the statement (JIT), which takes longer than the statement.
    let mut tx = pool.begin_with("begin; set local jit = off").await?;
    {
        let asked = query(if scan.range.from == Timestamp::MIN { PAGE_FROM_BEGINNING } else { PAGE })
            .bind(tenants.iter().map(TenantId::to_string).collect::<Vec<_>>())
            .bind(Instant(raised(scan.range.from)))
            .bind(Instant(raised(scan.range.to)))
            .bind(scan.space_type)
            .bind(after.space_type)
            .bind(Instant(after.first_at))
            .bind(i64::from(scan.limit) + 1);
        let mut rows = asked.fetch(&mut *tx);
        while let Some(row) = rows.try_next().await? {
            let place: i32 = row.try_get(0)?;
            let place = usize::try_from(place - 1).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            if let Some(runs) = runs_of.get_mut(place) {
                runs.push(read_run(&row, 1)?);
            }
        }
    }
    tx.commit().await?;
    let page = |(tenant, mut runs): (&TenantId, Vec<Run>)| {
        // They come in order, and this only looks; but no rule of SQL says so.
        runs.sort_by_key(|run| (run.space_type, run.first_at));
        (tenant.clone(), scan.cut_page(runs))
    };
    Ok(tenants.iter().zip(runs_of).filter(|(_, runs)| !runs.is_empty()).map(page).collect())
}
