//! Tenants and secrets that change while `serve` runs.

use serde_json::{Value, json};

use crate::support::app::tenant;
use crate::support::site::Site;

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
