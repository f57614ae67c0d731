//! A sequence of segments condensed to one point for each bucket.

use jiff::Timestamp;

use super::mean::{CompensatedMean, ExactMean};
use super::segments::{micros_between, share};
use super::{Fill, Measure, Segment, UsagePoint};
use crate::quota::{TimeRange, utilization};

/// One point for each bucket. Segments and buckets are in order and do not overlap among themselves. Nothing is known after `now`.
pub fn aggregate<'a>(
    segments: &'a [Segment],
    buckets: impl IntoIterator<Item = TimeRange, IntoIter: 'a>,
    now: Timestamp,
    fill: Fill,
) -> impl Iterator<Item = UsagePoint> + 'a {
    let mut ahead = segments;
    let mut before = None;
    buckets.into_iter().map(move |bucket| {
        while let [first, rest @ ..] = ahead
            && first.end <= bucket.from
        {
            before = Some(first);
            ahead = rest;
        }
        point(bucket, ahead, before.filter(|_| fill == Fill::Last), now)
    })
}

/// The point of a bucket, from the segments that do not end before it. `carried` is the value of a bucket without observations.
fn point(bucket: TimeRange, ahead: &[Segment], carried: Option<&Segment>, now: Timestamp) -> UsagePoint {
    let passed = TimeRange { from: bucket.from, to: bucket.to.min(now) };
    let mut observed: Option<Observed> = None;
    for part in ahead.iter().map_while(|segment| segment.within(passed)).filter(|part| part.micros() > 0) {
        observed.get_or_insert_with(|| Observed::starting_with(&part)).add(&part);
    }
    let covered = observed.as_ref().map_or(0, |observed| observed.micros);
    let carried = carried.filter(|_| bucket.from < now).map(carry);
    let (allocated, total, utilization) = match (observed.map(Observed::measures), carried) {
        (Some((allocated, total, utilization)), _) | (None, Some((allocated, total, utilization))) => {
            (Some(allocated), Some(total), utilization)
        }
        (None, None) => (None, None, None),
    };
    UsagePoint {
        start: bucket.from,
        end: bucket.to,
        complete: bucket.to <= now,
        coverage: share(covered, micros_between(passed.from, passed.to)),
        allocated,
        total,
        utilization,
    }
}

/// Allocated, total and utilization.
type Measures = (Measure, Measure, Option<Measure>);

#[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
fn carry(last: &Segment) -> Measures {
    (
        Measure::constant(last.allocated_gb as f64),
        Measure::constant(last.total_gb as f64),
        utilization(last.allocated_gb, last.total_gb).map(Measure::constant),
    )
}

/// What was observed in a bucket so far.
struct Observed {
    micros: i64,
    allocated: ObservedGb,
    total: ObservedGb,
    utilization: Option<ObservedRatio>,
}

impl Observed {
    fn starting_with(part: &Segment) -> Self {
        Self {
            micros: 0,
            allocated: ObservedGb::starting_with(part.allocated_gb),
            total: ObservedGb::starting_with(part.total_gb),
            utilization: None,
        }
    }

    fn add(&mut self, part: &Segment) {
        let micros = part.micros();
        self.micros += micros;
        self.allocated.add(part.allocated_gb, micros);
        self.total.add(part.total_gb, micros);
        if let Some(ratio) = utilization(part.allocated_gb, part.total_gb) {
            self.utilization.get_or_insert_with(|| ObservedRatio::starting_with(ratio)).add(ratio, micros);
        }
    }

    fn measures(self) -> Measures {
        (self.allocated.measure(), self.total.measure(), self.utilization.map(ObservedRatio::measure))
    }
}

struct ObservedGb {
    mean: ExactMean,
    min: i128,
    max: i128,
    first: i128,
    last: i128,
}

impl ObservedGb {
    fn starting_with(gb: i128) -> Self {
        Self { mean: ExactMean::default(), min: gb, max: gb, first: gb, last: gb }
    }

    fn add(&mut self, gb: i128, micros: i64) {
        self.mean.add(gb, micros);
        self.min = self.min.min(gb);
        self.max = self.max.max(gb);
        self.last = gb;
    }

    #[expect(clippy::cast_precision_loss, reason = "the API gives doubles")]
    fn measure(self) -> Measure {
        if self.min == self.max {
            return Measure::constant(self.last as f64);
        }
        Measure {
            average: self.mean.value(),
            min: self.min as f64,
            max: self.max as f64,
            first: self.first as f64,
            last: self.last as f64,
        }
    }
}

struct ObservedRatio {
    mean: CompensatedMean,
    min: f64,
    max: f64,
    first: f64,
    last: f64,
}

impl ObservedRatio {
    fn starting_with(ratio: f64) -> Self {
        Self { mean: CompensatedMean::default(), min: ratio, max: ratio, first: ratio, last: ratio }
    }

    fn add(&mut self, ratio: f64, micros: i64) {
        self.mean.add(ratio, micros);
        self.min = self.min.min(ratio);
        self.max = self.max.max(ratio);
        self.last = ratio;
    }

    fn measure(self) -> Measure {
        // Rounding must not carry the mean of equal ratios beyond them.
        let average = self.mean.value().clamp(self.min, self.max);
        Measure { average, min: self.min, max: self.max, first: self.first, last: self.last }
    }
}
