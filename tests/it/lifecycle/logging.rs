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

#[tokio::test]
async fn what_is_logged_for_a_request_has_the_id_that_its_answer_has() {
    let settings = "collector.enabled = false\nupstream.retries = 0\nlog.format = \"json\"";
    let site = Site::serving(settings, &[tenant("acme", 1, 2)]).await;
    site.upstream("acme").set_behaviour(serde_json::from_value(json!({ "status": 503 })).unwrap()).unwrap();
    let service = site.serve().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let mut answered = Vec::new();
    for headers in [
        &[][..],
        &[("x-request-id", "a-portal:7")],
        &[("traceparent", &*parent)],
        &[("x-request-id", "a-portal:8"), ("traceparent", &parent)],
        &[("x-request-id", "no id"), ("traceparent", "nor this")],
    ] {
        let query = "{tenant(id:\"acme\"){spaceAllocation(maxAge:\"PT0S\",onFailure:ERROR){total}}}";
        let url = reqwest::Url::parse_with_params(&format!("{}/graphql", service.base), [("query", query)]).unwrap();
        let request = headers.iter().fold(service.client.get(url), |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        answered.push(response.headers()["x-request-id"].to_str().unwrap().to_owned());
        assert!(response.text().await.unwrap().contains("UPSTREAM_UNAVAILABLE"));
    }
    assert_eq!(answered[1..4], ["a-portal:7", trace, "a-portal:8"]);
    for made in [&answered[0], &answered[4]] {
        assert!(made.len() == 16 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
    }

    let finished = service.terminate().await;
    let lines: Vec<Value> = finished.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for id in &answered {
        let of_request: Vec<_> = lines.iter().filter(|line| line["request_id"] == id.as_str()).collect();
        for message in ["koodrive call failed", "graphql request with errors"] {
            assert!(of_request.iter().any(|line| line["message"] == message), "{id}: {}", finished.stderr);
        }
    }
    // What is done for nobody has no id.
    assert!(lines.iter().any(|line| line.get("request_id").is_none()), "{}", finished.stderr);
}
