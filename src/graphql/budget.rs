//! How large an answer may become, counted while it is made, and whether anybody still waits for it.
//!
//! Whoever makes a part of an answer spends its bytes first. When there are too many, the answer is given up as a whole: what is still to be
//! made is not even begun, so that neither time nor memory goes into what nobody gets.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_graphql::{ServerError, Value};
use tokio_util::sync::CancellationToken;

use super::tokens::too_complex;

/// What a field takes at least, in bytes: in memory it takes a multiple of this until the answer is written.
const FIELD: usize = 40;

/// The bytes that the answer to a request may have. The operations of a list share one.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    spent: Arc<AtomicUsize>,
    /// Nobody waits for the answer any more, or it is too large.
    has_ended: AtomicBool,
    /// The same, to be waited for.
    ended: CancellationToken,
}

/// Ends what is made for a budget when it is dropped: with whoever waited for it.
#[derive(Debug)]
pub struct Waiting(pub Arc<Budget>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, spent: Arc::default(), has_ended: AtomicBool::default(), ended: CancellationToken::new() }
    }

    /// A budget of the same bytes for another operation of the request.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { spent: Arc::clone(&self.spent), ..Self::new(self.limit) }
    }

    /// Spends bytes. Whether the answer is to go on.
    pub fn spend(&self, bytes: usize) -> bool {
        let spent = self.spent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if spent > self.limit {
            self.end();
        }
        !self.has_ended.load(Ordering::Relaxed)
    }

    /// Begins anew, for the next answer of the same operation.
    pub fn renew(&self) {
        self.spent.store(0, Ordering::Relaxed);
    }

    /// Tells whoever makes the answer that nobody waits for it any more.
    pub fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.ended.cancel();
    }

    /// Waits until the answer is given up.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The error of an answer that is too large; `None` while it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<ServerError> {
        (self.spent.load(Ordering::Relaxed) > self.limit).then(|| Self::too_large(self.limit))
    }

    /// The error of an answer of more bytes than these.
    #[must_use]
    pub fn too_large(limit: usize) -> ServerError {
        too_complex(format!("the answer is larger than {limit} bytes, which is the limit; ask for less at a time"))
    }

    /// Spends what a field takes whose value was made. Whether the answer is to go on.
    pub(super) fn spend_field(&self, key: &str, value: Option<&Value>) -> bool {
        self.spend((key.len() + 4 + value.map_or(4, own_length)).max(FIELD))
    }

    /// Spends what a copy of a value takes. Whether the answer is to go on.
    pub(super) fn spend_copy(&self, value: &Value) -> bool {
        match value {
            Value::List(values) => values.iter().all(|value| self.spend_copy(value)),
            Value::Object(fields) => {
                fields.iter().all(|(name, value)| self.spend_field(name, Some(value)) && self.spend_copy(value))
            }
            Value::Binary(written) => self.spend(written.len()),
            _ => true,
        }
    }
}

/// The length of a value as JSON, without what it holds: that has spent its own, and so has what was written already.
fn own_length(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Boolean(_) => 5,
        Value::Number(number) => {
            let mut length = Length(0);
            // Counting does not fail.
            let _ = write!(length, "{number}");
            length.0
        }
        Value::String(text) => text.len() + 2,
        Value::Enum(name) => name.len() + 2,
        Value::List(_) | Value::Object(_) => 2,
        Value::Binary(_) => 0,
    }
}

/// Counts what is written.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    #[test]
    fn what_is_over_the_limit_ends_the_answer() {
        let budget = Budget::new(100);
        assert!(budget.spend(100) && budget.refusal().is_none());
        budget.renew();
        assert!(budget.spend(60) && !budget.spend(41) && !budget.spend(0));
        let refused = budget.refusal().unwrap();
        assert_eq!(refused.message, "the answer is larger than 100 bytes, which is the limit; ask for less at a time");
        let (one, other) = (Budget::new(100), Budget::new(100).shared());
        assert!(one.shared().spend(60) && other.spend(60) && !one.spend(41) && one.shared().refusal().is_some());
        one.end();
        assert!(other.spend(1), "each operation ends by itself");
        let nobody = Budget::new(100);
        nobody.end();
        assert!(!nobody.spend(1) && nobody.refusal().is_none());
        assert!(!Budget::new(5).spend(usize::MAX));
    }

    #[test]
    fn a_field_takes_its_bytes_and_at_least_what_it_takes_in_memory() {
        let spent = |key: &str, value: &Value| {
            let budget = Budget::new(usize::MAX);
            budget.spend_field(key, Some(value));
            budget.spent.load(Ordering::Relaxed)
        };
        assert_eq!(spent("a", &value!(1)), FIELD);
        assert_eq!(spent(&"k".repeat(50), &value!(-12.5)), 50 + 4 + 5);
        assert_eq!(spent("a", &Value::String("x".repeat(100))), 1 + 4 + 102);
        let budget = Budget::new(usize::MAX);
        budget.spend_copy(&value!([{ "a": 1, "b": [{ "c": null }] }]));
        assert_eq!(budget.spent.load(Ordering::Relaxed), 3 * FIELD);
    }
}
