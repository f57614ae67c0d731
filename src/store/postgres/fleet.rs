//! The log of changes that sums over tenants are computed from.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use tokio::sync::mpsc;

use super::PostgresStore;
use super::row::{Instant, read_instant, read_tenant};
use super::statement::{Lock, Tx, attempt, column, failed, query};
use crate::quota::fleet::{Change, DAY_MILLIS, Opening, Step, day_of, millis};
use crate::quota::{TenantId, TimeRange};
use crate::store::fleet::{PACKED_AT_ONCE, Packing, add_day, corrupt, months_beginning, narrow};
use crate::store::instant::from_millis;
use crate::store::{FleetLog, FleetMark, FleetPart, FleetTenant, PackWhen, StoreError};

const READING: &str = "reading of the log of changes";
const PACKING: &str = "packing of the log of changes";

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

const RECENT: &str = concat!("select ", change_columns!(), " from fleet_changes where at >= $1 and at < $2 order by at");

/// The newest packed day up to `$1`, and the greatest version before it.
const MARK: &str = "
select n.day, coalesce((select max(version) from fleet_days where day < n.day), 0)
from (select max(day) as day from fleet_days where day <= $1) n
where n.day is not null";

/// The greatest version before the day `$1`, and whether changes before the instant `$2` are not packed.
const BEFORE: &str = "
select coalesce((select max(version) from fleet_days where day < $1), 0), exists (select from fleet_changes where at < $2)";

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
    if changes.is_empty() {
        return Ok(());
    }
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
        read(&self.pool, range, resume, parts).await
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        pack(&self.pool, when).await
    }
}

async fn read(
    pool: &PgPool,
    range: TimeRange,
    resume: Option<FleetMark>,
    parts: &mpsc::Sender<FleetPart>,
) -> Result<(), StoreError> {
    let (from_day, to_day) = (day_of(millis(range.from)), day_of(millis(range.to)));
    // One snapshot for all statements, so that no change is seen both packed and not, or neither.
    let mut tx = pool.begin_with("begin isolation level repeatable read, read only").await.map_err(failed(READING))?;
    let mark = read_mark(&mut tx, to_day).await.map_err(failed(READING))?;
    let resumed = resumable(&mut tx, resume, mark).await.map_err(failed(READING))?;
    let (first_day, opening) = match resumed {
        Some(mark) => (mark.day, Opening::default()),
        None => read_opening(&mut tx, from_day).await?,
    };
    let recent_from = resumed.map_or(Timestamp::MIN, |mark| day_start(mark.day));
    let mut recent = Vec::new();
    {
        let mut rows = query(RECENT).bind(Instant(recent_from)).bind(Instant(range.to)).fetch(&mut *tx);
        while let Some(row) = rows.try_next().await.map_err(failed(READING))? {
            recent.push(read_change(&row).map_err(failed(READING))?);
        }
    }
    let mark = mark.filter(|mark| recent.first().is_none_or(|change| day_of(change.step.at) >= mark.day));
    if parts.send(FleetPart::Begin { resumed: resumed.is_some(), mark, opening, recent }).await.is_err() {
        return Ok(());
    }
    let days = query("select day, changes from fleet_days where day between $1 and $2 order by day");
    let mut rows = days.bind(narrow(first_day)).bind(narrow(to_day)).fetch(&mut *tx);
    while let Some(row) = rows.try_next().await.map_err(failed(READING))? {
        let (day, changes) = read_day(&row).map_err(failed(READING))?;
        if parts.send(FleetPart::Day { day, changes }).await.is_err() {
            break;
        }
    }
    drop(rows);
    tx.commit().await.map_err(failed(READING))
}

async fn pack(pool: &PgPool, when: PackWhen) -> Result<usize, StoreError> {
    let mut tx = pool.begin().await.map_err(failed(PACKING))?;
    if !is_due(&mut tx, when).await.map_err(failed(PACKING))? {
        // The lock must be free before this returns, not some time after.
        tx.rollback().await.map_err(failed(PACKING))?;
        return Ok(0);
    }
    let taken = query(TAKE).bind(PACKED_AT_ONCE).fetch_all(&mut *tx).await.map_err(failed(PACKING))?;
    let taken = taken.iter().map(read_change).collect::<Result<Vec<_>, _>>().map_err(failed(PACKING))?;
    let count = taken.len();
    let packing = Packing::new(taken);
    let Some((first, last)) = packing.span() else { return Ok(0) };
    put_days(&mut tx, &packing).await?;
    amend_openings(&mut tx, &packing, first).await?;
    add_openings(&mut tx, last).await?;
    tx.commit().await.map_err(failed(PACKING))?;
    Ok(count)
}

/// Whether there is enough to pack, and no other replica does it.
async fn is_due(tx: &mut Tx<'_>, when: PackWhen) -> Result<bool, sqlx::Error> {
    let lock = query("select pg_try_advisory_xact_lock($1)").bind(Lock::Packing as i64);
    if !lock.fetch_one(&mut **tx).await?.try_get::<bool, _>(0)? {
        return Ok(false);
    }
    let due = "select count(*) >= greatest($1::bigint, 1) or coalesce(min(at) < $2, false) from fleet_changes";
    query(due).bind(i64::from(when.at_least)).bind(Instant(when.older_than)).fetch_one(&mut **tx).await?.try_get(0)
}

async fn put_days(tx: &mut Tx<'_>, packing: &Packing) -> Result<(), StoreError> {
    let packed = query("select day, changes from fleet_days where day = any ($1)").bind(packing.changed_days());
    let packed = packed.fetch_all(&mut **tx).await.map_err(failed(PACKING))?;
    let packed = packed.iter().map(read_day).collect::<Result<BTreeMap<_, _>, _>>().map_err(failed(PACKING))?;
    let (days, changes): (Vec<_>, Vec<_>) = packing.days(&packed)?.into_iter().unzip();
    query(PUT_DAYS).bind(days).bind(changes).execute(&mut **tx).await.map(drop).map_err(failed(PACKING))
}

/// Adds late changes to the openings after them.
async fn amend_openings(tx: &mut Tx<'_>, packing: &Packing, first: i64) -> Result<(), StoreError> {
    let later = query("select day, standings from fleet_openings where day > $1").bind(narrow(first));
    for row in later.fetch_all(&mut **tx).await.map_err(failed(PACKING))? {
        let (day, standings) = read_day(&row).map_err(failed(PACKING))?;
        let amended = packing.opening(day, &standings)?;
        query(PUT_OPENING).bind(narrow(day)).bind(amended).execute(&mut **tx).await.map_err(failed(PACKING))?;
    }
    Ok(())
}

/// Adds the openings of months that have begun since the newest one.
async fn add_openings(tx: &mut Tx<'_>, last: i64) -> Result<(), StoreError> {
    let (mut from, mut opening) = read_opening(tx, last).await?;
    if from == i64::MIN {
        let first = query("select day from fleet_days where $1 order by day limit 1").bind(true);
        let first = first.fetch_one(&mut **tx).await.and_then(|row| row.try_get::<i32, _>(0)).map_err(failed(PACKING))?;
        from = i64::from(first);
    }
    for month in months_beginning(from + 1..last + 1) {
        let days = query("select day, changes from fleet_days where day >= $1 and day < $2").bind(narrow(from)).bind(narrow(month));
        for row in days.fetch_all(&mut **tx).await.map_err(failed(PACKING))? {
            let (day, changes) = read_day(&row).map_err(failed(PACKING))?;
            add_day(&mut opening, day, &changes)?;
        }
        query(PUT_OPENING).bind(narrow(month)).bind(opening.pack()).execute(&mut **tx).await.map_err(failed(PACKING))?;
        from = month;
    }
    Ok(())
}

async fn read_mark(tx: &mut Tx<'_>, to_day: i64) -> Result<Option<FleetMark>, sqlx::Error> {
    let row = query(MARK).bind(narrow(to_day)).fetch_optional(&mut **tx).await?;
    row.map(|row| Ok(FleetMark { day: row.try_get::<i32, _>(0)?.into(), version: row.try_get(1)? })).transpose()
}

/// The reader's mark, if what it has read still holds.
async fn resumable(
    tx: &mut Tx<'_>,
    resume: Option<FleetMark>,
    newest: Option<FleetMark>,
) -> Result<Option<FleetMark>, sqlx::Error> {
    let Some(mark) = resume.filter(|mark| newest.is_some_and(|newest| mark.day <= newest.day)) else { return Ok(None) };
    let row = query(BEFORE).bind(narrow(mark.day)).bind(Instant(day_start(mark.day))).fetch_one(&mut **tx).await?;
    let (version, late): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    Ok((version == mark.version && !late).then_some(mark))
}

/// The newest opening up to a day, with its day; an empty one at the beginning of time when there is none.
async fn read_opening(tx: &mut Tx<'_>, up_to: i64) -> Result<(i64, Opening), StoreError> {
    let newest = query("select day, standings from fleet_openings where day <= $1 order by day desc limit 1").bind(narrow(up_to));
    let Some(row) = newest.fetch_optional(&mut **tx).await.map_err(failed(READING))? else {
        return Ok((i64::MIN, Opening::default()));
    };
    let (day, standings) = read_day(&row).map_err(failed(READING))?;
    Ok((day, Opening::read(&standings).map_err(corrupt)?))
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
