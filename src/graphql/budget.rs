//! How large an answer may become, counted while it is made, and whether anybody still waits for it.
//!
//! Whoever makes a part of an answer spends its bytes first. When there are too many, the answer is given up as a whole: what is still to be
//! made is not even begun, so that neither time nor memory goes into what nobody gets.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_graphql::{ServerError, Value};

use crate::graphql::document::tokens::too_complex;
use crate::work::Work;

/// What a field takes at least, in bytes: in memory it takes a multiple of this until the answer is written.
const FIELD: usize = 40;

/// The bytes that the answer to a request may have, and the work that it may take. The operations of a list share one.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    /// It is given up when nobody waits for the answer any more, or it is too large.
    work: Arc<Work>,
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
    pub fn new(limit: usize, work: Work) -> Self {
        Self { limit, work: Arc::new(work) }
    }

    /// The same budget for another operation of the request.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { limit: self.limit, work: Arc::new(self.work.shared()) }
    }

    /// The work that the answer may take.
    #[must_use]
    pub fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// Spends the complexity of another operation of the request.
    ///
    /// # Errors
    /// When that of all of them is more than the limit.
    pub fn spend_complexity(&self, complexity: usize, limit: usize) -> Result<(), ServerError> {
        let spent = self.work.counts().complexity.fetch_add(complexity, Ordering::Relaxed).saturating_add(complexity);
        if spent <= limit {
            return Ok(());
        }
        Err(too_complex(format!("the complexity of the list is {spent} with this operation; the limit is {limit}")))
    }

    /// Spends bytes. Whether the answer is to go on.
    pub fn spend(&self, bytes: usize) -> bool {
        let spent = self.work.counts().bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if spent > self.limit {
            self.end();
        }
        !self.work.is_given_up()
    }

    /// Begins anew, for the next answer of the same operation.
    pub fn renew(&self) {
        self.work.renew();
    }

    /// Tells whoever makes the answer that nobody waits for it any more.
    pub fn end(&self) {
        self.work.give_up();
    }

    /// Waits until the answer is given up.
    pub async fn ended(&self) {
        self.work.given_up().await;
    }

    /// The error of an answer that is too large, or takes too much work; `None` while it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<ServerError> {
        if self.work.counts().bytes.load(Ordering::Relaxed) > self.limit {
            return Some(Self::too_large(self.limit));
        }
        let most = self.work.most();
        let sentence = || {
            format!(
                "the history that is asked for takes more than {most} to read and go through, which is the limit; ask for less at a time"
            )
        };
        self.work.is_exceeded().then(|| too_complex(sentence()))
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
    use std::time::Duration;

    use async_graphql::value;

    use super::*;
    use crate::store::Answering;

    fn of_bytes(limit: usize) -> Budget {
        Budget::new(limit, Work::new(1000, Arc::new(Answering::new(Duration::from_secs(1)))))
    }

    #[test]
    fn what_is_over_the_limit_ends_the_answer() {
        let budget = of_bytes(100);
        assert!(budget.spend(100) && budget.refusal().is_none());
        budget.renew();
        assert!(budget.spend(60) && !budget.spend(41) && !budget.spend(0));
        let refused = budget.refusal().unwrap();
        assert_eq!(refused.message, "the answer is larger than 100 bytes, which is the limit; ask for less at a time");
        let (one, other) = (of_bytes(100), of_bytes(100).shared());
        assert!(one.shared().spend(60) && other.spend(60) && !one.spend(41) && one.shared().refusal().is_some());
        one.end();
        assert!(other.spend(1), "each operation ends by itself");
        let nobody = of_bytes(100);
        nobody.end();
        assert!(!nobody.spend(1) && nobody.refusal().is_none());
        assert!(!of_bytes(5).spend(usize::MAX));
    }

    #[tokio::test]
    async fn what_takes_too_much_work_ends_the_answer_and_its_list() {
        let one = of_bytes(100);
        let other = one.shared();
        assert!(one.work().spend(600).is_ok() && one.spend(0) && one.refusal().is_none());
        assert!(other.work().spend(401).is_err() && !other.spend(0));
        other.ended().await;
        let sentence =
            "the history that is asked for takes more than 1000 to read and go through, which is the limit; ask for less at a time";
        assert_eq!(other.refusal().unwrap().message, sentence);
        assert!(one.spend_complexity(6, 10).is_ok() && one.shared().spend_complexity(4, 10).is_ok());
        let sentence = "the complexity of the list is 11 with this operation; the limit is 10";
        assert_eq!(other.spend_complexity(1, 10).unwrap_err().message, sentence);
    }

    #[test]
    fn a_field_takes_its_bytes_and_at_least_what_it_takes_in_memory() {
        let spent = |key: &str, value: &Value| {
            let budget = of_bytes(usize::MAX);
            budget.spend_field(key, Some(value));
            budget.work.counts().bytes.load(Ordering::Relaxed)
        };
        assert_eq!(spent("a", &value!(1)), FIELD);
        assert_eq!(spent(&"k".repeat(50), &value!(-12.5)), 50 + 4 + 5);
        assert_eq!(spent("a", &Value::String("x".repeat(100))), 1 + 4 + 102);
        let budget = of_bytes(usize::MAX);
        budget.spend_copy(&value!([{ "a": 1, "b": [{ "c": null }] }]));
        assert_eq!(budget.work.counts().bytes.load(Ordering::Relaxed), 3 * FIELD);
    }
}
