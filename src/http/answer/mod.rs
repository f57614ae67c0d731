//! What an answer is before it is written: status, body, and how long clients may keep it.

pub(in crate::http) mod cache;
pub(in crate::http) mod refusal;
pub(in crate::http) mod respond;
pub(in crate::http) mod unbuffered;
pub(in crate::http) mod unsent;

use std::time::Duration;

use async_graphql::{ServerError, Value};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::error;

use crate::access::Principal;
use crate::answers::Finished;
use crate::graphql::Json;
use crate::http::answer::unsent::{Full, Share, Unsent};
use crate::telemetry::explain;

/// An answer to a request, whatever its media type and encoding will be.
#[derive(Clone, Debug)]
pub(in crate::http) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    /// Headers of this answer besides those that every answer gets.
    pub headers: HeaderMap,
    pub keeping: Keeping,
    /// The finished answer that this one is, whose encoded forms are kept.
    pub finished: Option<Finished>,
    /// What a large one takes of the memory for answers.
    pub share: Option<Share>,
}

/// What a client may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Keeping {
    /// Nothing: errors, mutations, and answers that had to be live.
    Never,
    /// The answer, if it asks before each use whether it still holds.
    Revalidated,
    /// The answer, for so long.
    For(Duration),
}

/// A response of the schema as the payload of an event or a message.
struct Payload<'a>(&'a async_graphql::Response);

impl Serialize for Payload<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = self;
        Members { data: is_executed(response).then_some(Json(&response.data)), errors: &response.errors }.serialize(serializer)
    }
}

/// What an event or a message tells of a response, written already.
pub(in crate::http) struct Told {
    pub has_errors: bool,
    /// The payload of an event or a message.
    pub payload: Box<RawValue>,
    /// The errors alone, of a document that was not executed.
    pub errors: Option<Box<RawValue>>,
    /// What a large one takes of the memory for answers.
    pub share: Option<Share>,
    /// Whether it stands for one that there was no room for.
    pub is_lost: bool,
}

impl Told {
    /// What is told of a response.
    pub fn of(response: &async_graphql::Response) -> Self {
        let is_executed = is_executed(response);
        let written = to_raw_value(&Payload(response)).and_then(|payload| {
            let errors = (!is_executed).then(|| to_raw_value(&response.errors)).transpose()?;
            Ok(Self { has_errors: !response.errors.is_empty(), payload, errors, share: None, is_lost: false })
        });
        written.unwrap_or_else(|cause| {
            error!(error = explain(&cause), "cannot write an answer");
            Self { has_errors: true, payload: RawValue::NULL.to_owned(), errors: None, share: None, is_lost: false }
        })
    }
}

/// The members of a body. `data` is absent when the document was not executed.
#[derive(Serialize)]
struct Members<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Json<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

impl Answer {
    /// An answer of these data and errors.
    pub fn new(status: StatusCode, data: Option<&Value>, errors: &[ServerError], keeping: Keeping) -> Self {
        match serde_json::to_vec(&Members { data: data.map(Json), errors }) {
            Ok(body) => Self {
                status,
                body: body.into_boxed_slice().into(),
                headers: HeaderMap::new(),
                keeping,
                finished: None,
                share: None,
            },
            Err(cause) => {
                error!(error = explain(&cause), "cannot write an answer");
                Self::internal()
            }
        }
    }

    fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: Bytes::from_static(br#"{"errors":[{"message":"An internal error occurred.","extensions":{"code":"INTERNAL"}}]}"#),
            headers: HeaderMap::new(),
            keeping: Keeping::Never,
            finished: None,
            share: None,
        }
    }

    /// The same answer, which counts among those that are not sent yet.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn count(mut self, unsent: &Unsent, principal: &Principal) -> Result<Self, Full> {
        self.share = unsent.share(principal, self.body.len())?;
        if let Some(share) = &self.share {
            self.body = share.attach(self.body);
        }
        Ok(self)
    }

    /// An answer that was finished before.
    pub fn finished(finished: Finished, keeping: Keeping) -> Self {
        let body = finished.body().clone();
        Self { status: StatusCode::OK, body, headers: HeaderMap::new(), keeping, finished: Some(finished), share: None }
    }

    /// The answer to a list of operations. Its status tells that the list was understood; each member has its own errors.
    pub fn of_batch(answers: &[Self]) -> Self {
        let mut body = Vec::with_capacity(answers.iter().map(|answer| answer.body.len() + 1).sum::<usize>() + 2);
        for (place, answer) in answers.iter().enumerate() {
            body.push(if place == 0 { b'[' } else { b',' });
            body.extend_from_slice(&answer.body);
        }
        body.push(b']');
        Self {
            status: StatusCode::OK,
            body: body.into_boxed_slice().into(),
            headers: HeaderMap::new(),
            keeping: Keeping::Never,
            finished: None,
            share: None,
        }
    }
}

/// Whether the document was executed, and not refused before. Errors of execution name the field that failed.
pub(in crate::http) fn is_executed(response: &async_graphql::Response) -> bool {
    response.data != Value::Null || response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty())
}
