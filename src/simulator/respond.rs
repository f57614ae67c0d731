//! The bodies that the simulator answers with.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::behaviour::{Behaviour, Form, Garbage};
use super::verify::GatewayError;
use crate::quota::SpaceTypeAllocation;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const HTML_BODY: &str = "<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>";

/// A good answer.
pub(super) fn good(by_type: &[SpaceTypeAllocation], form: Form) -> Response {
    response(200, JSON, good_body(by_type, form))
}

/// What the gateway says of a request that it refuses.
pub(super) fn refused(refusal: &GatewayError) -> Response {
    response(refusal.status, JSON, gateway_body(refusal.code, &refusal.message))
}

/// The failure that a behaviour asks for.
pub(super) fn failed(behaviour: &Behaviour, by_type: &[SpaceTypeAllocation], path: &str) -> Response {
    if behaviour.drop {
        return broken_off();
    }
    let status = behaviour.status.unwrap_or(200);
    let mut answer = match (behaviour.garbage, behaviour.code) {
        (Some(Garbage::Html), _) => response(status, HTML, HTML_BODY),
        (Some(garbage), _) => response(status, JSON, garbage_body(garbage, by_type)),
        (None, Some(code)) => response(status, JSON, format!(r#"{{"code":"{code}","msg":"The simulator was told to fail."}}"#)),
        (None, None) => response(status, JSON, gateway_body(gateway_code(status), "The simulator was told to fail.")),
    };
    if (300..400).contains(&status)
        && let Ok(location) = HeaderValue::from_str(path)
    {
        answer.headers_mut().insert(LOCATION, location);
    }
    with_retry_after(answer, behaviour)
}

/// The answer to a request above the rate limit.
pub(super) fn over_limit(behaviour: &Behaviour) -> Response {
    with_retry_after(response(429, JSON, gateway_body("APIGW.0308", "The throttling threshold has been reached.")), behaviour)
}

/// The answer of a tenant whose model is down at the moment.
pub(super) fn down() -> Response {
    response(503, JSON, gateway_body("APIGW.0201", "The backend is not available."))
}

/// Dates an answer; without this the HTTP server would put the machine's own time.
pub(super) fn dated(mut answer: Response, server_time: Timestamp) -> Response {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&server_time);
    if let Ok(date) = HeaderValue::try_from(date.unwrap_or_default()) {
        answer.headers_mut().insert(DATE, date);
    }
    answer
}

fn response(status: u16, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn with_retry_after(mut answer: Response, behaviour: &Behaviour) -> Response {
    if let Some(seconds) = behaviour.retry_after_s {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Promises more than it sends, and ends in an error, on which the server closes the connection.
fn broken_off() -> Response {
    let parts = [Ok(Bytes::from_static(b"{\"code\":0,")), Err(io::Error::other("told to break off"))];
    response(200, JSON, Body::from_stream(stream::iter(parts)))
}

fn gateway_code(status: u16) -> &'static str {
    match status {
        401 => "APIGW.0301",
        403 => "APIGW.0302",
        404 => "APIGW.0101",
        429 => "APIGW.0308",
        _ => "APIGW.0201",
    }
}

fn gateway_body(code: &str, message: &str) -> String {
    let request_id: u128 = rand::random();
    let message = serde_json::Value::from(message);
    format!(r#"{{"error_code":"{code}","error_msg":{message},"request_id":"{request_id:032x}"}}"#)
}

fn good_body(by_type: &[SpaceTypeAllocation], form: Form) -> String {
    let (quote, code) = match form {
        Form::ArrayOfNumbers | Form::ObjectOfNumbers => ("", "\"0\""),
        Form::ArrayOfTexts | Form::ObjectOfTexts => ("\"", "0"),
    };
    let items: Vec<String> = by_type.iter().map(|value| item(value, quote)).collect();
    let data = match (form, items.as_slice()) {
        (Form::ObjectOfNumbers | Form::ObjectOfTexts, [only]) => only.clone(),
        _ => format!("[{}]", items.join(",")),
    };
    format!(r#"{{"data":{data},"code":{code},"msg":"Operation successful."}}"#)
}

fn item(value: &SpaceTypeAllocation, quote: &str) -> String {
    format!(
        r#"{{"type":{quote}{}{quote},"allocateCapacity":{quote}{}{quote},"totalCapacity":{quote}{}{quote}}}"#,
        value.space_type, value.allocated_gb, value.total_gb
    )
}

fn garbage_body(garbage: Garbage, by_type: &[SpaceTypeAllocation]) -> String {
    let good = good_body(by_type, Form::ArrayOfNumbers);
    let with_total = |json: &str| format!(r#"{{"code":0,"data":{{"type":0,"allocateCapacity":1,"totalCapacity":{json}}}}}"#);
    match garbage {
        Garbage::Html => HTML_BODY.to_owned(),
        Garbage::NotJson => "OK".to_owned(),
        Garbage::Truncated => good[..good.len() / 2].to_owned(),
        Garbage::EmptyBody => String::new(),
        Garbage::NoData => r#"{"code":0,"msg":"Operation successful."}"#.to_owned(),
        Garbage::NullData => r#"{"code":0,"data":null}"#.to_owned(),
        Garbage::EmptyList => r#"{"code":0,"data":[]}"#.to_owned(),
        Garbage::NoCode => r#"{"data":{"type":0,"allocateCapacity":1,"totalCapacity":2}}"#.to_owned(),
        Garbage::WrongTypes => with_total("true"),
        Garbage::Negative => with_total("-1"),
        Garbage::Fractional => with_total("1000.5"),
        Garbage::Exponent => with_total("1e3"),
        Garbage::Overflow => with_total("9223372036854775808"),
        Garbage::TypeOverflow => r#"{"code":0,"data":{"type":2147483648,"allocateCapacity":1,"totalCapacity":2}}"#.to_owned(),
        Garbage::DuplicateType => {
            let value = SpaceTypeAllocation { space_type: 0, allocated_gb: 1, total_gb: 2 };
            good_body(&[value, value], Form::ArrayOfTexts)
        }
        Garbage::TooLarge => " ".repeat(1024 * 1024) + &good,
    }
}
