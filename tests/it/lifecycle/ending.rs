//! Signals: what is under way ends well, everything observed is written, and a second signal waits for nothing.

use std::time::Duration;

use quotagraph::quota::TimeRange;
use quotagraph::store::{self, SharedStore};
use secrecy::SecretString;
use serde_json::json;

use crate::support::app::{TenantSetup, tenant};
use crate::support::process::until;
use crate::support::site::{Service, Site};

/// The database that a service has left.
async fn open(site: &Site) -> SharedStore {
    let url = format!("sqlite:{}", site.path().join("quotagraph.db").display());
    let settings = store::Settings {
        url: SecretString::from(url),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(10),
        listen: true,
    };
    store::open(&settings).await.unwrap()
}

/// How many samples a tenant's history holds.
async fn recorded(store: &SharedStore, id: &str) -> u64 {
    let all_time = TimeRange { from: jiff::Timestamp::MIN, to: jiff::Timestamp::MAX };
    let runs = store.runs(&[id.parse().unwrap()], all_time, None).await.unwrap();
    runs.iter().flat_map(|(_, runs)| runs).map(|run| u64::try_from(run.samples).unwrap()).sum()
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_its_value_recorded_before_the_end() {
    let site = Site::serving("collector.enabled = false", &[tenant("acme", 812, 2048)]).await;
    site.upstream("acme").set_behaviour(serde_json::from_value(json!({ "delay_ms": 1500 })).unwrap()).unwrap();
    let mut service = site.serve().await;
    let asking = tokio::spawn({
        let (client, base) = (service.client.clone(), service.base.clone());
        async move { crate::support::site::ask(&client, &base, "{ tenant(id: \"acme\") { spaceAllocation { allocated } } }").await }
    });
    until("the call of the upstream", async || site.upstream("acme").hits() == 1).await;
    service.process.signal("TERM");
    service.process.stderr.line("shutting down").await;
    let address = service.base.strip_prefix("http://").unwrap().to_owned();
    until("the end of listening", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    assert_eq!(asking.await.unwrap(), json!({ "data": { "tenant": { "spaceAllocation": { "allocated": 812.0 } } } }));
    let finished = service.process.end().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("everything is written; bye"), "{finished:?}");
    assert_eq!(recorded(&open(&site).await, "acme").await, 1);
}

#[tokio::test]
async fn everything_that_was_collected_is_in_the_database_after_the_end() {
    let tenants: Vec<TenantSetup> = (1..=20).map(|n| tenant(&format!("t{n}"), n, 100)).collect();
    let site = Site::serving("collector.interval = \"1s\"", &tenants).await;
    for tenant in &tenants {
        // Some are always under way.
        site.upstream(&tenant.id).set_behaviour(serde_json::from_value(json!({ "delay_ms": 400 })).unwrap()).unwrap();
    }
    let service = site.serve().await;
    until("two rounds", async || site.simulator.hits() >= 40).await;
    let finished = service.terminate().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let store = open(&site).await;
    for tenant in &tenants {
        assert_eq!(recorded(&store, &tenant.id).await, site.upstream(&tenant.id).hits(), "{}", tenant.id);
    }
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_shutdown_is_cut_off() {
    let settings = "collector.enabled = false\nserver.shutdown_timeout = \"200ms\"\nupstream.attempt_timeout = \"10m\"\nupstream.total_timeout = \"10m\"";
    let site = Site::serving(settings, &[tenant("acme", 1, 2)]).await;
    site.upstream("acme").set_behaviour(serde_json::from_value(json!({ "delay_ms": 600_000 })).unwrap()).unwrap();
    let service = site.serve().await;
    let request = service.client.get(format!("{}/graphql?query={{tenant(id:\"acme\"){{spaceAllocation{{total}}}}}}", service.base));
    let waiting = tokio::spawn(request.send());
    until("the call of the upstream", async || site.upstream("acme").hits() == 1).await;
    let finished = service.terminate().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("they are cut off"), "{finished:?}");
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_second_signal_ends_the_service_at_once() {
    let settings = "collector.enabled = false\nserver.shutdown_timeout = \"1h\"\nupstream.attempt_timeout = \"10m\"\nupstream.total_timeout = \"10m\"";
    for (second, code) in [("INT", 130), ("TERM", 143)] {
        let site = Site::serving(settings, &[tenant("acme", 1, 2)]).await;
        site.upstream("acme").set_behaviour(serde_json::from_value(json!({ "delay_ms": 600_000 })).unwrap()).unwrap();
        let mut service = site.serve().await;
        let request =
            service.client.get(format!("{}/graphql?query={{tenant(id:\"acme\"){{spaceAllocation{{total}}}}}}", service.base));
        let waiting = tokio::spawn(request.send());
        until("the call of the upstream", async || site.upstream("acme").hits() == 1).await;
        service.process.signal("TERM");
        service.process.stderr.line("shutting down").await;
        service.process.signal(second);
        let finished = service.process.end().await;
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert!(waiting.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_does_not_hold_up_the_end() {
    let site = Site::serving("server.shutdown_timeout = \"1h\"", &[tenant("acme", 1, 2)]).await;
    let service = site.serve().await;
    service.allocated("acme").await;
    let _idle = tokio::net::TcpStream::connect(service.base.strip_prefix("http://").unwrap()).await.unwrap();
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn balancers_are_told_of_the_end_while_everything_is_served_on() {
    let site = Site::serving("collector.enabled = false", &[tenant("acme", 812, 2048)]).await;
    let mut command = site.command(&["serve"]);
    command.env("QUOTAGRAPH_SERVER__DRAIN_DELAY", "2s");
    let service = Service::start(command).await;
    let ready = async || service.client.get(format!("{}/readyz", service.base)).send().await.map(|answer| answer.status().as_u16());
    assert_eq!(ready().await.unwrap(), 200);
    service.process.signal("TERM");
    until("the end of readiness", async || ready().await.is_ok_and(|status| status == 503)).await;
    let noticed = std::time::Instant::now();
    let report = service.client.get(format!("{}/readyz", service.base)).send().await.unwrap().text().await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["ready"], &report["checks"]["ending"]["ok"]), (&json!(false), &json!(false)), "{report}");
    assert_eq!(report["checks"]["ending"]["reason"], "the service is about to stop; send it no more requests");
    assert_eq!(service.allocated("acme").await, json!({ "data": { "tenant": { "spaceAllocation": { "allocated": 812.0 } } } }));
    let address = service.base.strip_prefix("http://").unwrap().to_owned();
    until("the end of listening", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    assert!(noticed.elapsed() > Duration::from_secs(1), "{:?}", noticed.elapsed());
    assert_eq!(service.process.end().await.code, Some(0));
}

#[tokio::test]
async fn an_interrupt_and_a_second_signal_wait_for_no_balancer() {
    for (first, second, code) in [("INT", None, 0), ("TERM", Some("TERM"), 143), ("TERM", Some("INT"), 130)] {
        let site = Site::serving("collector.enabled = false", &[tenant("acme", 1, 2)]).await;
        let mut command = site.command(&["serve"]);
        command.env("QUOTAGRAPH_SERVER__DRAIN_DELAY", "1h");
        let mut service = Service::start(command).await;
        service.process.signal(first);
        if let Some(second) = second {
            service.process.stderr.line("draining").await;
            service.process.signal(second);
        }
        assert_eq!(service.process.end().await.code, Some(code), "{first} {second:?}");
    }
}
