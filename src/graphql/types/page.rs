//! Pages of lists after the Relay cursor connections specification.

use async_graphql::SimpleObject;

use super::super::cursor::Cursor;
use super::super::error::ApiError;
use super::super::scalars::Integer;

/// The position of a page in its list.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(shareable)]
pub struct PageInfo {
    /// Whether there are items after the page.
    has_next_page: bool,
    /// Whether there are items before the page.
    has_previous_page: bool,
    /// The cursor of the first edge; null for an empty page.
    start_cursor: Option<String>,
    /// The cursor of the last edge; null for an empty page.
    end_cursor: Option<String>,
}

impl PageInfo {
    /// Where a page of these edges lies.
    pub fn new<E>(edges: &[E], cursor: impl Fn(&E) -> String, has_previous_page: bool, has_next_page: bool) -> Self {
        let (start, end) = (edges.first(), edges.last());
        let (start_cursor, end_cursor) = (start.map(&cursor), end.map(&cursor));
        Self { has_next_page, has_previous_page, start_cursor, end_cursor }
    }
}

/// A page that was asked for.
#[derive(Clone, Debug)]
pub struct Page<C> {
    /// How many items at most.
    pub limit: usize,
    /// The last ones instead of the first ones.
    pub backwards: bool,
    /// Only items after this place.
    pub after: Option<C>,
    /// Only items before this place.
    pub before: Option<C>,
}

/// Items on a page when the caller does not say.
pub const DEFAULT_PAGE: usize = 50;

impl<C: Cursor> Page<C> {
    /// Reads the arguments of a connection.
    pub fn parse(
        first: Option<Integer>,
        after: Option<&str>,
        last: Option<Integer>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Self, ApiError> {
        let (backwards, limit) = match (first, last) {
            (Some(_), Some(_)) => return Err(ApiError::argument("last", "cannot go with first; give one of them")),
            (Some(first), None) => (false, first.read_count("first", limit)?),
            (None, Some(last)) => (true, last.read_count("last", limit)?),
            (None, None) => (false, DEFAULT_PAGE.min(limit)),
        };
        let place = |name: &str, text: Option<&str>| {
            text.map(|text| C::decode(text).ok_or_else(|| ApiError::argument(name, "is not a cursor of this list"))).transpose()
        };
        Ok(Self { limit, backwards, after: place("after", after)?, before: place("before", before)? })
    }
}
