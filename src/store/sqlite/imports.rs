//! Imports: revisions of a tenant's runs that can be taken back.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::recording::run_as_json;
use super::row::{instant, json_rows, read_instant, read_run, run_columns};
use super::statement::Tx;
use crate::quota::{Run, TenantId};
use crate::store::error::{attempt, failed};
use crate::store::instant::millis;
use crate::store::session::{self, ImportSession};
use crate::store::{ImportRecord, ImportStep, ImportedRuns, Imports, Revise, StoreError};

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

#[async_trait::async_trait]
impl Imports for SqliteStore {
    async fn revise_runs(
        &self,
        tenant: &TenantId,
        stretch: (Timestamp, Timestamp),
        step: ImportStep,
        revise: Revise<'_>,
    ) -> Result<bool, StoreError> {
        session::revise_runs(self, tenant, stretch, step, revise).await.map_err(failed("revising of runs"))
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

impl ImportSession for Tx<'_> {
    async fn keep_imported(&mut self, import: i64, tenant: &TenantId, is_added: bool, runs: &[Run]) -> Result<(), sqlx::Error> {
        let rows = json_rows(runs, |run| run_as_json(tenant, run));
        sqlx::query(KEEP).bind(import).bind(is_added).bind(rows).execute(&mut **self).await.map(drop)
    }

    async fn forget_imported(&mut self, import: i64, tenant: &TenantId) -> Result<(), sqlx::Error> {
        sqlx::query(FORGET).bind(import).bind(tenant.as_str()).execute(&mut **self).await.map(drop)
    }
}
