//! Recording: three round trips' worth of reading, then one statement per kind of change, whatever the size of the batch.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;

use super::row::{Instant, narrow, read_instant, read_runs, read_tenant, run_columns};
use super::schedule::read_status;
use super::statement::{Tx, column, query};
use super::{PostgresStore, feed, fleet};
use crate::quota::fleet::Step;
use crate::quota::recording::Effect;
use crate::quota::{Change, Run, TenantId};
use crate::store::batch::{Stretch, TenantRow};
use crate::store::error::failed;
use crate::store::session::{self, WriteSession};
use crate::store::{Observation, Recording, StoreError};

/// Locks in the order of the ids, so that two batches with tenants in common wait for each other and never in a circle.
const LOCK_ROWS: &str = "
select tenant_id, last_attempt_at, last_success_at, next_due_at, consecutive_failures, last_error_code, last_error_message,
       last_error_at, lease_until, space_types, last_observed_at, holds_until
from tenants
where tenant_id = any ($1) and collected
order by tenant_id
for no key update";

/// A statement of its own after the locks: it must see what those who held them before have written.
const LOAD_RUNS: &str = concat!(
    "select w.tenant_id, ",
    run_columns!(),
    "
from unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[]) as w (tenant_id, space_type, from_at, to_at)
cross join lateral (select (select n.tenant_no from tenants n where n.tenant_id = w.tenant_id) as tenant_no) t
cross join lateral (
    (select * from space_runs b
     where b.tenant_no = t.tenant_no and b.space_type = w.space_type and b.first_at <= w.from_at
     order by b.first_at desc limit 1)
    union all
    (select * from space_runs i
     where w.from_at < w.to_at
       and i.tenant_no = t.tenant_no and i.space_type = w.space_type and i.first_at > w.from_at and i.first_at <= w.to_at)
    union all
    (select * from space_runs a
     where a.tenant_no = t.tenant_no and a.space_type = w.space_type and a.first_at > w.to_at
     order by a.first_at limit 1)
) s"
);

const DELETE_RUNS: &str = "
delete from space_runs s
using unnest($1::text[], $2::int[], $3::timestamptz[]) as d (tenant_id, space_type, first_at)
where s.tenant_no = (select t.tenant_no from tenants t where t.tenant_id = d.tenant_id)
  and s.space_type = d.space_type and s.first_at = d.first_at";

/// Without a join, so that the rows go in by their key: an index that is filled in order takes a third less.
const PUT_RUNS: &str = "
insert into space_runs as s
    (tenant_no, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
select (select t.tenant_no from tenants t where t.tenant_id = p.tenant_id), p.space_type, p.first_at, p.last_at, p.interval_s,
    p.samples, p.allocated_gb, p.total_gb, p.ended_at
from unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
    $9::timestamptz[]) as p (tenant_id, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
on conflict (tenant_no, space_type, first_at) do update
set last_at = excluded.last_at, samples = excluded.samples, ended_at = excluded.ended_at";

const ADD_TYPES: &str = "
update tenants t
set space_types = t.space_types || n.space_types
from (
    select tenant_id, array_agg(space_type order by space_type) as space_types
    from unnest($1::text[], $2::int[]) as n (tenant_id, space_type)
    group by tenant_id
) n
where t.tenant_id = n.tenant_id";

const UPDATE_ROWS: &str = "
update tenants t
set last_attempt_at = u.last_attempt_at, last_success_at = u.last_success_at, next_due_at = u.next_due_at,
    consecutive_failures = u.consecutive_failures, last_error_code = u.last_error_code,
    last_error_message = u.last_error_message, last_error_at = u.last_error_at, lease_until = u.lease_until,
    last_observed_at = u.last_observed_at, holds_until = u.holds_until
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::int[], $6::text[], $7::text[],
    $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[]) as u (tenant_id, last_attempt_at, last_success_at,
    next_due_at, consecutive_failures, last_error_code, last_error_message, last_error_at, lease_until, last_observed_at, holds_until)
where t.tenant_id = u.tenant_id";

#[async_trait::async_trait]
impl Recording for PostgresStore {
    async fn record(&self, observations: &[Observation]) -> Result<Vec<Option<Effect>>, StoreError> {
        session::record(self, observations).await.map_err(failed("recording"))
    }

    async fn insert_runs(&self, tenant: &TenantId, runs: &[Run]) -> Result<(), StoreError> {
        session::insert_runs(self, tenant, runs).await.map_err(failed("adding of runs"))
    }
}

impl WriteSession for Tx<'_> {
    async fn lock_tenants(&mut self, tenants: &[&TenantId]) -> Result<BTreeMap<TenantId, TenantRow>, sqlx::Error> {
        let rows = query(LOCK_ROWS).bind(column(tenants, ToString::to_string)).fetch_all(&mut **self).await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let stored = TenantRow {
                status: read_status(row)?,
                lease_until: read_instant(row, 8)?,
                space_types: row.try_get(9)?,
                last_observed_at: read_instant(row, 10)?,
                holds_until: read_instant(row, 11)?,
            };
            Ok((read_tenant(row)?, stored))
        };
        rows.iter().map(read).collect()
    }

    async fn load_runs(&mut self, stretches: &[Stretch]) -> Result<BTreeMap<TenantId, Vec<Run>>, sqlx::Error> {
        if stretches.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = query(LOAD_RUNS)
            .bind(column(stretches, |s| s.tenant.to_string()))
            .bind(column(stretches, |s| s.space_type))
            .bind(column(stretches, |s| Instant(s.from)))
            .bind(column(stretches, |s| Instant(s.to)))
            .fetch_all(&mut **self)
            .await?;
        read_runs(&rows)
    }

    async fn delete_runs(&mut self, keys: &[(TenantId, i32, Timestamp)]) -> Result<(), sqlx::Error> {
        query(DELETE_RUNS)
            .bind(column(keys, |(tenant, ..)| tenant.to_string()))
            .bind(column(keys, |(_, space_type, _)| *space_type))
            .bind(column(keys, |(_, _, first_at)| Instant(*first_at)))
            .execute(&mut **self)
            .await
            .map(drop)
    }

    async fn put_runs(&mut self, runs: &[(TenantId, Run)]) -> Result<(), sqlx::Error> {
        query(PUT_RUNS)
            .bind(column(runs, |(tenant, _)| tenant.to_string()))
            .bind(column(runs, |(_, run)| run.space_type))
            .bind(column(runs, |(_, run)| Instant(run.first_at)))
            .bind(column(runs, |(_, run)| Instant(run.last_at)))
            .bind(column(runs, |(_, run)| narrow(run.interval_s)))
            .bind(column(runs, |(_, run)| narrow(run.samples)))
            .bind(column(runs, |(_, run)| run.allocated_gb))
            .bind(column(runs, |(_, run)| run.total_gb))
            .bind(column(runs, |(_, run)| run.ended_at.map(Instant)))
            .execute(&mut **self)
            .await
            .map(drop)
    }

    async fn add_types(&mut self, new_types: &[(TenantId, i32)]) -> Result<(), sqlx::Error> {
        query(ADD_TYPES)
            .bind(column(new_types, |(tenant, _)| tenant.to_string()))
            .bind(column(new_types, |(_, space_type)| *space_type))
            .execute(&mut **self)
            .await
            .map(drop)
    }

    async fn update_tenants(&mut self, rows: &[(TenantId, TenantRow)]) -> Result<(), sqlx::Error> {
        query(UPDATE_ROWS)
            .bind(column(rows, |(tenant, _)| tenant.to_string()))
            .bind(column(rows, |(_, row)| row.status.last_attempt_at.map(Instant)))
            .bind(column(rows, |(_, row)| row.status.last_success_at.map(Instant)))
            .bind(column(rows, |(_, row)| row.status.next_attempt_at.map(Instant)))
            .bind(column(rows, |(_, row)| narrow(row.status.consecutive_failures)))
            .bind(column(rows, |(_, row)| row.status.last_error.as_ref().map(|(error, _)| error.code.clone())))
            .bind(column(rows, |(_, row)| row.status.last_error.as_ref().map(|(error, _)| error.message.clone())))
            .bind(column(rows, |(_, row)| row.status.last_error.as_ref().map(|(_, at)| Instant(*at))))
            .bind(column(rows, |(_, row)| row.lease_until.map(Instant)))
            .bind(column(rows, |(_, row)| row.last_observed_at.map(Instant)))
            .bind(column(rows, |(_, row)| row.holds_until.map(Instant)))
            .execute(&mut **self)
            .await
            .map(drop)
    }

    async fn append_to_log(&mut self, steps: &[(TenantId, Step)]) -> Result<(), sqlx::Error> {
        fleet::append(self, steps).await
    }

    async fn append_to_feed(&mut self, observed: &[(TenantId, Change)]) -> Result<(), sqlx::Error> {
        feed::append(self, observed).await
    }
}
