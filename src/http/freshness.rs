//! How long a client may keep an answer.

use std::time::Duration;

use async_graphql::Response as GraphqlResponse;

use super::answer::Keeping;

/// How long the answer to a query that was executed without errors still holds. What nobody vouches for has to be asked for again.
pub(super) fn remaining_freshness(response: &GraphqlResponse) -> Keeping {
    match u64::try_from(response.cache_control.max_age) {
        Ok(seconds) if seconds > 0 => Keeping::For(Duration::from_secs(seconds)),
        _ => Keeping::Revalidated,
    }
}
