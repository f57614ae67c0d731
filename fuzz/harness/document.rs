//! A document, and the same question again: what is known and kept must not answer otherwise than what is worked out anew.

use std::sync::atomic::{AtomicU64, Ordering};

use quotagraph::graphql::{DocumentLimits, TextLimits, invariants};
use serde_json::{Value, json};

use super::answer::{Answer, check};
use super::service::{Service, with_service};
use super::{NOW, parts};

/// The service's own limits, where they are not set.
const LIMITS: DocumentLimits = DocumentLimits {
    depth: 15,
    complexity: 20_000,
    aliases: 100,
    root_fields: 100,
    directives: 100,
    text: TextLimits { tokens: 5000, nesting: 64 },
    introspection: true,
};

pub fn ask(input: &[u8]) {
    let parts = parts(input);
    let query = String::from_utf8_lossy(parts[0]);
    let variables: Value = parts.get(1).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
    let now = NOW.parse().expect("an instant");
    invariants::check_document(&query, variables.clone(), LIMITS, now).expect("what holds of every document");
    let mut body = json!({ "query": query });
    if variables.is_object() {
        body["variables"] = variables;
    }
    with_service(async |service| ask_again(service, body).await);
}

/// Asks; and what was answered well once more, word by word and by a document that was never seen before.
pub async fn ask_again(service: &Service, mut body: Value) {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let first = service.post(body.to_string().into_bytes()).await;
    check(&first);
    let Some(query) = body["query"].as_str().map(str::to_owned) else { return };
    // A mutation does something each time, and where an answer comes from is told by a field.
    if is_refused(&first) || query.contains("mutation") || query.contains("source") {
        return;
    }
    let again = service.post(body.to_string().into_bytes()).await;
    assert_eq!(first, again, "asked again");
    // With a comment it is another text. One that says what it is by its hash may have no other.
    if body["extensions"].get("persistedQuery").is_some() || body.get("documentId").is_some_and(|id| !id.is_null()) {
        return;
    }
    body["query"] = format!("{query}\n# {}", ASKED.fetch_add(1, Ordering::Relaxed)).into();
    let anew = service.post(body.to_string().into_bytes()).await;
    check(&anew);
    assert_eq!(first, anew, "asked by another text");
}

/// Whether nothing was executed.
fn is_refused(answer: &Answer) -> bool {
    answer.value().is_none_or(|value| value["data"].is_null())
}
