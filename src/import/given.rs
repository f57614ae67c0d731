//! What a file gives, tenant by tenant.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use jiff::Timestamp;

use super::fields::{FileError, ImportKind, Line};
use super::{csv, ndjson};
use crate::quota::{MAX_SPACE_TYPES, MAX_SPACE_TYPES_EVER, Run, Sample, SpaceAllocation, SpaceTypeAllocation, TenantId};

/// Some tools write it before anything else.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How files of Parquet begin.
const PARQUET: &[u8] = b"PAR1";

/// A whole file, checked.
///
/// Samples take about 50 bytes of memory a line, snapshots 90: ten million samples take 0.5 GB.
#[derive(Debug)]
pub struct Given {
    /// What its lines are.
    pub kind: ImportKind,
    /// How many lines it has, the names left out.
    pub lines: u64,
    /// What it says of each tenant.
    pub tenants: BTreeMap<TenantId, GivenHistory>,
}

/// What a file says of one tenant.
#[derive(Clone, Debug)]
pub enum GivenHistory {
    /// Samples with this interval in seconds, sorted by instant and type; each of them once.
    Samples(u32, Vec<GivenSample>),
    /// Runs, sorted by type and start, which do not overlap.
    Runs(Vec<Run>),
}

/// A sample of one type.
#[derive(Clone, Copy, Debug)]
pub struct GivenSample {
    observed_at: Timestamp,
    value: SpaceTypeAllocation,
    /// Files of more lines have other problems.
    line: u32,
}

impl GivenHistory {
    /// The first and the last instant of which something is said.
    #[must_use]
    pub fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Samples(_, samples) => Some((samples.first()?.observed_at, samples.last()?.observed_at)),
            Self::Runs(runs) => {
                let from = runs.iter().map(|run| run.first_at).min()?;
                Some((from, runs.iter().map(|run| run.last_at).max()?))
            }
        }
    }
}

/// The answers that samples make: those of one instant together.
pub(super) fn answers(samples: &[GivenSample], interval_s: u32) -> impl Iterator<Item = Sample> {
    samples.chunk_by(|one, next| one.observed_at == next.observed_at).map(move |answer| Sample {
        allocation: SpaceAllocation::new(answer[0].observed_at, answer.iter().map(|sample| sample.value).collect()),
        interval_s,
    })
}

/// Every type that samples name.
pub(super) fn types(samples: &[GivenSample]) -> std::collections::BTreeSet<i32> {
    samples.iter().map(|sample| sample.value.space_type).collect()
}

/// Reads a file of CSV or NDJSON and checks all of it. `tenants` are those that there are, `interval_s` is the sampling interval of
/// samples in seconds; nothing may lie after `now`.
///
/// # Errors
/// The first line that is wrong.
pub fn read_file(from: impl Read, tenants: &[TenantId], interval_s: u32, now: Timestamp) -> Result<Given, FileError> {
    let mut from = BufReader::with_capacity(1 << 16, from);
    let unreadable = |cause| FileError::new(1, format!("cannot be read: {cause}"));
    if from.fill_buf().map_err(unreadable)?.starts_with(BYTE_ORDER_MARK) {
        from.consume(BYTE_ORDER_MARK.len());
    }
    let beginning = from.fill_buf().map_err(unreadable)?;
    if beginning.starts_with(PARQUET) {
        return Err(FileError::new(1, "is Parquet; CSV and NDJSON can be imported"));
    }
    let is_json = beginning.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let mut reading =
        Reading { tenants, now, kind: ImportKind::Samples, lines: 0, samples: BTreeMap::new(), runs: BTreeMap::new() };
    let mut kind = None;
    let start = |found| kind = Some(found);
    if is_json {
        ndjson::read(from, start, |line| reading.take(line))?;
    } else {
        csv::read(from, start, |line| reading.take(line))?;
    }
    reading.kind = kind.unwrap_or(ImportKind::Samples);
    reading.finish(interval_s)
}

struct Reading<'a> {
    tenants: &'a [TenantId],
    now: Timestamp,
    kind: ImportKind,
    lines: u64,
    samples: BTreeMap<TenantId, Vec<GivenSample>>,
    runs: BTreeMap<TenantId, Vec<(Run, u64)>>,
}

impl Reading<'_> {
    fn take(&mut self, line: &Line<'_>) -> Result<(), FileError> {
        self.lines += 1;
        let id = line.tenant();
        let value = SpaceTypeAllocation {
            space_type: line.number("space_type", i32::MIN)?,
            allocated_gb: line.number("allocated_gb", 0)?,
            total_gb: line.number("total_gb", 0)?,
        };
        match line.kind {
            ImportKind::Samples => {
                let sample = GivenSample {
                    observed_at: line.instant("observed_at", self.now)?,
                    value,
                    line: u32::try_from(line.number).unwrap_or(u32::MAX),
                };
                if let Some(samples) = self.samples.get_mut(id) {
                    samples.push(sample);
                } else {
                    self.samples.insert(self.known(line)?, vec![sample]);
                }
            }
            ImportKind::Snapshots => {
                let run = self.read_run(line, value)?;
                if let Some(runs) = self.runs.get_mut(id) {
                    runs.push((run, line.number));
                } else {
                    self.runs.insert(self.known(line)?, vec![(run, line.number)]);
                }
            }
        }
        Ok(())
    }

    fn known(&self, line: &Line<'_>) -> Result<TenantId, FileError> {
        let known = self.tenants.iter().find(|tenant| tenant.as_str() == line.tenant()).cloned();
        let shown: String = line.tenant().chars().take(64).collect();
        known.ok_or_else(|| line.wrong("tenant", format!("the config has no tenant {shown:?}; add it there first")))
    }

    fn read_run(&self, line: &Line<'_>, value: SpaceTypeAllocation) -> Result<Run, FileError> {
        let run = Run {
            space_type: value.space_type,
            first_at: line.instant("first_observed_at", self.now)?,
            last_at: line.instant("last_observed_at", self.now)?,
            interval_s: line.number("interval_s", 1_i32)?.unsigned_abs(),
            samples: line.number::<i32>("observations", 1)?.into(),
            allocated_gb: value.allocated_gb,
            total_gb: value.total_gb,
            ended_at: None,
        };
        if run.last_at < run.first_at {
            return Err(line.wrong("last_observed_at", "must not be before first_observed_at"));
        }
        if (run.samples == 1) != (run.first_at == run.last_at) {
            return Err(line.wrong("observations", "is 1 if and only if the first one is also the last one"));
        }
        Ok(run)
    }

    fn finish(self, interval_s: u32) -> Result<Given, FileError> {
        let mut tenants = BTreeMap::new();
        for (tenant, mut samples) in self.samples {
            samples.sort_unstable_by_key(|sample| (sample.observed_at, sample.value.space_type, sample.line));
            for pair in samples.windows(2) {
                let (one, next) = (pair[0], pair[1]);
                let same_place = one.observed_at == next.observed_at && one.value.space_type == next.value.space_type;
                if same_place && one.value != next.value {
                    return Err(FileError::new(next.line.into(), format!("says something else than line {}", one.line)));
                }
            }
            samples.dedup_by_key(|sample| (sample.observed_at, sample.value.space_type));
            for answer in samples.chunk_by(|one, next| one.observed_at == next.observed_at) {
                if let Some(beyond) = answer.get(MAX_SPACE_TYPES) {
                    let mend = format!("tenant {tenant} has more than {MAX_SPACE_TYPES} space types at this instant");
                    return Err(FileError::new(beyond.line.into(), mend));
                }
            }
            check_types(&tenant, samples.iter().map(|sample| (sample.value.space_type, sample.line.into())))?;
            tenants.insert(tenant, GivenHistory::Samples(interval_s, samples));
        }
        for (tenant, mut runs) in self.runs {
            runs.sort_by_key(|(run, line)| (run.space_type, run.first_at, *line));
            runs.dedup_by(|(later, _), (earlier, _)| later == earlier);
            for pair in runs.windows(2) {
                let ((one, one_line), (next, next_line)) = (&pair[0], &pair[1]);
                if one.space_type == next.space_type && one.last_at >= next.first_at {
                    return Err(FileError::new(*next_line, format!("overlaps with line {one_line}")));
                }
            }
            check_types(&tenant, runs.iter().map(|(run, line)| (run.space_type, *line)))?;
            tenants.insert(tenant, GivenHistory::Runs(runs.into_iter().map(|(run, _)| run).collect()));
        }
        Ok(Given { kind: self.kind, lines: self.lines, tenants })
    }
}

/// Refuses more types of a tenant than its history may have. Given are the types and their lines.
fn check_types(tenant: &TenantId, types: impl Iterator<Item = (i32, u64)>) -> Result<(), FileError> {
    let mut known = std::collections::BTreeSet::new();
    for (space_type, line) in types {
        if known.insert(space_type) && known.len() > MAX_SPACE_TYPES_EVER {
            let mend = format!("tenant {tenant} has more than {MAX_SPACE_TYPES_EVER} space types; a history takes no more");
            return Err(FileError::new(line, mend));
        }
    }
    Ok(())
}
