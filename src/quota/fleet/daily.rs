//! One pass over the log of changes: what each tenant had allocated day by day.

use jiff::Timestamp;

use super::{Change, DAY_MILLIS, Member, Pass, millis};

/// A tenant's recent days.
#[derive(Clone, Debug, PartialEq)]
pub struct Daily {
    /// Allocated in GB at the same time of each day, the newest last: the last known value of the 24 hours before, `None` when nothing was
    /// observed in them.
    pub allocated_gb: Vec<Option<f64>>,
    /// The newest total in GB.
    pub total_gb: f64,
}

/// The pass.
#[derive(Clone, Debug)]
pub struct DailyValues {
    now: i64,
    /// By tenant number: the place among the members.
    place_of: Vec<Option<usize>>,
    tallies: Vec<Tally>,
    /// The end of each day, ascending; the last one is now.
    marks: Vec<i64>,
    next_mark: usize,
    /// By mark, and then by member; not a number where nothing was observed.
    values: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    allocated: i128,
    total: i128,
    held: i32,
    /// Up to when observations covered the tenant; of no meaning while they do.
    covered_until: i64,
    holds_until: i64,
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
        let tally = |member: &Member| Tally {
            allocated: 0,
            total: 0,
            held: 0,
            covered_until: i64::MIN,
            holds_until: member.holds_until.map_or(i64::MIN, millis),
        };
        let now = millis(now);
        let values = Vec::with_capacity(days * members.len());
        let days = i64::try_from(days).unwrap_or(i64::MAX);
        let marks = (0..days).rev().map(|ago| now - ago * DAY_MILLIS).collect();
        Self { now, place_of, tallies: members.iter().map(tally).collect(), marks, next_mark: 0, values }
    }

    /// From when on the log must be read.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        let first = self.marks.first().copied().unwrap_or(self.now);
        Timestamp::from_millisecond(first.saturating_sub(DAY_MILLIS)).unwrap_or(Timestamp::MIN)
    }

    /// Ends the pass: the days of each member, by its number, made one after the other.
    #[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
    pub fn finish(mut self, members: &[Member]) -> impl Iterator<Item = (u32, Daily)> + use<'_> {
        self.pass_marks(i64::MAX);
        let count = self.tallies.len();
        let daily = move |(place, member): (usize, &Member)| {
            let values = self.values.iter().skip(place).step_by(count.max(1));
            let allocated_gb = values.map(|value| (!value.is_nan()).then_some(*value)).collect();
            (member.tenant_no, Daily { allocated_gb, total_gb: self.tallies[place].total as f64 })
        };
        members.iter().enumerate().map(daily)
    }

    /// Notes the days that end before an instant.
    #[expect(clippy::cast_precision_loss, reason = "a forecast is an estimate")]
    fn pass_marks(&mut self, until: i64) {
        while let Some(mark) = self.marks.get(self.next_mark).copied().filter(|mark| *mark < until) {
            self.values.extend(self.tallies.iter().map(|tally| {
                let covered_until = if tally.held > 0 { tally.holds_until } else { tally.covered_until };
                if covered_until > mark - DAY_MILLIS { tally.allocated as f64 } else { f64::NAN }
            }));
            self.next_mark += 1;
        }
    }
}

impl Pass for DailyValues {
    #[inline]
    fn add(&mut self, Change { tenant_no, step }: Change) {
        if step.at > self.now {
            return;
        }
        let Some(place) = self.place_of.get(tenant_no as usize).copied().flatten() else { return };
        self.pass_marks(step.at);
        let tally = &mut self.tallies[place];
        tally.allocated += i128::from(step.allocated_gb);
        tally.total += i128::from(step.total_gb);
        if step.held != 0 {
            tally.held += step.held;
            if tally.held <= 0 {
                tally.covered_until = step.at;
            }
        }
    }
}
