//! An upstream that answers by hand: over connections that die silently, with odd headers, with wrong dates, with odd bodies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use quotagraph::clock::TestClock;
use quotagraph::koodrive::{Client, Failure, Settings};
use quotagraph::metrics::UpstreamMetrics;
use quotagraph::quota::SpaceAllocation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::{now, quick, tenant};

const GOOD: &str = r#"{"code":0,"data":[{"type":0,"allocateCapacity":5,"totalCapacity":9}]}"#;

/// An answer with these lines in its head.
fn answer(lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{lines}\r\n{body}", body.len()).into_bytes()
}

/// How a server answers a request's head.
type Respond = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// A server that answers by hand, and a client of it.
struct ByHand {
    address: SocketAddr,
    connections: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
    /// Connections with a lower number are not answered any more after their first request, as if a NAT had forgotten them.
    dead_below: Arc<AtomicU32>,
    client: Client,
    clock: TestClock,
}

impl ByHand {
    async fn start(settings: Settings, respond: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_with_barrier(settings, None, Arc::new(respond)).await
    }

    /// With a barrier, requests are answered when so many are there.
    async fn start_with_barrier(settings: Settings, barrier: Option<Arc<Barrier>>, respond: Respond) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let [connections, requests, dead_below] = [(); 3].map(|()| Arc::new(AtomicU32::new(0)));
        let (opened, counted, dead) = (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&dead_below));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let number = opened.fetch_add(1, Ordering::SeqCst);
                let (respond, barrier, dead, counted) =
                    (Arc::clone(&respond), barrier.clone(), Arc::clone(&dead), Arc::clone(&counted));
                tokio::spawn(serve(connection, number, respond, barrier, dead, counted));
            }
        });
        let clock = TestClock::new(now());
        let metrics = UpstreamMetrics::register(&mut Registry::default());
        let client = Client::new(&settings, Arc::new(clock.clone()), metrics).unwrap();
        Self { address, connections, requests, dead_below, client, clock }
    }

    async fn call(&self) -> Result<SpaceAllocation, Failure> {
        self.call_for(0).await
    }

    async fn call_for(&self, i: usize) -> Result<SpaceAllocation, Failure> {
        let endpoint = format!("http://{}", self.address).parse().unwrap();
        self.client.space_allocation(&tenant(i).account(endpoint)).await
    }
}

async fn serve(
    mut connection: TcpStream,
    number: u32,
    respond: Respond,
    barrier: Option<Arc<Barrier>>,
    dead_below: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
) {
    let mut head = Vec::new();
    let mut answered = 0;
    while let Ok(byte) = connection.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        if answered > 0 && number < dead_below.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let answer = respond(std::str::from_utf8(&head).unwrap());
        head.clear();
        if let Some(barrier) = &barrier
            && number < 3
        {
            barrier.wait().await;
        }
        if connection.write_all(&answer).await.is_err() {
            return;
        }
        answered += 1;
    }
}

#[tokio::test]
async fn a_call_with_dead_pooled_connections_is_answered_after_one_time_out() {
    let settings = Settings { attempt_timeout: Duration::from_millis(500), ..quick() };
    let barrier = Arc::new(Barrier::new(3));
    let server = ByHand::start_with_barrier(settings, Some(barrier), Arc::new(|_| answer("", GOOD))).await;
    let (one, two, three) = tokio::join!(server.call(), server.call(), server.call());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);

    server.dead_below.store(3, Ordering::SeqCst);
    let started = std::time::Instant::now();
    server.call().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "one time-out and a new connection: {:?}", started.elapsed());
    assert_eq!((server.connections.load(Ordering::SeqCst), server.requests.load(Ordering::SeqCst)), (4, 5));
    server.call().await.unwrap();
    assert_eq!((server.connections.load(Ordering::SeqCst), server.requests.load(Ordering::SeqCst)), (4, 6), "the new one is kept");
}

#[tokio::test]
async fn a_repetition_after_a_time_out_uses_no_connection_that_another_call_has_opened() {
    let settings = Settings { attempt_timeout: Duration::from_millis(500), retries: 1, ..quick() };
    let server = ByHand::start(settings, |_| answer("", GOOD)).await;
    // Every connection is answered once.
    server.dead_below.store(u32::MAX, Ordering::SeqCst);
    let opening = (0..6).map(|i| server.call_for(i));
    assert!(futures_util::future::join_all(opening).await.iter().all(Result::is_ok));
    for _ in 0..3 {
        // One after the other, so that the first repetitions are answered before the last ones begin.
        let calls = (0..6).map(async |i| {
            tokio::time::sleep(Duration::from_millis(50) * i).await;
            server.call_for(usize::try_from(i).unwrap()).await
        });
        for answered in futures_util::future::join_all(calls).await {
            answered.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_with_hundreds_of_headers_is_read_and_one_without_end_is_not() {
    let lines = |count: usize| (0..count).map(|i| format!("X-Gateway-{i}: {i}\r\n")).collect::<Vec<_>>().concat();
    let (many, too_many) = (answer(&lines(500), GOOD), answer(&lines(60_000), GOOD));
    let server = ByHand::start(quick(), move |_| many.clone()).await;
    assert_eq!(server.call().await.unwrap().allocated_gb(), 5);
    let server = ByHand::start(Settings { retries: 0, ..quick() }, move |_| too_many.clone()).await;
    assert_eq!(server.call().await.unwrap_err().verdict.code(), "UPSTREAM_UNAVAILABLE");
}

/// Judges the date of a request as the real upstream does, by a clock that may be ours, and tells another one.
fn judge(head: &str, true_now: Timestamp, told: &str) -> Vec<u8> {
    let date =
        head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("x-date"))).unwrap().1;
    let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).unwrap();
    let date = jiff::tz::TimeZone::UTC.to_timestamp(date).unwrap();
    let behind = true_now.duration_since(date);
    if (SignedDuration::ZERO..SignedDuration::from_mins(15)).contains(&behind) {
        answer(&format!("Date: {told}\r\n"), GOOD)
    } else {
        format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nDate: {told}\r\n\r\n").into_bytes()
    }
}

#[tokio::test]
async fn a_wrong_date_of_the_upstream_fails_no_call() {
    for told in [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sun, 01 Jan 2040 00:00:00 GMT",
        "Sun, 29 Mar 2026 02:00:00 GMT",
        "Sat, 28 Mar 2026 12:00:00 GMT",
    ] {
        let server = ByHand::start(quick(), move |head| judge(head, now(), told)).await;
        for _ in 0..10 {
            server.call().await.unwrap_or_else(|failure| panic!("{told}: {failure}"));
        }
        assert!(server.requests.load(Ordering::SeqCst) <= 11, "{told}: at most one was refused");
    }
}

#[tokio::test]
async fn a_credential_that_is_refused_for_good_keeps_no_other_from_the_clock_that_is_right() {
    let day = SignedDuration::from_hours(24);
    // The instant by which the host judges, and what it tells: a wrong `Date`, one that cannot be, and a wrong clock of ours.
    for (judged_by, told) in [
        (now(), "Sun, 29 Mar 2026 01:09:58 GMT"),
        (now(), "Sun, 01 Jan 2040 00:00:00 GMT"),
        (now() + day * 2, "Tue, 31 Mar 2026 00:59:58 GMT"),
    ] {
        let bad = tenant(0).user_id;
        let server = ByHand::start(quick(), move |head| {
            let judged = judge(head, judged_by, told);
            let refused = || format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nDate: {told}\r\n\r\n").into_bytes();
            if head.contains(&bad) { refused() } else { judged }
        })
        .await;
        for round in 0..5 {
            server.call_for(0).await.unwrap_err();
            for good in [1, 2] {
                server.call_for(good).await.unwrap_or_else(|failure| panic!("{told}, round {round}: {failure}"));
            }
        }
        let requests = server.requests.load(Ordering::SeqCst);
        assert!(requests <= 15 + 2, "{told}: {requests}; one more for the host and one for the bad credential");
    }
}

#[tokio::test]
async fn whatever_retry_after_says_an_account_is_left_alone_for_an_hour_at_most() {
    for (value, waits) in [
        ("99999999999999999999999999", true),
        ("Sun, 01 Jan 2040 00:00:00 GMT", true),
        ("30", true),
        ("-1", false),
        ("Thu, 01 Jan 1970 00:00:00 GMT", false),
        ("soon\u{202e}", false),
        ("0x10", false),
    ] {
        let server = ByHand::start(Settings { retries: 0, ..quick() }, move |_| {
            // The date counts from our clock, since the upstream's is not to be believed.
            format!(
                "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nRetry-After: {value}\r\n\r\n"
            )
            .into_bytes()
        })
        .await;
        let failure = server.call().await.unwrap_err();
        assert_eq!(failure.verdict.code(), "UPSTREAM_OVERLOADED");
        assert!(failure.verdict.retry_after().unwrap_or_default() <= Duration::from_hours(1), "{value}");
        server.call().await.unwrap_err();
        assert_eq!(server.requests.load(Ordering::SeqCst), if waits { 1 } else { 2 }, "{value}");
        server.clock.advance(SignedDuration::from_secs(3601));
        server.call().await.unwrap_err();
        assert_eq!(server.requests.load(Ordering::SeqCst), if waits { 2 } else { 3 }, "{value}");
    }
}

#[tokio::test]
async fn odd_answers_are_failures_with_a_code_and_hold_up_nothing() {
    let deep = format!(r#"{{"code":0,"data":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    let nul = GOOD.replace("code", "co\0de");
    let gzip = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00".to_vec();
    let chunked = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes();
    let long = answer("", &" ".repeat(1024 * 1024 + 1));
    for (name, bytes, code) in [
        ("deep", answer("", &deep), "UPSTREAM_INVALID"),
        ("nul", answer("", &nul), "UPSTREAM_INVALID"),
        ("gzip", gzip, "UPSTREAM_INVALID"),
        ("too long", long, "UPSTREAM_INVALID"),
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), "UPSTREAM_INVALID"),
        (
            "redirect",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "UPSTREAM_INVALID",
        ),
        ("bad chunk", chunked("zz\r\nabc\r\n0\r\n\r\n"), "UPSTREAM_UNAVAILABLE"),
        ("huge chunk", chunked("ffffffffffffffffffff\r\nabc"), "UPSTREAM_UNAVAILABLE"),
        ("half a body", answer("", GOOD)[..90].to_vec(), "UPSTREAM_UNAVAILABLE"),
        ("no HTTP", b"\x16\x03\x01 not HTTP\r\n\r\n".to_vec(), "UPSTREAM_UNAVAILABLE"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(), "UPSTREAM_UNAVAILABLE"),
        ("endless hints", b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20_000), "UPSTREAM_UNAVAILABLE"),
    ] {
        let settings = Settings { retries: 0, attempt_timeout: Duration::from_millis(700), ..quick() };
        let server = ByHand::start(settings, move |_| bytes.clone()).await;
        let started = std::time::Instant::now();
        let failure = server.call().await.unwrap_err();
        assert_eq!(failure.verdict.code(), code, "{name}: {failure}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn the_type_of_the_content_and_the_coding_of_chunks_do_not_matter() {
    let chunked = GOOD.chars().map(|c| format!("1;ext=\"a\"\r\n{c}\r\n")).collect::<Vec<_>>().concat();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}0\r\nX-Trailer: t\r\n\r\n"
    );
    let server = ByHand::start(quick(), move |_| chunked.clone().into_bytes()).await;
    assert_eq!(server.call().await.unwrap().allocated_gb(), 5);
}

#[tokio::test]
async fn an_upstream_that_only_announces_answers_holds_up_nobody_longer_than_an_attempt() {
    // A whole second of work for the HTTP library, and more in a debug build, within which it looks at no clock.
    let hints = b"HTTP/1.1 103 E\r\n\r\n".repeat(60_000);
    let settings = Settings { retries: 0, attempt_timeout: Duration::from_millis(300), ..quick() };
    let server = ByHand::start(settings, move |_| hints.clone()).await;
    let started = std::time::Instant::now();
    let failure = server.call().await.unwrap_err();
    assert_eq!(failure.verdict.code(), "UPSTREAM_UNAVAILABLE", "{failure}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
