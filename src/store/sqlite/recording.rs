//! Recording: one statement per kind of change, whatever the size of the batch.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::row::{json_rows, read_instant, read_runs, read_tenant, run_columns};
use super::schedule::read_status;
use super::statement::{begin, failed};
use super::{SqliteStore, feed, fleet};
use crate::quota::recording::Effect;
use crate::quota::{Run, TenantId};
use crate::store::batch::{Batch, Changes, Recorded, Stretch, TenantRow, find_overlap};
use crate::store::instant::millis;
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

async fn record(writer: &SqlitePool, observations: &[Observation]) -> Result<Recorded, sqlx::Error> {
    if observations.is_empty() {
        return Ok(Recorded::default());
    }
    let mut tx = begin(writer).await?;
    let tenants = json_rows(observations, |o| o.tenant.as_str().into());
    let batch = Batch::new(observations, load_rows(&mut tx, tenants).await?);
    let stored = load_runs(&mut tx, &batch.stretches()).await?;
    let changes = batch.plan(&stored);
    write(&mut tx, &changes).await?;
    tx.commit().await?;
    Ok(Recorded { effects: changes.effects, in_feed: !changes.observed.is_empty() })
}

async fn insert_runs(writer: &SqlitePool, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
    const ACTION: &str = "adding of runs";
    let mut tx = begin(writer).await.map_err(failed(ACTION))?;
    let rows = load_rows(&mut tx, json!([tenant.as_str()]).to_string()).await.map_err(failed(ACTION))?;
    let Some(row) = rows.get(tenant) else {
        return Err(StoreError::refused_runs(format!("tenant {tenant} is not registered")));
    };
    let stored = load_runs(&mut tx, &Stretch::around(tenant, row, runs)).await.map_err(failed(ACTION))?;
    let stored = stored.get(tenant).map_or(&[][..], Vec::as_slice);
    if let Some((_, later)) = find_overlap(stored.iter().chain(runs)) {
        return Err(StoreError::refused_runs(format!("two runs of tenant {tenant} overlap at {}", later.first_at)));
    }
    write(&mut tx, &Changes::adding(tenant, row, stored, runs)).await.map_err(failed(ACTION))?;
    tx.commit().await.map_err(failed(ACTION))
}

pub(super) async fn load_rows(
    connection: &mut SqliteConnection,
    tenants: String,
) -> Result<BTreeMap<TenantId, TenantRow>, sqlx::Error> {
    let rows = sqlx::query(ROWS).bind(tenants).fetch_all(connection).await?;
    let read = |row: &SqliteRow| {
        let space_types = serde_json::from_str(row.try_get(9)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let stored = TenantRow {
            status: read_status(row)?,
            lease_until: read_instant(row, 8)?,
            space_types,
            last_observed_at: read_instant(row, 10)?,
            holds_until: read_instant(row, 11)?,
        };
        Ok((read_tenant(row)?, stored))
    };
    rows.iter().map(read).collect()
}

pub(super) async fn load_runs(
    connection: &mut SqliteConnection,
    stretches: &[Stretch],
) -> Result<BTreeMap<TenantId, Vec<Run>>, sqlx::Error> {
    let wanted = json_rows(stretches, |s| json!([s.tenant.as_str(), s.space_type, millis(s.from), millis(s.to)]));
    read_runs(&sqlx::query(LOAD_RUNS).bind(wanted).fetch_all(connection).await?)
}

pub(super) async fn write(connection: &mut SqliteConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    if !changes.deleted.is_empty() {
        let keys =
            json_rows(&changes.deleted, |(tenant, space_type, first_at)| json!([tenant.as_str(), space_type, millis(*first_at)]));
        sqlx::query(DELETE_RUNS).bind(keys).execute(&mut *connection).await?;
    }
    if !changes.put.is_empty() {
        sqlx::query(PUT_RUNS)
            .bind(json_rows(&changes.put, |(tenant, run)| run_as_json(tenant, run)))
            .execute(&mut *connection)
            .await?;
    }
    for (tenant, space_type) in &changes.new_types {
        sqlx::query(ADD_TYPE).bind(tenant.as_str()).bind(space_type).execute(&mut *connection).await?;
    }
    if !changes.rows.is_empty() {
        sqlx::query(UPDATE_ROWS).bind(json_rows(&changes.rows, row_as_json)).execute(&mut *connection).await?;
    }
    fleet::append(connection, &changes.fleet).await?;
    feed::append(connection, &changes.observed).await
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
#[async_trait::async_trait]
impl Recording for SqliteStore {
    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError> {
        let recorded = record(&self.writer, observations).await.map_err(failed("recording"))?;
        if recorded.in_feed {
            self.signal.send_replace(());
        }
        Ok(recorded.effects)
    }

    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
        insert_runs(&self.writer, tenant, runs).await
    }
}
