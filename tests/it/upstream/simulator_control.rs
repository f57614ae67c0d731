//! The simulator's control API, for those who run it beside their portal.

use serde_json::{Value, json};

use super::raw::send;
use super::{World, quick};

async fn control(world: &World, method: &str, path: &str, body: &str) -> (u16, Value) {
    let host = [("Host".to_owned(), world.simulator.addr().to_string())];
    let answer = send(world.simulator.addr(), method, &format!("/simulator/tenants{path}"), &host, body).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn a_behaviour_is_set_shown_and_reset() {
    let world = World::of(2, quick()).await;
    let (status, shown) = control(&world, "PUT", "/t1", r#"{"status":503,"fail_times":1}"#).await;
    assert_eq!((status, &shown["behaviour"]["status"]), (200, &json!(503)));
    assert!(world.call(1).await.is_ok(), "the second request is answered");
    let (_, all) = control(&world, "GET", "", "").await;
    assert_eq!((&all[0]["id"], &all[0]["hits"]), (&json!("t0"), &json!(0)));
    assert_eq!((&all[1]["id"], &all[1]["hits"]), (&json!("t1"), &json!(2)));
    assert!(!all.to_string().contains("secret"));

    control(&world, "PUT", "/t1", r#"{"code":13000301,"clock_skew_s":-30}"#).await;
    assert_eq!(world.call(1).await.unwrap_err().verdict.upstream_code().as_deref(), Some("13000301"));
    let (status, _) = control(&world, "DELETE", "/t1", "").await;
    assert_eq!(status, 200);
    assert!(world.call(1).await.is_ok());
    let (_, shown) = control(&world, "GET", "/t1", "").await;
    assert_eq!(shown["behaviour"], json!({ "delay_ms": 0, "drop": false, "clock_skew_s": 0 }));
}

#[tokio::test]
async fn values_are_set_over_http() {
    let world = World::of(1, quick()).await;
    let body = r#"{"values":[{"type":3,"allocated_gb":7,"total_gb":9}],"form":"object_of_texts"}"#;
    assert_eq!(control(&world, "PUT", "/t0", body).await.0, 200);
    let allocation = world.call(0).await.unwrap();
    assert_eq!((allocation.by_type()[0].space_type, allocation.allocated_gb(), allocation.total_gb()), (3, 7, 9));
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_with_what_to_mend_and_changes_nothing() {
    let world = World::of(1, quick()).await;
    for (body, part) in [
        ("", "EOF while parsing"),
        ("{", "EOF while parsing"),
        (r#"{"stauts":503}"#, "unknown field `stauts`, expected one of `delay_ms`, `status`"),
        (r#"{"status":"503"}"#, "invalid type: string \"503\", expected u16"),
        (r#"{"status":200}"#, "status must be between 300 and 599"),
        (r#"{"garbage":"xml"}"#, "unknown variant `xml`, expected one of `html`"),
        (r#"{"fail_times":3}"#, "fail_times needs one of"),
        (r#"{"values":[{"type":0,"allocated_gb":-1,"total_gb":1}]}"#, "values must not be negative"),
    ] {
        let (status, answer) = control(&world, "PUT", "/t0", body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{body}: {answer}");
    }
    assert!(world.call(0).await.is_ok());
    assert_eq!(control(&world, "PUT", "/nobody", "{}").await.0, 404);
    assert_eq!(control(&world, "DELETE", "/nobody", "").await.0, 404);
    assert_eq!(control(&world, "GET", "/nobody", "").await.0, 404);
}

#[tokio::test]
async fn a_rate_limit_lets_so_many_requests_through_in_a_minute() {
    let world = World::of(2, quick()).await;
    control(&world, "PUT", "/t0", r#"{"rate_limit_per_minute":3,"retry_after_s":600}"#).await;
    for _ in 0..3 {
        assert!(world.call(0).await.is_ok());
    }
    let failure = world.call(0).await.unwrap_err();
    assert_eq!((failure.verdict.code(), failure.attempts), ("UPSTREAM_OVERLOADED", 1));
    assert!(world.call(1).await.is_ok());
    world.advance(600);
    assert!(world.call(0).await.is_ok());
}
