//! What is wrong with a config, in one sentence that says what to mend.

use std::fmt::Display;

use crate::shown;

/// What is wrong with a config. Its text is one sentence: where, which field, what to mend. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error in no particular field. The sentence may repeat what stands in a file.
    pub(super) fn new(sentence: &str) -> Self {
        Self(shown::sentence(sentence))
    }

    /// An error in a file or an environment variable.
    pub(super) fn within(place: impl Display, mend: impl Display) -> Self {
        Self::new(&format!("{}: {mend}", shown::cut(&place.to_string())))
    }
}

/// A value that breaks a rule, before it is known where the value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The field, such as `collector.interval`.
    pub(super) field: String,
    /// What to mend.
    pub(super) mend: String,
}

impl Invalid {
    /// A broken rule.
    pub(super) fn new(field: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { field: field.into(), mend: mend.into() }
    }

    /// A broken rule and what stands there. Not for secrets.
    pub(super) fn found(field: impl Into<String>, rule: impl Display, found: impl Display) -> Self {
        Self::new(field, format!("{rule}, found {found}"))
    }
}
