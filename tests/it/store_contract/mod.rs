//! The store's contract: one suite, run against each backend.

use jiff::{SignedDuration, Timestamp};
use quotagraph::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation, Tenant, TenantId, TimeRange};
use quotagraph::store::{self, CollectionError, Observation, Settings, SharedStore, StoreError};

use crate::support::pgbouncer::pooled;
use crate::support::postgres::{TestDatabase, database};

/// Makes a test of each of the named functions for each backend. They take a [`Home`].
macro_rules! contract {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test] $(#[$attribute])* async fn $name() { super::$name(crate::store_contract::Home::postgres().await).await; })+
        }
        mod postgres_behind_pgbouncer {
            $(#[tokio::test] $(#[$attribute])* async fn $name() { super::$name(crate::store_contract::Home::pooled().await).await; })+
        }
        mod sqlite {
            $(#[tokio::test] $(#[$attribute])* async fn $name() { super::$name(crate::store_contract::Home::sqlite()).await; })+
        }
    };
}

mod feed;
mod fleet;
mod importing;
mod numbers;
mod opening;
mod paging;
mod past;
mod properties;
mod reading;
mod recording;
mod retention;
mod schedule;
mod status;
mod views;

/// A database that a test has to itself; empty at first.
struct Home {
    /// Where the store finds it.
    store_url: String,
    /// Where statements beside the store find it.
    url: String,
    keep: Keep,
}

/// What makes the database go when the test is over.
enum Keep {
    Postgres { _database: TestDatabase },
    Sqlite { _folder: tempfile::TempDir },
}

impl Home {
    async fn postgres() -> Self {
        let database = database().await;
        Self { store_url: database.url.clone(), url: database.url.clone(), keep: Keep::Postgres { _database: database } }
    }

    /// Postgres behind a pooler in transaction mode.
    async fn pooled() -> Self {
        let home = Self::postgres().await;
        Self { store_url: pooled(&home.url), ..home }
    }

    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/quota.db", folder.path().display());
        Self { store_url: url.clone(), url, keep: Keep::Sqlite { _folder: folder } }
    }

    /// Whether what one store records is heard by another one.
    fn is_heard(&self) -> bool {
        matches!(self.keep, Keep::Postgres { .. }) && self.store_url == self.url
    }

    /// Opens the database without migrating it.
    async fn try_open(&self) -> Result<SharedStore, StoreError> {
        open(&self.store_url).await
    }

    /// Opens and migrates the database.
    async fn open(&self) -> SharedStore {
        let store = self.try_open().await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Opens and migrates the database, and registers tenants that are due at [`at`] 0.
    async fn open_with(&self, tenants: &[&str]) -> SharedStore {
        let store = self.open().await;
        store.register_tenants(&tenants.iter().map(|id| tenant(id)).collect::<Vec<_>>(), at(0)).await.unwrap();
        store
    }

    /// Runs statements beside the store.
    async fn execute(&self, sql: &'static str) {
        use sqlx::Connection;
        match self.keep {
            Keep::Postgres { .. } => {
                let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Keep::Sqlite { .. } => {
                let mut connection = sqlx::SqliteConnection::connect(&format!("{}?mode=rwc", self.url)).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

async fn open(url: &str) -> Result<SharedStore, StoreError> {
    let acquire_timeout = std::time::Duration::from_secs(30);
    store::open(&Settings { url: url.into(), max_connections: 4, acquire_timeout, listen: true }).await
}

/// Seconds after an arbitrary instant.
fn at(seconds: i64) -> Timestamp {
    "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn id(text: &str) -> TenantId {
    text.parse().unwrap()
}

fn tenant(text: &str) -> Tenant {
    Tenant { id: id(text), name: format!("{text} Ltd"), labels: Vec::new() }
}

/// An answer at [`at`] so many seconds: of each type allocated and total.
fn answer(seconds: i64, values: &[(i32, i64, i64)]) -> SpaceAllocation {
    let of_type = |&(space_type, allocated_gb, total_gb): &_| SpaceTypeAllocation { space_type, allocated_gb, total_gb };
    SpaceAllocation::new(at(seconds), values.iter().map(of_type).collect())
}

/// An observation of an answer, with an interval of 300 seconds, that does not touch the schedule.
fn seen(tenant: &str, seconds: i64, values: &[(i32, i64, i64)]) -> Observation {
    let sample = Sample { allocation: answer(seconds, values), interval_s: 300 };
    Observation { tenant: id(tenant), attempted_at: at(seconds), outcome: Ok(sample), next_due_at: None }
}

/// A failed attempt that does not touch the schedule.
fn failed(tenant: &str, seconds: i64, code: &str) -> Observation {
    let error = CollectionError { code: code.into(), message: format!("{code} it was") };
    Observation { tenant: id(tenant), attempted_at: at(seconds), outcome: Err(error), next_due_at: None }
}

/// The same observation made by the collector, which then sets the next attempt.
fn collected(observation: Observation, next_due_s: i64) -> Observation {
    Observation { next_due_at: Some(at(next_due_s)), ..observation }
}

/// A run with an interval of 300 seconds.
fn run(space_type: i32, first_s: i64, last_s: i64, samples: i64, allocated_gb: i64) -> Run {
    let (first_at, last_at) = (at(first_s), at(last_s));
    Run { space_type, first_at, last_at, interval_s: 300, samples, allocated_gb, total_gb: 1000, ended_at: None }
}

const EVER: TimeRange = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };

/// All runs of a tenant.
async fn history(store: &SharedStore, tenant: &str) -> Vec<Run> {
    runs_in(store, tenant, EVER).await
}

async fn runs_in(store: &SharedStore, tenant: &str, range: TimeRange) -> Vec<Run> {
    let mut found = store.runs(&[id(tenant)], range, None).await.unwrap();
    assert!(found.len() <= 1);
    found.pop().map_or_else(Vec::new, |(of, runs)| {
        assert_eq!(of, id(tenant));
        runs
    })
}
