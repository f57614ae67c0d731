//! What an answer was made from.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::Present;
use crate::allocations::{AllocationAnswer, Version};

/// Collects what the resolvers of one request use.
#[derive(Debug, Default)]
pub struct Dependencies {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    values: Vec<Version>,
    samples: Vec<Version>,
    figures: Option<u64>,
    fresh_until: Option<Timestamp>,
    never: bool,
    live: bool,
}

/// The conditions under which a finished answer is valid.
#[derive(Debug)]
pub struct Validity {
    values: Box<[Version]>,
    samples: Box<[Version]>,
    figures: Option<u64>,
    fresh_until: Option<Timestamp>,
    tenants: u64,
}

impl Dependencies {
    /// The values of an allocation are used.
    pub fn use_values(&self, answer: &AllocationAnswer) {
        let mut used = self.used.lock();
        if used.never {
            return;
        }
        match &answer.version {
            Some(version) => used.values.push(version.clone()),
            None => used.never = true,
        }
        used.fresh_until = Some(used.fresh_until.map_or(answer.fresh_until, |until| until.min(answer.fresh_until)));
    }

    /// The instant of a sample is used.
    pub fn use_sample(&self, version: Option<&Version>) {
        let mut used = self.used.lock();
        if used.never {
            return;
        }
        match version {
            Some(version) => used.samples.push(version.clone()),
            None => used.never = true,
        }
    }

    /// The figures of all tenants are used, in the state of this version. Taken before they are read.
    pub fn use_figures(&self, version: u64) {
        let mut used = self.used.lock();
        used.figures = Some(used.figures.map_or(version, |former| former.min(version)));
    }

    /// Something is used that may be another one any moment.
    pub fn never_keep(&self) {
        self.used.lock().never = true;
    }

    /// An answer was demanded that is made now and for nobody else.
    pub fn demand_live(&self) {
        let mut used = self.used.lock();
        (used.never, used.live) = (true, true);
    }

    /// Whether a live answer was demanded.
    pub fn is_live(&self) -> bool {
        self.used.lock().live
    }

    /// The conditions under which an answer of these dependencies is valid; `None` when it must not be kept.
    pub(super) fn validity(&self, tenants: u64) -> Option<Validity> {
        let mut used = self.used.lock();
        if used.never {
            return None;
        }
        let (values, samples) = (std::mem::take(&mut used.values).into(), std::mem::take(&mut used.samples).into());
        Some(Validity { values, samples, figures: used.figures, fresh_until: used.fresh_until, tenants })
    }
}

impl Validity {
    /// Whether the answer is what executing the document now would give.
    pub(super) fn holds(&self, present: Present) -> bool {
        self.tenants == present.tenants
            && self.figures.is_none_or(|version| version == present.figures)
            && self.fresh_until.is_none_or(|until| present.now <= until)
            && self.values.iter().all(Version::is_current_value)
            && self.samples.iter().all(Version::is_current_sample)
    }

    pub(super) fn remaining_freshness(&self, now: Timestamp) -> Option<SignedDuration> {
        self.fresh_until.map(|until| until.duration_since(now).max(SignedDuration::ZERO))
    }

    /// What the conditions take, in bytes.
    pub(super) fn weight(&self) -> usize {
        (self.values.len() + self.samples.len()) * size_of::<Version>()
    }
}
