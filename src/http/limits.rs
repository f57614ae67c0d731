//! The limits on single requests.

use std::time::Duration;

use crate::graphql::TextLimits;

/// Limits on single requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// A request body's size at most, in bytes.
    pub body_bytes: usize,
    /// Operations of one request at most; 0 refuses lists of them.
    pub batch: usize,
    /// What the texts of documents and JSON may have.
    pub text: TextLimits,
    /// Bytes of an answer at most, or of the answers to a list of operations together.
    pub answer_bytes: usize,
    /// What may be read and computed for it, likewise: see [`crate::work`].
    pub work: usize,
    /// The complexity of the operations of a list together.
    pub complexity: usize,
    /// How long a request may be worked on.
    pub timeout: Duration,
}
