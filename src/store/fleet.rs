//! The log of changes as it is stored (see [`crate::quota::fleet`]), and how it is packed.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan as _};
use tokio::sync::mpsc;

use super::error::StoreError;
use crate::quota::fleet::{Change, DayChanges, Opening, day_of, pack_day};
use crate::quota::{TenantId, TimeRange};

/// Changes that are packed in one transaction at most, which bounds the memory that it takes.
pub(super) const PACKED_AT_ONCE: i64 = 200_000;

/// A tenant as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetTenant {
    pub id: TenantId,
    /// Its number.
    pub tenant_no: u32,
    /// Until when its newest sample holds; `None` when it has none.
    pub holds_until: Option<Timestamp>,
}

/// Up to where the packed log was read. It can be gone on from there as long as nothing before has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetMark {
    /// All days before this one were read.
    pub day: i64,
    /// The greatest version among them.
    pub version: i64,
}

/// A part of the log, in the order in which [`FleetLog::read_fleet`] gives them.
#[derive(Clone, Debug)]
pub enum FleetPart {
    /// Comes first.
    Begin {
        /// Whether the reader may go on from its mark; else it begins anew with the opening.
        resumed: bool,
        /// From where the reader may go on next time: if it keeps what it has before this day. Absent when nothing is packed, or when
        /// changes from before that day are not.
        mark: Option<FleetMark>,
        /// What everything before the first day adds up to.
        opening: Opening,
        /// The changes that are not packed, sorted by instant. They belong between those of the days.
        recent: Vec<Change>,
    },
    /// A packed day; they come in order.
    Day {
        /// The day, counted from 1970.
        day: i64,
        /// To be read as [`DayChanges`].
        changes: Vec<u8>,
    },
}

/// When unpacked changes are to be packed.
#[derive(Clone, Copy, Debug)]
pub struct PackWhen {
    /// As soon as there are so many.
    pub at_least: u32,
    /// Or as soon as one is from before this instant.
    pub older_than: Timestamp,
}

/// The log of changes that sums over tenants are computed from.
#[async_trait::async_trait]
pub trait FleetLog: Send + Sync {
    /// Every tenant that was ever registered, as the log of changes knows it.
    async fn fleet_tenants(&self) -> Result<Vec<FleetTenant>, StoreError>;

    /// Reads the log of changes as far as sums over the range need it, into `parts`, for a reader that may go on from `resume`. Ends early
    /// when the reader is gone. What is read is of one moment.
    async fn read_fleet(
        &self,
        range: TimeRange,
        resume: Option<FleetMark>,
        parts: &mpsc::Sender<FleetPart>,
    ) -> Result<(), StoreError>;

    /// Packs changes of the log, if it is time, and says how many; 0 also while another replica packs. To be called until it is 0.
    async fn pack_fleet(&self, when: PackWhen) -> Result<usize, StoreError>;
}

/// What packing changes writes.
#[derive(Debug, Default)]
pub(super) struct Packing {
    moved: BTreeMap<i64, Vec<Change>>,
}

impl Packing {
    /// Packs these changes, which were taken from the unpacked ones.
    pub(super) fn new(changes: Vec<Change>) -> Self {
        let mut moved = BTreeMap::<i64, Vec<Change>>::new();
        for change in changes {
            moved.entry(day_of(change.step.at)).or_default().push(change);
        }
        Self { moved }
    }

    /// The days that change. Those that are packed already must be given to [`Packing::days`].
    pub(super) fn changed_days(&self) -> Vec<i32> {
        self.moved.keys().map(|day| narrow(*day)).collect()
    }

    /// The first and the last day that change.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        Some((*self.moved.first_key_value()?.0, *self.moved.last_key_value()?.0))
    }

    /// The days as they are to be written, from what is packed of them.
    pub(super) fn days(&self, packed: &BTreeMap<i64, Vec<u8>>) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        let day = |(day, moved): (&i64, &Vec<Change>)| {
            let mut changes = match packed.get(day) {
                Some(bytes) => DayChanges::read(*day, bytes).map_err(corrupt)?.to_vec(),
                None => Vec::new(),
            };
            changes.extend(moved);
            Ok((narrow(*day), pack_day(changes).map_err(corrupt)?))
        };
        self.moved.iter().map(day).collect()
    }

    /// An opening of a later day as it is to be written.
    pub(super) fn opening(&self, day: i64, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut opening = Opening::read(packed).map_err(corrupt)?;
        for change in self.moved.range(..day).flat_map(|(_, changes)| changes) {
            opening.add(*change);
        }
        Ok(opening.pack())
    }
}

/// Adds a packed day to an opening.
pub(super) fn add_day(opening: &mut Opening, day: i64, changes: &[u8]) -> Result<(), StoreError> {
    DayChanges::read(day, changes).map_err(corrupt)?.for_each(|change| opening.add(change));
    Ok(())
}

/// The first days of the months that begin in a range of days.
pub(super) fn months_beginning(days: Range<i64>) -> Vec<i64> {
    let epoch = date(1970, 1, 1);
    let date_of = |day: i64| epoch.checked_add(day.clamp(-700_000, 2_900_000).days()).unwrap_or(Date::MAX);
    let first = date_of(days.start.saturating_sub(1)).first_of_month();
    let months = std::iter::successors(Some(first), |month| month.checked_add(1.month()).ok());
    let number = |month: Date| month.since(epoch).map_or(i64::MAX, |span| i64::from(span.get_days()));
    months.map(number).skip_while(|day| *day < days.start).take_while(|day| *day < days.end).collect()
}

/// A day as the databases keep it.
pub(super) fn narrow(day: i64) -> i32 {
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// An error for bytes that cannot be read.
pub(super) fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database { action: "reading of the log of changes", source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::months_beginning;

    #[test]
    fn months_begin_on_their_first_day() {
        // 2024-02-29 is day 19,782.
        assert_eq!(months_beginning(19_782..19_784), [19_783]);
        assert_eq!(months_beginning(19_783..19_783 + 31), [19_783]);
        assert_eq!(months_beginning(19_784..19_783 + 31), Vec::<i64>::new());
        assert_eq!(months_beginning(0..366).len(), 13);
    }
}
