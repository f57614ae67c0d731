//! Requests that are not answered by executing a document.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::access::{self, Lapse};
use crate::graphql::{ApiError, code, coded_error};
use crate::http::answer::unsent::Full;
use crate::http::answer::{Answer, Keeping};
use crate::http::negotiation::accept::MediaType;

/// Why a request is not executed.
#[derive(Debug)]
pub(in crate::http) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// A header that tells clients more.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A fault of the caller.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: code::BAD_USER_INPUT, message: message.into(), header: None }
    }

    /// A request that is not understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A page of another server made the request.
    pub fn of_foreign_page() -> Self {
        let message = "a page of another server made this request; add its origin to cors.allowed_origins to allow it, or, if the page is this \
                       service's own behind a proxy that changes Host, add the proxy to server.trusted_proxies and let it send X-Forwarded-Host";
        Self { code: code::FORBIDDEN, ..Self::new(StatusCode::FORBIDDEN, message) }
    }

    /// There is nothing at a path.
    pub fn of_no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is nothing at this path; GraphQL is at /graphql, and files of history are at /v1/export/usage and /v1/export/snapshots",
        )
    }

    /// A fault of ours.
    pub fn of_panic() -> Self {
        Self { code: code::INTERNAL, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "An internal error occurred.") }
    }

    /// What the caller is told where nothing is negotiated.
    pub fn respond(self) -> Response {
        let answer = self.answer();
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MediaType::Json.content_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// What the caller is told.
    pub fn answer(self) -> Answer {
        let error = coded_error(self.message, self.code);
        let mut answer = Answer::new(self.status, None, &[error], Keeping::Never);
        if let Some((name, value)) = self.header {
            if name == header::UPGRADE {
                // It is about this connection alone (RFC 9110 section 7.8).
                answer.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            }
            answer.headers.insert(name, value);
        }
        answer
    }
}

impl From<access::Forbidden> for Refusal {
    fn from(forbidden: access::Forbidden) -> Self {
        ApiError::from(forbidden).into()
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, full.to_string());
        Self { code: code::RATE_LIMITED, header: Some((header::RETRY_AFTER, HeaderValue::from_static("10"))), ..refusal }
    }
}

/// Where no document is executed, the status says of which kind the error is.
impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = match &error {
            ApiError::BadUserInput(_) => StatusCode::BAD_REQUEST,
            ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
            ApiError::Lapsed(Lapse::Expired | Lapse::Withdrawn) => StatusCode::UNAUTHORIZED,
            ApiError::RateLimited(_) | ApiError::LimitReached(_) => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Upstream(_) => StatusCode::BAD_GATEWAY,
            ApiError::Lapsed(Lapse::Unverifiable) | ApiError::HistoryUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = error.code();
        Self { code, ..Self::new(status, async_graphql::Error::from(error).message) }
    }
}

impl From<access::AccessError> for Refusal {
    fn from(refusal: access::AccessError) -> Self {
        let message = refusal.to_string();
        match refusal {
            access::AccessError::Unauthenticated { proof, token_refused } => Self {
                code: code::UNAUTHENTICATED,
                header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(proof.challenges(token_refused)))),
                ..Self::new(StatusCode::UNAUTHORIZED, message)
            },
            access::AccessError::RateLimited(seconds) => Self {
                code: code::RATE_LIMITED,
                header: Some((header::RETRY_AFTER, HeaderValue::from(seconds))),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, message)
            },
            access::AccessError::IssuerAway(seconds) => Self {
                code: code::ISSUER_UNAVAILABLE,
                header: Some((header::RETRY_AFTER, HeaderValue::from(seconds))),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
            },
        }
    }
}
