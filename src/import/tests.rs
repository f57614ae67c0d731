//! Imports against an oracle: what recording everything in the order of time gives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::quota::recording::History;
use crate::quota::usage::segments;
use crate::quota::{Run, Sample, SpaceAllocation, SpaceTypeAllocation, TenantId};

const INTERVAL_S: u32 = 60;

fn at(minutes: i64) -> Timestamp {
    "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

/// What a tenant is at each minute that was looked at: the types that were listed with their values.
type Seen = BTreeMap<i64, BTreeMap<i32, i64>>;

fn seen(minutes: std::ops::Range<i64>) -> impl Strategy<Value = Seen> {
    let answer = prop::collection::vec(prop::option::weighted(0.8, 0..2_i64), 2);
    let looked_at = prop::collection::btree_map(minutes, answer, 0..40);
    looked_at.prop_map(|seen| {
        let listed =
            |values: Vec<Option<i64>>| (0..).zip(values).filter_map(|(space_type, value)| Some((space_type, value?))).collect();
        seen.into_iter().map(|(minute, values)| (minute, listed(values))).collect()
    })
}

fn sample(minute: i64, values: &BTreeMap<i32, i64>) -> Sample {
    let value = |(space_type, allocated_gb): (&i32, &i64)| SpaceTypeAllocation {
        space_type: *space_type,
        allocated_gb: *allocated_gb,
        total_gb: 9,
    };
    Sample { allocation: SpaceAllocation::new(at(minute), values.iter().map(value).collect()), interval_s: INTERVAL_S }
}

fn record(history: &mut History, seen: &Seen) {
    for (minute, values) in seen {
        history.record(&sample(*minute, values));
    }
}

fn runs(seen: &Seen) -> Vec<Run> {
    let mut history = History::default();
    record(&mut history, seen);
    history.runs().cloned().collect()
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn read(file: &str) -> Result<Given, FileError> {
    read_file(Cursor::new(file), &[acme(), "bolt".parse().unwrap()], INTERVAL_S, at(100_000))
}

/// The samples as a file. Answers without any type cannot stand in one.
fn file_of(seen: &Seen) -> String {
    let mut file = "tenant,space_type,observed_at,allocated_gb,total_gb\n".to_owned();
    for (minute, values) in seen.iter().rev() {
        for (space_type, allocated_gb) in values {
            file.extend([format!("acme,{space_type},{},{allocated_gb},9\n", at(*minute))]);
        }
    }
    file
}

fn given(seen: &Seen) -> Option<GivenHistory> {
    read(&file_of(seen)).unwrap().tenants.remove(&acme())
}

fn without_empty(mut seen: Seen) -> Seen {
    seen.retain(|_, values| !values.is_empty());
    seen
}

/// What an import takes away and what it leaves instead.
fn difference(before: &[Run], after: &[Run]) -> (Vec<Run>, Vec<Run>) {
    let only = |one: &[Run], other: &[Run]| one.iter().filter(|run| !other.contains(run)).cloned().collect();
    (only(before, after), only(after, before))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    /// Files of all types, without contradictions: as if everything had been recorded in the order of time.
    #[test]
    fn samples_become_what_recording_in_order_gives(mut recorded in seen(0..80), file in seen(0..80)) {
        // Of a type that is not there yet, or no longer, an answer without it leaves no trace.
        let mut listed = BTreeSet::from([0, 1]);
        recorded.retain(|_, values| {
            let leaves_traces = (0..2).all(|space_type| values.contains_key(&space_type) || listed.contains(&space_type));
            if leaves_traces {
                listed = values.keys().copied().collect();
            }
            leaves_traces
        });
        recorded.insert(-9, BTreeMap::from([(0, 0), (1, 0)]));
        let file: Seen = without_empty(file).into_iter().filter(|(minute, _)| !recorded.contains_key(minute)).collect();
        let named: BTreeSet<i32> = file.values().flat_map(|values| values.keys().copied()).collect();
        prop_assume!(named.len() == 2);
        let stored = runs(&recorded);
        let revision = given(&file).unwrap().revise(&stored, false);
        // A sample between two recorded ones of another value contradicts the run that they are.
        if revision.conflicts == 0 {
            let all: Seen = recorded.into_iter().chain(file).collect();
            prop_assert_eq!(bounds(&revision.runs), bounds(&runs(&all)));
        }
    }

    #[test]
    fn the_same_file_twice_changes_nothing_the_second_time(recorded in seen(0..80), file in seen(0..80), replace: bool) {
        let Some(given) = given(&without_empty(file)) else { return Ok(()) };
        let first = given.revise(&runs(&recorded), replace);
        if !replace && first.conflicts > 0 {
            return Ok(());
        }
        let second = given.revise(&first.runs, replace);
        prop_assert_eq!((second.new, second.conflicts, &second.runs), (0, 0, &first.runs));
    }

    #[test]
    fn replaced_or_not_the_file_is_right_where_it_speaks(recorded in seen(0..80), file in seen(0..80)) {
        let file = without_empty(file);
        let Some(given) = given(&file) else { return Ok(()) };
        let revision = given.revise(&runs(&recorded), true);
        let history: History = revision.runs.iter().cloned().collect();
        let named: BTreeSet<i32> = file.values().flat_map(|values| values.keys().copied()).collect();
        for (minute, values) in &file {
            let of_named = history.contradictions(&sample(*minute, values)).into_iter().filter(|c| named.contains(&c.space_type));
            prop_assert_eq!(of_named.count(), 0);
        }
    }

    #[test]
    fn exported_snapshots_become_the_same_runs_again(recorded in seen(0..80), other in seen(0..80)) {
        let exported: Vec<Run> = runs(&recorded).into_iter().map(|run| Run { ended_at: None, ..run }).collect();
        prop_assume!(!exported.is_empty());
        let given = GivenHistory::Runs(exported.clone());
        let fresh = given.revise(&[], false);
        prop_assert_eq!((&fresh.runs, fresh.new), (&exported, exported.len() as u64));
        let again = given.revise(&runs(&recorded), false);
        prop_assert_eq!((again.runs, again.new, again.conflicts), (runs(&recorded), 0, 0));
        for replace in [false, true] {
            let first = given.revise(&runs(&other), replace);
            if replace || first.conflicts == 0 {
                let second = given.revise(&first.runs, replace);
                prop_assert_eq!((second.new, second.conflicts, &second.runs), (0, 0, &first.runs));
            }
        }
    }

    #[test]
    fn an_import_that_is_taken_back_leaves_what_was_before(recorded in seen(0..80), file in seen(0..80), as_runs: bool) {
        let file = without_empty(file);
        let given = if as_runs { Some(GivenHistory::Runs(runs(&file))).filter(|_| !file.is_empty()) } else { given(&file) };
        let Some(given) = given else { return Ok(()) };
        let before = runs(&recorded);
        let after = given.revise(&before, true).runs;
        let (removed, added) = difference(&before, &after);
        prop_assert_eq!(undo(&after, &added, &removed), Ok(before));
    }

    /// Live samples follow: what they say stays, and nothing of the import does.
    #[test]
    fn what_was_recorded_since_stays(recorded in seen(0..60), file in seen(0..60), mut live in seen(60..80)) {
        // Where the import ended a type, a later answer without it leaves no trace.
        live.insert(60, BTreeMap::from([(0, 0), (1, 0)]));
        let file = without_empty(file);
        let file_ends_at_59 = file.get(&59).is_some_and(|values| values.len() == 2);
        let Some(given) = given(&file) else { return Ok(()) };
        let before = runs(&recorded);
        let after = given.revise(&before, true).runs;
        let (removed, added) = difference(&before, &after);
        let mut history: History = after.into_iter().collect();
        record(&mut history, &live);
        let now: Vec<Run> = history.runs().cloned().collect();
        let mut without: History = before.into_iter().collect();
        record(&mut without, &live);
        let without: Vec<Run> = without.runs().cloned().collect();
        match undo(&now, &added, &removed) {
            Ok(undone) => prop_assert_eq!(segments(&undone, at(200)), segments(&without, at(200))),
            // They are told apart for sure if they came one interval after the other from the import on.
            Err(_) => prop_assert!(!file_ends_at_59 || live.keys().zip(60..).any(|(minute, expected)| *minute != expected)),
        }
    }
}

/// Runs without their counts: a sample inside of a run may have been recorded before, so it is not counted.
fn bounds(runs: &[Run]) -> Vec<Run> {
    runs.iter().map(|run| Run { samples: 0, ..run.clone() }).collect()
}

#[test]
fn a_line_is_bounded_and_so_is_what_a_message_repeats() {
    let names = "tenant,space_type,observed_at,allocated_gb,total_gb\n";
    let long = "x".repeat(2_000_000);
    let object = r#"{"tenant":"acme","space_type":0,"observed_at":"2026-03-01T00:00:00Z","allocated_gb":1,"total_gb":2}"#;
    for (file, line, told) in [
        (format!("{names}acme,0,2026-03-01T00:00:00Z,1,\"{long}"), 2, "is longer than 1 MiB"),
        (format!("{names}acme,0,2026-03-01T00:00:00Z,1,2\nacme,0,{long},1,2\n"), 3, "is longer than 1 MiB"),
        (long.clone(), 1, "is longer than 1 MiB"),
        (format!("{{\"tenant\":\"{long}\"}}"), 1, "is longer than 1 MiB"),
        (format!("{names}acme,0,2026-03-01T00:00:00Z,1,{}\n", &long[..5000]), 2, "total_gb: \"xxx"),
        (format!("{names}acme,0,{},1,2\n", &long[..5000]), 2, "observed_at: \"xxx"),
        (format!("{names}{},0,2026-03-01T00:00:00Z,1,2\n", &long[..5000]), 2, "tenant: the config has no tenant"),
        (format!("{names}acme,0,2026-03-01T00:00:00Z,1,\u{202e}7\n"), 2, "total_gb: \"\\u{202e}7\""),
        (
            format!("{names}acme,0,-000044-03-15T00:00:00Z,1,2\n"),
            2,
            "observed_at: \"-000044-03-15T00:00:00Z\" is not a date and time",
        ),
        (format!("{names}acme,0,0000-12-30T23:59:59Z,1,2\n"), 2, "observed_at: \"0000-12-30T23:59:59Z\" is not a date and time"),
        (format!("{{\"{}\":1}}\n", &long[..5000]), 1, "there is no column"),
        (format!("{object}\n{}", object.replacen('{', "{\"tenant\":\"b\",", 1)), 2, "it has the field \"tenant\" twice"),
        (format!("{object}\n\"{}\"", &long[..5000]), 2, "is no JSON object: invalid type: string \"xxx"),
        (format!("{object}\n\"\u{202e}\""), 2, "is no JSON object: invalid type: string \"\\u{202e}\""),
        (format!("{names}acme,0,2026-03-01T00:00:00Z,-1,2\n"), 2, "allocated_gb: \"-1\" is no whole number from 0 on"),
        (
            format!("{names}acme,0,2026-03-01T00:00:00Z,9223372036854775808,2\n"),
            2,
            "allocated_gb: \"9223372036854775808\" is no whole number",
        ),
    ] {
        let error = read(&file).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.mend.contains(told), "{error}");
        assert!(error.mend.chars().count() < 450, "{error}");
    }
    assert!(read(&format!("{names}acme,0,0001-01-01T00:00:00Z,9223372036854775807,9223372036854775807\n")).is_ok());
    // Lines as long as they may be, many of them.
    let line = format!("acme,0,2026-03-01T00:00:00Z,1,2{}\n", " ".repeat(1_000_000));
    assert_eq!(read(&format!("{names}{}", line.repeat(3))).unwrap().lines, 3);
}

#[test]
fn more_types_than_a_history_takes_are_refused_with_their_line() {
    let names = "tenant,space_type,observed_at,allocated_gb,total_gb\n";
    let lines = |types: std::ops::Range<u32>, minute: u32| {
        types.map(|t| format!("acme,{t},2026-03-01T00:{minute:02}:00Z,1,2\n")).collect::<Vec<_>>().concat()
    };
    assert!(read(&format!("{names}{}", lines(0..64, 0))).is_ok());
    let error = read(&format!("{names}{}", lines(0..65, 0))).unwrap_err();
    assert_eq!((error.line, error.mend.as_str()), (66, "tenant acme has more than 64 space types at this instant"));
    let many: String = (0..5).map(|round| lines(round * 60..round * 60 + 60, round)).collect();
    let error = read(&format!("{names}{many}")).unwrap_err();
    assert_eq!((error.line, error.mend.as_str()), (258, "tenant acme has more than 256 space types; a history takes no more"));
}
