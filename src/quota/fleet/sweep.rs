//! One pass over the log of changes: the sums of groups of tenants, bucket by bucket.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Change, Pass, millis};
use crate::quota::TimeRange;
use crate::quota::usage::{Measure, UsagePoint, UsageSeries, exact_mean};
use crate::quota::utilization;

const NO_GROUP: u32 = u32::MAX;

/// A tenant that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub tenant_no: u32,
    /// The group that it belongs to, counted from 0.
    pub group: u32,
    /// Until when its newest sample holds; `None` when it has none.
    pub holds_until: Option<Timestamp>,
}

/// The pass. Feed it the opening and then the changes in order; [`Sweep::finish`] gives the series. A clone can go on from where it was
/// taken, so that a repeated question reads only what is new.
#[derive(Clone, Debug)]
pub struct Sweep {
    buckets: Arc<[TimeRange]>,
    asked: TimeRange,
    now: i64,
    space_type: Option<i32>,
    /// By tenant number.
    group_of: Arc<[u32]>,
    /// How many types of a tenant observations cover; by tenant number.
    held: Vec<i32>,
    groups: Vec<Group>,
    /// Instants at which something must be noted, in order: the ends of buckets, and the ends of what was asked.
    marks: Arc<[Mark]>,
    next_mark: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    at: i64,
    kind: MarkKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MarkKind {
    AskedFrom,
    AskedTo,
    BucketEnd,
}

/// The sum of one group.
#[derive(Clone, Debug, Default)]
struct Group {
    members: i64,
    started: bool,
    allocated: i128,
    total: i128,
    /// Members that observations cover.
    covered: i64,
    /// Up to where the sums below reach.
    since: i64,
    bucket: Sums,
    /// Covered time of the buckets that are over, in milliseconds of all members together.
    covered_ms: i128,
    covered_at_asked_from: i128,
    covered_at_asked_to: i128,
    /// The buckets that are over, or as far as they have passed.
    done: Vec<Sums>,
}

/// What a bucket has so far.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    ms: i64,
    covered_ms: i128,
    allocated: GbSums,
    total: GbSums,
    ratio: RatioSums,
}

#[derive(Clone, Copy, Debug, Default)]
struct GbSums {
    /// Gigabytes times milliseconds.
    sum: i128,
    min: i128,
    max: i128,
    first: i128,
    last: i128,
}

#[derive(Clone, Copy, Debug, Default)]
struct RatioSums {
    ms: i64,
    sum: f64,
    /// What rounding took from the sum.
    compensation: f64,
    min: f64,
    max: f64,
    first: f64,
    last: f64,
}

impl Sweep {
    /// A pass over the members for the buckets, which are those of `asked`, in order. `sizes` are how many tenants each group counts, also those
    /// that have no number yet. Nothing is known after `now`.
    #[must_use]
    pub fn new(
        members: &[Member],
        sizes: &[usize],
        buckets: Arc<[TimeRange]>,
        asked: TimeRange,
        space_type: Option<i32>,
        now: Timestamp,
    ) -> Self {
        let size = members.iter().map(|member| member.tenant_no as usize + 1).max().unwrap_or_default();
        let mut group_of = vec![NO_GROUP; size];
        let now = millis(now);
        let begin = buckets.first().map_or(now, |bucket| millis(bucket.from));
        for member in members {
            group_of[member.tenant_no as usize] = member.group;
        }
        let group = |size: &usize| Group { members: i64::try_from(*size).unwrap_or(i64::MAX), since: begin, ..Group::default() };
        let marks = marks(&buckets, asked, now);
        Self {
            buckets,
            asked,
            now,
            space_type,
            group_of: group_of.into(),
            held: vec![0; size],
            groups: sizes.iter().map(group).collect(),
            marks: marks.into(),
            next_mark: 0,
        }
    }

    /// Goes on from a pause that was before both the former and the new `now`: with another end of what is asked and another `now`.
    #[must_use]
    pub fn go_on(mut self, day_start: i64, asked_to: Timestamp, now: Timestamp) -> Self {
        self.asked.to = asked_to;
        self.now = millis(now);
        self.marks = marks(&self.buckets, self.asked, self.now).into();
        self.next_mark = self.marks.partition_point(|mark| mark.at <= day_start);
        self
    }

    /// What it takes in memory, in bytes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let buckets = self.groups.iter().map(|group| group.done.capacity() * size_of::<Sums>()).sum::<usize>();
        buckets + self.group_of.len() * 8 + self.marks.len() * size_of::<Mark>() + self.groups.len() * size_of::<Group>()
    }

    /// Ends the pass: the series of each group. `members` are those of the beginning, with what is known now of how far their newest
    /// samples reach.
    #[must_use]
    pub fn finish(mut self, members: &[Member]) -> Vec<UsageSeries> {
        self.pass_marks(i64::MAX);
        self.cut_open_ends(members);
        let (buckets, now) = (&self.buckets, self.now);
        let asked_ms = (millis(self.asked.to).min(now) - millis(self.asked.from)).max(0);
        let series = |group: &Group| UsageSeries {
            points: buckets.iter().zip(&group.done).map(|(bucket, sums)| sums.point(*bucket, group.members, now)).collect(),
            coverage: share(
                group.covered_at_asked_to - group.covered_at_asked_from,
                i128::from(asked_ms) * i128::from(group.members),
            ),
        };
        self.groups.iter().map(series).collect()
    }

    /// Brings every group up to the marks at or before an instant, and notes what they ask for.
    #[cold]
    fn pass_marks(&mut self, until: i64) {
        while let Some(mark) = self.marks.get(self.next_mark).filter(|mark| mark.at <= until) {
            for group in &mut self.groups {
                group.advance(mark.at);
                match mark.kind {
                    MarkKind::AskedFrom => group.covered_at_asked_from = group.covered_ms + group.bucket.covered_ms,
                    MarkKind::AskedTo => group.covered_at_asked_to = group.covered_ms + group.bucket.covered_ms,
                    MarkKind::BucketEnd => {
                        group.covered_ms += group.bucket.covered_ms;
                        group.done.push(std::mem::take(&mut group.bucket));
                    }
                }
            }
            self.next_mark += 1;
        }
    }

    /// Takes back the coverage beyond the reach of the newest samples: the log has them hold without end.
    fn cut_open_ends(&mut self, members: &[Member]) {
        let asked = (millis(self.asked.from), millis(self.asked.to).min(self.now));
        for member in members {
            let until = member.holds_until.map_or(i64::MIN, millis);
            let is_open = self.held.get(member.tenant_no as usize).is_some_and(|held| *held > 0);
            if !is_open || until >= self.now {
                continue;
            }
            let group = &mut self.groups[member.group as usize];
            let first = self.buckets.partition_point(|bucket| millis(bucket.to) <= until);
            for (bucket, sums) in self.buckets.iter().zip(&mut group.done).skip(first) {
                let beyond = millis(bucket.to).min(self.now) - millis(bucket.from).max(until);
                sums.covered_ms -= i128::from(beyond.max(0));
            }
            group.covered_at_asked_to -= i128::from((asked.1 - asked.0.max(until)).max(0));
        }
    }
}

impl Pass for Sweep {
    #[inline]
    fn add(&mut self, change: Change) {
        let Some(&group) = self.group_of.get(change.tenant_no as usize) else { return };
        if group == NO_GROUP || self.space_type.is_some_and(|asked| asked != change.step.space_type) || change.step.at > self.now {
            return;
        }
        if self.marks.get(self.next_mark).is_some_and(|mark| mark.at <= change.step.at) {
            self.pass_marks(change.step.at);
        }
        let group = &mut self.groups[group as usize];
        group.advance(change.step.at);
        group.started = true;
        group.allocated += i128::from(change.step.allocated_gb);
        group.total += i128::from(change.step.total_gb);
        if change.step.held != 0 {
            let held = &mut self.held[change.tenant_no as usize];
            let before = i64::from(*held > 0);
            *held = held.wrapping_add(change.step.held);
            group.covered += i64::from(*held > 0) - before;
        }
    }

    fn pause(&mut self, day_start: i64) {
        self.pass_marks(day_start);
    }
}

fn marks(buckets: &[TimeRange], asked: TimeRange, now: i64) -> Vec<Mark> {
    let begin = buckets.first().map_or(now, |bucket| millis(bucket.from));
    let mut marks = vec![
        Mark { at: millis(asked.from).min(now).max(begin), kind: MarkKind::AskedFrom },
        Mark { at: millis(asked.to).min(now).max(begin), kind: MarkKind::AskedTo },
    ];
    marks.extend(buckets.iter().map(|bucket| Mark { at: millis(bucket.to).min(now).max(begin), kind: MarkKind::BucketEnd }));
    marks.sort_by_key(|mark| (mark.at, mark.kind));
    marks
}

impl Group {
    /// Lets the present sums hold up to an instant.
    #[inline]
    fn advance(&mut self, at: i64) {
        if at <= self.since {
            return;
        }
        let ms = at - self.since;
        self.since = at;
        self.bucket.covered_ms += i128::from(self.covered) * i128::from(ms);
        if self.started {
            self.bucket.add(self.allocated, self.total, ms);
        }
    }
}

impl Sums {
    #[inline]
    fn add(&mut self, allocated: i128, total: i128, ms: i64) {
        let is_first = self.ms == 0;
        self.ms += ms;
        self.allocated.add(allocated, ms, is_first);
        self.total.add(total, ms, is_first);
        if let Some(ratio) = ratio(allocated, total) {
            self.ratio.add(ratio, ms);
        }
    }

    fn point(&self, bucket: TimeRange, members: i64, now: i64) -> UsagePoint {
        let passed_ms = (millis(bucket.to).min(now) - millis(bucket.from)).max(0);
        let known = self.ms > 0;
        UsagePoint {
            start: bucket.from,
            end: bucket.to,
            complete: millis(bucket.to) <= now,
            coverage: share(self.covered_ms, i128::from(passed_ms) * i128::from(members)),
            allocated: known.then(|| self.allocated.measure(self.ms)),
            total: known.then(|| self.total.measure(self.ms)),
            utilization: self.ratio.measure(),
        }
    }
}

/// A part by its whole; 0 when the whole is nothing.
#[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
fn share(part: i128, whole: i128) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "as `utilization`, which is slow for the many that are of 64 bits")]
fn ratio(allocated: i128, total: i128) -> Option<f64> {
    match (i64::try_from(allocated), i64::try_from(total)) {
        (_, Ok(0)) => None,
        (Ok(allocated), Ok(total)) => Some(allocated as f64 / total as f64),
        _ => utilization(allocated, total),
    }
}

impl GbSums {
    #[inline]
    fn add(&mut self, gb: i128, ms: i64, is_first: bool) {
        // Nearly all are of 64 bits, whose product is one instruction.
        let product = i64::try_from(gb).map_or_else(|_| gb.saturating_mul(i128::from(ms)), |gb| i128::from(gb) * i128::from(ms));
        self.sum = self.sum.saturating_add(product);
        if is_first {
            (self.min, self.max, self.first) = (gb, gb, gb);
        }
        self.min = self.min.min(gb);
        self.max = self.max.max(gb);
        self.last = gb;
    }

    #[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
    fn measure(&self, ms: i64) -> Measure {
        Measure {
            average: exact_mean(self.sum, ms),
            min: self.min as f64,
            max: self.max as f64,
            first: self.first as f64,
            last: self.last as f64,
        }
    }
}

impl RatioSums {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 milliseconds")]
    fn add(&mut self, ratio: f64, ms: i64) {
        if self.ms == 0 {
            (self.min, self.max, self.first) = (ratio, ratio, ratio);
        }
        self.ms += ms;
        let term = ratio * ms as f64;
        let sum = self.sum + term;
        // Knuth's exact difference between the sum and its rounding, without a branch.
        let taken = sum - self.sum;
        self.compensation += (self.sum - (sum - taken)) + (term - taken);
        self.sum = sum;
        self.min = self.min.min(ratio);
        self.max = self.max.max(ratio);
        self.last = ratio;
    }

    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 milliseconds")]
    fn measure(&self) -> Option<Measure> {
        let average = ((self.sum + self.compensation) / self.ms as f64).clamp(self.min, self.max);
        (self.ms > 0).then_some(Measure { average, min: self.min, max: self.max, first: self.first, last: self.last })
    }
}
