//! Imports: revisions of a tenant's runs that can be taken back.

use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::SqliteStore;
use super::recording::{load_rows, load_runs, run_as_json, write};
use super::row::{instant, json_rows, read_instant, read_run, run_columns};
use super::statement::{attempt, begin, failed};
use crate::quota::{Run, TenantId};
use crate::store::batch::{Changes, Stretch, has_too_many_types};
use crate::store::instant::millis;
use crate::store::{ImportRecord, ImportStep, ImportedRuns, Imports, Revise, StoreError};

const ACTION: &str = "revising of runs";

const KEEP: &str = "
insert into import_runs
    (import_id, tenant_no, is_added, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
select ?1, t.tenant_no, ?2, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8
from json_each(?3)
join tenants t on t.tenant_id = value ->> 0";

const FORGET: &str =
    "delete from import_runs where import_id = ?1 and tenant_no = (select tenant_no from tenants where tenant_id = ?2)";

const LIST: &str = "
select i.import_id, i.source, i.imported_at, i.undone_at,
       (select json_group_array(t.tenant_id order by t.tenant_id) from tenants t
        where t.tenant_no in (select r.tenant_no from import_runs r where r.import_id = i.import_id))
from imports i
order by i.import_id";

const RUNS: &str = concat!(
    "select s.is_added, s.is_reduced, ",
    run_columns!(),
    "
from import_runs s
where s.import_id = ?1 and s.tenant_no = (select tenant_no from tenants where tenant_id = ?2)
order by s.space_type, s.first_at"
);

/// Import by import, since that is how the index goes.
const MARK_REDUCED: &str = "
update import_runs
set is_reduced = 1
where import_id in (select import_id from imports where undone_at is null)
  and tenant_no = (select tenant_no from tenants where tenant_id = ?1) and first_at <= ?3 and last_at >= ?2 and not is_reduced";

async fn revise_runs(
    writer: &SqlitePool,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    step: ImportStep,
    revise: Revise<'_>,
) -> Result<bool, StoreError> {
    let mut tx = begin(writer).await.map_err(failed(ACTION))?;
    let rows = load_rows(&mut tx, json!([tenant.as_str()]).to_string()).await.map_err(failed(ACTION))?;
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

async fn keep(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    step: ImportStep,
    runs: &ImportedRuns,
) -> Result<(), sqlx::Error> {
    let import = match step {
        ImportStep::Undo(import) => {
            return sqlx::query(FORGET).bind(import).bind(tenant.as_str()).execute(connection).await.map(drop);
        }
        ImportStep::Apply(import) => import,
    };
    for (is_added, runs) in [(false, &runs.removed), (true, &runs.added)] {
        if !runs.is_empty() {
            let rows = json_rows(runs, |run| run_as_json(tenant, run));
            sqlx::query(KEEP).bind(import).bind(is_added).bind(rows).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Notes that history between two instants, ends included, was made less, in which some of what imports did may lie.
pub(super) async fn mark_reduced(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
) -> Result<(), sqlx::Error> {
    let mark = sqlx::query(MARK_REDUCED).bind(tenant.as_str()).bind(millis(from)).bind(millis(to));
    mark.execute(connection).await.map(drop)
}

#[async_trait::async_trait]
impl Imports for SqliteStore {
    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError> {
        revise_runs(&self.writer, tenant, stretch, step, revise).await
    }

    async fn begin_import(&self, source: &str, now: Timestamp) -> Result<i64, StoreError> {
        attempt("beginning of an import", async {
            let insert = sqlx::query("insert into imports (source, imported_at) values (?1, ?2)");
            Ok(insert.bind(source).bind(millis(now)).execute(&self.writer).await?.last_insert_rowid())
        })
        .await
    }

    async fn end_undo(&self, import: i64, now: Timestamp) -> Result<(), StoreError> {
        attempt("undoing of an import", async {
            let update = sqlx::query("update imports set undone_at = ?2 where import_id = ?1");
            update.bind(import).bind(millis(now)).execute(&self.writer).await.map(drop)
        })
        .await
    }

    async fn imports(&self) -> Result<Vec<ImportRecord>, StoreError> {
        attempt("reading of imports", async {
            let rows = sqlx::query(LIST).fetch_all(&self.readers).await?;
            let read = |row: &SqliteRow| {
                let tenants: Vec<String> =
                    serde_json::from_str(row.try_get(4)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
                let tenants = tenants.iter().map(|id| id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error))));
                Ok(ImportRecord {
                    id: row.try_get(0)?,
                    source: row.try_get(1)?,
                    imported_at: instant(row.try_get(2)?)?,
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
            let rows = sqlx::query(RUNS).bind(import).bind(tenant.as_str()).fetch_all(&self.readers).await?;
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
