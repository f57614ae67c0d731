//! The simulator refuses what the real upstream would refuse.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use quotagraph::clock::{Clock, TestClock};
use quotagraph::koodrive::{ALLOCATION_PATH, Credential, signing};
use quotagraph::simulator::{SimulatedTenant, Simulator, Values, demo};

use super::raw::{Answer, send};
use super::{World, now, quick, tenant};

type Headers = Vec<(String, String)>;

fn x_date(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The headers of a good request of `t0`, dated `seconds` from the upstream's time.
fn headers(simulator: &Simulator, seconds: i64) -> Headers {
    let pairs = [
        ("Host", simulator.addr().to_string()),
        ("X-Date", x_date(now() + SignedDuration::from_secs(seconds))),
        ("X-User-Id", tenant(0).user_id),
    ];
    let mut headers: Headers = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    sign(&mut headers, ALLOCATION_PATH, "secret of 0");
    headers
}

/// Signs what is there.
fn sign(headers: &mut Headers, path: &str, secret: &str) {
    headers.retain(|(name, _)| name != "Authorization");
    let signed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let request = signing::Request { method: "GET", path, query: &[], headers: &signed, body: b"" };
    let authorization = signing::sign("app-0", &secret.to_owned().into(), &request).authorization;
    headers.push(("Authorization".to_owned(), authorization));
}

fn set(headers: &mut Headers, name: &str, value: &str) {
    headers.retain(|(n, _)| n != name);
    headers.push((name.to_owned(), value.to_owned()));
}

async fn get(simulator: &Simulator, headers: &Headers) -> Answer {
    send(simulator.addr(), "GET", ALLOCATION_PATH, headers, "").await
}

#[tokio::test]
async fn a_good_request_is_answered_and_dated_by_the_upstreams_clock() {
    let world = World::of(1, quick()).await;
    for seconds in [0, -1, -899] {
        let answer = get(&world.simulator, &headers(&world.simulator, seconds)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("Date"), Some("Sun, 29 Mar 2026 00:59:58 GMT"));
        assert_eq!(
            answer.body,
            r#"{"data":[{"type":0,"allocateCapacity":1000,"totalCapacity":5000}],"code":"0","msg":"Operation successful."}"#
        );
    }
}

#[tokio::test]
async fn dates_of_the_future_and_of_long_ago_are_refused() {
    let world = World::of(1, quick()).await;
    for seconds in [1, 60, -901, -86_400] {
        let answer = get(&world.simulator, &headers(&world.simulator, seconds)).await;
        assert_eq!(answer.status, 400, "{seconds}: {answer:?}");
        assert!(answer.body.contains(r#""error_code":"APIGW.0304""#), "{answer:?}");
    }
    for date in ["", "2026-03-29T00:59:58Z", "20260329T005958", "20260329T005958+", "20260230T005958Z", "20260329T0059x8Z"] {
        let mut headers = headers(&world.simulator, 0);
        set(&mut headers, "X-Date", date);
        sign(&mut headers, ALLOCATION_PATH, "secret of 0");
        assert_eq!(get(&world.simulator, &headers).await.status, 400, "{date}");
    }
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let world = World::of(1, quick()).await;
    let earlier = x_date(now() - SignedDuration::from_secs(30));
    for (name, value) in [("Host", "koodrive.example"), ("X-Date", earlier.as_str()), ("X-User-Id", "1505084218764547201")] {
        let mut headers = headers(&world.simulator, 0);
        set(&mut headers, name, value);
        assert_eq!(get(&world.simulator, &headers).await.status, 400, "{name}");
    }
    let mut headers = headers(&world.simulator, 0);
    sign(&mut headers, &format!("/x{ALLOCATION_PATH}"), "secret of 0");
    assert_eq!(get(&world.simulator, &headers).await.status, 400, "signed for another path");
    assert_eq!(world.tenant(0).refused(), 4);
}

#[tokio::test]
async fn a_signature_has_one_form_only() {
    let world = World::of(1, quick()).await;
    let good = headers(&world.simulator, 0);
    let authorization = good.last().unwrap().1.clone();
    let (start, signature) = authorization.rsplit_once('=').unwrap();
    for changed in [
        authorization.replace(',', ", "),
        authorization.replace("AppId", "appid"),
        authorization.replace(";x-user-id", ""),
        authorization.replace("host;x-date", "x-date;host"),
        authorization.replace("x-date", "X-Date"),
        format!("{start}={}", signature.to_uppercase()),
        format!("{start}={}", &signature[2..]),
        format!("{start}="),
        format!("{start}={signature},X=y"),
    ] {
        let mut headers = good.clone();
        set(&mut headers, "Authorization", &changed);
        assert_eq!(get(&world.simulator, &headers).await.status, 400, "{changed}");
    }
    for unsigned in ["Host", "X-Date", "X-User-Id"] {
        let mut headers = good.clone();
        let left_out = headers.remove(headers.iter().position(|(name, _)| name == unsigned).unwrap());
        sign(&mut headers, ALLOCATION_PATH, "secret of 0");
        headers.push(left_out);
        assert_eq!(get(&world.simulator, &headers).await.status, 400, "{unsigned} is not signed");
    }
}

#[tokio::test]
async fn who_is_not_known_is_not_authorised() {
    let world = World::of(1, quick()).await;
    let mut stranger = headers(&world.simulator, 0);
    let authorization = stranger.last().unwrap().1.replace("AppId=app-0", "AppId=app-1");
    set(&mut stranger, "Authorization", &authorization);
    let mut other_user = headers(&world.simulator, 0);
    set(&mut other_user, "X-User-Id", "1505084218764547201");
    sign(&mut other_user, ALLOCATION_PATH, "secret of 0");
    let mut nobody = headers(&world.simulator, 0);
    nobody.pop();
    for headers in [stranger, other_user, nobody] {
        let answer = get(&world.simulator, &headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(answer.body.contains(r#""error_code":"APIGW.0301""#), "{answer:?}");
    }
}

#[tokio::test]
async fn a_trace_id_has_58_characters_or_is_not_there() {
    let world = World::of(1, quick()).await;
    for (length, status) in [(58, 200), (57, 400), (59, 400), (0, 400)] {
        let mut headers = headers(&world.simulator, 0);
        headers.push(("X-Traceid".to_owned(), "t".repeat(length)));
        assert_eq!(get(&world.simulator, &headers).await.status, status, "{length}");
    }
}

#[tokio::test]
async fn other_routes_methods_and_queries_are_refused() {
    let world = World::of(1, quick()).await;
    let headers = headers(&world.simulator, 0);
    let queried = format!("{ALLOCATION_PATH}?tenant=t0");
    let with_slash = format!("{ALLOCATION_PATH}/");
    for (method, path, status) in [
        ("POST", ALLOCATION_PATH, 405),
        ("GET", queried.as_str(), 400),
        ("GET", with_slash.as_str(), 404),
        ("GET", "/koodrive/ose/v1/space/usage/overview", 404),
        ("GET", "/", 404),
    ] {
        assert_eq!(send(world.simulator.addr(), method, path, &headers, "").await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_demo_tenant_answers_what_its_model_says_and_fails_while_that_is_down() {
    let demo: Vec<_> = demo::demo_tenants(25);
    let world = World::with(demo.iter().map(|demo| demo.simulated.clone()).collect(), quick()).await;
    let with_gaps = demo.iter().position(|demo| demo.model.has_gaps).unwrap();
    let mut failures = 0;
    for _ in 0..60 {
        let live = world.call(with_gaps).await;
        assert_eq!(live.as_ref().ok().map(|a| a.by_type().to_vec()), demo[with_gaps].model.values(world.server_clock.now()));
        failures += u32::from(live.is_err_and(|failure| failure.verdict.code() == "UPSTREAM_UNAVAILABLE"));
        world.advance(3 * 3600);
    }
    assert!((1..30).contains(&failures), "{failures}");
    for i in (0..25).filter(|i| *i != with_gaps) {
        assert_eq!(Some(world.call(i).await.unwrap().by_type().to_vec()), demo[i].model.values(world.server_clock.now()));
    }
}

#[tokio::test]
async fn two_tenants_with_the_same_id_or_credential_are_refused_at_the_start() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let same_id = SimulatedTenant { id: tenant(0).id, ..tenant(1) };
    let same_app = SimulatedTenant {
        credential: Credential::App { app_id: "app-0".into(), app_secret: "other".into() },
        values: Values::Fixed(vec![]),
        ..tenant(1)
    };
    for second in [same_id, same_app] {
        let clock = Arc::new(TestClock::new(now()));
        let error = Simulator::start(listen, vec![tenant(0), second], clock).await.unwrap_err();
        assert!(error.to_string().contains("of another"), "{error}");
    }
}
