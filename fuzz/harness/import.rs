//! A file to import, put into the history that another one left, and taken back.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use quotagraph::import::{Given, GivenHistory, read_file, undo};
use quotagraph::quota::{Run, TenantId};

use super::sentence::check_sentence;
use super::{NOW, parts};

/// Runs, by what addresses them.
type Runs = BTreeMap<(i32, Timestamp), Run>;

/// Reads each file and imports it into what the one before it left.
pub fn import(input: &[u8]) {
    let mut recorded = BTreeMap::<TenantId, Vec<Run>>::new();
    for file in parts(input) {
        let Some(given) = read(file) else { return };
        for (tenant, history) in given.tenants {
            let before = recorded.entry(tenant).or_default();
            *before = revise(&history, before);
        }
    }
}

fn read(file: &[u8]) -> Option<Given> {
    static TENANTS: LazyLock<Vec<TenantId>> = LazyLock::new(|| ["acme", "zenith"].map(|id| id.parse().expect("an id")).to_vec());
    let now: Timestamp = NOW.parse().expect("an instant");
    read_file(file, &TENANTS, 300, now).inspect_err(|error| check_sentence(&error.to_string())).ok()
}

/// What an import makes of a history. All that it may do is tried, and taken back.
fn revise(given: &GivenHistory, before: &[Run]) -> Vec<Run> {
    let careful = given.revise(before, false);
    let replacing = given.revise(before, true);
    if careful.conflicts == 0 || replacing.conflicts == 0 {
        assert_eq!(careful, replacing, "replacing without a conflict");
    }
    let after = replacing.runs;
    check_runs(&after);
    let undone = undo(&after, &only(&after, before), &only(before, &after));
    assert_eq!(undone.as_deref(), Ok(before), "taken back from {after:?}");
    let again = given.revise(&after, true);
    assert_eq!((again.conflicts, again.new), (0, 0), "the same file again, on {after:?}");
    assert_eq!(again.runs, after, "the same file again");
    // What an export of it says, imported, is nothing new.
    let exported = GivenHistory::Runs(after.iter().map(|run| Run { ended_at: None, ..run.clone() }).collect());
    let exported = exported.revise(&after, false);
    assert_eq!((exported.conflicts, exported.new), (0, 0), "its own export, on {after:?}");
    assert_eq!(exported.runs, after, "its own export");
    after
}

/// The runs that only the first of two histories has.
fn only(one: &[Run], other: &[Run]) -> Vec<Run> {
    let other = by_key(other);
    one.iter().filter(|run| other.get(&(run.space_type, run.first_at)) != Some(*run)).cloned().collect()
}

fn by_key(runs: &[Run]) -> Runs {
    runs.iter().map(|run| ((run.space_type, run.first_at), run.clone())).collect()
}

/// Each run is one, and they stand in order, apart from each other.
fn check_runs(runs: &[Run]) {
    for run in runs {
        assert!(run.samples >= 1 && run.interval_s >= 1 && run.allocated_gb >= 0 && run.total_gb >= 0, "{run:?}");
        assert!(run.first_at <= run.last_at && (run.samples > 1 || run.first_at == run.last_at), "{run:?}");
        assert!(run.ended_at.is_none_or(|ended| ended > run.last_at), "{run:?}");
    }
    for pair in runs.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        assert!((one.space_type, one.last_at) < (next.space_type, next.first_at), "{one:?} and {next:?}");
        if one.space_type == next.space_type {
            assert!(one.ended_at.is_none_or(|ended| ended <= next.first_at), "{one:?} and {next:?}");
        }
    }
}
