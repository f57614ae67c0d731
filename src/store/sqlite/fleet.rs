//! The log of changes that sums over tenants are computed from.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::mpsc;

use super::SqliteStore;
use super::row::{json_rows, read_instant, read_tenant};
use super::statement::Tx;
use crate::quota::fleet::{Change, DAY_MILLIS, Step, millis};
use crate::quota::{TenantId, TimeRange};
use crate::store::error::{attempt, failed};
use crate::store::fleet::narrow;
use crate::store::session::{self, FleetSession, PackingSession};
use crate::store::{FleetLog, FleetMark, FleetPart, FleetTenant, PackWhen, StoreError};

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

const UNPACKED: &str = concat!("select ", change_columns!(), " from fleet_changes where at >= ?1 and at < ?2 order by at");

/// The newest packed day up to `?1`, and the greatest version before it.
const MARK: &str = "
select n.day, coalesce((select max(version) from fleet_days where day < n.day), 0)
from (select max(day) as day from fleet_days where day <= ?1) n
where n.day is not null";

/// The greatest version before the day `?1`, and whether changes before the instant `?2` are not packed.
const BEFORE: &str = "
select coalesce((select max(version) from fleet_days where day < ?1), 0), exists (select 1 from fleet_changes where at < ?2)";

const NEWEST_OPENING: &str = "select day, standings from fleet_openings where day <= ?1 order by day desc limit 1";

const DAYS: &str = "select day, changes from fleet_days where day between ?1 and ?2 order by day";

const PACKING_DUE: &str = "select count(*) >= max(?1, 1) or coalesce(min(at) < ?2, 0) from fleet_changes";

const TAKE: &str =
    concat!("delete from fleet_changes where rowid in (select rowid from fleet_changes limit ?1) returning ", change_columns!());

const PUT_DAY: &str = "
insert into fleet_days (day, version, changes) values (?1, ?2, ?3)
on conflict (day) do update set version = excluded.version, changes = excluded.changes";

const PUT_OPENING: &str = "
insert into fleet_openings (day, standings) values (?1, ?2) on conflict (day) do update set standings = excluded.standings";

/// Adds changes to the log, in the transaction that changes the runs.
pub(super) async fn append(connection: &mut SqliteConnection, changes: &[(TenantId, Step)]) -> Result<(), sqlx::Error> {
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
        const ACTION: &str = "reading of the log of changes";
        let begun = self.readers.begin().await.map_err(failed(ACTION))?;
        session::read_fleet(begun, range, resume, parts).await.map_err(failed(ACTION))
    }

    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError> {
        session::pack(self, when).await.map_err(failed("packing of the log of changes"))
    }
}

impl FleetSession for Tx<'_> {
    async fn newest_mark(&mut self, to_day: i64) -> Result<Option<FleetMark>, sqlx::Error> {
        let row = sqlx::query(MARK).bind(narrow(to_day)).fetch_optional(&mut **self).await?;
        row.map(|row| Ok(FleetMark { day: row.try_get(0)?, version: row.try_get(1)? })).transpose()
    }

    async fn state_before(&mut self, day: i64) -> Result<(i64, bool), sqlx::Error> {
        let row = sqlx::query(BEFORE).bind(narrow(day)).bind(day_start(day)).fetch_one(&mut **self).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    async fn newest_opening(&mut self, up_to: i64) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
        let row = sqlx::query(NEWEST_OPENING).bind(narrow(up_to)).fetch_optional(&mut **self).await?;
        row.map(|row| read_day(&row)).transpose()
    }

    async fn unpacked_changes(&mut self, from_day: Option<i64>, to: Timestamp) -> Result<Vec<Change>, sqlx::Error> {
        let unpacked = sqlx::query(UNPACKED).bind(from_day.map_or(i64::MIN, day_start)).bind(millis(to));
        unpacked.fetch_all(&mut **self).await?.iter().map(read_change).collect()
    }

    fn stream_days(&mut self, days: RangeInclusive<i64>) -> impl Stream<Item = Result<(i64, Vec<u8>), sqlx::Error>> + Send + Unpin {
        let rows = sqlx::query(DAYS).bind(narrow(*days.start())).bind(narrow(*days.end())).fetch(&mut **self);
        rows.map(|row| read_day(&row?))
    }
}

impl PackingSession for Tx<'_> {
    async fn is_packing_due(&mut self, when: PackWhen) -> Result<bool, sqlx::Error> {
        let due = sqlx::query(PACKING_DUE).bind(when.at_least).bind(millis(when.older_than));
        due.fetch_one(&mut **self).await?.try_get(0)
    }

    async fn take_changes(&mut self, limit: i64) -> Result<Vec<Change>, sqlx::Error> {
        sqlx::query(TAKE).bind(limit).fetch_all(&mut **self).await?.iter().map(read_change).collect()
    }

    async fn packed_days(&mut self, days: &[i32]) -> Result<BTreeMap<i64, Vec<u8>>, sqlx::Error> {
        let packed = sqlx::query("select day, changes from fleet_days where day in (select value from json_each(?1))");
        packed.bind(json_rows(days, |day| (*day).into())).fetch_all(&mut **self).await?.iter().map(read_day).collect()
    }

    async fn put_days(&mut self, days: Vec<(i32, Vec<u8>)>) -> Result<(), sqlx::Error> {
        let version = sqlx::query("select coalesce(max(version), 0) + 1 from fleet_days").fetch_one(&mut **self).await?;
        let version: i64 = version.try_get(0)?;
        for (day, changes) in days {
            sqlx::query(PUT_DAY).bind(day).bind(version).bind(changes).execute(&mut **self).await?;
        }
        Ok(())
    }

    async fn first_packed_day(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query("select min(day) from fleet_days").fetch_one(&mut **self).await?.try_get(0)
    }

    async fn openings_after(&mut self, day: i64) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        let later = sqlx::query("select day, standings from fleet_openings where day > ?1").bind(narrow(day));
        later.fetch_all(&mut **self).await?.into_iter().map(|row| read_day(&row)).collect()
    }

    async fn put_opening(&mut self, day: i64, standings: Vec<u8>) -> Result<(), sqlx::Error> {
        sqlx::query(PUT_OPENING).bind(narrow(day)).bind(standings).execute(&mut **self).await.map(drop)
    }
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

/// In milliseconds.
fn day_start(day: i64) -> i64 {
    day.saturating_mul(DAY_MILLIS)
}
