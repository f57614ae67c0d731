//! Packing of the log of changes.

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::TryStreamExt as _;
use jiff::ToSpan as _;
use jiff::civil::{Date, date};

use super::fleet_reading::{FleetSession, read_opening};
use super::{Backend, Session as _, Statement, WriteSession};
use crate::quota::fleet::{Change, DayChanges, Opening, day_of, pack_day};
use crate::store::error::{Failure, StoreError};
use crate::store::fleet::{PackWhen, corrupt, narrow};

/// Changes that are packed in one transaction at most, which bounds the memory that it takes.
const PACKED_AT_ONCE: i64 = 200_000;

/// What a transaction does to pack the log.
pub(in crate::store) trait PackingSession: FleetSession + WriteSession {
    /// Whether there is enough to pack, and no other replica does it.
    fn is_packing_due(&mut self, when: PackWhen) -> impl Statement<bool>;

    /// Takes changes that are not packed out of the log, `limit` at most.
    fn take_changes(&mut self, limit: i64) -> impl Statement<Vec<Change>>;

    /// What is packed of these days.
    fn packed_days(&mut self, days: &[i32]) -> impl Statement<BTreeMap<i64, Vec<u8>>>;

    /// Writes days under the next version.
    fn put_days(&mut self, days: Vec<(i32, Vec<u8>)>) -> impl Statement<()>;

    /// The first day that is packed.
    fn first_packed_day(&mut self) -> impl Statement<i64>;

    /// The openings after a day.
    fn openings_after(&mut self, day: i64) -> impl Statement<Vec<(i64, Vec<u8>)>>;

    fn put_opening(&mut self, day: i64, standings: Vec<u8>) -> impl Statement<()>;
}

/// [`FleetLog::pack_fleet`](crate::store::FleetLog::pack_fleet).
pub(in crate::store) async fn pack<B>(backend: &B, when: PackWhen) -> Result<usize, Failure>
where
    B: Backend<Session: PackingSession>,
{
    let mut session = backend.begin().await?;
    if !session.is_packing_due(when).await? {
        session.rollback().await?;
        return Ok(0);
    }
    let taken = session.take_changes(PACKED_AT_ONCE).await?;
    let count = taken.len();
    let packing = Packing::new(taken);
    let Some((first, last)) = packing.span() else { return Ok(0) };
    let packed = session.packed_days(&packing.changed_days()).await?;
    session.put_days(packing.days(&packed)?).await?;
    amend_openings(&mut session, &packing, first).await?;
    add_openings(&mut session, last).await?;
    session.commit().await?;
    Ok(count)
}

/// Adds late changes to the openings after them.
async fn amend_openings(session: &mut impl PackingSession, packing: &Packing, first: i64) -> Result<(), Failure> {
    for (day, standings) in session.openings_after(first).await? {
        session.put_opening(day, packing.opening(day, &standings)?).await?;
    }
    Ok(())
}

/// Adds the openings of months that have begun since the newest one.
async fn add_openings(session: &mut impl PackingSession, last: i64) -> Result<(), Failure> {
    let (mut from, mut opening) = read_opening(session, last).await?;
    if from == i64::MIN {
        from = session.first_packed_day().await?;
    }
    for month in months_beginning(from + 1..last + 1) {
        let mut days = session.stream_days(from..=month - 1);
        while let Some((day, changes)) = days.try_next().await? {
            add_day(&mut opening, day, &changes)?;
        }
        drop(days);
        session.put_opening(month, opening.pack()).await?;
        from = month;
    }
    Ok(())
}

/// What packing changes writes.
#[derive(Debug, Default)]
struct Packing {
    moved: BTreeMap<i64, Vec<Change>>,
}

impl Packing {
    /// Packs these changes, which were taken from the unpacked ones.
    fn new(changes: Vec<Change>) -> Self {
        let mut moved = BTreeMap::<i64, Vec<Change>>::new();
        for change in changes {
            moved.entry(day_of(change.step.at)).or_default().push(change);
        }
        Self { moved }
    }

    /// The days that change. Those that are packed already must be given to [`Packing::days`].
    fn changed_days(&self) -> Vec<i32> {
        self.moved.keys().map(|day| narrow(*day)).collect()
    }

    /// The first and the last day that change.
    fn span(&self) -> Option<(i64, i64)> {
        Some((*self.moved.first_key_value()?.0, *self.moved.last_key_value()?.0))
    }

    /// The days as they are to be written, from what is packed of them.
    fn days(&self, packed: &BTreeMap<i64, Vec<u8>>) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
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
    fn opening(&self, day: i64, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut opening = Opening::read(packed).map_err(corrupt)?;
        for change in self.moved.range(..day).flat_map(|(_, changes)| changes) {
            opening.add(*change);
        }
        Ok(opening.pack())
    }
}

/// Adds a packed day to an opening.
fn add_day(opening: &mut Opening, day: i64, changes: &[u8]) -> Result<(), StoreError> {
    DayChanges::read(day, changes).map_err(corrupt)?.for_each(|change| opening.add(change));
    Ok(())
}

/// The first days of the months that begin in a range of days.
fn months_beginning(days: Range<i64>) -> Vec<i64> {
    let epoch = date(1970, 1, 1);
    let date_of = |day: i64| epoch.checked_add(day.clamp(-700_000, 2_900_000).days()).unwrap_or(Date::MAX);
    let first = date_of(days.start.saturating_sub(1)).first_of_month();
    let months = std::iter::successors(Some(first), |month| month.checked_add(1.month()).ok());
    let number = |month: Date| month.since(epoch).map_or(i64::MAX, |span| i64::from(span.get_days()));
    months.map(number).skip_while(|day| *day < days.start).take_while(|day| *day < days.end).collect()
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
