//! The feed of changes.

use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::watch;

use super::SqliteStore;
use super::row::{instant, json_rows, read_instant, read_tenant};
use super::statement::begin;
use crate::quota::{Change, TenantId};
use crate::store::error::attempt;
use crate::store::feed::{place, read_answer, write_types};
use crate::store::instant::{from_micros, micros, millis};
use crate::store::{Feed, FeedBounds, RecordedChange, StoreError};

const INSERT: &str = "
insert into space_changes (recorded_at, tenant_no, observed_at, before_at, before_types, after_types)
select value ->> 0, t.tenant_no, value ->> 2, value ->> 3, value ->> 4, value ->> 5
from json_each(?1)
join tenants t on t.tenant_id = value ->> 1";

/// `?2` are the tenants, or null for all.
const AFTER: &str = "
select t.tenant_id, c.recorded_at, c.observed_at, c.before_at, c.before_types, c.after_types
from space_changes c
join tenants t using (tenant_no)
where c.recorded_at > ?1
  and (?2 is null or c.tenant_no in (select s.tenant_no from tenants s where s.tenant_id in (select value from json_each(?2))))
order by c.recorded_at
limit ?3";

/// One descent of the tree for each.
const BOUNDS: &str = "select (select min(recorded_at) from space_changes), (select max(recorded_at) from space_changes)";

const PRUNE: &str = "
delete from space_changes
where recorded_at in (
    select recorded_at from space_changes
    where recorded_at < ?1 and recorded_at < (select max(recorded_at) from space_changes)
    order by recorded_at
    limit ?2
)";

/// Adds what a batch changed.
pub(super) async fn append(connection: &mut SqliteConnection, observed: &[(TenantId, Change)]) -> Result<(), sqlx::Error> {
    let newest = read_bounds(&sqlx::query(BOUNDS).fetch_one(&mut *connection).await?)?.map(|bounds| bounds.newest);
    let rows: Vec<_> = observed.iter().zip(place(observed, newest)).collect();
    let rows = json_rows(&rows, |((tenant, change), place)| {
        let before = change.before.as_ref();
        json!([
            micros(*place),
            tenant.as_str(),
            millis(change.after.observed_at()),
            before.map(|answer| millis(answer.observed_at())),
            before.map(write_types),
            write_types(&change.after),
        ])
    });
    sqlx::query(INSERT).bind(rows).execute(connection).await.map(drop)
}

#[async_trait::async_trait]
impl Feed for SqliteStore {
    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError> {
        attempt("reading of changes", async {
            let tenants = tenants.map(|ids| json_rows(ids, |id| id.as_str().into()));
            let rows = sqlx::query(AFTER).bind(micros(place)).bind(tenants).bind(limit).fetch_all(&self.readers).await?;
            rows.iter().map(read_change).collect()
        })
        .await
    }

    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError> {
        attempt("reading of changes", async { read_bounds(&sqlx::query(BOUNDS).fetch_one(&self.readers).await?) }).await
    }

    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        attempt("removing of old changes", async {
            let mut tx = begin(&self.writer).await?;
            let pruned = sqlx::query(PRUNE).bind(micros(before)).bind(limit).execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(pruned)
        })
        .await
    }

    fn feed_signal(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    async fn listen_for_changes(&self) -> Result<(), StoreError> {
        // Another process with the same file is found by looking.
        std::future::pending().await
    }
}

fn read_bounds(row: &SqliteRow) -> Result<Option<FeedBounds>, sqlx::Error> {
    let (oldest, newest): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let bounds = |(oldest, newest)| Ok(FeedBounds { oldest: read_place(oldest)?, newest: read_place(newest)? });
    oldest.zip(newest).map(bounds).transpose()
}

fn read_place(micros: i64) -> Result<Timestamp, sqlx::Error> {
    from_micros(micros).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn read_change(row: &SqliteRow) -> Result<RecordedChange, sqlx::Error> {
    let answer = |at, types: &str| read_answer(at, types).map_err(|error| sqlx::Error::Decode(error.into()));
    let before = read_instant(row, 3)?.zip(row.try_get::<Option<&str>, _>(4)?);
    let before = before.map(|(at, types)| answer(at, types)).transpose()?;
    let after = answer(instant(row.try_get(2)?)?, row.try_get(5)?)?;
    Ok(RecordedChange { recorded_at: read_place(row.try_get(1)?)?, tenant: read_tenant(row)?, change: Change { before, after } })
}
