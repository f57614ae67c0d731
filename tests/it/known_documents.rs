//! Documents that clients need not send: automatic persisted queries and trusted documents.

use std::path::Path;
use std::sync::Arc;

use quotagraph::app::{App, AppError};
use quotagraph::config::{Config, TrustedDocuments};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::app::{Database, TestApp, World, tenant};

const DOCUMENT: &str = "query Q($id: ID) { tenant(id: $id) { id } }";

async fn start_with(configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start_with(configure).await;
    (world, app)
}

fn hash(document: &str) -> String {
    hex::encode(Sha256::digest(document))
}

fn extensions(document: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(document) } })
}

fn refusal(code: &str, message: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] })
}

async fn get(app: &TestApp, parameters: &[(&str, &str)]) -> (u16, Value) {
    let url = reqwest::Url::parse_with_params(&format!("{}/graphql", app.base), parameters).unwrap();
    let response = app.client.get(url).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn a_document_is_told_once_and_then_known_by_its_hash_to_post_and_get() {
    let (_world, app) = start_with(|_| {}).await;
    let by_hash = json!({ "extensions": extensions(DOCUMENT), "variables": { "id": "acme" } });
    let good = json!({ "data": { "tenant": { "id": "acme" } } });
    let unknown = (200, refusal("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"));
    assert_eq!(app.post(&by_hash).await, unknown);
    let told = json!({ "query": DOCUMENT, "extensions": extensions(DOCUMENT), "variables": { "id": "acme" } });
    assert_eq!(app.post(&told).await, (200, good.clone()));
    assert_eq!(app.post(&by_hash).await, (200, good.clone()));
    let parameters = [("extensions", &*extensions(DOCUMENT).to_string()), ("variables", "{\"id\":\"acme\"}")];
    assert_eq!(get(&app, &parameters).await, (200, good));
    let other = json!({ "extensions": extensions("{ __typename }") });
    assert_eq!(app.post(&json!([by_hash, other])).await.1[1], unknown.1);
    app.stop().await;
}

#[tokio::test]
async fn a_document_is_not_remembered_under_a_hash_that_is_not_its_own() {
    let (_world, app) = start_with(|_| {}).await;
    let lie = json!({ "query": "{ __typename }", "extensions": extensions(DOCUMENT) });
    assert_eq!(app.post(&lie).await, (400, refusal("BAD_USER_INPUT", "provided sha does not match query")));
    let (_, answer) = app.post(&json!({ "extensions": extensions(DOCUMENT) })).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    for (extension, mend) in [
        (json!({ "version": 2, "sha256Hash": hash(DOCUMENT) }), "extensions.persistedQuery.version: must be 1"),
        (json!({ "version": 1, "sha256Hash": "abc" }), "extensions.persistedQuery.sha256Hash: must be 64 hexadecimal digits"),
        (json!({ "version": 1 }), "extensions.persistedQuery.sha256Hash: must be 64 hexadecimal digits"),
        (json!(true), "extensions.persistedQuery.version: must be 1"),
    ] {
        let answer = app.post(&json!({ "query": DOCUMENT, "extensions": { "persistedQuery": extension } })).await;
        assert_eq!(answer, (400, refusal("BAD_USER_INPUT", mend)));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_mutation_by_its_hash_is_refused_to_get() {
    let (world, app) = start_with(|_| {}).await;
    let mutation = "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    assert_eq!(app.post(&json!({ "query": mutation, "extensions": extensions(mutation) })).await.0, 200);
    assert_eq!(get(&app, &[("extensions", &extensions(mutation).to_string())]).await.0, 405);
    assert_eq!(world.upstream("acme").hits(), 1);
    app.stop().await;
}

#[tokio::test]
async fn automatic_persisted_queries_can_be_switched_off() {
    let (_world, app) = start_with(|config| config.graphql.persisted_queries_bytes = 0).await;
    let unsupported = (200, refusal("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported"));
    assert_eq!(app.post(&json!({ "extensions": extensions(DOCUMENT) })).await, unsupported);
    assert_eq!(app.post(&json!({ "query": DOCUMENT, "extensions": extensions(DOCUMENT) })).await.0, 200);
    assert_eq!(app.post(&json!({ "extensions": extensions(DOCUMENT) })).await, unsupported);
    app.stop().await;
}

/// Trusts one document by a name of its own and one by its hash.
fn trust(config: &mut Config, folder: &Path, mode: TrustedDocuments) {
    let file = folder.join("documents.json");
    let by_hash = "{ tenant { name } }";
    std::fs::write(&file, json!({ "tenant-by-id": DOCUMENT, hash(by_hash): by_hash }).to_string()).unwrap();
    config.graphql.trusted_documents = mode;
    config.graphql.trusted_documents_file = Some(file);
}

#[tokio::test]
async fn trusted_documents_are_found_by_id_and_by_hash() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [TrustedDocuments::Allow, TrustedDocuments::Only] {
        let (_world, app) = start_with(|config| trust(config, folder.path(), mode)).await;
        let by_id = json!({ "documentId": "tenant-by-id", "variables": { "id": "acme" } });
        assert_eq!(app.post(&by_id).await, (200, json!({ "data": { "tenant": { "id": "acme" } } })));
        let parameters = [("documentId", "tenant-by-id"), ("variables", "{\"id\":\"nobody\"}")];
        assert_eq!(get(&app, &parameters).await, (200, json!({ "data": { "tenant": null } })));
        let name = json!({ "data": { "tenant": { "name": "acme Ltd" } } });
        assert_eq!(app.post(&json!({ "extensions": extensions("{ tenant { name } }") })).await, (200, name.clone()));
        assert_eq!(app.post(&json!({ "documentId": hash("{ tenant { name } }") })).await, (200, name));
        let both = json!({ "documentId": "tenant-by-id", "query": DOCUMENT });
        assert_eq!(app.post(&both).await, (400, refusal("BAD_USER_INPUT", "send query or documentId, not both")));
        app.stop().await;
    }
}

#[tokio::test]
async fn beside_trusted_documents_others_are_executed_when_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (_world, app) = start_with(|config| trust(config, folder.path(), TrustedDocuments::Allow)).await;
    app.data("{ __typename }").await;
    assert_eq!(app.post(&json!({ "query": "{ __typename }", "extensions": extensions("{ __typename }") })).await.0, 200);
    assert_eq!(app.post(&json!({ "extensions": extensions("{ __typename }") })).await.1["data"]["__typename"], "Query");
    let unknown = app.post(&json!({ "documentId": "nothing" })).await;
    assert_eq!(unknown, (200, refusal("PERSISTED_QUERY_NOT_FOUND", "there is no trusted document of this id")));
    app.stop().await;
}

#[tokio::test]
async fn nothing_but_trusted_documents_is_executed_when_they_alone_are() {
    let folder = tempfile::tempdir().unwrap();
    let (_world, app) = start_with(|config| trust(config, folder.path(), TrustedDocuments::Only)).await;
    let sentence = "only trusted documents are executed here: send the id of one as documentId, or have yours added";
    for body in [
        json!({ "query": "{ __typename }" }),
        json!({ "query": format!("{DOCUMENT} ") }),
        json!({ "query": "{ __typename }", "extensions": extensions("{ __typename }") }),
        json!({ "query": "{ __typename }", "extensions": extensions("{ tenant { name } }") }),
        json!({ "extensions": extensions("{ __typename }") }),
        json!({ "documentId": "nothing" }),
        json!({}),
    ] {
        assert_eq!(app.post(&body).await, (403, refusal("FORBIDDEN", sentence)), "{body}");
        assert_eq!(app.post(&json!([body])).await.1[0], refusal("FORBIDDEN", sentence), "{body}");
    }
    // The text of a trusted document is trusted.
    let text = json!({ "query": DOCUMENT, "variables": { "id": "acme" } });
    assert_eq!(app.post(&text).await, (200, json!({ "data": { "tenant": { "id": "acme" } } })));
    app.stop().await;
}

#[tokio::test]
async fn a_file_of_trusted_documents_that_cannot_be_used_keeps_the_service_from_starting() {
    let world = World::new(Database::sqlite(), Vec::new()).await;
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.graphql.trusted_documents = TrustedDocuments::Only;
    config.graphql.trusted_documents_file = Some("nowhere.json".into());
    let built = App::build(&config, Vec::new(), world.database.open().await, Arc::new(world.clock.clone())).await;
    let error = built.err().unwrap();
    assert!(matches!(error, AppError::Documents(_)));
    assert!(error.to_string().starts_with("graphql.trusted_documents_file: nowhere.json: cannot be read: "), "{error}");
}
