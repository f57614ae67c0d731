//! `export`

use jiff::SignedDuration;
use quotagraph::export::{SNAPSHOT_COLUMNS, USAGE_COLUMNS};
use tokio::process::Command;

use crate::support::app::tenant;
use crate::support::histories::{chance, random_samples, runs_of};
use crate::support::process;
use crate::support::site::Site;
use crate::support::table::read_table;

const FROM: &str = "2026-03-01T00:00:00Z";
const TO: &str = "2026-03-08T00:00:00Z";

/// A site with two weeks of history from the first of March 2026 on, of two tenants.
async fn site() -> Site {
    let mut bolt = tenant("bolt", 1, 2);
    bolt.labels = vec![("region", "cn-north-4")];
    let site =
        Site::serving("database.url = \"sqlite:quotagraph.db\"\ncollector.enabled = false", &[tenant("acme", 1, 2), bolt]).await;
    let store = site.store("quotagraph.db").await;
    let mut chance = chance(7);
    let known: Vec<_> = ["acme", "bolt"]
        .map(|id| quotagraph::quota::Tenant {
            id: id.parse().unwrap(),
            name: id.to_owned(),
            labels: vec![quotagraph::quota::Label { key: "of".to_owned(), value: id.to_owned() }],
        })
        .to_vec();
    store.register_tenants(&known, FROM.parse().unwrap()).await.unwrap();
    for tenant in &known {
        let samples = random_samples(&mut chance, FROM.parse::<jiff::Timestamp>().unwrap() + SignedDuration::from_mins(7), 300);
        store.insert_runs(&tenant.id, &runs_of(&samples)).await.unwrap();
    }
    store.close().await;
    site
}

/// What a command prints, byte for byte.
async fn stdout(mut command: Command) -> Vec<u8> {
    let output = process::patiently("the end", command.kill_on_drop(true).output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    output.stdout
}

#[tokio::test]
async fn the_command_gives_the_bytes_that_the_service_gives() {
    let site = site().await;
    let service = site.serve().await;
    for format in ["csv", "ndjson", "parquet"] {
        for (args, path) in [
            (
                &[
                    "usage",
                    "--tenant",
                    "acme",
                    "--from",
                    FROM,
                    "--to",
                    TO,
                    "--interval",
                    "PT6H",
                    "--time-zone",
                    "Asia/Shanghai",
                    "--fill",
                    "last",
                    "--space-type",
                    "0",
                ][..],
                format!("usage?tenant=acme&from={FROM}&to={TO}&interval=PT6H&timeZone=Asia/Shanghai&fill=LAST&spaceType=0"),
            ),
            (&["snapshots", "--from", FROM, "--to", TO], format!("snapshots?from={FROM}&to={TO}")),
        ] {
            let printed = stdout(site.command(&[&["export"], args, &["--format", format]].concat())).await;
            let url = format!("{}/v1/export/{path}&format={format}", service.base);
            let sent = service.client.get(url).send().await.unwrap().bytes().await.unwrap();
            assert!(printed == sent, "{path} as {format}: {} and {} bytes", printed.len(), sent.len());
            let columns = if args[0] == "usage" { USAGE_COLUMNS } else { SNAPSHOT_COLUMNS };
            assert!(read_table(format, columns, &printed).len() >= 28);
        }
    }
    service.terminate().await;
}

#[tokio::test]
async fn a_file_has_the_form_of_its_ending_and_is_there_once_it_is_whole() {
    let site = site().await;
    let finished = site.run(&["export", "snapshots", "--output", "runs.parquet", "--label", "of=bolt"]).await;
    assert_eq!((finished.code, &*finished.stdout), (Some(0), ""));
    let table = read_table("parquet", SNAPSHOT_COLUMNS, &std::fs::read(site.path().join("runs.parquet")).unwrap());
    assert_eq!(finished.stderr, format!("wrote {} rows to runs.parquet\n", table.len()));
    assert!(table.len() > 50 && table.iter().all(|row| row[0] == "bolt"));
    assert!(!site.path().join("runs.parquet.partial").exists());
    let finished = site.run(&["export", "snapshots", "--output", "nowhere/runs.csv"]).await;
    assert!(finished.sentence().starts_with("cannot write nowhere/runs.csv.partial"), "{finished:?}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let site = site().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = site.command(&["export", "snapshots"]);
    let status = command.stdout(writer).kill_on_drop(true).status().await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn what_is_wrong_is_named_as_on_the_command_line() {
    let site = site().await;
    for (args, sentence) in [
        (&["usage", "--time-zone", "Mars"][..], "--time-zone: there is no time zone \"Mars\""),
        (&["usage", "--interval", "PT7H"], "--interval: \"PT7H\": an interval of hours"),
        (&["usage", "--space-type", "x"], "--space-type: must be the number of a space type, found \"x\""),
        (&["snapshots", "--tenant", "nobody"], "--tenant: there is no tenant \"nobody\""),
        (&["snapshots", "--label", "tier=1"], "--label: no tenant has a label \"tier\""),
        (&["snapshots", "--from", TO, "--to", FROM], "--to: must be after from"),
        (&["snapshots", "--format", "xml"], "--format: \"xml\" is no format"),
    ] {
        let finished = site.run(&[&["export"], args].concat()).await;
        assert!(finished.sentence().starts_with(sentence), "{args:?}: {finished:?}");
    }
    let finished = process::run(site.command(&["export", "snapshots", "--interval", "P1D"])).await;
    assert_eq!(finished.code, Some(2), "snapshots have no interval");
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_not_exported() {
    let site = Site::new("database.url = \"sqlite:empty.db\"", &[tenant("acme", 1, 2)]).await;
    site.write("empty.db", "");
    let finished = site.run(&["export", "usage"]).await;
    assert!(finished.sentence().contains("run `quotagraph migrate`"), "{finished:?}");
}

#[tokio::test]
async fn a_database_file_that_is_not_there_is_named_by_its_whole_path_and_not_made() {
    let site = Site::new("", &[tenant("acme", 1, 2)]).await;
    site.write("samples.csv", "tenant,space_type,observed_at,allocated_gb,total_gb\nacme,0,2026-03-01T00:10:00Z,1,9\n");
    let file = site.path().canonicalize().unwrap().join("quotagraph.db");
    for args in [&["export", "usage"][..], &["import", "--list"], &["import", "--undo", "1"], &["import", "samples.csv", "--apply"]]
    {
        let finished = site.run(args).await;
        let sentence = format!("there is no database file {}: run the command where the file is, ", file.display());
        assert!(finished.sentence().starts_with(&sentence), "{args:?}: {finished:?}");
        assert!(!file.exists(), "{args:?}");
    }
}
