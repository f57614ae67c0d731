//! An account that cannot be reached, or asked us to wait, is left alone; the others are not.

use std::time::Duration;

use quotagraph::koodrive::{Account, Cause, Limit, Settings, Verdict};
use quotagraph::simulator::Behaviour;

use super::{World, healthy, quick};

fn impatient() -> Settings {
    Settings { breaker_failures: 3, retries: 1, ..quick() }
}

fn down() -> Behaviour {
    Behaviour { status: Some(503), ..healthy() }
}

fn breaker_open(seconds: u64) -> Verdict {
    Verdict::Unreachable { cause: Cause::BreakerOpen, retry_after: Some(Duration::from_secs(seconds)) }
}

#[tokio::test]
async fn after_some_failures_in_a_row_the_account_is_left_alone_and_then_probed() {
    let world = World::of(2, impatient()).await;
    world.behave(0, down());
    for requests in [2, 3] {
        world.call(0).await.unwrap_err();
        assert_eq!(world.tenant(0).hits(), requests, "the third failure ends the call");
    }
    world.advance(2);
    let failure = world.call(0).await.unwrap_err();
    assert_eq!((failure.verdict, failure.attempts, failure.trace_id), (breaker_open(3), 0, None));
    assert!(world.call(1).await.is_ok(), "another tenant of the same host");

    world.advance(3);
    let failure = world.call(0).await.unwrap_err();
    assert_eq!((failure.attempts, world.tenant(0).hits()), (1, 4), "a probe is one request");
    assert_eq!(world.call(0).await.unwrap_err().verdict, breaker_open(5));

    world.advance(5);
    world.behave(0, healthy());
    assert!(world.call(0).await.is_ok());
    assert!(world.call(0).await.is_ok());
    assert_eq!(world.tenant(0).hits(), 6);
    assert!(world.metrics().contains("quotagraph_upstream_withheld_calls_total{by=\"breaker\"} 2"));
}

#[tokio::test]
async fn a_new_generation_of_an_account_is_not_held_back_by_the_former() {
    let world = World::of(1, impatient()).await;
    world.behave(0, down());
    for _ in 0..2 {
        world.call(0).await.unwrap_err();
    }
    world.behave(0, healthy());
    assert_eq!(world.call(0).await.unwrap_err().verdict, breaker_open(5));
    assert!(world.client.space_allocation(&Account { generation: 2, ..world.account(0) }).await.is_ok());
}

#[tokio::test]
async fn accounts_that_are_no_longer_used_are_forgotten() {
    let world = World::of(2, impatient()).await;
    world.behave(0, down());
    for _ in 0..2 {
        world.call(0).await.unwrap_err();
    }
    world.client.retain([&world.account(0), &world.account(1)]);
    assert_eq!(world.call(0).await.unwrap_err().attempts, 0);
    world.client.retain([&world.account(1)]);
    assert_eq!(world.call(0).await.unwrap_err().attempts, 2);
}

#[tokio::test]
async fn a_tenant_that_is_to_wait_waits_alone() {
    let world = World::of(2, quick()).await;
    world.behave(0, Behaviour { status: Some(429), retry_after_s: Some(90), fail_times: Some(1), ..healthy() });
    let failure = world.call(0).await.unwrap_err();
    assert_eq!(failure.verdict.retry_after(), Some(Duration::from_secs(90)));
    world.advance(30);
    let failure = world.call(0).await.unwrap_err();
    let expected = Verdict::Overloaded { by: Limit::RetryAfter, retry_after: Some(Duration::from_mins(1)) };
    assert_eq!((failure.verdict, failure.attempts), (expected, 0));
    assert!(world.call(1).await.is_ok());
    world.advance(60);
    assert!(world.call(0).await.is_ok());
    assert_eq!(world.tenant(0).hits(), 2);
    assert!(world.metrics().contains("quotagraph_upstream_withheld_calls_total{by=\"retry_after\"} 1"));
}

#[tokio::test]
async fn a_call_that_is_given_up_as_a_probe_leaves_the_place_to_the_next() {
    let world = World::of(1, Settings { breaker_failures: 1, ..quick() }).await;
    world.behave(0, down());
    world.call(0).await.unwrap_err();
    world.advance(5);
    world.behave(0, Behaviour { delay_ms: 600_000, ..healthy() });
    let account = world.account(0);
    let given_up = tokio::time::timeout(Duration::from_millis(30), world.client.space_allocation(&account)).await;
    assert!(given_up.is_err());
    world.behave(0, healthy());
    assert!(world.call(0).await.is_ok());
}
