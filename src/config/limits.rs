//! `[limits]`.

use std::time::Duration;

use serde::Deserialize;

use super::error::Invalid;
use super::{duration, text};

/// What one request may ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's body; at least 1024. Default 262,144 (256 KiB).
    pub body_bytes: usize,
    /// How long answering may take. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long a client may take nothing of what is sent to it before its connection is cut. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub stall_timeout: Duration,
    /// Levels of a query; at least 3, which the smallest useful query has. Default 15.
    pub depth: usize,
    /// Fields of a query's answer, lists counted by their page size, series by their points; at least 10. Default 20,000.
    pub complexity: usize,
    /// Fields of a query with another name than their own, fragments put in. Default 100.
    pub aliases: usize,
    /// Fields at the root of a query; at least 1. Default 50.
    pub root_fields: usize,
    /// Directives in a query. Default 50.
    pub directives: usize,
    /// Lexical tokens of a query; at least 10. Default 5000.
    pub tokens: usize,
    /// Brackets of any kind within each other, in a document and in the JSON that it comes with; 10 to 120, beyond which readers of JSON
    /// give up. Default 64.
    pub nesting: usize,
    /// Bytes of an answer, or of the answers to a list of operations together, counted while they are made; a field counts at least 40. From 1024
    /// to 1 GiB. Default 33,554,432 (32 MiB).
    pub answer_bytes: usize,
    /// Bytes of answers from 16 KiB on that their clients have not taken yet, besides those in the answer cache; those of one principal may
    /// take half. At least twice `answer_bytes`. Default 268,435,456 (256 MiB).
    pub unsent_bytes: usize,
    /// What may be read and gone through for an answer, counted while it is made: a recorded run counts one, and so do fifty changes of the fleet's
    /// log; a forecast made counts 100. At least 1000. Default 1,500,000.
    pub work: usize,
    /// Operations of one request, sent as a list; 0 refuses lists. Default 10.
    pub batch: usize,
    /// Entries of one page of a list; at least 1. Default 1000.
    pub page_size: u32,
    /// Requests per second and principal; at least 1. Default: no limit.
    pub requests_per_second: Option<u32>,
    /// Forced refreshes per tenant and minute; at least 1. Default 6.
    pub refreshes_per_minute: u32,
    /// Exports by HTTP that run at once; at least 1. Default 8.
    pub exports: u32,
    /// Subscriptions at the same time. Default 20,000.
    pub subscriptions: usize,
    /// Subscriptions of one principal at the same time. Default 2000.
    pub subscriptions_per_principal: usize,
    /// `WebSocket`s open at the same time, with and without subscriptions. Default 20,000.
    pub sockets: usize,
    /// `WebSocket`s of one principal open at the same time. Default 2000.
    pub sockets_per_principal: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            request_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_mins(1),
            depth: 15,
            complexity: 20_000,
            aliases: 100,
            root_fields: 50,
            directives: 50,
            tokens: 5000,
            nesting: 64,
            answer_bytes: 32 << 20,
            unsent_bytes: 256 << 20,
            work: 1_500_000,
            batch: 10,
            page_size: 1000,
            requests_per_second: None,
            refreshes_per_minute: 6,
            exports: 8,
            subscriptions: 20_000,
            subscriptions_per_principal: 2000,
            sockets: 20_000,
            sockets_per_principal: 2000,
        }
    }
}

impl Limits {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        text::require_within("limits.body_bytes", self.body_bytes, 1024..=1 << 30)?;
        duration::require_positive("limits.request_timeout", self.request_timeout)?;
        duration::require_positive("limits.stall_timeout", self.stall_timeout)?;
        text::require_within("limits.depth", self.depth, 3..=100)?;
        text::require_within("limits.complexity", self.complexity, 10..=1_000_000_000)?;
        text::require_within("limits.aliases", self.aliases, 0..=1_000_000)?;
        text::require_within("limits.root_fields", self.root_fields, 1..=1_000_000)?;
        text::require_within("limits.directives", self.directives, 0..=1_000_000)?;
        text::require_within("limits.tokens", self.tokens, 10..=100_000_000)?;
        text::require_within("limits.nesting", self.nesting, 10..=120)?;
        text::require_within("limits.answer_bytes", self.answer_bytes, 1024..=1 << 30)?;
        text::require_within("limits.unsent_bytes", self.unsent_bytes, 2 * self.answer_bytes..=1 << 40)?;
        text::require_within("limits.work", self.work, 1000..=1_000_000_000_000)?;
        text::require_within("limits.batch", self.batch, 0..=10_000)?;
        text::require_within("limits.page_size", self.page_size, 1..=100_000)?;
        if let Some(requests) = self.requests_per_second {
            text::require_within("limits.requests_per_second", requests, 1..=1_000_000)?;
        }
        text::require_within("limits.refreshes_per_minute", self.refreshes_per_minute, 1..=1_000_000)?;
        text::require_within("limits.exports", self.exports, 1..=1000)?;
        text::require_within("limits.subscriptions", self.subscriptions, 0..=10_000_000)?;
        text::require_within("limits.subscriptions_per_principal", self.subscriptions_per_principal, 0..=10_000_000)?;
        text::require_within("limits.sockets", self.sockets, 0..=10_000_000)?;
        text::require_within("limits.sockets_per_principal", self.sockets_per_principal, 0..=10_000_000)
    }
}
