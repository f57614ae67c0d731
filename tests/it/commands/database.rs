//! `migrate`, and databases that cannot be used.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::support::postgres;
use crate::support::process::{self, Finished, quotagraph};

/// Runs a command with a config that names the database.
async fn run_with(folder: &tempfile::TempDir, settings: &str, command: &str) -> Finished {
    let config = folder.path().join("quotagraph.toml");
    std::fs::write(&config, format!("[database]\n{settings}")).unwrap();
    // It may hold a password, of which everybody else is warned.
    std::fs::set_permissions(config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ended = process::run(quotagraph(folder.path(), &[command]));
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("a command ends soon after database.acquire_timeout")
}

async fn migrate_twice(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("url = \"{url}\"");
    let finished = run_with(&folder, &settings, "migrate").await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert!(finished.stdout.starts_with("applied 0001_tenants_and_snapshots\n"), "{finished:?}");
    let finished = run_with(&folder, &settings, "migrate").await;
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "the database is up to date\n"));
}

#[tokio::test]
async fn migrate_says_which_in_sqlite() {
    migrate_twice("sqlite:quotagraph.db").await;
}

#[tokio::test]
async fn migrate_says_which_in_postgres() {
    migrate_twice(&postgres::database().await.url).await;
}

#[tokio::test]
async fn migrate_and_serve_refuse_what_is_not_theirs_or_too_new() {
    let given = postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&foreign).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("create table invoices (id integer)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let not_migrated = run_with(&folder, "url = \"sqlite:empty.db\"\nmigrate = false", "serve").await;
    assert!(not_migrated.sentence().contains("run `quotagraph migrate`"), "{not_migrated:?}");

    let in_postgres = format!("url = \"{}\"", given.url);
    run_with(&folder, &in_postgres, "migrate").await;
    let mut connection = PgConnection::connect(&given.url).await.unwrap();
    let newer = "insert into quotagraph_migrations (name, checksum) values ('9999_from_the_future', '')";
    sqlx::raw_sql(AssertSqlSafe(newer)).execute(&mut connection).await.unwrap();
    for command in ["migrate", "serve"] {
        let finished = run_with(&folder, "url = \"sqlite:foreign.db\"", command).await;
        let sentence = "the database holds tables that are not quotagraph's (invoices): give quotagraph a database of its own";
        assert_eq!(finished.sentence(), sentence);
        let finished = run_with(&folder, &in_postgres, command).await;
        assert!(
            finished.sentence().contains("newer version") && finished.sentence().contains("9999_from_the_future"),
            "{finished:?}"
        );
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_a_sentence_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, part) in [
        (
            "url = \"postgres://quota:hunter2@127.0.0.1:1/x\"\nacquire_timeout = \"500ms\"",
            "onnection refused (os error 111); see that the server runs and that database.url is right",
        ),
        ("url = \"postgres://quota:hunter2@127.0.0.1:port/x\"", "the database URL is not understood"),
        ("url = \"mysql://quota:hunter2@127.0.0.1/x\"", "database.url: must start with sqlite: or postgres://"),
        ("url = \"sqlite:nowhere/hunter.db\"", "nowhere/hunter.db cannot be opened: its folder must exist"),
        ("url = \"sqlite:quotagraph.toml\"", "quotagraph.toml is no SQLite database"),
    ] {
        for command in ["serve", "migrate"] {
            let finished = run_with(&folder, settings, command).await;
            assert!(finished.sentence().contains(part), "{finished:?}");
            assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
        }
    }
}
