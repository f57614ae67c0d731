//! What `serve` logs.

use serde_json::{Value, json};

use crate::support::app::tenant;
use crate::support::site::Site;

#[tokio::test]
async fn json_lines_are_objects_and_a_failed_call_carries_the_trace_id_that_the_upstream_saw() {
    let settings = "collector.enabled = false\nupstream.retries = 0\nlog.format = \"json\"";
    let site = Site::serving(settings, &[tenant("acme", 1, 2)]).await;
    site.upstream("acme").set_behaviour(serde_json::from_value(json!({ "status": 503 })).unwrap()).unwrap();
    let service = site.serve().await;
    assert_eq!(service.allocated("acme").await["errors"][0]["extensions"]["code"], "UPSTREAM_UNAVAILABLE");
    let finished = service.terminate().await;

    let lines: Vec<Value> = finished.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} is missing in {line}");
        }
    }
    let failed: Vec<_> = lines.iter().filter(|line| line["message"] == "koodrive call failed").collect();
    let seen = site.upstream("acme").requests();
    assert_eq!((failed.len(), seen.len()), (1, 1));
    assert_eq!((&failed[0]["level"], failed[0]["trace_id"].as_str()), (&json!("WARN"), seen[0].trace_id.as_deref()));
    assert_eq!((&failed[0]["tenant"], &failed[0]["code"]), (&json!("acme"), &json!("UPSTREAM_UNAVAILABLE")));
}

#[tokio::test]
async fn at_debug_an_answered_call_carries_its_trace_id_too_and_at_info_nothing_is_said_of_it() {
    for (filter, lines) in [("info,quotagraph::koodrive=debug", 1), ("info", 0)] {
        let site = Site::serving(&format!("collector.enabled = false\nlog.filter = \"{filter}\""), &[tenant("acme", 1, 2)]).await;
        let service = site.serve().await;
        service.allocated("acme").await;
        let trace_id = site.upstream("acme").requests()[0].trace_id.clone().unwrap();
        let finished = service.terminate().await;
        assert_eq!(finished.stderr.lines().filter(|line| line.contains(&trace_id)).count(), lines, "{}", finished.stderr);
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let site = Site::serving("log.filter = \"trace\"\ncollector.interval = \"1s\"", &[tenant("acme", 1, 2)]).await;
    let service = site.serve().await;
    service.allocated("acme").await;
    // Ending it looks for secrets.
    let finished = service.terminate().await;
    assert!(finished.stderr.contains("DEBUG"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("Signature="), "a signature is in the log");
}

#[tokio::test]
async fn an_unusable_log_filter_is_a_sentence() {
    let site = Site::serving("log.filter = \"inof\"", &[tenant("acme", 1, 2)]).await;
    assert!(site.run(&["serve"]).await.sentence().contains("log.filter: must be a level"));
}
