//! One pass over the log of changes: where each tenant stood at the start of a stretch, where it stands now, and how much of the time
//! between was observed.

use jiff::Timestamp;

use super::{Change, Member, Pass, millis};

/// A tenant over a stretch that ends now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The tenant's number.
    pub tenant_no: u32,
    /// From when on `from_allocated_gb` is known: the start of the stretch, or the first observation in it.
    pub from: Timestamp,
    /// Allocated in GB at `from`, summed over the space types.
    pub from_allocated_gb: i128,
    /// The newest allocated in GB.
    pub allocated_gb: i128,
    /// The share of the stretch that observations cover; 0 to 1.
    pub coverage: f64,
}

/// The pass.
#[derive(Clone, Debug)]
pub struct Standings {
    from: i64,
    now: i64,
    by_tenant: Vec<Tally>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// When the tenant was first observed.
    begun: Option<i64>,
    at_start: i128,
    allocated: i128,
    held: i32,
    /// From when on observations cover the tenant; of no meaning while they do not.
    covered_from: i64,
    /// The stretches of coverage that are over.
    covered_ms: i64,
}

impl Standings {
    /// A pass over the stretch from `from` to `now`, for tenants with numbers up to `highest_no`.
    #[must_use]
    pub fn new(highest_no: u32, from: Timestamp, now: Timestamp) -> Self {
        Self { from: millis(from), now: millis(now), by_tenant: vec![Tally::default(); highest_no as usize + 1] }
    }

    /// Ends the pass: the members that were ever observed. `members` say how far the newest samples reach.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn finish(mut self, members: &[Member]) -> Vec<Standing> {
        let stretch = (self.now - self.from).max(1) as f64;
        let standing = |member: &Member| {
            let tally = self.by_tenant.get_mut(member.tenant_no as usize)?;
            let begun = tally.begun?;
            // The log has the newest run hold without end; what it says beyond the reach of its samples does not count.
            let reach = member.holds_until.map_or(i64::MIN, millis).min(self.now);
            tally.hold(tally.held.wrapping_neg(), reach.max(self.from));
            Some(Standing {
                tenant_no: member.tenant_no,
                from: Timestamp::from_millisecond(begun.max(self.from)).ok()?,
                from_allocated_gb: tally.at_start,
                allocated_gb: tally.allocated,
                coverage: tally.covered_ms as f64 / stretch,
            })
        };
        members.iter().filter_map(standing).collect()
    }
}

impl Pass for Standings {
    #[inline]
    fn add(&mut self, Change { tenant_no, step }: Change) {
        if step.at > self.now {
            return;
        }
        let Some(tally) = self.by_tenant.get_mut(tenant_no as usize) else { return };
        tally.hold(step.held, step.at.max(self.from));
        tally.allocated += i128::from(step.allocated_gb);
        let begun = *tally.begun.get_or_insert(step.at);
        // The types of a first answer come one by one, at the same instant.
        if step.at <= self.from.max(begun) {
            tally.at_start = tally.allocated;
        }
    }
}

impl Tally {
    /// So many more types are covered from an instant on, or fewer.
    #[inline]
    fn hold(&mut self, more: i32, at: i64) {
        let was_covered = self.held > 0;
        self.held = self.held.wrapping_add(more);
        match (was_covered, self.held > 0) {
            (false, true) => self.covered_from = at,
            (true, false) => self.covered_ms += (at - self.covered_from).max(0),
            _ => {}
        }
    }
}
