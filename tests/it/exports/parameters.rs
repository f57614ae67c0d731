//! Bad input names the parameter and says what to mend.

use serde_json::Value;

use crate::support::app::{Database, World, tenant};

#[tokio::test]
async fn what_is_wrong_is_named() {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 10, 100)]).await;
    let app = world.start().await;
    for (path, sentence) in [
        ("usage?timeZone=Mars/Olympus", "timeZone: there is no time zone \"Mars/Olympus\""),
        ("usage?interval=PT0S", "interval: \"PT0S\": an interval must be longer than zero"),
        ("usage?interval=-P1D", "interval: \"-P1D\": an interval must not be negative"),
        ("usage?interval=5m", "interval: \"5m\": not an ISO 8601 duration"),
        ("usage?from=2020-01-01T00:00:00Z&interval=PT5M", "interval: at most 200000 points are given"),
        ("usage?from=2026-03-01T00:00:00Z&to=2026-03-01T00:00:00Z", "to: must be after from"),
        ("usage?from=2026-03-01T00:00:00Z&to=2026-02-01T00:00:00Z", "to: must be after from"),
        ("usage?from=2126-03-01T00:00:00Z", "from: must be in the past when to is not given"),
        ("usage?from=yesterday", "from: \"yesterday\" is not a date and time"),
        ("usage?fill=ZERO", "fill: is NONE or LAST"),
        ("usage?spaceType=big", "spaceType: must be the number of a space type, found \"big\""),
        ("usage?format=xlsx", "format: \"xlsx\" is no format; csv, ndjson and parquet are"),
        ("usage?tenants=acme", "tenants: there is no such parameter; there are tenant, label,"),
        ("usage?tenant=acme&from=2026-03-01T00:00:00Z&from=2026-03-01T00:00:00Z", "from: is given twice"),
        ("usage?tenant=nobody", "tenant: there is no tenant \"nobody\""),
        ("usage?label=region", "label: \"region\" is not KEY=VALUE"),
        ("usage?label=region%3Dcn", "label: no tenant has a label \"region\""),
        ("snapshots?interval=P1D", "interval: there is no such parameter"),
        ("snapshots?to=2026-03-01T00:00:00", "to: \"2026-03-01T00:00:00\" is not a date and time"),
        ("snapshots?from=2026-03-01T00:00:00Z&to=2026-02-01T00:00:00Z", "to: must be after from"),
    ] {
        let (status, body) = app.get(&format!("/v1/export/{path}")).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let error = &body["errors"][0];
        assert_eq!((status, error["extensions"]["code"].as_str()), (400, Some("BAD_USER_INPUT")), "{path}: {body}");
        assert!(error["message"].as_str().unwrap().starts_with(sentence), "{path}: {body}");
    }
    app.stop().await;
}
