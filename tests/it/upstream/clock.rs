//! Requests are dated by the upstream's clock, whatever ours shows.

use jiff::SignedDuration;
use quotagraph::clock::Clock;
use quotagraph::koodrive::{Account, Credential};
use quotagraph::simulator::Behaviour;

use super::{World, healthy, now, quick};

/// Calls a few times over some minutes while our clock is ahead of the upstream's, and gives the number of refused requests.
async fn call_with_clock_ahead(minutes: i64) -> u64 {
    let world = World::of(2, quick()).await;
    world.our_clock.advance(SignedDuration::from_mins(minutes));
    for round in 0..10 {
        let allocation = world.call(round % 2).await.unwrap();
        assert_eq!(allocation.observed_at(), world.our_clock.now());
        world.advance(37);
    }
    let refused = world.tenant(0).refused() + world.tenant(1).refused();
    for i in 0..2 {
        for request in world.tenant(i).requests().iter().skip(usize::try_from(refused).unwrap()) {
            assert!(request.date.unwrap() <= request.received, "{minutes} min ahead: {request:?}");
        }
    }
    refused
}

#[tokio::test]
async fn a_clock_that_is_not_far_off_costs_no_request() {
    for minutes in [0, -1, -10, 1] {
        assert_eq!(call_with_clock_ahead(minutes).await, 0, "{minutes} min");
    }
}

#[tokio::test]
async fn a_clock_that_is_far_off_costs_one_refused_request_over_all_tenants() {
    for minutes in [10, -20, 1440, -1440] {
        assert_eq!(call_with_clock_ahead(minutes).await, 1, "{minutes} min");
    }
}

#[tokio::test]
async fn an_upstream_clock_that_is_set_back_costs_one_refused_request() {
    let world = World::of(1, quick()).await;
    world.call(0).await.unwrap();
    world.server_clock.advance(SignedDuration::from_mins(-10));
    for _ in 0..3 {
        world.call(0).await.unwrap();
    }
    assert_eq!((world.tenant(0).hits(), world.tenant(0).refused()), (5, 1));
}

#[tokio::test]
async fn a_refusal_that_a_new_date_does_not_mend_is_repeated_once() {
    let world = World::of(2, quick()).await;
    world.our_clock.advance(SignedDuration::from_mins(10));
    let credential = Credential::App { app_id: "app-0".into(), app_secret: "wrong".into() };
    let failure = world.client.space_allocation(&Account { credential, ..world.account(0) }).await.unwrap_err();
    assert_eq!((failure.verdict.code(), world.tenant(0).hits()), ("UPSTREAM_REJECTED", 2));

    world.behave(1, Behaviour { status: Some(401), ..healthy() });
    for requests in [2, 3, 4] {
        world.call(1).await.unwrap_err();
        assert_eq!(world.tenant(1).hits(), requests, "a credential that is refused by both clocks is asked once from then on");
    }
}

#[tokio::test]
async fn the_offset_is_shown_per_host() {
    let world = World::of(1, quick()).await;
    world.server_clock.set(now() + SignedDuration::from_secs(120));
    world.call(0).await.unwrap();
    let host = world.simulator.addr();
    let line = format!("quotagraph_upstream_clock_offset_seconds{{host=\"{host}\"}} 119.25");
    assert!(world.metrics().contains(&line), "{line} is missing in\n{}", world.metrics());
    world.client.retain([]);
    assert!(!world.metrics().contains(&host.to_string()));
}
