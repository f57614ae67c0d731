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

pub use change::{Change, Step, difference, millis, steps};
pub use daily::{Daily, DailyValues};
pub use day::{CorruptDay, DAY_MILLIS, DayChanges, day_of, pack_day};
pub use opening::{CorruptOpening, Opening, Standing as TypeStanding};
pub use standing::{Standing, Standings};
pub use sweep::{Member, Sweep};
