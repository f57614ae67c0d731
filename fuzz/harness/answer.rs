//! What holds of every answer over HTTP, whatever was asked.

use serde_json::Value;

use super::sentence::check_sentence;

/// The closed list of error codes; none of them is `INTERNAL`.
const CODES: [&str; 15] = [
    "BAD_USER_INPUT",
    "FORBIDDEN",
    "HISTORY_UNAVAILABLE",
    "ISSUER_UNAVAILABLE",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
    "QUERY_TOO_COMPLEX",
    "RATE_LIMITED",
    "TIMEOUT",
    "UNAUTHENTICATED",
    "UNSUPPORTED_MEDIA_TYPE",
    "UPSTREAM_INVALID",
    "UPSTREAM_OVERLOADED",
    "UPSTREAM_REJECTED",
    "UPSTREAM_UNAVAILABLE",
];

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// What it says, if it is in JSON.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// The answer is no fault of ours, and what calls itself JSON is JSON whose errors have codes.
pub fn check(answer: &Answer) {
    let Answer { status, content_type, body } = answer;
    let text = String::from_utf8_lossy(body);
    assert!(*status < 500, "status {status}: {text:.500}");
    if content_type.contains("json") && !content_type.contains("ndjson") {
        let value: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {text:.500}"));
        let answers = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        answers.iter().for_each(check_errors);
    }
}

/// Each error of an answer or an event has a code of the list, and a sentence.
pub fn check_errors(answer: &Value) {
    for error in answer["errors"].as_array().into_iter().flatten() {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        assert!(CODES.contains(&code), "the code {code:?}: {error}");
        check_sentence(error["message"].as_str().expect("a message"));
    }
}
