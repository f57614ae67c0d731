//! One pass over the log of changes: what each tenant had allocated day by day.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Change, Member, Pass, millis};
use crate::quota::forecast::marks;

/// A tenant's recent days.
#[derive(Clone, Debug, PartialEq)]
pub struct Daily {
    /// Allocated in GB at the [`marks`] of each day, the newest last: the last known value since the mark before, `None` when nothing was
    /// observed since.
    pub allocated_gb: Vec<Option<f64>>,
    /// The newest total in GB.
    pub total_gb: f64,
}

/// The pass. A clone can go on from where it was taken, in the same hour, and shares the days that are over.
#[derive(Clone, Debug)]
pub struct DailyValues {
    /// By tenant number: the place among the members.
    place_of: Arc<[Option<usize>]>,
    tallies: Vec<Tally>,
    /// When each day ends, ascending; the last one is now. The first one is the beginning of the first day.
    marks: Vec<i64>,
    /// Of the days that are over, by member; not a number where nothing was observed.
    days: Vec<Arc<[f64]>>,
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    allocated: i128,
    total: i128,
    held: i32,
    /// Up to when observations covered the tenant; of no meaning while they do.
    covered_until: i64,
}

/// What the pass found.
#[derive(Clone, Debug)]
pub struct FoundDays {
    marks: Vec<i64>,
    days: Vec<Arc<[f64]>>,
    newest: Vec<Newest>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    total_gb: f64,
    /// Up to when the newest sample covers the tenant.
    covered_until: i64,
}

impl DailyValues {
    /// A pass over the last `days` days before `now`.
    #[must_use]
    pub fn new(members: &[Member], days: usize, now: Timestamp) -> Self {
        let size = members.iter().map(|member| member.tenant_no as usize + 1).max().unwrap_or_default();
        let mut place_of = vec![None; size];
        for (place, member) in members.iter().enumerate() {
            place_of[member.tenant_no as usize] = Some(place);
        }
        let tally = Tally { allocated: 0, total: 0, held: 0, covered_until: i64::MIN };
        let (tallies, days_over) = (vec![tally; members.len()], Vec::with_capacity(days));
        Self { place_of: place_of.into(), tallies, marks: ascending(now, days), days: days_over }
    }

    /// Goes on with another `now`, from a pause that was before both the former and the new one, which are of the same hour.
    #[must_use]
    pub fn go_on(mut self, now: Timestamp) -> Self {
        self.marks = ascending(now, self.marks.len() - 1);
        self
    }

    /// From when on the log must be read.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        Timestamp::from_millisecond(self.marks[0]).unwrap_or(Timestamp::MIN)
    }

    /// What it takes in memory, in bytes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.place_of.len() * 16 + self.tallies.len() * (size_of::<Tally>() + 8 * self.days.len())
    }

    /// Ends the pass. `members` are those of the beginning, with what is known now of how far their newest samples reach.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
    pub fn finish(mut self, members: &[Member]) -> FoundDays {
        self.pass_marks(i64::MAX);
        let newest = |(tally, member): (&Tally, &Member)| Newest {
            total_gb: tally.total as f64,
            // The log has the newest run hold without end.
            covered_until: if tally.held > 0 { member.holds_until.map_or(i64::MIN, millis) } else { tally.covered_until },
        };
        let newest = self.tallies.iter().zip(members).map(newest).collect();
        FoundDays { marks: self.marks, days: self.days, newest }
    }

    /// Notes the days that end at an instant or before: they go before what changes at it.
    #[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
    fn pass_marks(&mut self, until: i64) {
        while let [begin, end, ..] = self.marks[self.days.len()..]
            && end <= until
        {
            let value = |tally: &Tally| {
                let is_covered = tally.held > 0 || tally.covered_until > begin;
                if is_covered { tally.allocated as f64 } else { f64::NAN }
            };
            self.days.push(self.tallies.iter().map(value).collect());
        }
    }
}

impl Pass for DailyValues {
    #[inline]
    fn add(&mut self, Change { tenant_no, step }: Change) {
        if self.marks.last().is_none_or(|now| step.at >= *now) {
            return;
        }
        let Some(place) = self.place_of.get(tenant_no as usize).copied().flatten() else { return };
        self.pass_marks(step.at);
        let tally = &mut self.tallies[place];
        tally.allocated += i128::from(step.allocated_gb);
        tally.total += i128::from(step.total_gb);
        if step.held != 0 {
            tally.held = tally.held.wrapping_add(step.held);
            if tally.held <= 0 {
                tally.covered_until = step.at;
            }
        }
    }

    fn pause(&mut self, day_start: i64) {
        self.pass_marks(day_start);
    }
}

impl FoundDays {
    /// The days of the member at a place.
    ///
    /// # Panics
    /// When there are fewer members.
    #[must_use]
    pub fn of(&self, place: usize) -> Daily {
        let newest = self.newest[place];
        let is_known = |begin: i64, value: f64| !value.is_nan() && newest.covered_until > begin;
        let value = |(begin, day): (&i64, &Arc<[f64]>)| Some(day[place]).filter(|value| is_known(*begin, *value));
        Daily { allocated_gb: self.marks.iter().zip(&self.days).map(value).collect(), total_gb: newest.total_gb }
    }
}

/// The marks of so many days and of the one before, in milliseconds since 1970.
fn ascending(now: Timestamp, days: usize) -> Vec<i64> {
    let mut marks: Vec<i64> = marks(now, days + 1).map(millis).collect();
    marks.reverse();
    marks
}
