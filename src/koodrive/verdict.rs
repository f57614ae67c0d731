//! One verdict per upstream answer: it decides retry, breaker, caching, recording and the error code.

use std::fmt;
use std::time::Duration;

/// Every verdict but the good one, which is the answer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// KooDrive itself says no: HTTP 200 with a code other than 0.
    Business {
        /// Its code, such as `13000301`; at most 64 characters.
        code: String,
        /// Its message, in the language that was asked for; at most 200 characters. For the log.
        msg: String,
    },
    /// The request was turned away: 400, 401, 403, 404 and the other 4xx.
    Refused(HttpFault),
    /// Too much was asked.
    Overloaded {
        /// By whom it is said.
        by: Limit,
        /// How long to wait; `None` when nobody says so.
        retry_after: Option<Duration>,
    },
    /// An answer that is not understood, with the reason, for the log.
    Invalid(String),
    /// No answer of KooDrive at all.
    Unreachable {
        /// What happened.
        cause: Cause,
        /// How long to wait; `None` when nobody says so.
        retry_after: Option<Duration>,
    },
}

/// An HTTP status that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFault {
    pub status: u16,
    /// The `error_code` of the gateway's body, such as `APIGW.0301`; at most 64 characters.
    pub gateway_code: Option<String>,
    /// The `error_msg` beside it, in quotes and fit to be shown; at most 200 characters. For those who try a credential, not for the log.
    pub gateway_message: Option<String>,
}

/// Who says that too much was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    Upstream(HttpFault),
    /// The upstream said so before and asked this account to wait; nothing was sent.
    RetryAfter,
    /// Our own concurrency or rate limit for the host would not have let the request through in time; nothing was sent.
    Own,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection, or a broken one; the text is the transport's, for the log.
    Connection(String),
    /// The answer took too long.
    TimedOut,
    /// A status that speaks for the server and not for the request: 5xx, 408.
    Status(HttpFault),
    /// The account was unreachable several times in a row; nothing was sent.
    BreakerOpen,
    /// No request can be made of the account's settings; nothing was sent.
    Unsendable(&'static str),
}

impl Verdict {
    /// Whether the same request, signed anew, may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Business { .. } | Self::Refused(_) | Self::Invalid(_) => false,
            Self::Overloaded { by, .. } => matches!(by, Limit::Upstream(_)),
            Self::Unreachable { cause, .. } => !matches!(cause, Cause::BreakerOpen | Cause::Unsendable(_)),
        }
    }

    /// Its name in the metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Business { .. } => "business",
            Self::Refused(_) => "refused",
            Self::Overloaded { .. } => "overloaded",
            Self::Invalid(_) => "invalid",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// The error code of the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Business { .. } | Self::Refused(_) => "UPSTREAM_REJECTED",
            Self::Overloaded { .. } => "UPSTREAM_OVERLOADED",
            Self::Invalid(_) => "UPSTREAM_INVALID",
            Self::Unreachable { .. } => "UPSTREAM_UNAVAILABLE",
        }
    }

    /// A fixed sentence that may be shown to anybody.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Business { .. } => "KooDrive reported an error.",
            Self::Refused(_) => "KooDrive refused the request.",
            Self::Overloaded { .. } => "KooDrive is asked too much at the moment.",
            Self::Invalid(_) => "KooDrive gave an answer that is not understood.",
            Self::Unreachable { .. } => "KooDrive cannot be reached at the moment.",
        }
    }

    /// The upstream's own code: the business code, the gateway's code or the HTTP status; `None` when the upstream said nothing.
    #[must_use]
    pub fn upstream_code(&self) -> Option<String> {
        match self {
            Self::Business { code, .. } => Some(code.clone()),
            Self::Refused(fault)
            | Self::Overloaded { by: Limit::Upstream(fault), .. }
            | Self::Unreachable { cause: Cause::Status(fault), .. } => Some(fault.code()),
            Self::Overloaded { .. } | Self::Unreachable { .. } | Self::Invalid(_) => None,
        }
    }

    /// The gateway's own words, in quotes, where it gave some.
    #[must_use]
    pub fn gateway_message(&self) -> Option<&str> {
        match self {
            Self::Refused(fault)
            | Self::Overloaded { by: Limit::Upstream(fault), .. }
            | Self::Unreachable { cause: Cause::Status(fault), .. } => fault.gateway_message.as_deref(),
            Self::Business { .. } | Self::Overloaded { .. } | Self::Unreachable { .. } | Self::Invalid(_) => None,
        }
    }

    /// How long to wait before the next call; `None` when nobody says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } | Self::Unreachable { retry_after, .. } => *retry_after,
            Self::Business { .. } | Self::Refused(_) | Self::Invalid(_) => None,
        }
    }

    /// An invalid answer.
    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }

    /// No answer, and nobody who says how long to wait.
    pub(super) fn unreachable(cause: Cause) -> Self {
        Self::Unreachable { cause, retry_after: None }
    }
}

impl HttpFault {
    fn code(&self) -> String {
        self.gateway_code.clone().unwrap_or_else(|| self.status.to_string())
    }
}

/// For the log.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Business { code, msg } => write!(f, "business error {code}: {msg}"),
            Self::Refused(fault) => write!(f, "refused: {fault}"),
            Self::Overloaded { by: Limit::Upstream(fault), .. } => write!(f, "overloaded: {fault}"),
            Self::Overloaded { by: Limit::RetryAfter, .. } => {
                f.write_str("overloaded: the time that the upstream asked for is not over")
            }
            Self::Overloaded { by: Limit::Own, .. } => f.write_str("overloaded: our own limit for the host is reached"),
            Self::Invalid(reason) => write!(f, "invalid answer: {reason}"),
            // It was reached, and says that it does not work.
            Self::Unreachable { cause: Cause::Status(fault), .. } => write!(f, "unavailable: {fault}"),
            Self::Unreachable { cause, .. } => write!(f, "unreachable: {cause}"),
        }
    }
}

impl fmt::Display for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        self.gateway_code.as_ref().map_or(Ok(()), |code| write!(f, ", {code}"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(text) => f.write_str(text),
            Self::TimedOut => f.write_str("timed out"),
            Self::Status(fault) => fault.fmt(f),
            Self::BreakerOpen => f.write_str("breaker open"),
            Self::Unsendable(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_sentence_and_retry_of_each_verdict() {
        let fault = |status| HttpFault { status, gateway_code: None, gateway_message: None };
        let gateway = HttpFault { status: 403, gateway_code: Some("APIGW.0301".into()), gateway_message: None };
        let overloaded = |by| Verdict::Overloaded { by, retry_after: None };
        let table = [
            (Verdict::Business { code: "13000301".into(), msg: "no".into() }, "UPSTREAM_REJECTED", Some("13000301"), false),
            (Verdict::Refused(fault(400)), "UPSTREAM_REJECTED", Some("400"), false),
            (Verdict::Refused(gateway), "UPSTREAM_REJECTED", Some("APIGW.0301"), false),
            (overloaded(Limit::Upstream(fault(429))), "UPSTREAM_OVERLOADED", Some("429"), true),
            (overloaded(Limit::RetryAfter), "UPSTREAM_OVERLOADED", None, false),
            (overloaded(Limit::Own), "UPSTREAM_OVERLOADED", None, false),
            (Verdict::invalid("no JSON"), "UPSTREAM_INVALID", None, false),
            (Verdict::unreachable(Cause::Status(fault(503))), "UPSTREAM_UNAVAILABLE", Some("503"), true),
            (Verdict::unreachable(Cause::Connection("refused".into())), "UPSTREAM_UNAVAILABLE", None, true),
            (Verdict::unreachable(Cause::TimedOut), "UPSTREAM_UNAVAILABLE", None, true),
            (Verdict::unreachable(Cause::BreakerOpen), "UPSTREAM_UNAVAILABLE", None, false),
            (Verdict::unreachable(Cause::Unsendable("no host")), "UPSTREAM_UNAVAILABLE", None, false),
        ];
        for (verdict, code, upstream_code, retryable) in table {
            assert_eq!(verdict.code(), code, "{verdict}");
            assert_eq!(verdict.upstream_code().as_deref(), upstream_code, "{verdict}");
            assert_eq!(verdict.is_retryable(), retryable, "{verdict}");
            assert!(verdict.sentence().starts_with("KooDrive ") && verdict.sentence().ends_with('.'));
        }
    }
}
