//! `import`

use jiff::{SignedDuration, Timestamp};
use quotagraph::quota::retention::Grain;
use quotagraph::quota::{Label, Run, Tenant, TimeRange};
use quotagraph::store::{Observation, Retention};

use crate::support::app::tenant;
use crate::support::histories::{chance, random_samples, runs_of};
use crate::support::postgres;
use crate::support::process::{self, Finished};
use crate::support::site::Site;

const SAMPLES: &str = "total_gb,tenant,observed_at,space_type,allocated_gb
100,acme,2026-03-01T00:05:00Z,0,10
100,acme,2026-03-01T01:00:00+01:00,0,10
100,bolt,2026-03-01T00:00:00Z,0,7
100,acme,2026-03-01T00:10:00Z,0,11
";

async fn site() -> Site {
    let site = Site::new("database.url = \"sqlite:quotagraph.db\"", &[tenant("acme", 1, 2), tenant("bolt", 1, 2)]).await;
    site.store("quotagraph.db").await.close().await;
    site.write("samples.csv", SAMPLES);
    site
}

/// All runs of a tenant.
async fn runs(site: &Site, id: &str) -> Vec<Run> {
    let store = site.store("quotagraph.db").await;
    let always = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
    let found = store.runs(&[id.parse().unwrap()], always, None).await.unwrap();
    store.close().await;
    found.into_iter().next().map(|(_, runs)| runs).unwrap_or_default()
}

/// What the runs of a type are, in short: first and last minute of the day, allocated, samples.
fn short(runs: &[Run]) -> Vec<(i64, i64, i64, i64)> {
    let minute = |at: Timestamp| at.duration_since("2026-03-01T00:00:00Z".parse().unwrap()).as_mins();
    runs.iter().map(|run| (minute(run.first_at), minute(run.last_at), run.allocated_gb, run.samples)).collect()
}

async fn done(site: &Site, args: &[&str]) -> String {
    let finished = site.run(&[&["import"], args].concat()).await;
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{args:?}: {finished:?}");
    finished.stdout
}

async fn refused(site: &Site, args: &[&str]) -> String {
    let finished: Finished = site.run(&[&["import"], args].concat()).await;
    finished.sentence().to_owned()
}

#[tokio::test]
async fn without_apply_nothing_is_written_and_with_it_all_of_it_once() {
    let site = site().await;
    let said = done(&site, &["samples.csv"]).await;
    assert_eq!(
        said,
        "4 lines of samples\n\
         tenant         new   unchanged   conflicts\n\
         acme             3           0           0\n\
         bolt             1           0           0\n\
         nothing was written: add --apply to change 2 tenants\n"
    );
    assert_eq!(runs(&site, "acme").await, []);
    let said = done(&site, &["samples.csv", "--apply"]).await;
    assert!(said.ends_with("import 1 is done; `quotagraph import --undo 1` takes it back\n"), "{said}");
    let after = runs(&site, "acme").await;
    assert_eq!(short(&after), [(0, 5, 10, 2), (10, 10, 11, 1)]);
    assert_eq!(after[0].interval_s, 300);
    for args in [&["samples.csv", "--apply"][..], &["samples.csv"], &["samples.csv", "--apply", "--replace"]] {
        let said = done(&site, args).await;
        assert!(said.contains("acme             0           3           0\n"), "{said}");
        assert!(said.ends_with("there is nothing to do: all of it is recorded\n"), "{said}");
    }
    assert_eq!(runs(&site, "acme").await, after);
    let said = done(&site, &["--list"]).await;
    assert!(said.starts_with("1  20") && said.ends_with("Z  samples.csv  2 tenants\n") && said.lines().count() == 1, "{said}");
}

#[tokio::test]
async fn conflicts_are_listed_and_need_replace_and_an_undo_brings_back_what_was() {
    let site = site().await;
    done(&site, &["samples.csv", "--apply"]).await;
    let before = runs(&site, "acme").await;
    let other = "{\"tenant\":\"acme\",\"space_type\":0,\"observed_at\":\"2026-03-01T00:05:00Z\",\"allocated_gb\":12,\"total_gb\":100.0}\n\n\
                 {\"total_gb\":100,\"tenant\":\"acme\",\"space_type\":0,\"observed_at\":\"2026-03-01T00:15:00Z\",\"allocated_gb\":\"11\"}\n";
    site.write("other.ndjson", other);
    let conflict = "conflict of acme, space type 0 at 2026-03-01T00:05:00Z: recorded 10 of 100 GB, given 12 of 100 GB\n";
    let said = done(&site, &["other.ndjson"]).await;
    assert!(said.contains("acme             1           0           1\n") && said.contains(conflict), "{said}");
    let sentence = refused(&site, &["other.ndjson", "--apply"]).await;
    assert_eq!(
        sentence,
        "1 of the samples contradict what is recorded; nothing was written; add --replace to let the file be right"
    );
    assert_eq!(runs(&site, "acme").await, before);

    // What lies between two samples of an unbroken stretch gives way as well.
    let said = done(&site, &["other.ndjson", "--apply", "--replace"]).await;
    assert!(said.contains("import 2 is done"), "{said}");
    assert_eq!(short(&runs(&site, "acme").await), [(0, 0, 10, 1), (5, 5, 12, 1), (15, 15, 11, 1)]);
    assert!(done(&site, &["other.ndjson", "--apply", "--replace"]).await.contains("there is nothing to do"));

    assert!(
        refused(&site, &["--undo", "1"]).await.starts_with("import 1 cannot be taken back exactly: of tenant acme, space type 0")
    );
    assert_eq!(done(&site, &["--undo", "2"]).await, "import 2 was taken back\n");
    assert_eq!(runs(&site, "acme").await, before);
    assert!(refused(&site, &["--undo", "2"]).await.starts_with("import 2 was taken back already, at 20"));
    assert_eq!(done(&site, &["--undo", "1"]).await, "import 1 was taken back\n");
    assert_eq!((runs(&site, "acme").await, runs(&site, "bolt").await), (vec![], vec![]));
    assert!(refused(&site, &["--undo", "7"]).await.starts_with("there is no import 7;"));
    let listed = done(&site, &["--list"]).await;
    assert_eq!((listed.lines().count(), listed.matches("  taken back 20").count()), (2, 2), "{listed}");
}

#[tokio::test]
async fn what_is_recorded_after_an_import_stays_when_it_is_taken_back() {
    let site = site().await;
    done(&site, &["samples.csv", "--apply"]).await;
    let store = site.store("quotagraph.db").await;
    let live = |minute: i64, allocated_gb: i64| {
        let at = "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute);
        let value = quotagraph::quota::SpaceTypeAllocation { space_type: 0, allocated_gb, total_gb: 100 };
        let allocation = quotagraph::quota::SpaceAllocation::new(at, vec![value]);
        let sample = quotagraph::quota::Sample { allocation, interval_s: 300 };
        Observation { tenant: "acme".parse().unwrap(), attempted_at: at, outcome: Ok(sample), next_due_at: None }
    };
    store.record(&[live(15, 11), live(20, 11), live(25, 12)]).await.unwrap();
    store.close().await;
    assert_eq!(short(&runs(&site, "acme").await), [(0, 5, 10, 2), (10, 20, 11, 3), (25, 25, 12, 1)]);
    done(&site, &["--undo", "1"]).await;
    assert_eq!(short(&runs(&site, "acme").await), [(15, 20, 11, 2), (25, 25, 12, 1)]);
}

#[tokio::test]
async fn an_import_that_was_thinned_since_is_not_taken_back() {
    let site = site().await;
    let values = (0..12).map(|place| format!("acme,0,2026-03-01T00:{:02}:00Z,{},100\n", place * 5, place % 3));
    let file = "tenant,space_type,observed_at,allocated_gb,total_gb\n".to_owned() + &values.collect::<String>();
    site.write("busy.csv", &file);
    done(&site, &["busy.csv", "--apply"]).await;
    let store = site.store("quotagraph.db").await;
    let thin_before = Some(("2026-03-02T00:00:00Z".parse().unwrap(), Grain::Hour));
    store.retain(&"acme".parse().unwrap(), &Retention { keep_from: None, thin_before }).await.unwrap();
    store.close().await;
    let thinned = runs(&site, "acme").await;
    assert!(thinned.len() < 12, "{thinned:?}");
    let refusal = refused(&site, &["--undo", "1"]).await;
    let expected = "import 1 cannot be taken back exactly: history of tenant acme in it was thinned or forgotten since";
    assert!(refusal.starts_with(expected), "{refusal}");
    assert_eq!(runs(&site, "acme").await, thinned);
}

#[tokio::test]
async fn a_bad_line_is_named_and_nothing_is_written() {
    let site = site().await;
    for (line, sentence) in [
        ("100,acme,2026-03-01T00:20:00Z,0,ten", "line 6: allocated_gb: \"ten\" is no whole number from 0 on"),
        ("100,acme,2026-03-01T00:20:00Z,0,-1", "line 6: allocated_gb: \"-1\" is no whole number from 0 on"),
        ("100,acme,2026-03-01T00:20:00Z,0,1.5", "line 6: allocated_gb: \"1.5\" is no whole number"),
        ("100,acme,2026-03-01 00:20,0,1", "line 6: observed_at: \"2026-03-01 00:20\" is not a date and time"),
        ("100,acme,2999-03-01T00:20:00Z,0,1", "line 6: observed_at: 2999-03-01T00:20:00Z lies in the future"),
        ("100,acme,2026-03-01T00:20:00Z,,1", "line 6: space_type: \"\" is no whole number"),
        ("100,nobody,2026-03-01T00:20:00Z,0,1", "line 6: tenant: the config has no tenant \"nobody\"; add it there first"),
        ("100,acme,2026-03-01T00:20:00Z,0", "line 6: has 4 cells where 5 belong"),
        ("100,acme,2026-03-01T00:05:00Z,0,99", "line 6: says something else than line 2"),
    ] {
        site.write("bad.csv", &format!("{SAMPLES}{line}\n"));
        let said = refused(&site, &["bad.csv", "--apply"]).await;
        assert!(said.starts_with(&format!("bad.csv, {sentence}")) && said.ends_with("; nothing was written"), "{said}");
    }
    for (file, sentence) in [
        ("tenant,space_type,observed_at,allocated_gb\n", "line 1: there is no column total_gb; samples have tenant,"),
        ("tenant,space_type,observed_at,allocated_gb,total_gb,note\n", "line 1: there is no use for the column \"note\""),
        ("{\"tenant\":\"acme\"}\n", "line 1: there is no column space_type"),
        ("{\"tenant\":\n", "line 1: is no JSON object"),
        ("PAR1\u{0}", "line 1: is Parquet; CSV and NDJSON can be imported"),
        (
            "tenant,space_type,first_observed_at,last_observed_at,interval_s,observations,allocated_gb,total_gb\n\
             acme,0,2026-03-01T00:00:00Z,2026-03-01T00:10:00Z,300,3,1,2\nacme,0,2026-03-01T00:10:00Z,2026-03-01T00:10:00Z,300,1,1,2\n",
            "line 3: overlaps with line 2",
        ),
    ] {
        site.write("bad.csv", file);
        let said = refused(&site, &["bad.csv", "--apply"]).await;
        assert!(said.starts_with(&format!("bad.csv, {sentence}")), "{said}");
    }
    assert_eq!(runs(&site, "acme").await, []);
    assert!(refused(&site, &["nowhere.csv"]).await.starts_with("cannot read nowhere.csv"));
    let finished = process::run(site.command(&["import", "samples.csv", "--interval", "90ms"])).await;
    assert_eq!(finished.code, Some(2));
    let finished = process::run(site.command(&["import", "samples.csv", "--interval", "PT5M"])).await;
    assert!(finished.code == Some(2) && finished.stderr.contains("must be a duration such as 30s or 5m"), "{finished:?}");
}

#[tokio::test]
async fn a_type_that_the_file_names_has_ended_where_it_is_not_listed_and_others_are_left_alone() {
    let site = site().await;
    site.write("both.csv", "tenant,space_type,observed_at,allocated_gb,total_gb\nacme,0,2026-03-01T00:00:00Z,1,9\nacme,1,2026-03-01T00:00:00Z,5,9\nacme,0,2026-03-01T00:05:00Z,1,9\n");
    site.write("one.csv", "tenant,space_type,observed_at,allocated_gb,total_gb\nacme,0,2026-03-01T00:10:00Z,1,9\n");
    done(&site, &["both.csv", "--apply"]).await;
    let ended = Some("2026-03-01T00:05:00Z".parse().unwrap());
    let ends = async || runs(&site, "acme").await.iter().map(|run| (run.space_type, run.samples, run.ended_at)).collect::<Vec<_>>();
    assert_eq!(ends().await, [(0, 2, None), (1, 1, ended)]);
    done(&site, &["one.csv", "--apply"]).await;
    assert_eq!(ends().await, [(0, 3, None), (1, 1, ended)]);
}

/// A history that was exported and imported elsewhere, from a pipe, is exported as the same file again.
#[tokio::test]
async fn an_export_of_snapshots_is_imported_into_another_database() {
    let from = site().await;
    let store = from.store("quotagraph.db").await;
    let known = ["acme", "bolt"].map(|id| Tenant { id: id.parse().unwrap(), name: id.to_owned(), labels: Vec::<Label>::new() });
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    store.register_tenants(&known, start).await.unwrap();
    for (seed, tenant) in (1..).zip(&known) {
        store.insert_runs(&tenant.id, &runs_of(&random_samples(&mut chance(seed), start, 200))).await.unwrap();
    }
    store.close().await;
    for format in ["csv", "ndjson"] {
        let exported = from.run(&["export", "snapshots", "--format", format]).await.stdout;
        assert!(exported.lines().count() > 100);
        let database = postgres::database().await;
        let settings = format!("database.url = \"{}\"", database.url);
        let to = Site::new(&settings, &[tenant("acme", 1, 2), tenant("bolt", 1, 2)]).await;
        to.run(&["migrate"]).await;
        to.write("runs", &exported);
        let mut command = to.command(&["import", "-", "--apply"]);
        let stdin = std::fs::File::open(to.path().join("runs")).unwrap();
        let imported = command.stdin(stdin).kill_on_drop(true).output().await.unwrap();
        assert!(imported.status.success(), "{imported:?}");
        let again = to.run(&["export", "snapshots", "--format", format]).await;
        assert!(again.stdout == exported, "{format}: {again:?}");
        assert!(to.run(&["import", "runs", "--apply"]).await.stdout.ends_with("there is nothing to do: all of it is recorded\n"));
        assert_eq!(to.run(&["import", "--undo", "1"]).await.stdout, "import 1 was taken back\n");
        let header = usize::from(format == "csv");
        assert_eq!(to.run(&["export", "snapshots", "--format", format]).await.stdout.lines().count(), header);
    }
}
