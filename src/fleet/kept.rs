//! What passes had before the last packed day.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::SeriesRequest;
use crate::quota::TimeRange;
use crate::quota::fleet::{DAY_MILLIS, Member, Sweep, millis};
use crate::store::FleetMark;

/// What is kept at most, in bytes.
const CAPACITY: u64 = 32 << 20;
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
        let mut hash = Sha256::new();
        for member in members {
            hash.update(member.tenant_no.to_le_bytes());
            hash.update(member.group.to_le_bytes());
        }
        Self {
            members: hash.finalize().into(),
            sizes,
            buckets: Arc::clone(&request.buckets),
            asked_from: request.asked.from,
            space_type: request.space_type,
        }
    }
}

#[derive(Clone)]
struct Checkpoint {
    mark: FleetMark,
    asked_to: Timestamp,
    sweep: Arc<Sweep>,
}

/// The passes that are kept. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Kept {
    passes: Cache<Question, Checkpoint>,
}

impl Kept {
    /// None yet.
    pub(super) fn new() -> Self {
        let weigh = |question: &Question, checkpoint: &Checkpoint| {
            let weight = checkpoint.sweep.weight() + question.buckets.len() * size_of::<TimeRange>() + 1024;
            u32::try_from(weight).unwrap_or(u32::MAX)
        };
        Self { passes: Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).weigher(weigh).build() }
    }

    /// A pass that the request may go on with.
    pub(super) fn get(&self, question: &Question, request: &SeriesRequest) -> Option<(FleetMark, Sweep)> {
        let kept = self.passes.get(question)?;
        let start = kept.mark.day * DAY_MILLIS;
        let is_later = |at: Timestamp| millis(at) > start;
        // What is noted at the end of what was asked was noted already unless that is later.
        let same_end = kept.asked_to == request.asked.to || (is_later(kept.asked_to) && is_later(request.asked.to));
        let sweep = || Sweep::clone(&kept.sweep).go_on(start, request.asked.to, request.now);
        (is_later(request.now) && same_end).then(|| (kept.mark, sweep()))
    }

    /// Keeps a pass, if it is one that can be gone on with.
    pub(super) fn put(&self, question: Question, request: &SeriesRequest, mark: FleetMark, sweep: Sweep) {
        if millis(request.now) > mark.day * DAY_MILLIS {
            self.passes.insert(question, Checkpoint { mark, asked_to: request.asked.to, sweep: Arc::new(sweep) });
        }
    }
}
