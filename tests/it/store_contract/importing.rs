//! Imports: revisions of a tenant's runs that are kept and can be taken back.

use quotagraph::quota::Run;
use quotagraph::store::{ImportStep, ImportedRuns, StoreError};

use super::fleet::assert_log_agrees;
use super::{Home, at, history, id, run};

contract![
    a_revision_changes_runs_and_keeps_what_it_changed,
    a_revision_that_is_taken_back_leaves_no_trace_but_its_record,
    a_revision_that_declines_changes_nothing,
    a_tenant_that_is_not_registered_is_not_revised,
];

fn before() -> Vec<Run> {
    vec![run(0, 0, 300, 2, 1), run(0, 600, 900, 2, 3), run(0, 5000, 5300, 2, 9)]
}

/// The first run as it was, the second with another value, and one of a type that is new; the third lies outside.
fn after() -> Vec<Run> {
    vec![run(0, 0, 300, 2, 1), run(0, 600, 900, 2, 7), run(0, 5000, 5300, 2, 9), run(4, 600, 600, 1, 2)]
}

async fn a_revision_changes_runs_and_keeps_what_it_changed(home: Home) {
    let store = home.open_with(&["a", "b"]).await;
    store.insert_runs(&id("a"), &before()).await.unwrap();
    let import = store.begin_import("a.csv", at(7)).await.unwrap();
    let revise = |found: &[Run]| {
        assert_eq!(found, before(), "the stretch with the nearest run on either side");
        Some(after())
    };
    assert!(store.revise_runs(&id("a"), (at(500), at(900)), ImportStep::Apply(import), &revise).await.unwrap());
    assert_eq!(history(&store, "a").await, after());
    assert_log_agrees(&store, &["a", "b"]).await;

    let kept = ImportedRuns {
        removed: vec![before()[1].clone()],
        added: vec![after()[1].clone(), after()[3].clone()],
        are_reduced: false,
    };
    assert_eq!(store.imported_runs(import, &id("a")).await.unwrap(), kept);
    assert_eq!(store.imported_runs(import, &id("b")).await.unwrap(), ImportedRuns::default());
    let imports = store.imports().await.unwrap();
    assert_eq!(imports.len(), 1);
    assert_eq!((imports[0].id, &*imports[0].source, imports[0].imported_at), (import, "a.csv", at(7)));
    assert_eq!((imports[0].undone_at, &imports[0].tenants), (None, &vec![id("a")]));
}

async fn a_revision_that_is_taken_back_leaves_no_trace_but_its_record(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.insert_runs(&id("a"), &before()).await.unwrap();
    let first = store.begin_import("first", at(0)).await.unwrap();
    let second = store.begin_import("second", at(1)).await.unwrap();
    assert!(first < second);
    let shorter = |found: &[Run]| {
        assert_eq!(found, before(), "the run before the one that starts with the stretch is among them");
        Some(vec![before()[0].clone(), before()[2].clone()])
    };
    store.revise_runs(&id("a"), (at(600), at(900)), ImportStep::Apply(second), &shorter).await.unwrap();
    assert_log_agrees(&store, &["a"]).await;
    store.revise_runs(&id("a"), (at(600), at(900)), ImportStep::Undo(second), &|_| Some(before())).await.unwrap();
    store.end_undo(second, at(9)).await.unwrap();
    assert_eq!(history(&store, "a").await, before());
    assert_log_agrees(&store, &["a"]).await;
    assert_eq!(store.imported_runs(second, &id("a")).await.unwrap(), ImportedRuns::default());
    let imports = store.imports().await.unwrap();
    let told: Vec<_> = imports.iter().map(|import| (import.id, import.undone_at, import.tenants.len())).collect();
    assert_eq!(told, [(first, None, 0), (second, Some(at(9)), 0)]);
}

async fn a_revision_that_declines_changes_nothing(home: Home) {
    let store = home.open_with(&["a"]).await;
    store.insert_runs(&id("a"), &before()).await.unwrap();
    let import = store.begin_import("a.csv", at(0)).await.unwrap();
    assert!(!store.revise_runs(&id("a"), (at(0), at(900)), ImportStep::Apply(import), &|_| None).await.unwrap());
    assert_eq!(history(&store, "a").await, before());
    assert_eq!(store.imported_runs(import, &id("a")).await.unwrap(), ImportedRuns::default());
}

async fn a_tenant_that_is_not_registered_is_not_revised(home: Home) {
    let store = home.open_with(&["a"]).await;
    let import = store.begin_import("a.csv", at(0)).await.unwrap();
    let refused = store.revise_runs(&id("b"), (at(0), at(1)), ImportStep::Apply(import), &|_| Some(after())).await;
    assert!(matches!(refused, Err(StoreError::Unusable(sentence)) if sentence.contains("no tenant b")));
}
