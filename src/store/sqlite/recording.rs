//! Recording: one statement per kind of change, whatever the size of the batch.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use sqlx::sqlite::SqliteRow;

use super::row::{json_rows, read_instant, read_runs, read_space_types, read_tenant, run_columns};
use super::schedule::read_status;
use super::statement::Tx;
use super::{SqliteStore, feed, fleet};
use crate::quota::fleet::Step;
use crate::quota::recording::Effect;
use crate::quota::{Change, Run, TenantId};
use crate::store::batch::{Stretch, TenantRow};
use crate::store::error::failed;
use crate::store::instant::millis;
use crate::store::session::{self, WriteSession};
use crate::store::{Observation, Recording, StoreError};

const ROWS: &str = "
select tenant_id, last_attempt_at, last_success_at, next_due_at, consecutive_failures, last_error_code, last_error_message,
       last_error_at, lease_until, space_types, last_observed_at, holds_until
from tenants
where collected and tenant_id in (select value from json_each(?1))";

/// From the newest run at or before a stretch to the oldest one after it: one range of the tree for each stretch.
const LOAD_RUNS: &str = concat!(
    "with w as materialized (
    select value ->> 0 as tenant_id, value ->> 1 as space_type, value ->> 2 as from_at, value ->> 3 as to_at from json_each(?1)
)
select w.tenant_id, ",
    run_columns!(),
    "
from w
cross join tenants t
cross join space_runs s
where t.tenant_id = w.tenant_id and s.tenant_no = t.tenant_no and s.space_type = w.space_type
  and s.first_at >= coalesce((select max(b.first_at) from space_runs b
                              where b.tenant_no = t.tenant_no and b.space_type = w.space_type and b.first_at <= w.from_at), w.from_at)
  and s.first_at <= coalesce((select min(a.first_at) from space_runs a
                              where a.tenant_no = t.tenant_no and a.space_type = w.space_type and a.first_at > w.to_at), w.to_at)"
);

const DELETE_RUNS: &str = "
delete from space_runs
where (tenant_no, space_type, first_at) in (
    select t.tenant_no, value ->> 1, value ->> 2 from json_each(?1) join tenants t on t.tenant_id = value ->> 0
)";

const PUT_RUNS: &str = "
insert into space_runs
    (tenant_no, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
select t.tenant_no, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8
from json_each(?1)
join tenants t on t.tenant_id = value ->> 0
where true
on conflict (tenant_no, space_type, first_at) do update
set last_at = excluded.last_at, samples = excluded.samples, ended_at = excluded.ended_at";

const ADD_TYPE: &str = "update tenants set space_types = json_insert(space_types, '$[#]', ?2) where tenant_id = ?1";

const UPDATE_ROWS: &str = "
update tenants
set last_attempt_at = value ->> 1, last_success_at = value ->> 2, next_due_at = value ->> 3, consecutive_failures = value ->> 4,
    last_error_code = value ->> 5, last_error_message = value ->> 6, last_error_at = value ->> 7, lease_until = value ->> 8,
    last_observed_at = value ->> 9, holds_until = value ->> 10
from json_each(?1)
where tenant_id = value ->> 0";

#[async_trait::async_trait]
impl Recording for SqliteStore {
    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError> {
        session::record(self, observations).await.map_err(failed("recording"))
    }

    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
        session::insert_runs(self, tenant, runs).await.map_err(failed("adding of runs"))
    }
}

impl WriteSession for Tx<'_> {
    async fn lock_tenants(&mut self, tenants: &[&TenantId]) -> Result<BTreeMap<TenantId, TenantRow>, sqlx::Error> {
        let ids = json_rows(tenants, |tenant| tenant.as_str().into());
        let rows = sqlx::query(ROWS).bind(ids).fetch_all(&mut **self).await?;
        let read = |row: &SqliteRow| {
            let stored = TenantRow {
                status: read_status(row)?,
                lease_until: read_instant(row, 8)?,
                space_types: read_space_types(row, 9)?,
                last_observed_at: read_instant(row, 10)?,
                holds_until: read_instant(row, 11)?,
            };
            Ok((read_tenant(row)?, stored))
        };
        rows.iter().map(read).collect()
    }

    async fn load_runs(&mut self, stretches: &[Stretch]) -> Result<BTreeMap<TenantId, Vec<Run>>, sqlx::Error> {
        let wanted = json_rows(stretches, |s| json!([s.tenant.as_str(), s.space_type, millis(s.from), millis(s.to)]));
        read_runs(&sqlx::query(LOAD_RUNS).bind(wanted).fetch_all(&mut **self).await?)
    }

    async fn delete_runs(&mut self, keys: &[(TenantId, i32, Timestamp)]) -> Result<(), sqlx::Error> {
        let keys = json_rows(keys, |(tenant, space_type, first_at)| json!([tenant.as_str(), space_type, millis(*first_at)]));
        sqlx::query(DELETE_RUNS).bind(keys).execute(&mut **self).await.map(drop)
    }

    async fn put_runs(&mut self, runs: &[(TenantId, Run)]) -> Result<(), sqlx::Error> {
        let runs = json_rows(runs, |(tenant, run)| run_as_json(tenant, run));
        sqlx::query(PUT_RUNS).bind(runs).execute(&mut **self).await.map(drop)
    }

    async fn add_types(&mut self, new_types: &[(TenantId, i32)]) -> Result<(), sqlx::Error> {
        for (tenant, space_type) in new_types {
            sqlx::query(ADD_TYPE).bind(tenant.as_str()).bind(space_type).execute(&mut **self).await?;
        }
        Ok(())
    }

    async fn update_tenants(&mut self, rows: &[(TenantId, TenantRow)]) -> Result<(), sqlx::Error> {
        sqlx::query(UPDATE_ROWS).bind(json_rows(rows, row_as_json)).execute(&mut **self).await.map(drop)
    }

    async fn append_to_log(&mut self, steps: &[(TenantId, Step)]) -> Result<(), sqlx::Error> {
        fleet::append(self, steps).await
    }

    async fn append_to_feed(&mut self, observed: &[(TenantId, Change)]) -> Result<(), sqlx::Error> {
        feed::append(self, observed).await
    }
}

pub(super) fn run_as_json(tenant: &TenantId, run: &Run) -> serde_json::Value {
    json!([
        tenant.as_str(),
        run.space_type,
        millis(run.first_at),
        millis(run.last_at),
        run.interval_s,
        run.samples,
        run.allocated_gb,
        run.total_gb,
        run.ended_at.map(millis),
    ])
}

fn row_as_json((tenant, row): &(TenantId, TenantRow)) -> serde_json::Value {
    let status = &row.status;
    let error = status.last_error.as_ref();
    json!([
        tenant.as_str(),
        status.last_attempt_at.map(millis),
        status.last_success_at.map(millis),
        status.next_attempt_at.map(millis),
        status.consecutive_failures,
        error.map(|(error, _)| error.code.as_str()),
        error.map(|(error, _)| error.message.as_str()),
        error.map(|(_, at)| millis(*at)),
        row.lease_until.map(millis),
        row.last_observed_at.map(millis),
        row.holds_until.map(millis),
    ])
}
