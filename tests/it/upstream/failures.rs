//! Every way in which the upstream fails, with its error code and its exact number of requests.

use std::time::Duration;

use quotagraph::koodrive::{Account, Cause, Credential, Settings, Verdict};
use quotagraph::simulator::{Behaviour, Garbage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{World, healthy, quick};

/// What is asked of the simulator, then the API's error code, the upstream's own code, and the requests that it takes.
type Row = (Behaviour, &'static str, Option<&'static str>, u64);

fn status(status: u16) -> Behaviour {
    Behaviour { status: Some(status), ..healthy() }
}

fn html(behaviour: Behaviour) -> Behaviour {
    Behaviour { garbage: Some(Garbage::Html), ..behaviour }
}

async fn assert_rows(rows: Vec<Row>) {
    let world = World::of(rows.len(), quick()).await;
    for (i, (behaviour, code, upstream_code, requests)) in rows.into_iter().enumerate() {
        let row = format!("{behaviour:?}");
        world.behave(i, behaviour);
        let failure = world.call(i).await.unwrap_err();
        assert_eq!(failure.verdict.code(), code, "{row}: {failure}");
        assert_eq!(failure.verdict.upstream_code().as_deref(), upstream_code, "{row}: {failure}");
        assert_eq!(world.tenant(i).hits(), requests, "{row}: {failure}");
        assert_eq!(u64::from(failure.attempts), requests, "{row}: {failure}");
        let last_seen = world.tenant(i).requests().pop().and_then(|request| request.trace_id);
        assert_eq!(failure.trace_id, last_seen, "{row}: the trace id is that of the last request");
        assert_eq!(world.tenant(i).refused(), 0, "{row}: every request was signed well");
    }
}

#[tokio::test]
async fn a_business_error_is_rejected_with_its_code_and_not_repeated() {
    let code = |code| Behaviour { code: Some(code), ..healthy() };
    assert_rows(vec![
        (code(13_000_301), "UPSTREAM_REJECTED", Some("13000301"), 1),
        (code(13_000_102), "UPSTREAM_REJECTED", Some("13000102"), 1),
    ])
    .await;
}

#[tokio::test]
async fn a_refusal_is_rejected_and_not_repeated() {
    assert_rows(vec![
        (status(400), "UPSTREAM_REJECTED", Some("APIGW.0201"), 1),
        (status(401), "UPSTREAM_REJECTED", Some("APIGW.0301"), 1),
        (status(403), "UPSTREAM_REJECTED", Some("APIGW.0302"), 1),
        (status(404), "UPSTREAM_REJECTED", Some("APIGW.0101"), 1),
        (html(status(403)), "UPSTREAM_REJECTED", Some("403"), 1),
    ])
    .await;
}

#[tokio::test]
async fn a_server_error_is_unavailable_and_repeated() {
    assert_rows(vec![
        (status(408), "UPSTREAM_UNAVAILABLE", Some("APIGW.0201"), 3),
        (status(500), "UPSTREAM_UNAVAILABLE", Some("APIGW.0201"), 3),
        (status(502), "UPSTREAM_UNAVAILABLE", Some("APIGW.0201"), 3),
        (html(status(502)), "UPSTREAM_UNAVAILABLE", Some("502"), 3),
        (status(503), "UPSTREAM_UNAVAILABLE", Some("APIGW.0201"), 3),
        (Behaviour { retry_after_s: Some(600), ..status(503) }, "UPSTREAM_UNAVAILABLE", Some("APIGW.0201"), 1),
        (html(status(504)), "UPSTREAM_UNAVAILABLE", Some("504"), 3),
        (Behaviour { drop: true, ..healthy() }, "UPSTREAM_UNAVAILABLE", None, 3),
    ])
    .await;
}

#[tokio::test]
async fn too_many_requests_is_overloaded_and_repeated_only_if_the_wait_fits() {
    assert_rows(vec![
        (status(429), "UPSTREAM_OVERLOADED", Some("APIGW.0308"), 3),
        (Behaviour { retry_after_s: Some(0), ..status(429) }, "UPSTREAM_OVERLOADED", Some("APIGW.0308"), 3),
        (Behaviour { retry_after_s: Some(60), ..status(429) }, "UPSTREAM_OVERLOADED", Some("APIGW.0308"), 1),
    ])
    .await;
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_invalid_and_not_repeated() {
    let garbage = |garbage| (Behaviour { garbage: Some(garbage), ..healthy() }, "UPSTREAM_INVALID", None, 1);
    assert_rows(Garbage::ALL.into_iter().map(garbage).collect()).await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    assert_rows([301, 302, 307, 308].map(|code| (status(code), "UPSTREAM_INVALID", None, 1)).into()).await;
}

#[tokio::test]
async fn a_request_that_does_not_pass_authentication_is_rejected_once() {
    let world = World::of(1, quick()).await;
    let app = |app_id: &str, secret: &str| Credential::App { app_id: app_id.into(), app_secret: secret.to_owned().into() };
    let token = Credential::Token { token: "no such token".into(), prefix: "Bearer+".into() };
    let account = world.account(0);
    let wrong = [
        (Account { credential: app("app-0", "wrong"), ..account.clone() }, "APIGW.0303"),
        (Account { credential: app("app-9", "secret of 0"), ..account.clone() }, "APIGW.0301"),
        (Account { credential: token, ..account.clone() }, "APIGW.0301"),
        (Account { user_id: "1505084218764500001".into(), ..account }, "APIGW.0301"),
    ];
    for (account, upstream_code) in wrong {
        let failure = world.client.space_allocation(&account).await.unwrap_err();
        assert_eq!(failure.verdict.code(), "UPSTREAM_REJECTED", "{failure}");
        assert_eq!(failure.verdict.upstream_code().as_deref(), Some(upstream_code), "{failure}");
        assert_eq!(failure.attempts, 1, "{failure}");
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen_by_the_caller() {
    let world = World::of(2, quick()).await;
    world.behave(0, Behaviour { fail_times: Some(2), ..status(503) });
    world.behave(1, Behaviour { fail_times: Some(1), drop: true, ..healthy() });
    assert_eq!(world.call(0).await.unwrap().allocated_gb(), 1000);
    assert_eq!(world.call(1).await.unwrap().allocated_gb(), 1001);
    assert_eq!([world.tenant(0).hits(), world.tenant(1).hits()], [3, 2]);
    let metrics = world.metrics();
    for line in [
        "quotagraph_upstream_requests_total{verdict=\"good\"} 2",
        "quotagraph_upstream_requests_total{verdict=\"unreachable\"} 3",
        "quotagraph_upstream_retries_total 3",
        "quotagraph_upstream_in_flight_requests 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn a_slow_upstream_times_out_each_time() {
    let world = World::of(1, Settings { attempt_timeout: Duration::from_millis(150), ..quick() }).await;
    world.behave(0, Behaviour { delay_ms: 600_000, ..healthy() });
    let failure = world.call(0).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unreachable { cause: Cause::TimedOut, retry_after: None });
    assert_eq!((failure.attempts, world.tenant(0).hits()), (3, 3));
}

#[tokio::test]
async fn a_body_that_stops_in_the_middle_times_out_each_time() {
    let world = World::of(1, Settings { attempt_timeout: Duration::from_millis(150), ..quick() }).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        let mut stalled = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_exact(&mut [0; 100]).await.unwrap();
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"code\":0,").await.unwrap();
            stalled.push(connection);
        }
    });
    let failure = world.client.space_allocation(&Account { endpoint, ..world.account(0) }).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unreachable { cause: Cause::TimedOut, retry_after: None });
    assert_eq!(failure.attempts, 3);
    server.abort();
}

#[tokio::test]
async fn the_total_time_out_ends_a_call_in_the_middle_of_a_request() {
    let world = World::of(1, Settings { total_timeout: Duration::from_millis(300), ..quick() }).await;
    world.behave(0, Behaviour { delay_ms: 600_000, ..healthy() });
    let failure = world.call(0).await.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unreachable { cause: Cause::TimedOut, retry_after: None });
    assert_eq!(failure.attempts, 1);
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_tried_again() {
    let world = World::of(1, quick()).await;
    let account = world.account(0);
    let client = world.client.clone();
    world.simulator.stop().await;
    let failure = client.space_allocation(&account).await.unwrap_err();
    assert_eq!(failure.verdict.code(), "UPSTREAM_UNAVAILABLE");
    assert!(
        matches!(&failure.verdict, Verdict::Unreachable { cause: Cause::Connection(text), .. } if text.contains("refused")),
        "{failure}"
    );
    assert_eq!(failure.attempts, 3);
}

#[tokio::test]
async fn an_account_of_which_no_request_can_be_made_is_unavailable_and_nothing_is_sent() {
    let world = World::of(1, quick()).await;
    let account = Account { user_id: "line\nbreak".into(), ..world.account(0) };
    let failure = world.client.space_allocation(&account).await.unwrap_err();
    assert!(matches!(failure.verdict, Verdict::Unreachable { cause: Cause::Unsendable(_), .. }), "{failure}");
    assert_eq!((world.tenant(0).hits(), failure.attempts), (0, 0));
}

#[tokio::test]
async fn no_secret_is_in_a_failure_a_client_or_an_account() {
    let world = World::of(1, quick()).await;
    world.behave(0, status(401));
    let failure = world.call(0).await.unwrap_err();
    let texts = [format!("{failure:?} {failure}"), format!("{:?}", world.client), format!("{:?}", world.account(0))];
    for text in texts {
        assert!(!text.contains("secret of 0") && !text.contains("Signature="), "{text}");
    }
}
