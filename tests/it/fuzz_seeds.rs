//! The seeds of fuzzing, run as the fuzz targets run them, by any Rust and within seconds.

#[path = "../../fuzz/harness/mod.rs"]
mod harness;

use std::path::Path;

/// Runs every seed of a target; the name of one that fails is printed.
fn run_seeds(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{target} has {} seeds", files.len());
    for file in files {
        let input = std::fs::read(&file).unwrap();
        let outcome = std::panic::catch_unwind(|| run(&input));
        assert!(outcome.is_ok(), "the seed {} fails", file.display());
    }
}

#[test]
fn documents_do_no_harm() {
    run_seeds("documents", harness::documents);
}

#[test]
fn bodies_do_no_harm() {
    run_seeds("bodies", harness::bodies);
}

#[test]
fn messages_over_a_socket_do_no_harm() {
    run_seeds("socket_messages", harness::socket_messages);
}

#[test]
fn answers_of_the_upstream_do_no_harm() {
    run_seeds("upstream_answers", harness::upstream_answers);
}

#[test]
fn files_to_import_do_no_harm() {
    run_seeds("import_lines", harness::import_lines);
}

#[test]
fn parameters_of_exports_do_no_harm() {
    run_seeds("export_parameters", harness::export_parameters);
}

#[test]
fn config_files_do_no_harm() {
    run_seeds("config", harness::config);
}

#[test]
#[should_panic(expected = "seeds/config/auth fails")]
fn a_seed_that_fails_fails_its_test() {
    run_seeds("config", |_| panic!("found by a check of the harness"));
}
