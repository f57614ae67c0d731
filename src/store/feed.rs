//! The feed of changes.

use jiff::{Timestamp, ToSpan as _};
use tokio::sync::watch;

use super::error::StoreError;
use crate::quota::{Change, SpaceAllocation, SpaceTypeAllocation, TenantId};

/// A recorded change of a tenant's newest answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedChange {
    /// The place in the order of recording, to the microsecond: the instant of the observation, or just after the place before it where
    /// that is later.
    pub recorded_at: Timestamp,
    pub tenant: TenantId,
    /// What changed.
    pub change: Change,
}

/// The places of the oldest and the newest change that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedBounds {
    /// All changes that were observed after it are kept.
    pub oldest: Timestamp,
    /// Nothing is kept after it.
    pub newest: Timestamp,
}

/// The feed of changes, in the order of recording.
#[async_trait::async_trait]
pub trait Feed: Send + Sync {
    /// The changes of the feed after a place, in the order of recording, at most `limit`; of these tenants, or of all. What is committed
    /// later comes after all that this gives. One statement.
    async fn changes_after(
        &self,
        place: Timestamp,
        tenants: Option<&[TenantId]>,
        limit: u32,
    ) -> Result<Vec<RecordedChange>, StoreError>;

    /// The bounds of the feed; `None` while it is empty.
    async fn feed_bounds(&self) -> Result<Option<FeedBounds>, StoreError>;

    /// Removes up to `limit` of the oldest changes of the feed that lie before a place, but never the newest one. Gives how many.
    async fn prune_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Is marked as changed when something was added to the feed: by this store at once, by others only while
    /// [`Feed::listen_for_changes`] runs. A mark may be missing, so look now and then too.
    fn feed_signal(&self) -> watch::Receiver<()>;

    /// Listens for what others add to the feed, and marks [`Feed::feed_signal`]. Ends only by an error, when the database is away;
    /// never where others cannot be heard at all.
    async fn listen_for_changes(&self) -> Result<(), StoreError>;
}

/// Gives changes their places after the newest one that is kept. They are ordered by their observation.
pub(super) fn place(observed: &[(TenantId, Change)], newest: Option<Timestamp>) -> Vec<Timestamp> {
    let mut last = newest;
    let mut place = |(_, change): &(TenantId, Change)| {
        let observed_at = change.after.observed_at();
        let next = last.and_then(|last| last.checked_add(1.microsecond()).ok());
        *last.insert(next.map_or(observed_at, |next| next.max(observed_at)))
    };
    observed.iter().map(&mut place).collect()
}

/// The types of an answer in a column.
pub(super) fn write_types(answer: &SpaceAllocation) -> String {
    let types: Vec<_> = answer.by_type().iter().map(|t| (t.space_type, t.allocated_gb, t.total_gb)).collect();
    serde_json::json!(types).to_string()
}

/// The answer of an instant and of a column of [`write_types`].
pub(super) fn read_answer(observed_at: Timestamp, types: &str) -> Result<SpaceAllocation, serde_json::Error> {
    let types: Vec<(i32, i64, i64)> = serde_json::from_str(types)?;
    let value = |(space_type, allocated_gb, total_gb)| SpaceTypeAllocation { space_type, allocated_gb, total_gb };
    Ok(SpaceAllocation::new(observed_at, types.into_iter().map(value).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_observations_and_never_go_back() {
        let at = |text: &str| format!("2026-03-01T00:00:{text}Z").parse::<Timestamp>().unwrap();
        let seen = |seconds: &str| {
            let after = SpaceAllocation::new(at(seconds), Vec::new());
            ("acme".parse().unwrap(), Change { before: None, after })
        };
        let observed = ["05.000", "05.000", "06.500", "06.500"].map(seen);
        assert_eq!(place(&observed, None), ["05.000000", "05.000001", "06.500000", "06.500001"].map(at));
        assert_eq!(place(&observed, Some(at("06.499"))), ["06.499001", "06.499002", "06.500000", "06.500001"].map(at));
        assert_eq!(place(&observed[..2], Some(at("09"))), ["09.000001", "09.000002"].map(at));
    }
}
