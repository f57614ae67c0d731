//! The log of changes that sums over tenants are computed from.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use tokio::sync::mpsc;

use super::SqliteStore;
use super::row::{json_rows, read_instant, read_tenant};
use super::statement::{attempt, begin, failed};
use crate::quota::fleet::{Change, DAY_MILLIS, Opening, Step, day_of, millis};
use crate::quota::{TenantId, TimeRange};
use crate::store::fleet::{PACKED_AT_ONCE, Packing, add_day, corrupt, months_beginning, narrow};
use crate::store::{FleetLog, FleetMark, FleetPart, FleetTenant, PackWhen, StoreError};

const READING: &str = "reading of the log of changes";
const PACKING: &str = "packing of the log of changes";

const APPEND: &str = "
insert into fleet_changes (at, allocated_gb, total_gb, tenant_no, space_type, held)
select value ->> 1, value ->> 3, value ->> 4, t.tenant_no, value ->> 2, value ->> 5
from json_each(?1)
join tenants t on t.tenant_id = value ->> 0";

/// What [`read_change`] reads, in its order.
macro_rules! change_columns {
    () => {
        "tenant_no, at, space_type, allocated_gb, total_gb, held"
    };
}

const RECENT: &str = concat!("select ", change_columns!(), " from fleet_changes where at >= ?1 and at < ?2 order by at");

/// The newest packed day up to `?1`, and the greatest version before it.
const MARK: &str = "
select n.day, coalesce((select max(version) from fleet_days where day < n.day), 0)
from (select max(day) as day from fleet_days where day <= ?1) n
where n.day is not null";

/// The greatest version before the day `?1`, and whether changes before the instant `?2` are not packed.
const BEFORE: &str = "
select coalesce((select max(version) from fleet_days where day < ?1), 0), exists (select 1 from fleet_changes where at < ?2)";

const TAKE: &str =
    concat!("delete from fleet_changes where rowid in (select rowid from fleet_changes limit ?1) returning ", change_columns!());

const PUT_DAY: &str = "
insert into fleet_days (day, version, changes) values (?1, ?2, ?3)
on conflict (day) do update set version = excluded.version, changes = excluded.changes";

const PUT_OPENING: &str = "
insert into fleet_openings (day, standings) values (?1, ?2) on conflict (day) do update set standings = excluded.standings";

/// Adds changes to the log, in the transaction that changes the runs.
pub(super) async fn append(connection: &mut SqliteConnection, changes: &[(TenantId, Step)]) -> Result<(), sqlx::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let given = json_rows(changes, |(tenant, s)| json!([tenant.as_str(), s.at, s.space_type, s.allocated_gb, s.total_gb, s.held]));
    sqlx::query(APPEND).bind(given).execute(connection).await.map(drop)
}

#[async_trait::async_trait]
impl FleetLog for SqliteStore {
    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError> {
        attempt("reading of tenants", async {
            let rows = sqlx::query("select tenant_id, tenant_no, holds_until from tenants").fetch_all(&self.readers).await?;
            let read = |row: &SqliteRow| {
                Ok(FleetTenant { id: read_tenant(row)?, tenant_no: row.try_get(1)?, holds_until: read_instant(row, 2)? })
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
        read(&self.readers, range, resume, parts).await
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        pack(&self.writer, when).await
    }
}

async fn read(
    readers: &SqlitePool,
    range: TimeRange,
    resume: Option<FleetMark>,
    parts: &mpsc::Sender<FleetPart>,
) -> Result<(), StoreError> {
    let (from_day, to_day) = (day_of(millis(range.from)), day_of(millis(range.to)));
    let mut tx = readers.begin().await.map_err(failed(READING))?;
    let mark = read_mark(&mut tx, to_day).await.map_err(failed(READING))?;
    let resumed = resumable(&mut tx, resume, mark).await.map_err(failed(READING))?;
    let (first_day, opening) = match resumed {
        Some(mark) => (mark.day, Opening::default()),
        None => read_opening(&mut tx, from_day).await?,
    };
    let recent_from = resumed.map_or(i64::MIN, |mark| mark.day.saturating_mul(DAY_MILLIS));
    let recent = sqlx::query(RECENT).bind(recent_from).bind(millis(range.to)).fetch_all(&mut *tx).await.map_err(failed(READING))?;
    let recent = recent.iter().map(read_change).collect::<Result<Vec<_>, _>>().map_err(failed(READING))?;
    let mark = mark.filter(|mark| recent.first().is_none_or(|change| day_of(change.step.at) >= mark.day));
    if parts.send(FleetPart::Begin { resumed: resumed.is_some(), mark, opening, recent }).await.is_err() {
        return Ok(());
    }
    let days = sqlx::query("select day, changes from fleet_days where day between ?1 and ?2 order by day");
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

async fn pack(writer: &SqlitePool, when: PackWhen) -> Result<usize, StoreError> {
    let mut tx = begin(writer).await.map_err(failed(PACKING))?;
    let due = "select count(*) >= max(?1, 1) or coalesce(min(at) < ?2, 0) from fleet_changes";
    let due = sqlx::query(due).bind(when.at_least).bind(millis(when.older_than)).fetch_one(&mut *tx).await;
    if !due.and_then(|row| row.try_get::<bool, _>(0)).map_err(failed(PACKING))? {
        return Ok(0);
    }
    let taken = sqlx::query(TAKE).bind(PACKED_AT_ONCE).fetch_all(&mut *tx).await.map_err(failed(PACKING))?;
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

async fn put_days(connection: &mut SqliteConnection, packing: &Packing) -> Result<(), StoreError> {
    let wanted = serde_json::Value::from(packing.changed_days()).to_string();
    let packed = sqlx::query("select day, changes from fleet_days where day in (select value from json_each(?1))").bind(wanted);
    let packed = packed.fetch_all(&mut *connection).await.map_err(failed(PACKING))?;
    let packed = packed.iter().map(read_day).collect::<Result<BTreeMap<_, _>, _>>().map_err(failed(PACKING))?;
    let version = sqlx::query("select coalesce(max(version), 0) + 1 from fleet_days").fetch_one(&mut *connection).await;
    let version: i64 = version.and_then(|row| row.try_get(0)).map_err(failed(PACKING))?;
    for (day, changes) in packing.days(&packed)? {
        let put = sqlx::query(PUT_DAY).bind(day).bind(version).bind(changes);
        put.execute(&mut *connection).await.map_err(failed(PACKING))?;
    }
    Ok(())
}

/// Adds late changes to the openings after them.
async fn amend_openings(connection: &mut SqliteConnection, packing: &Packing, first: i64) -> Result<(), StoreError> {
    let later = sqlx::query("select day, standings from fleet_openings where day > ?1").bind(narrow(first));
    for row in later.fetch_all(&mut *connection).await.map_err(failed(PACKING))? {
        let (day, standings) = read_day(&row).map_err(failed(PACKING))?;
        put_opening(connection, day, packing.opening(day, &standings)?).await?;
    }
    Ok(())
}

/// Adds the openings of months that have begun since the newest one.
async fn add_openings(connection: &mut SqliteConnection, last: i64) -> Result<(), StoreError> {
    let (mut from, mut opening) = read_opening(connection, last).await?;
    if from == i64::MIN {
        let first = sqlx::query("select min(day) from fleet_days").fetch_one(&mut *connection).await;
        from = first.and_then(|row| row.try_get(0)).map_err(failed(PACKING))?;
    }
    for month in months_beginning(from + 1..last + 1) {
        let days = sqlx::query("select day, changes from fleet_days where day >= ?1 and day < ?2");
        let days = days.bind(narrow(from)).bind(narrow(month)).fetch_all(&mut *connection).await.map_err(failed(PACKING))?;
        for row in days {
            let (day, changes) = read_day(&row).map_err(failed(PACKING))?;
            add_day(&mut opening, day, &changes)?;
        }
        put_opening(connection, month, opening.pack()).await?;
        from = month;
    }
    Ok(())
}

async fn put_opening(connection: &mut SqliteConnection, day: i64, standings: Vec<u8>) -> Result<(), StoreError> {
    sqlx::query(PUT_OPENING).bind(narrow(day)).bind(standings).execute(connection).await.map(drop).map_err(failed(PACKING))
}

async fn read_mark(connection: &mut SqliteConnection, to_day: i64) -> Result<Option<FleetMark>, sqlx::Error> {
    let row = sqlx::query(MARK).bind(narrow(to_day)).fetch_optional(connection).await?;
    row.map(|row| Ok(FleetMark { day: row.try_get(0)?, version: row.try_get(1)? })).transpose()
}

/// The reader's mark, if what it has read still holds.
async fn resumable(
    connection: &mut SqliteConnection,
    resume: Option<FleetMark>,
    newest: Option<FleetMark>,
) -> Result<Option<FleetMark>, sqlx::Error> {
    let Some(mark) = resume.filter(|mark| newest.is_some_and(|newest| mark.day <= newest.day)) else { return Ok(None) };
    let row = sqlx::query(BEFORE).bind(narrow(mark.day)).bind(mark.day.saturating_mul(DAY_MILLIS)).fetch_one(connection).await?;
    let (version, late): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    Ok((version == mark.version && !late).then_some(mark))
}

/// The newest opening up to a day, with its day; an empty one at the beginning of time when there is none.
async fn read_opening(connection: &mut SqliteConnection, up_to: i64) -> Result<(i64, Opening), StoreError> {
    let newest = sqlx::query("select day, standings from fleet_openings where day <= ?1 order by day desc limit 1");
    let Some(row) = newest.bind(narrow(up_to)).fetch_optional(connection).await.map_err(failed(READING))? else {
        return Ok((i64::MIN, Opening::default()));
    };
    let (day, standings) = read_day(&row).map_err(failed(READING))?;
    Ok((day, Opening::read(&standings).map_err(corrupt)?))
}

fn read_day(row: &SqliteRow) -> Result<(i64, Vec<u8>), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn read_change(row: &SqliteRow) -> Result<Change, sqlx::Error> {
    Ok(Change {
        tenant_no: row.try_get(0)?,
        step: Step {
            at: row.try_get(1)?,
            space_type: row.try_get(2)?,
            allocated_gb: row.try_get(3)?,
            total_gb: row.try_get(4)?,
            held: row.try_get(5)?,
        },
    })
}
