//! Tenants, secrets and trusted documents that change while `serve` runs.

use serde_json::{Value, json};

use crate::support::app::tenant;
use crate::support::site::{Service, Site};

const SETTINGS: &str = "collector.enabled = false\ntenants_file = \"tenants.toml\"";

fn answer(allocated: f64) -> Value {
    json!({ "data": { "tenant": { "spaceAllocation": { "allocated": allocated } } } })
}

/// A site whose upstream knows two tenants, of which the tenants file has the first.
async fn site_with_file() -> Site {
    let both = [tenant("acme", 1, 10), tenant("aurora-foods", 2, 10)];
    let site = Site::new("", &both).await;
    site.write("quotagraph.toml", &format!("server.listen = \"127.0.0.1:0\"\n{SETTINGS}\n"));
    site.write("tenants.toml", &site.tables(&both[..1]));
    site
}

#[tokio::test]
async fn a_tenant_that_is_added_to_the_file_answers_and_one_that_left_is_unknown() {
    let site = site_with_file().await;
    let mut service = site.serve().await;
    assert_eq!(service.allocated("acme").await, answer(1.0));
    assert_eq!(service.allocated("aurora-foods").await["errors"][0]["extensions"]["code"], Value::Null, "no such tenant");

    site.write("tenants.toml", &site.tables(&[tenant("aurora-foods", 2, 10)]));
    let line = service.process.stderr.line("the tenants were replaced").await;
    assert!(line.contains("tenants=1 added=1 removed=1 new_access=0"), "{line}");
    assert_eq!(service.allocated("aurora-foods").await, answer(2.0));
    assert_eq!(service.allocated("acme").await, json!({ "data": { "tenant": null } }));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_bad_version_is_refused_with_what_to_mend_and_the_old_one_stays() {
    let site = site_with_file().await;
    let mut service = site.serve().await;
    site.write("tenants.toml", &site.tables(&[tenant("acme", 1, 10)]).replace("user_id", "user"));
    let line = service.process.stderr.line("the former ones stay in force").await;
    assert!(line.contains("ERROR") && line.contains("tenants.toml: tenant acme: user: is not known"), "{line}");
    assert_eq!(service.allocated("acme").await, answer(1.0));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_hang_up_reads_the_tenants_again_and_the_service_goes_on() {
    let site = site_with_file().await;
    let mut service = site.serve().await;
    service.process.signal("HUP");
    let line = service.process.stderr.line("the tenants were replaced").await;
    assert!(line.contains("tenants=1 added=0 removed=0 new_access=0"), "{line}");
    assert_eq!(service.allocated("acme").await, answer(1.0));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_rotated_secret_is_used_from_then_on() {
    let site = site_with_file().await;
    site.write("acme.secret", "an older secret of acme");
    let mut service = site.serve().await;
    assert_eq!(service.allocated("acme").await["errors"][0]["extensions"]["code"], "UPSTREAM_REJECTED");
    site.write("acme.secret", "secret of acme");
    let line = service.process.stderr.line("the tenants were replaced").await;
    assert!(line.contains("added=0 removed=0 new_access=1"), "{line}");
    assert_eq!(service.allocated("acme").await, answer(1.0));
    assert_eq!(service.terminate().await.code, Some(0));
}

/// A service that executes nothing but the documents of a file.
async fn site_with_documents(documents: &Value) -> Site {
    let settings =
        "collector.enabled = false\ngraphql.trusted_documents = \"only\"\ngraphql.trusted_documents_file = \"documents.json\"";
    let site = Site::serving(settings, &[tenant("acme", 1, 10)]).await;
    site.write("documents.json", &documents.to_string());
    site
}

/// The answer to a trusted document by its id: its data, or the code of its error.
async fn answer_by_id(service: &Service, id: &str) -> Value {
    let body = json!({ "documentId": id }).to_string();
    let request = service.client.post(format!("{}/graphql", service.base)).header("content-type", "application/json").body(body);
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    if answer["data"].is_object() { answer["data"].clone() } else { answer["errors"][0]["extensions"]["code"].clone() }
}

#[tokio::test]
async fn a_hang_up_reads_the_trusted_documents_again() {
    let site = site_with_documents(&json!({ "a": "{ tenant { id } }", "b": "{ tenant { name } }" })).await;
    let mut service = site.serve().await;
    for _ in 0..3 {
        assert_eq!(answer_by_id(&service, "a").await, json!({ "tenant": { "id": "acme" } }));
        assert_eq!(answer_by_id(&service, "b").await, json!({ "tenant": { "name": "acme" } }));
        assert_eq!(answer_by_id(&service, "c").await, "FORBIDDEN");
        assert!(service.ask("{ tenant { id } }").await["data"].is_object(), "the text of a trusted document is trusted");
    }

    site.write("documents.json", &json!({ "a": "{ tenant { a: name } }", "c": "{ __typename }" }).to_string());
    service.process.signal("HUP");
    let line = service.process.stderr.line("the trusted documents were replaced").await;
    assert!(line.contains("documents=2"), "{line}");
    assert_eq!(answer_by_id(&service, "a").await, json!({ "tenant": { "a": "acme" } }));
    assert_eq!(answer_by_id(&service, "b").await, "FORBIDDEN");
    assert_eq!(answer_by_id(&service, "c").await, json!({ "__typename": "Query" }));
    assert_eq!(service.ask("{ tenant { id } }").await["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn trusted_documents_are_read_again_when_their_file_changes_and_what_was_kept_of_former_ones_is_not_given() {
    let site = site_with_documents(&json!({ "a": "{ tenant { id } }" })).await;
    let mut service = site.serve().await;
    for _ in 0..2 {
        assert_eq!(answer_by_id(&service, "a").await, json!({ "tenant": { "id": "acme" } }));
        assert!(service.ask("{ tenant { id } }").await["data"].is_object());
    }
    site.write("documents.json", &json!({ "a": "{ tenant { name } }" }).to_string());
    service.process.stderr.line("the trusted documents were replaced").await;
    assert_eq!(answer_by_id(&service, "a").await, json!({ "tenant": { "name": "acme" } }), "no answer to the former one is given");
    assert_eq!(service.ask("{ tenant { id } }").await["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let finished = service.terminate().await;
    assert_eq!((finished.code, finished.stderr.contains("the tenants were replaced")), (Some(0), false), "{}", finished.stderr);
}

#[tokio::test]
async fn a_broken_file_of_trusted_documents_is_refused_with_what_to_mend_and_the_old_one_stays() {
    let site = site_with_documents(&json!({ "a": "{ tenant { id } }" })).await;
    let mut service = site.serve().await;
    site.write("documents.json", &json!({ "a": "{ tenant { name }", "b": "{ __typename }" }).to_string());
    service.process.signal("HUP");
    let line = service.process.stderr.line("the trusted documents were not replaced; the former ones stay in force").await;
    let mend = "documents.json: the document a does not parse at its line 1, column 18";
    assert!(line.contains("ERROR") && line.contains("graphql.trusted_documents_file: ") && line.contains(mend), "{line}");
    // The tenants are read again all the same.
    service.process.stderr.line("the tenants were replaced").await;
    assert_eq!(answer_by_id(&service, "a").await, json!({ "tenant": { "id": "acme" } }));
    assert_eq!(answer_by_id(&service, "b").await, "FORBIDDEN");
    site.write("documents.json", &json!({ "b": "{ __typename }" }).to_string());
    service.process.stderr.line("the trusted documents were replaced").await;
    assert_eq!(answer_by_id(&service, "b").await, json!({ "__typename": "Query" }));
    assert_eq!(service.terminate().await.code, Some(0));
}
