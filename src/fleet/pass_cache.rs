//! What passes had before the last packed day.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::request::SeriesRequest;
use crate::quota::TimeRange;
use crate::quota::fleet::{DAY_MILLIS, DailyValues, Member, Sweep, millis};
use crate::quota::forecast::hour_of;
use crate::store::FleetMark;

/// What is kept of series at most, in bytes.
const CAPACITY: u64 = 32 << 20;
/// What is kept of tenants' days at most, in bytes: those of twenty thousand tenants, 53 weeks each. Those of a larger fleet are read anew.
const DAYS_CAPACITY: u64 = 64 << 20;
/// How long something is kept that nobody asks for.
const IDLE: Duration = Duration::from_mins(10);

/// What a pass is of, apart from its end, which moves on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// SHA-256 of the members and their groups: who sees other tenants must never meet this one's sums.
    members: [u8; 32],
    sizes: Vec<usize>,
    buckets: Arc<[TimeRange]>,
    asked_from: Timestamp,
    space_type: Option<i32>,
}

impl Question {
    /// What a request about these members asks.
    pub(super) fn new(members: &[Member], sizes: Vec<usize>, request: &SeriesRequest) -> Self {
        Self {
            members: hash(members),
            sizes,
            buckets: Arc::clone(&request.buckets),
            asked_from: request.asked.from,
            space_type: request.space_type,
        }
    }
}

/// What a pass over tenants' days is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DaysQuestion {
    /// As with series; in this order.
    members: [u8; 32],
    /// When the days end, apart from the last one.
    hour: Timestamp,
}

impl DaysQuestion {
    /// The days of these members before an instant.
    pub(super) fn new(members: &[Member], now: Timestamp) -> Self {
        Self { members: hash(members), hour: hour_of(now) }
    }
}

fn hash(members: &[Member]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for member in members {
        hash.update(member.tenant_no.to_le_bytes());
        hash.update(member.group.to_le_bytes());
    }
    hash.finalize().into()
}

#[derive(Clone)]
struct Checkpoint {
    mark: FleetMark,
    asked_to: Timestamp,
    sweep: Arc<Sweep>,
}

/// The passes that are kept. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct PassCache {
    passes: Cache<Question, Checkpoint>,
    days: Cache<DaysQuestion, (FleetMark, DailyValues)>,
}

impl PassCache {
    /// None yet.
    pub(super) fn new() -> Self {
        let weigh = |question: &Question, checkpoint: &Checkpoint| {
            let weight = checkpoint.sweep.weight() + question.buckets.len() * size_of::<TimeRange>() + 1024;
            u32::try_from(weight).unwrap_or(u32::MAX)
        };
        let weigh_days = |_: &DaysQuestion, (_, pass): &(FleetMark, DailyValues)| u32::try_from(pass.weight()).unwrap_or(u32::MAX);
        Self {
            passes: Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).weigher(weigh).build(),
            days: Cache::builder().max_capacity(DAYS_CAPACITY).time_to_idle(IDLE).weigher(weigh_days).build(),
        }
    }

    /// A pass that the request may go on with.
    pub(super) fn get(&self, question: &Question, request: &SeriesRequest) -> Option<(FleetMark, Sweep)> {
        let kept = self.passes.get(question)?;
        let is_later = |at: Timestamp| is_after(at, &kept.mark);
        // What is noted at the end of what was asked was noted already unless that is later.
        let same_end = kept.asked_to == request.asked.to || (is_later(kept.asked_to) && is_later(request.asked.to));
        let sweep = || Sweep::clone(&kept.sweep).go_on(kept.mark.day * DAY_MILLIS, request.asked.to, request.now);
        (is_later(request.now) && same_end).then(|| (kept.mark, sweep()))
    }

    /// Keeps a pass, if it is one that can be gone on with.
    pub(super) fn put(&self, question: Question, request: &SeriesRequest, mark: FleetMark, sweep: Sweep) {
        if is_after(request.now, &mark) {
            self.passes.insert(question, Checkpoint { mark, asked_to: request.asked.to, sweep: Arc::new(sweep) });
        }
    }

    /// A pass over tenants' days that may be gone on with.
    pub(super) fn get_days(&self, question: &DaysQuestion, now: Timestamp) -> Option<(FleetMark, DailyValues)> {
        let (mark, pass) = self.days.get(question)?;
        is_after(now, &mark).then(|| (mark, pass.go_on(now)))
    }

    /// Keeps a pass over tenants' days, if it is one that can be gone on with.
    pub(super) fn put_days(&self, question: DaysQuestion, now: Timestamp, mark: FleetMark, pass: DailyValues) {
        if is_after(now, &mark) {
            self.days.insert(question, (mark, pass));
        }
    }
}

/// Whether an instant is after the start of the day at which a kept pass has paused.
fn is_after(at: Timestamp, mark: &FleetMark) -> bool {
    millis(at) > mark.day * DAY_MILLIS
}
