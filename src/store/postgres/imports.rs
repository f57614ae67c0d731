//! Imports: revisions of a tenant's runs that can be taken back.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::row::{Instant, narrow, read_instant, read_run, run_columns};
use super::statement::{Tx, column, query};
use crate::quota::{Run, TenantId};
use crate::store::error::{attempt, failed};
use crate::store::session::{self, ImportSession};
use crate::store::{ImportRecord, ImportStep, ImportedRuns, Imports, Revise, StoreError};

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

#[async_trait::async_trait]
impl Imports for PostgresStore {
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

impl ImportSession for Tx<'_> {
    async fn keep_imported(&mut self, import: i64, tenant: &TenantId, is_added: bool, runs: &[Run]) -> Result<(), sqlx::Error> {
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
            .execute(&mut **self)
            .await
            .map(drop)
    }

    async fn forget_imported(&mut self, import: i64, tenant: &TenantId) -> Result<(), sqlx::Error> {
        query(FORGET).bind(import).bind(tenant.to_string()).execute(&mut **self).await.map(drop)
    }
}
