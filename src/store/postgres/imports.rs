//! Imports: revisions of a tenant's runs that can be taken back.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::PostgresStore;
use super::recording::{load_runs, lock_rows, write};
use super::row::{Instant, narrow, read_instant, read_run, run_columns};
use super::statement::{Tx, attempt, column, failed, query};
use crate::quota::{Run, TenantId};
use crate::store::batch::{Changes, Stretch, has_too_many_types};
use crate::store::{ImportRecord, ImportStep, ImportedRuns, Imports, Revise, StoreError};

const ACTION: &str = "revising of runs";

const KEEP: &str = "
insert into import_runs
    (import_id, tenant_no, is_added, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
select $1, t.tenant_no, $3, r.space_type, r.first_at, r.last_at, r.interval_s, r.samples, r.allocated_gb, r.total_gb, r.ended_at
from unnest($4::int[], $5::timestamptz[], $6::timestamptz[], $7::int[], $8::int[], $9::bigint[], $10::bigint[], $11::timestamptz[])
    as r (space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
join tenants t on t.tenant_id = $2";

const FORGET: &str = "
delete from import_runs r
using tenants t
where r.import_id = $1 and t.tenant_id = $2 and r.tenant_no = t.tenant_no";

const LIST: &str = "
select i.import_id, i.source, i.imported_at, i.undone_at,
       array(select t.tenant_id
             from (select distinct r.tenant_no from import_runs r where r.import_id = i.import_id) c
             join tenants t using (tenant_no)
             order by t.tenant_id)
from imports i
where $1
order by i.import_id";

const RUNS: &str = concat!(
    "select s.is_added, s.is_reduced, ",
    run_columns!(),
    "
from import_runs s
join tenants t using (tenant_no)
where s.import_id = $1 and t.tenant_id = $2
order by s.space_type, s.first_at"
);

/// Import by import, since that is how the index goes.
const MARK_REDUCED: &str = "
update import_runs r
set is_reduced = true
from imports i, tenants t
where i.undone_at is null and t.tenant_id = $1 and r.import_id = i.import_id and r.tenant_no = t.tenant_no
  and r.first_at <= $3 and r.last_at >= $2 and not r.is_reduced";

async fn revise_runs(
    pool: &PgPool,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    step: ImportStep,
    revise: Revise<'_>,
) -> Result<bool, StoreError> {
    let mut tx = pool.begin().await.map_err(failed(ACTION))?;
    let rows = lock_rows(&mut tx, vec![tenant.as_str()]).await.map_err(failed(ACTION))?;
    let row = rows.get(tenant).ok_or_else(|| StoreError::not_registered(tenant))?;
    let stored = load_runs(&mut tx, &Stretch::revised(tenant, row, from, to)).await.map_err(failed(ACTION))?;
    let mut before = stored.into_values().next().unwrap_or_default();
    before.sort_by_key(|run| (run.space_type, run.first_at));
    let Some(after) = revise(&before) else { return Ok(false) };
    if has_too_many_types(row, &after) {
        return Err(StoreError::too_many_types(tenant));
    }
    let (changes, difference) = Changes::replacing(tenant, row, &before, &after);
    write(&mut tx, &changes).await.map_err(failed(ACTION))?;
    keep(&mut tx, tenant, step, &difference).await.map_err(failed(ACTION))?;
    tx.commit().await.map_err(failed(ACTION))?;
    Ok(true)
}

async fn keep(tx: &mut Tx<'_>, tenant: &TenantId, step: ImportStep, runs: &ImportedRuns) -> Result<(), sqlx::Error> {
    let import = match step {
        ImportStep::Undo(import) => {
            return query(FORGET).bind(import).bind(tenant.to_string()).execute(&mut **tx).await.map(drop);
        }
        ImportStep::Apply(import) => import,
    };
    for (is_added, runs) in [(false, &runs.removed), (true, &runs.added)] {
        if !runs.is_empty() {
            query(KEEP)
                .bind(import)
                .bind(tenant.to_string())
                .bind(is_added)
                .bind(column(runs, |run| run.space_type))
                .bind(column(runs, |run| Instant(run.first_at)))
                .bind(column(runs, |run| Instant(run.last_at)))
                .bind(column(runs, |run| narrow(run.interval_s)))
                .bind(column(runs, |run| narrow(run.samples)))
                .bind(column(runs, |run| run.allocated_gb))
                .bind(column(runs, |run| run.total_gb))
                .bind(column(runs, |run| run.ended_at.map(Instant)))
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

/// Notes that history between two instants, ends included, was made less, in which some of what imports did may lie.
pub(super) async fn mark_reduced(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
) -> Result<(), sqlx::Error> {
    let mark = query(MARK_REDUCED).bind(tenant.to_string()).bind(Instant(from)).bind(Instant(to));
    mark.execute(&mut **tx).await.map(drop)
}

#[async_trait::async_trait]
impl Imports for PostgresStore {
    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError> {
        revise_runs(&self.pool, tenant, stretch, step, revise).await
    }

    async fn begin_import(&self, source: &str, now: Timestamp) -> Result<i64, StoreError> {
        attempt("beginning of an import", async {
            let mut tx = self.pool.begin().await?;
            let insert = query("insert into imports (source, imported_at) values ($1, $2) returning import_id");
            let row = insert.bind(source.to_owned()).bind(Instant(now)).fetch_one(&mut *tx).await?;
            tx.commit().await?;
            row.try_get(0)
        })
        .await
    }

    async fn end_undo(&self, import: i64, now: Timestamp) -> Result<(), StoreError> {
        attempt("undoing of an import", async {
            let mut tx = self.pool.begin().await?;
            query("update imports set undone_at = $2 where import_id = $1")
                .bind(import)
                .bind(Instant(now))
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
    }

    async fn imports(&self) -> Result<Vec<ImportRecord>, StoreError> {
        attempt("reading of imports", async {
            let mut tx = self.pool.begin().await?;
            // An argument, if only for form's sake, has the answer come in binary.
            let rows = query(LIST).bind(true).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let read = |row: &PgRow| {
                let tenants = row.try_get::<Vec<String>, _>(4)?;
                let tenants = tenants.iter().map(|id| id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error))));
                Ok(ImportRecord {
                    id: row.try_get(0)?,
                    source: row.try_get(1)?,
                    imported_at: row.try_get::<Instant, _>(2)?.0,
                    undone_at: read_instant(row, 3)?,
                    tenants: tenants.collect::<Result<_, sqlx::Error>>()?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    async fn imported_runs(&self, import: i64, tenant: &TenantId) -> Result<ImportedRuns, StoreError> {
        attempt("reading of imports", async {
            let mut tx = self.pool.begin().await?;
            let rows = query(RUNS).bind(import).bind(tenant.to_string()).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let mut found = ImportedRuns::default();
            for row in &rows {
                let to: &mut Vec<Run> = if row.try_get(0)? { &mut found.added } else { &mut found.removed };
                to.push(read_run(row, 2)?);
                found.are_reduced |= row.try_get::<bool, _>(1)?;
            }
            Ok(found)
        })
        .await
    }
}
