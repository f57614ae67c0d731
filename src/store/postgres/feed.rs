//! The feed of changes.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::watch;
use tracing::info;

use super::PostgresStore;
use super::listening::{self, CHANNEL, Pooled};
use super::row::{Instant, Place, read_instant, read_tenant};
use super::statement::{Lock, Tx, column, lock, query};
use crate::quota::{Change, TenantId};
use crate::store::error::{attempt, failed};
use crate::store::feed::{place, read_answer, write_types};
use crate::store::{Feed, FeedBounds, RecordedChange, StoreError};

const INSERT: &str = "
insert into space_changes (recorded_at, observed_at, before_at, tenant_no, before_types, after_types)
select n.recorded_at, n.observed_at, n.before_at, t.tenant_no, n.before_types::jsonb, n.after_types::jsonb
from unnest($1::timestamptz[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
    as n (recorded_at, observed_at, before_at, tenant_id, before_types, after_types)
join tenants t using (tenant_id)";

/// `$2` are the tenants, or null for all.
const AFTER: &str = "
select t.tenant_id, c.recorded_at, c.observed_at, c.before_at, c.before_types::text, c.after_types::text
from space_changes c
join tenants t using (tenant_no)
where c.recorded_at > $1
  and ($2::text[] is null or c.tenant_no = any (array(select s.tenant_no from tenants s where s.tenant_id = any ($2))))
order by c.recorded_at
limit $3";

/// An argument, if only for form's sake, has the answer come in binary.
const BOUNDS: &str = "select min(recorded_at), max(recorded_at) from space_changes where $1";

const NEWEST: &str = "select max(recorded_at) from space_changes where $1";

const PRUNE: &str = "
delete from space_changes
where recorded_at in (
    select recorded_at from space_changes
    where recorded_at < $1 and recorded_at < (select max(recorded_at) from space_changes)
    order by recorded_at
    limit $2
)";

/// Adds what a batch changed. The lock comes last in the transaction and holds until its end: places are in the order of the commits.
pub(super) async fn append(tx: &mut Tx<'_>, observed: &[(TenantId, Change)]) -> Result<(), sqlx::Error> {
    lock(tx, Lock::Feed).await?;
    let newest: Option<Place> = query(NEWEST).bind(true).fetch_one(&mut **tx).await?.try_get(0)?;
    let before = |(_, change): &(TenantId, Change)| change.before.clone();
    query(INSERT)
        .bind(place(observed, newest.map(|place| place.0)).into_iter().map(Place).collect::<Vec<_>>())
        .bind(column(observed, |(_, change)| Instant(change.after.observed_at())))
        .bind(column(observed, |o| before(o).map(|answer| Instant(answer.observed_at()))))
        .bind(column(observed, |(tenant, _)| tenant.to_string()))
        .bind(column(observed, |o| before(o).map(|answer| write_types(&answer))))
        .bind(column(observed, |(_, change)| write_types(&change.after)))
        .execute(&mut **tx)
        .await?;
    query("select pg_notify($1, '')").bind(CHANNEL).execute(&mut **tx).await.map(drop)
}

#[async_trait::async_trait]
impl Feed for PostgresStore {
    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError> {
        attempt("reading of changes", async {
            let tenants = tenants.map(|ids| ids.iter().map(TenantId::to_string).collect::<Vec<_>>());
            let mut tx = self.pool.begin().await?;
            let rows = query(AFTER).bind(Place(place)).bind(tenants).bind(i64::from(limit)).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            rows.iter().map(read_change).collect()
        })
        .await
    }

    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError> {
        attempt("reading of changes", async {
            let mut tx = self.pool.begin().await?;
            let row = query(BOUNDS).bind(true).fetch_one(&mut *tx).await?;
            tx.commit().await?;
            let (oldest, newest): (Option<Place>, Option<Place>) = (row.try_get(0)?, row.try_get(1)?);
            Ok(oldest.zip(newest).map(|(oldest, newest)| FeedBounds { oldest: oldest.0, newest: newest.0 }))
        })
        .await
    }

    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        attempt("removing of old changes", async {
            let mut tx = self.pool.begin().await?;
            let pruned = query(PRUNE).bind(Place(before)).bind(i64::from(limit)).execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(pruned)
        })
        .await
    }

    fn feed_signal(&self) -> watch::Receiver<()> {
        self.signal.subscribe()
    }

    async fn listen_for_changes(&self) -> Result<(), StoreError> {
        if let Some(options) = &self.listening {
            let Pooled = listening::listen(options.clone(), &self.signal).await.map_err(failed("listening for changes"))?;
            info!("the database is behind a pooler: what other replicas record is looked for, and found within a second");
        }
        std::future::pending().await
    }
}

fn read_change(row: &PgRow) -> Result<RecordedChange, sqlx::Error> {
    let answer = |at, column: usize| {
        let types: Option<&str> = row.try_get(column)?;
        types.map(|types| read_answer(at, types).map_err(|error| sqlx::Error::Decode(error.into()))).transpose()
    };
    let before = read_instant(row, 3)?.map(|at| answer(at, 4)).transpose()?.flatten();
    let after = answer(row.try_get::<Instant, _>(2)?.0, 5)?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(RecordedChange { recorded_at: row.try_get::<Place, _>(1)?.0, tenant: read_tenant(row)?, change: Change { before, after } })
}
