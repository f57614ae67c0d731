//! What stands in a request (GraphQL over HTTP, sections "Request" and "Request Parameters").

pub(in crate::http) mod credentials;
pub(in crate::http) mod documents;
pub(in crate::http) mod json_object;
pub(in crate::http) mod manifest;
pub(in crate::http) mod media_type;
pub(in crate::http) mod variables;

use std::error::Error as _;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::computing::Computing;
use crate::graphql::{TextLimits, code};
use crate::http::answer::refusal::Refusal;
use crate::http::limits::RequestLimits;
use crate::http::request::json_object::FromObject;
use crate::http::request::media_type::require_json;
use crate::http::request::variables::GivenVariables;
use crate::shown;

pub(in crate::http) type Object = serde_json::Map<String, serde_json::Value>;

/// The parameters of one operation. Other members are ignored, as the specification asks.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct Params {
    pub query: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub operation_name: Option<String>,
    pub variables: GivenVariables,
    pub extensions: Option<Object>,
    /// A document that the server knows, instead of `query`.
    #[serde(deserialize_with = "not_empty")]
    pub document_id: Option<String>,
}

impl Params {
    /// Bytes of what is still to be read.
    pub fn length(&self) -> usize {
        self.query.as_ref().map_or(0, String::len) + self.variables.length()
    }
}

/// A text; an empty one is as good as none, as it is in an address.
fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// What a request asks.
#[derive(Debug)]
pub(in crate::http) enum Asked {
    /// One operation.
    One(Box<Params>),
    /// A list of operations, answered by a list.
    Batch(Vec<Listed>),
}

/// One operation of a list.
#[derive(Debug)]
pub(in crate::http) struct Listed {
    pub params: Params,
    /// The operation byte for byte, as the body of a request of its own would have it. `None` when it is not in UTF-8 throughout.
    pub text: Option<Bytes>,
}

/// Reads the body of a POST: of at most so many bytes, and within a time.
pub(in crate::http) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Refusal> {
    require_json(headers)?;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request is larger than {limit} bytes"));
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut reading = pin!(to_bytes(body, limit));
    // Most bodies are there already; those need no timer.
    let read = match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(patience, reading).await.map_err(|_| {
            let sentence = format!("the request's body did not come within {} s (limits.request_timeout)", patience.as_secs_f64());
            Refusal { code: code::TIMEOUT, ..Refusal::new(StatusCode::REQUEST_TIMEOUT, sentence) }
        })?,
    };
    read.map_err(|cause| match cause.source() {
        Some(cause) if cause.is::<LengthLimitError>() => too_large(),
        _ => Refusal::bad_request("the request's body is malformed, or shorter than it says"),
    })
}

/// What is read from so many bytes and more is read by the threads for what takes long: it takes milliseconds.
pub(in crate::http) const LONG: usize = 32 * 1024;

/// Reads so many bytes where it holds up nobody.
pub(in crate::http) async fn read_aside<T: Send + 'static>(
    computing: &Computing,
    bytes: usize,
    read: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if bytes < LONG {
        return read();
    }
    let ends = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the service ends; try again");
    computing.briefly(read).await.unwrap_or_else(|| Err(ends()))
}

/// Whether the body of a POST is a list of operations.
pub(in crate::http) fn is_list(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"[")
}

/// Understands the body of a POST. What is read from it is dropped, converted and compared by recursion, so it must not be deep.
pub(in crate::http) fn parse_body(bytes: &Bytes, limits: &RequestLimits) -> Result<Asked, Refusal> {
    let RequestLimits { batch, text, .. } = *limits;
    text.check_json("the request", bytes).map_err(too_complex)?;
    let not_understood = |error: serde_json::Error| {
        Refusal::bad_request(format!("the request is not understood: {}", shown::cut(&error.to_string())))
    };
    if !is_list(bytes) {
        return serde_json::from_slice(bytes).map(|FromObject(params)| Asked::One(params)).map_err(not_understood);
    }
    let refuse = |code, message: String| Err(Refusal { code, ..Refusal::bad_request(message) });
    if batch == 0 {
        return refuse(code::BAD_USER_INPUT, "lists of operations are not supported here; send one in a request".to_owned());
    }
    let operations: Vec<FromObject<Params>> = serde_json::from_slice(bytes).map_err(not_understood)?;
    match operations.len() {
        0 => refuse(code::BAD_USER_INPUT, "the list has no operation".to_owned()),
        length if length > batch => {
            refuse(code::QUERY_TOO_COMPLEX, format!("the request has {length} operations; the limit is {batch}"))
        }
        _ => {
            let mut texts = split_list(bytes).into_iter();
            let listed = operations.into_iter().map(|FromObject(params)| Listed { params, text: texts.next() });
            Ok(Asked::Batch(listed.collect()))
        }
    }
}

fn too_complex(sentence: String) -> Refusal {
    Refusal { code: code::QUERY_TOO_COMPLEX, ..Refusal::bad_request(sentence) }
}

/// The members of a JSON list byte for byte; none when the reader of texts is stricter than the one of operations.
fn split_list(bytes: &Bytes) -> Vec<Bytes> {
    let members: Vec<&RawValue> = serde_json::from_slice(bytes).unwrap_or_default();
    members.into_iter().map(|member| bytes.slice_ref(member.get().as_bytes())).collect()
}

/// Understands a parameter of an address that is a JSON object.
fn parse_object<T: DeserializeOwned>(name: &str, text: &str, limits: TextLimits) -> Result<T, Refusal> {
    limits.check_json(name, text.as_bytes()).map_err(too_complex)?;
    serde_json::from_str(text)
        .map_err(|cause| Refusal::bad_request(format!("{name} is not a JSON object: {}", shown::cut(&cause.to_string()))))
}

/// Understands the query of a GET's address. A parameter stands there once: caches and firewalls differ in which of two counts.
pub(in crate::http) fn parse_query_string(query: &[u8], limits: TextLimits) -> Result<Asked, Refusal> {
    const NAMES: [&str; 5] = ["query", "operationName", "documentId", "variables", "extensions"];
    let mut params = Params::default();
    let mut seen = [false; NAMES.len()];
    for (name, value) in url::form_urlencoded::parse(query) {
        if let Some(place) = NAMES.iter().position(|known| *known == name)
            && mem::replace(&mut seen[place], true)
        {
            return Err(Refusal::bad_request(format!("{name} is given twice")));
        }
        match name.as_ref() {
            "query" => params.query = Some(value.into_owned()),
            "operationName" if !value.is_empty() => params.operation_name = Some(value.into_owned()),
            "documentId" if !value.is_empty() => params.document_id = Some(value.into_owned()),
            "variables" if !value.is_empty() => params.variables = parse_object("variables", &value, limits)?,
            "extensions" if !value.is_empty() => params.extensions = parse_object("extensions", &value, limits)?,
            _ => {}
        }
    }
    Ok(Asked::One(Box::new(params)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        body_bytes: 1000,
        batch: 2,
        text: TextLimits { tokens: 100, nesting: 4 },
        answer_bytes: 1000,
        work: 1000,
        complexity: 1000,
        timeout: Duration::from_secs(1),
    };

    #[test]
    fn operations_of_a_list_are_known_by_their_own_text_alone() {
        let body = Bytes::from(" [ {\"query\": \"{ a }\"} ,{\"query\":\"{ b } # ]\",\n\"variables\":{\"x\":[1.50]}}\t]");
        let Asked::Batch(listed) = parse_body(&body, &LIMITS).unwrap() else { panic!("a list") };
        let texts: Vec<_> = listed.iter().map(|listed| listed.text.as_deref().map(String::from_utf8_lossy)).collect();
        let second = "{\"query\":\"{ b } # ]\",\n\"variables\":{\"x\":[1.50]}}";
        assert_eq!(texts, [Some("{\"query\": \"{ a }\"}".into()), Some(second.into())]);
        assert_eq!(listed[1].params.query.as_deref(), Some("{ b } # ]"));
    }

    #[test]
    fn json_is_looked_at_before_it_is_read() {
        let refused = |asked: Result<Asked, Refusal>| asked.map_err(|refusal| (refusal.code, refusal.message)).unwrap_err();
        let body = |depth: usize| Bytes::from(format!("{{\"variables\":{{\"x\":{}{}}}}}", "[".repeat(depth), "]".repeat(depth)));
        assert!(parse_body(&body(2), &LIMITS).is_ok());
        let sentence = |what: &str, found: usize| {
            (code::QUERY_TOO_COMPLEX, format!("{what} has {found} brackets within each other; the limit is 4"))
        };
        assert_eq!(refused(parse_body(&body(3), &LIMITS)), sentence("the request", 5));
        // Members that mean nothing count, too, and so does what is no JSON further on.
        assert_eq!(refused(parse_body(&Bytes::from("[{\"x\":[[[["), &LIMITS)), sentence("the request", 6));
        for name in ["variables", "extensions"] {
            let query = |depth: usize| format!("{name}={{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
            assert!(parse_query_string(query(3).as_bytes(), LIMITS.text).is_ok());
            assert_eq!(refused(parse_query_string(query(4).as_bytes(), LIMITS.text)), sentence(name, 5));
        }
    }

    #[test]
    fn a_parameter_of_an_address_is_given_once() {
        for name in ["query", "operationName", "documentId", "variables", "extensions"] {
            let refused =
                parse_query_string(format!("{name}=&x=1&x=2&%{:x}{}=a", name.as_bytes()[0], &name[1..]).as_bytes(), LIMITS.text);
            assert_eq!(refused.err().map(|refusal| refusal.message), Some(format!("{name} is given twice")));
        }
        assert!(parse_query_string(b"query={a}&x=1&x=2", LIMITS.text).is_ok());
    }

    #[test]
    fn an_operation_with_a_member_that_is_no_text_is_read_and_has_no_text_to_be_known_by() {
        let body = Bytes::from_static(b"[{\"query\":\"{ a }\",\"other\":\"\xff\"}]");
        let Asked::Batch(listed) = parse_body(&body, &LIMITS).unwrap() else { panic!("a list") };
        assert_eq!((listed[0].params.query.as_deref(), &listed[0].text), (Some("{ a }"), &None));
    }
}
