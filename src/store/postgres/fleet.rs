//! The log of changes that sums over tenants are computed from.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::mpsc;

use super::PostgresStore;
use super::row::{Instant, read_instant, read_tenant};
use super::statement::{Lock, Tx, column, query, try_lock};
use crate::quota::fleet::{Change, DAY_MILLIS, Step, millis};
use crate::quota::{TenantId, TimeRange};
use crate::store::error::{attempt, failed};
use crate::store::fleet::narrow;
use crate::store::instant::from_millis;
use crate::store::session::{self, FleetSession, PackingSession};
use crate::store::{FleetLog, FleetMark, FleetPart, FleetTenant, PackWhen, StoreError};

const APPEND: &str = "
insert into fleet_changes (at, allocated_gb, total_gb, tenant_no, space_type, held)
select c.at, c.allocated_gb, c.total_gb, (select t.tenant_no from tenants t where t.tenant_id = c.tenant_id), c.space_type,
    c.held
from unnest($1::text[], $2::timestamptz[], $3::int[], $4::bigint[], $5::bigint[], $6::int[])
    as c (tenant_id, at, space_type, allocated_gb, total_gb, held)";

/// What [`read_change`] reads, in its order.
macro_rules! change_columns {
    () => {
        "tenant_no, at, space_type, allocated_gb, total_gb, held"
    };
}

const UNPACKED: &str = concat!("select ", change_columns!(), " from fleet_changes where at >= $1 and at < $2 order by at");

/// The newest packed day up to `$1`, and the greatest version before it.
const MARK: &str = "
select n.day, coalesce((select max(version) from fleet_days where day < n.day), 0)
from (select max(day) as day from fleet_days where day <= $1) n
where n.day is not null";

/// The greatest version before the day `$1`, and whether changes before the instant `$2` are not packed.
const BEFORE: &str = "
select coalesce((select max(version) from fleet_days where day < $1), 0), exists (select from fleet_changes where at < $2)";

const NEWEST_OPENING: &str = "select day, standings from fleet_openings where day <= $1 order by day desc limit 1";

const DAYS: &str = "select day, changes from fleet_days where day between $1 and $2 order by day";

const PACKING_DUE: &str = "select count(*) >= greatest($1::bigint, 1) or coalesce(min(at) < $2, false) from fleet_changes";

const TAKE: &str = concat!(
    "delete from fleet_changes where ctid = any (array(select ctid from fleet_changes limit $1)) returning ",
    change_columns!()
);

const PUT_DAYS: &str = "
insert into fleet_days (day, version, changes)
select p.day, (select coalesce(max(version), 0) + 1 from fleet_days), p.changes
from unnest($1::int[], $2::bytea[]) as p (day, changes)
on conflict (day) do update set version = excluded.version, changes = excluded.changes";

const PUT_OPENING: &str = "
insert into fleet_openings (day, standings) values ($1, $2) on conflict (day) do update set standings = excluded.standings";

/// Adds changes to the log, in the transaction that changes the runs.
pub(super) async fn append(tx: &mut Tx<'_>, changes: &[(TenantId, Step)]) -> Result<(), sqlx::Error> {
    query(APPEND)
        .bind(column(changes, |(tenant, _)| tenant.to_string()))
        .bind(column(changes, |(_, step)| Instant(from_millis(step.at).unwrap_or_default())))
        .bind(column(changes, |(_, step)| step.space_type))
        .bind(column(changes, |(_, step)| step.allocated_gb))
        .bind(column(changes, |(_, step)| step.total_gb))
        .bind(column(changes, |(_, step)| step.held))
        .execute(&mut **tx)
        .await
        .map(drop)
}

#[async_trait::async_trait]
impl FleetLog for PostgresStore {
    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError> {
        attempt("reading of tenants", async {
            let mut tx = self.pool.begin().await?;
            // An argument, if only for form's sake, has the answer come in binary.
            let rows =
                query("select tenant_id, tenant_no, holds_until from tenants where $1").bind(true).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let read = |row: &PgRow| {
                Ok(FleetTenant {
                    id: read_tenant(row)?,
                    tenant_no: row.try_get::<i32, _>(1)?.unsigned_abs(),
                    holds_until: read_instant(row, 2)?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    async fn read_fleet(
        &self,
        range: TimeRange,
        resume: Option<FleetMark>,
        parts: &mpsc::Sender<FleetPart>,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "reading of the log of changes";
        // One snapshot for all statements, so that no change is seen both packed and not, or neither.
        let begun = self.pool.begin_with("begin isolation level repeatable read, read only").await.map_err(failed(ACTION))?;
        session::read_fleet(begun, range, resume, parts).await.map_err(failed(ACTION))
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        session::pack(self, when).await.map_err(failed("packing of the log of changes"))
    }
}

impl FleetSession for Tx<'_> {
    async fn newest_mark(&mut self, to_day: i64) -> Result<Option<FleetMark>, sqlx::Error> {
        let row = query(MARK).bind(narrow(to_day)).fetch_optional(&mut **self).await?;
        row.map(|row| Ok(FleetMark { day: row.try_get::<i32, _>(0)?.into(), version: row.try_get(1)? })).transpose()
    }

    async fn state_before(&mut self, day: i64) -> Result<(i64, bool), sqlx::Error> {
        let row = query(BEFORE).bind(narrow(day)).bind(Instant(day_start(day))).fetch_one(&mut **self).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    async fn newest_opening(&mut self, up_to: i64) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
        let row = query(NEWEST_OPENING).bind(narrow(up_to)).fetch_optional(&mut **self).await?;
        row.map(|row| read_day(&row)).transpose()
    }

    async fn unpacked_changes(&mut self, from_day: Option<i64>, to: Timestamp) -> Result<Vec<Change>, sqlx::Error> {
        let from = from_day.map_or(Timestamp::MIN, day_start);
        let mut changes = Vec::new();
        let mut rows = query(UNPACKED).bind(Instant(from)).bind(Instant(to)).fetch(&mut **self);
        while let Some(row) = rows.try_next().await? {
            changes.push(read_change(&row)?);
        }
        Ok(changes)
    }

    fn stream_days(&mut self, days: RangeInclusive<i64>) -> impl Stream<Item = Result<(i64, Vec<u8>), sqlx::Error>> + Send + Unpin {
        let rows = query(DAYS).bind(narrow(*days.start())).bind(narrow(*days.end())).fetch(&mut **self);
        rows.map(|row| read_day(&row?))
    }
}

impl PackingSession for Tx<'_> {
    async fn is_packing_due(&mut self, when: PackWhen) -> Result<bool, sqlx::Error> {
        if !try_lock(self, Lock::Packing).await? {
            return Ok(false);
        }
        let due = query(PACKING_DUE).bind(i64::from(when.at_least)).bind(Instant(when.older_than));
        due.fetch_one(&mut **self).await?.try_get(0)
    }

    async fn take_changes(&mut self, limit: i64) -> Result<Vec<Change>, sqlx::Error> {
        query(TAKE).bind(limit).fetch_all(&mut **self).await?.iter().map(read_change).collect()
    }

    async fn packed_days(&mut self, days: &[i32]) -> Result<BTreeMap<i64, Vec<u8>>, sqlx::Error> {
        let packed = query("select day, changes from fleet_days where day = any ($1)").bind(days.to_vec());
        packed.fetch_all(&mut **self).await?.iter().map(read_day).collect()
    }

    async fn put_days(&mut self, days: Vec<(i32, Vec<u8>)>) -> Result<(), sqlx::Error> {
        let (days, changes): (Vec<_>, Vec<_>) = days.into_iter().unzip();
        query(PUT_DAYS).bind(days).bind(changes).execute(&mut **self).await.map(drop)
    }

    async fn first_packed_day(&mut self) -> Result<i64, sqlx::Error> {
        let first = query("select day from fleet_days where $1 order by day limit 1").bind(true);
        first.fetch_one(&mut **self).await?.try_get::<i32, _>(0).map(i64::from)
    }

    async fn openings_after(&mut self, day: i64) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        let later = query("select day, standings from fleet_openings where day > $1").bind(narrow(day));
        later.fetch_all(&mut **self).await?.into_iter().map(|row| read_day(&row)).collect()
    }

    async fn put_opening(&mut self, day: i64, standings: Vec<u8>) -> Result<(), sqlx::Error> {
        query(PUT_OPENING).bind(narrow(day)).bind(standings).execute(&mut **self).await.map(drop)
    }
}

fn read_day(row: &PgRow) -> Result<(i64, Vec<u8>), sqlx::Error> {
    Ok((row.try_get::<i32, _>(0)?.into(), row.try_get(1)?))
}

fn read_change(row: &PgRow) -> Result<Change, sqlx::Error> {
    Ok(Change {
        tenant_no: row.try_get::<i32, _>(0)?.unsigned_abs(),
        step: Step {
            at: millis(row.try_get::<Instant, _>(1)?.0),
            space_type: row.try_get(2)?,
            allocated_gb: row.try_get(3)?,
            total_gb: row.try_get(4)?,
            held: row.try_get(5)?,
        },
    })
}

fn day_start(day: i64) -> Timestamp {
    from_millis(day.saturating_mul(DAY_MILLIS)).unwrap_or(if day < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
