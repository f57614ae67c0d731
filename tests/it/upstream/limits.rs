//! Our own limits for a host.

use std::time::Duration;

use futures_util::future::join_all;
use quotagraph::koodrive::{Limit, Settings, Verdict};
use quotagraph::simulator::Behaviour;

use super::{World, healthy, quick};

const OWN_LIMIT: Verdict = Verdict::Overloaded { by: Limit::Own, retry_after: None };

#[tokio::test]
async fn a_call_whose_turn_would_come_too_late_is_not_sent() {
    let world = World::of(5, Settings { requests_per_second: 1, total_timeout: Duration::from_millis(900), ..quick() }).await;
    let answers = join_all((0..5).map(|i| world.call(i))).await;
    let failures: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(failures.len(), 4);
    assert!(failures.iter().all(|failure| failure.verdict == OWN_LIMIT && failure.attempts == 0));
    assert_eq!(world.simulator.hits(), 1);
    assert!(world.metrics().contains("quotagraph_upstream_withheld_calls_total{by=\"own_limit\"} 4"));
}

#[tokio::test]
async fn no_more_requests_than_allowed_run_at_the_same_time() {
    let world = World::of(4, Settings { concurrency: 2, total_timeout: Duration::from_secs(2), ..quick() }).await;
    for i in 0..4 {
        world.behave(i, Behaviour { delay_ms: 600_000, ..healthy() });
    }
    let answers = join_all((0..4).map(|i| world.call(i))).await;
    assert_eq!(answers.iter().filter(|a| a.as_ref().is_err_and(|failure| failure.verdict == OWN_LIMIT)).count(), 2);
    assert_eq!(world.simulator.hits(), 2);
}

#[tokio::test]
async fn a_repetition_that_may_not_be_sent_leaves_the_verdict_of_the_request_before() {
    let world = World::of(1, Settings { requests_per_second: 1, total_timeout: Duration::from_millis(900), ..quick() }).await;
    world.behave(0, Behaviour { status: Some(502), ..healthy() });
    let failure = world.call(0).await.unwrap_err();
    assert_eq!((failure.verdict.code(), failure.attempts), ("UPSTREAM_UNAVAILABLE", 1));
}
