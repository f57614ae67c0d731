//! One request and its answer over HTTP, before any judgement. The only file that names the HTTP client.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use rustls::ClientConfig;

use super::connections::Connections;
use super::request::SignedRequest;
use super::settings::Settings;
use super::threads::Threads;
use super::verdict::Cause;
use crate::clock::SharedClock;
use crate::proxy::Proxies;
use crate::tls::{self, BuildError};

/// The longest body that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most header lines that are read of an answer; a gateway or two add dozens. Together they take no more than 400 KiB, which the library sees to.
/// The library makes room for so many with each head that it reads, that of an interim answer too.
const MAX_HEADERS: usize = 512;
/// A connection that was idle for longer is not used again.
const IDLE_AT_MOST: Duration = Duration::from_mins(1);
/// When an idle connection is first asked whether it still lives, how often then, and after how many questions without an answer it is dead.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);
/// The longest wait that an upstream can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// How long a request that is over its time may take to say so itself.
const GRACE: Duration = Duration::from_millis(250);
/// A `Date` that is further from our clock is not what a `Retry-After` counts from.
const PLAUSIBLE: SignedDuration = SignedDuration::from_hours(36);

/// The HTTP client.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    /// The client of all hosts whose connections have not been left behind.
    shared: reqwest::Client,
    threads: Arc<Threads>,
    tls: ClientConfig,
    connect_timeout: Duration,
    proxies: Proxies,
}

/// Over which connection a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Any that is open, or a new one.
    Pooled,
    /// One that is opened for it.
    Fresh,
}

/// An answer, as much of it as came.
#[derive(Debug)]
pub(super) struct UpstreamAnswer {
    pub(super) status: u16,
    /// The `Date` header, if it is one.
    pub(super) date: Option<Timestamp>,
    /// When the head came, by our clock.
    pub(super) received: Timestamp,
    /// What `Retry-After` asks for.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Vec<u8>),
    TooLarge,
    Broken(Cause),
}

impl Transport {
    /// Sets up TLS, time-outs and connection reuse. Redirects are not followed: a signature is for the host that was
    /// configured, and holds by whatever proxy it is reached.
    pub(super) fn build(settings: &Settings) -> Result<Self, BuildError> {
        let tls = tls::client_config(settings.ca_file.as_deref())?;
        let (connect_timeout, proxies) = (settings.connect_timeout, settings.proxies.clone());
        let shared = new_client(&tls, connect_timeout, &proxies)?;
        let threads = Threads::start().map_err(|error| BuildError::Transport(format!("threads cannot be started: {error}")))?;
        Ok(Self { shared, threads: Arc::new(threads), tls, connect_timeout, proxies })
    }

    /// Sends a request and reads the answer, all of it within `time_limit`. When it is not answered, or not to the end, the next request to the host
    /// goes over a new connection.
    pub(super) async fn send(
        &self,
        connections: &Connections,
        way: Way,
        request: SignedRequest,
        time_limit: Duration,
        clock: &SharedClock,
    ) -> Result<UpstreamAnswer, Cause> {
        let build = || new_client(&self.tls, self.connect_timeout, &self.proxies).ok();
        // Nobody else has the fresh one before it is answered, so that no connection but its own can be in its pool.
        let fresh = if way == Way::Fresh { build() } else { None };
        let (pooled, generation) = connections.client(&self.shared);
        let exchange = exchange(fresh.clone().unwrap_or(pooled), request, time_limit, Arc::clone(clock));
        let answer = self.threads.run(time_limit + GRACE, exchange).await.unwrap_or(Err(Cause::TimedOut));
        match (answer.as_ref().is_ok_and(UpstreamAnswer::is_whole), fresh) {
            (true, Some(client)) => connections.replace(client),
            (false, None) if !matches!(answer, Err(Cause::Unsendable(_))) => connections.leave(generation, build),
            _ => {}
        }
        answer
    }
}

impl UpstreamAnswer {
    /// Whether its connection did not fail before its end.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.body, Body::Broken(_))
    }
}

/// A client with connections of its own. What has been sent and is not acknowledged for as long as a connection may take to come about ends its
/// connection: the way is gone, and the time-out of the whole request need not be waited for.
fn new_client(tls: &ClientConfig, connect_timeout: Duration, proxies: &Proxies) -> Result<reqwest::Client, BuildError> {
    let (first, then, times) = KEEP_ALIVE;
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .connect_timeout(connect_timeout)
        .tcp_user_timeout(connect_timeout)
        .tcp_keepalive(first)
        .tcp_keepalive_interval(then)
        .tcp_keepalive_retries(times)
        .pool_idle_timeout(IDLE_AT_MOST)
        .http1_max_headers(MAX_HEADERS)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("quotagraph/", env!("CARGO_PKG_VERSION")));
    proxies.set(builder)?.build().map_err(|error| BuildError::Transport(describe(&error)))
}

async fn exchange(
    client: reqwest::Client,
    request: SignedRequest,
    time_limit: Duration,
    clock: SharedClock,
) -> Result<UpstreamAnswer, Cause> {
    let headers = header_map(&request).ok_or(Cause::Unsendable("a header is malformed"))?;
    let sending = client.get(request.url).headers(headers).timeout(time_limit).send();
    let mut response = sending.await.map_err(|error| cause(&error))?;
    let received = clock.now();
    let date = header_text(response.headers(), &DATE).and_then(parse_http_date);
    let retry_after =
        header_text(response.headers(), &RETRY_AFTER).and_then(|text| parse_retry_after(text, believable(date, received)));
    let status = response.status().as_u16();
    let body = read_body(&mut response).await;
    Ok(UpstreamAnswer { status, date, received, retry_after, body })
}

/// The upstream's clock, if it says something that can be; else ours.
fn believable(date: Option<Timestamp>, received: Timestamp) -> Timestamp {
    date.filter(|date| date.duration_since(received).abs() <= PLAUSIBLE).unwrap_or(received)
}

async fn read_body(response: &mut reqwest::Response) -> Body {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY_BYTES => return Body::TooLarge,
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Body::Whole(body),
            Err(error) => return Body::Broken(cause(&error)),
        }
    }
}

fn header_map(request: &SignedRequest) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(*name == "Authorization");
        headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(headers)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn parse_http_date(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}

/// Seconds, or a date by the upstream's own clock; no more than [`MAX_RETRY_AFTER`].
fn parse_retry_after(text: &str, upstream_now: Timestamp) -> Option<Duration> {
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)).min(MAX_RETRY_AFTER));
    }
    let wait = parse_http_date(text)?.duration_since(upstream_now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(MAX_RETRY_AFTER))
}

fn cause(error: &reqwest::Error) -> Cause {
    if error.is_timeout() { Cause::TimedOut } else { Cause::Connection(describe(error)) }
}

/// The error and what lies behind it, without the address.
fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "no connection".to_owned() } else { "the connection broke".to_owned() };
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !is_chatter(&cause) {
            let _ = write!(text, ": {}", if cause.contains(NO_TLS) { "it does not speak TLS" } else { &cause });
        }
        source = error.source();
    }
    text
}

/// What the TLS library finds when a plain HTTP server answers.
const NO_TLS: &str = "received corrupt message of type InvalidContentType";

/// The layers of the library that only pass on what lies behind them.
fn is_chatter(cause: &str) -> bool {
    cause.starts_with("client error (") || cause == "tcp connect error"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_upstreams_clock() {
        let upstream_now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("99999999999999999999999", Some(3600)),
            ("3601", Some(3600)),
            ("Sun, 06 Nov 2044 08:50:07 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(text, upstream_now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
