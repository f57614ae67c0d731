//! Many tenants as one: their sums over time, and how they rank.
//!
//! What must read every tenant over a long time cannot read every run. It reads the *log of changes* instead: at which instant the value of
//! a tenant's space type became another one, and by how much. Changes add up, in whatever order they are read: those of one type up to
//! an instant are its value at it, those of all tenants are the fleet's. What a late sample or an import alters in the past is one more
//! change, by the difference. The stores keep the log in the same transaction as the runs, packed by days ([`DayChanges`]), with the sums
//! up to the start of each month ([`Opening`]).
//!
//! A fleet's value at an instant is the sum over its tenants. A tenant's gap is carried by its last value, and a type that ended is 0; a
//! tenant counts from its first observation on. [`Sweep`] runs through the log once and gives the exact mean, extremes and ends of that sum
//! for each bucket of any calendar. How much of it was observed and not carried is its coverage: the mean of the tenants' own.

mod change;
mod daily;
mod day;
mod opening;
mod standing;
mod sweep;
#[cfg(test)]
mod tests;

pub use change::{Change, Step, difference, millis, steps, steps_of_part};
pub use daily::{Daily, DailyValues, FoundDays};
pub use day::{CorruptDay, DAY_MILLIS, DayChanges, FullDay, day_of, pack_day};
pub use opening::{CorruptOpening, Opening, TypeStanding};
pub use standing::{Standing, Standings};
pub use sweep::{Member, Sweep};

/// What runs through the log of changes, from its opening on and in order.
pub trait Pass: Clone + Send + 'static {
    /// Takes in a change. None comes before those that were taken in earlier.
    fn add(&mut self, change: Change);

    /// Takes in where everything stands before the first change.
    fn open(&mut self, opening: &Opening) {
        for (tenant_no, space_type, standing) in opening.standings() {
            let (allocated_gb, total_gb, held) = (standing.allocated_gb, standing.total_gb, standing.held);
            self.add(Change { tenant_no, step: Step { at: i64::MIN, space_type, allocated_gb, total_gb, held } });
        }
    }

    /// Takes in the changes of a day, between which there are no others.
    fn day(&mut self, changes: &DayChanges<'_>) {
        changes.for_each(|change| self.add(change));
    }

    /// Notes all that is before a day begins, so that a clone may go on from here another time. Given in milliseconds since 1970.
    fn pause(&mut self, _day_start: i64) {}
}
