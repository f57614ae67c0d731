//! Help, wrong usage, and commands that need nothing.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

use crate::support::process::{quotagraph, run};

const COMMANDS: [&str; 11] =
    ["serve", "demo", "simulate", "check", "fetch", "sign", "export", "import", "migrate", "schema", "hash-key"];

#[tokio::test]
async fn every_command_has_a_help_text_and_the_first_page_names_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(quotagraph(folder.path(), &["--help"])).await;
    assert_eq!(first.code, Some(0));
    for command in COMMANDS {
        assert!(first.stdout.contains(&format!("\n  {command} ")), "{command}\n{}", first.stdout);
        let help = run(quotagraph(folder.path(), &[command, "--help"])).await;
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
        assert!(help.stdout.contains(&format!("Usage: quotagraph {command}")), "{}", help.stdout);
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{}", help.stdout);
        assert!(!help.stdout.contains("`SQLite`") && !help.stdout.contains("[`"), "{}", help.stdout);
    }
}

#[tokio::test]
async fn of_what_is_wrong_a_piece_is_repeated_and_nothing_that_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("\u{202e}\u{2028}\u{85}{}", "Q".repeat(10_000));
    let option = format!("--{long}");
    std::fs::write(folder.path().join("quotagraph.toml"), format!("upstream.ca_file = \"{}\"\n", "Q".repeat(10_000))).unwrap();
    for args in [
        &[&*long][..],
        &[&*option],
        &["serve", &long],
        &["import", "--interval", &long, "x"],
        &["demo", "--listen", &long],
        &["--config", &long, "check"],
        &["check"],
    ] {
        let finished = run(quotagraph(folder.path(), args)).await;
        assert!(finished.code.is_some_and(|code| code > 0));
        let pieces = finished.stderr.split(|c| c != 'Q').map(str::len);
        assert!((150..=200).contains(&pieces.max().unwrap()), "{finished:?}");
        assert!(!finished.stderr.contains(['\u{202e}', '\u{2028}', '\u{85}']), "{finished:?}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for args in
        [&["serv"][..], &["serve", "--port", "1"], &[], &["fetch"], &["demo", "--tenants", "0"], &["demo", "--listen", "8080"]]
    {
        let finished = run(quotagraph(folder.path(), args)).await;
        assert_eq!(finished.code, Some(2), "{args:?}: {finished:?}");
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.contains("--help") || finished.stderr.contains("Usage:"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn without_a_config_the_commands_that_need_one_say_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    for args in
        [&["serve"][..], &["check"], &["fetch", "acme"], &["sign", "acme"], &["export", "usage"], &["import", "-"], &["migrate"]]
    {
        let finished = run(quotagraph(folder.path(), args)).await;
        let sentence = finished.sentence();
        assert!(sentence.contains("quotagraph demo") && sentence.contains("quotagraph.example.toml"), "{sentence}");
        let finished = run(quotagraph(folder.path(), &[args, &["--config", "else.toml"]].concat())).await;
        assert!(finished.sentence().starts_with("else.toml: cannot be read"), "{finished:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test]
async fn schema_prints_the_committed_schema() {
    let folder = tempfile::tempdir().unwrap();
    let finished = run(quotagraph(folder.path(), &["schema"])).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert!(finished.stdout == include_str!("../../../schema.graphql"));
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = quotagraph(folder.path(), &["schema"]);
    let status = command.stdout(writer).kill_on_drop(true).status().await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn hash_key_hashes_the_key_of_stdin_and_makes_one_when_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let digest_of = |key: &str| hex::encode(Sha256::digest(key));
    let with_stdin = async |text: &str| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        let mut command = quotagraph(folder.path(), &["hash-key"]);
        let output = command.stdin(reader).kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success());
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (hash, said) = with_stdin("correct horse battery staple\n").await;
    assert_eq!((hash.trim_end(), said.as_str()), (digest_of("correct horse battery staple").as_str(), ""));

    let (hash, said) = with_stdin("").await;
    let key = said.lines().find_map(|line| line.strip_prefix("  ")).unwrap();
    assert_eq!(hash.trim_end(), digest_of(key));
    assert!(key.len() >= 32, "{key}");
    assert_ne!(with_stdin("").await.0, hash, "each key is new");
}
