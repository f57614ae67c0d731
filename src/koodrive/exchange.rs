//! One request and its answer over HTTP, before any judgement. The only file that names the HTTP client.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::request::SignedRequest;
use super::settings::Settings;
use super::verdict::Cause;
use crate::clock::Clock;
use crate::tls::{self, BuildError};

/// The longest body that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The HTTP client.
#[derive(Clone, Debug)]
pub(super) struct Transport(reqwest::Client);

/// An answer, as much of it as came.
#[derive(Debug)]
pub(super) struct Answer {
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
    /// Sets up TLS, time-outs and connection reuse. Proxies of the environment are not used and redirects not followed: a signature
    /// is for the host that was configured.
    pub(super) fn build(settings: &Settings) -> Result<Self, BuildError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(settings.ca_file.as_deref())?)
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("quotagraph/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| BuildError::Transport(describe(&error)))
    }

    /// Sends a request and reads the answer, all of it within `time_limit`.
    pub(super) async fn send(&self, request: SignedRequest, time_limit: Duration, clock: &dyn Clock) -> Result<Answer, Cause> {
        let headers = header_map(&request).ok_or(Cause::Unsendable("a header is malformed"))?;
        let sending = self.0.get(request.url).headers(headers).timeout(time_limit).send();
        let mut response = sending.await.map_err(|error| cause(&error))?;
        let received = clock.now();
        let date = header_text(response.headers(), &DATE).and_then(parse_http_date);
        let retry_after =
            header_text(response.headers(), &RETRY_AFTER).and_then(|text| parse_retry_after(text, date.unwrap_or(received)));
        let status = response.status().as_u16();
        let body = read_body(&mut response).await;
        Ok(Answer { status, date, received, retry_after, body })
    }
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

/// Seconds, or a date by the upstream's own clock.
fn parse_retry_after(text: &str, upstream_now: Timestamp) -> Option<Duration> {
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let wait = parse_http_date(text)?.duration_since(upstream_now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

fn cause(error: &reqwest::Error) -> Cause {
    if error.is_timeout() { Cause::TimedOut } else { Cause::Connection(describe(error)) }
}

/// The error and what lies behind it, without the address.
fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "no connection".to_owned() } else { "the connection broke".to_owned() };
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
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
            ("99999999999999999999999", Some(u64::MAX)),
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
