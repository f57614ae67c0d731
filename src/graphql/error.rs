//! What callers are told when something goes wrong. This is the only place that sets `extensions.code`.
//!
//! A fault of the caller says what to mend. All others give a fixed sentence; their cause goes to the log, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::{Error, ErrorExtensions as _, ServerError};
use tracing::error;

use crate::access::{Forbidden, Lapse, LimitReached};
use crate::koodrive::Failure;
use crate::shown;
use crate::store::StoreError;
use crate::telemetry;

/// The closed list of codes.
pub mod code {
    /// The request is wrong; the message says what to mend.
    pub const BAD_USER_INPUT: &str = "BAD_USER_INPUT";
    /// The request asks for more than a limit allows; the message names the limit.
    pub const QUERY_TOO_COMPLEX: &str = "QUERY_TOO_COMPLEX";
    /// The document of this hash or id is not known; with a hash, send the document too. Apollo's clients know the code.
    pub const PERSISTED_QUERY_NOT_FOUND: &str = "PERSISTED_QUERY_NOT_FOUND";
    /// Documents are not remembered here; always send them. Apollo's clients know the code.
    pub const PERSISTED_QUERY_NOT_SUPPORTED: &str = "PERSISTED_QUERY_NOT_SUPPORTED";
    /// No valid credentials.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// The token cannot be judged at the moment, because the keys of its issuer cannot be fetched. It may be good.
    pub const ISSUER_UNAVAILABLE: &str = "ISSUER_UNAVAILABLE";
    /// The caller lacks a role, or the operator does not allow it to anybody.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// Too many requests.
    pub const RATE_LIMITED: &str = "RATE_LIMITED";
    /// The database cannot answer.
    pub const HISTORY_UNAVAILABLE: &str = "HISTORY_UNAVAILABLE";
    /// The request took too long.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// A fault of ours.
    pub const INTERNAL: &str = "INTERNAL";
}

/// An error of the API. The upstream's codes are given by its verdicts ([`Verdict::code`](crate::koodrive::Verdict::code)).
///
/// Deliberately without `Display`: the library would turn it into an error without a code.
#[derive(Clone, Debug)]
pub enum ApiError {
    /// The request is wrong; the sentence says what to mend.
    BadUserInput(String),
    /// The caller lacks a role.
    Forbidden(Forbidden),
    /// Too many refreshes; the next one may come after so many seconds.
    RateLimited(u64),
    /// Too many subscriptions at the same time.
    LimitReached(LimitReached),
    /// The credentials of the caller are no longer valid.
    Lapsed(Lapse),
    /// The upstream could not answer.
    Upstream(Arc<Failure>),
    /// The database could not answer.
    HistoryUnavailable(ToldOnce),
    /// A fault of ours; the text is for the log.
    Internal(String),
}

impl ApiError {
    /// A fault of the caller in one argument.
    pub fn argument(name: &str, mend: impl std::fmt::Display) -> Self {
        Self::BadUserInput(format!("{name}: {mend}"))
    }

    /// The error's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadUserInput(_) => code::BAD_USER_INPUT,
            Self::Forbidden(_) => code::FORBIDDEN,
            Self::RateLimited(_) | Self::LimitReached(_) => code::RATE_LIMITED,
            Self::Lapsed(Lapse::Unverifiable) => code::ISSUER_UNAVAILABLE,
            Self::Lapsed(Lapse::Expired | Lapse::Withdrawn) => code::UNAUTHENTICATED,
            Self::Upstream(failure) => failure.verdict.code(),
            Self::HistoryUnavailable(_) => code::HISTORY_UNAVAILABLE,
            Self::Internal(_) => code::INTERNAL,
        }
    }
}

impl From<Forbidden> for ApiError {
    fn from(forbidden: Forbidden) -> Self {
        Self::Forbidden(forbidden)
    }
}

impl From<LimitReached> for ApiError {
    fn from(reached: LimitReached) -> Self {
        Self::LimitReached(reached)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<StoreError>> for ApiError {
    fn from(error: Arc<StoreError>) -> Self {
        // That a request was given up is no failure of the database.
        let told = matches!(*error, StoreError::GivenUp);
        Self::HistoryUnavailable(ToldOnce { cause: error, told: Arc::new(told.into()) })
    }
}

impl From<Arc<Failure>> for ApiError {
    fn from(failure: Arc<Failure>) -> Self {
        Self::Upstream(failure)
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let code = error.code();
        match error {
            ApiError::BadUserInput(message) => coded(message, code),
            ApiError::Lapsed(lapse) => coded(lapse.to_string(), code),
            ApiError::LimitReached(reached) => coded(reached.to_string(), code),
            ApiError::Forbidden(forbidden) => coded(forbidden.to_string(), code),
            ApiError::RateLimited(seconds) => {
                let message = format!("this tenant was refreshed too often; try again in {seconds} s");
                coded(message, code).extend_with(|_, extensions| extensions.set("retryAfter", seconds))
            }
            // The client has logged the call's cause.
            ApiError::Upstream(failure) => coded(failure.verdict.sentence(), code).extend_with(|_, extensions| {
                if let Some(upstream_code) = failure.verdict.upstream_code() {
                    extensions.set("upstreamCode", upstream_code);
                }
            }),
            ApiError::HistoryUnavailable(cause) => {
                cause.tell();
                coded("The history cannot be read or written at the moment.", code)
            }
            ApiError::Internal(cause) => {
                error!(cause, "a request failed by a fault of ours");
                coded("An internal error occurred.", code)
            }
        }
    }
}

/// The bytes of a message from which on it has a long piece of the document or of a value in it: those of libraries may.
const LONG_MESSAGE: usize = 500;

/// Cuts a message that is long to what may be shown of a value.
pub(super) fn shorten(message: &mut String) {
    if message.len() > LONG_MESSAGE {
        *message = shown::cut(message).into_owned();
    }
}

/// A failure of the database that the log is told once, however many fields it nulls.
#[derive(Clone, Debug)]
pub struct ToldOnce {
    cause: Arc<StoreError>,
    told: Arc<AtomicBool>,
}

impl ToldOnce {
    fn tell(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            error!(error = telemetry::explain(self.cause.as_ref()), "a request could not use the database");
        }
    }
}

/// An error that no resolver gave.
pub fn coded_error(message: impl Into<String>, code: &str) -> ServerError {
    let mut message = shown::escape(&message.into()).into_owned();
    shorten(&mut message);
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code);
    error
}

fn coded(message: impl Into<String>, code: &str) -> Error {
    Error::new(shown::escape(&message.into())).extend_with(|_, extensions| extensions.set("code", code))
}
