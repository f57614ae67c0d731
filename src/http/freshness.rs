//! How long a client may keep an answer.

use async_graphql::Response as GraphqlResponse;

use super::answer::Keeping;

/// How long the answer to a query that was executed without errors still holds. What nobody vouches for has to be asked for again.
pub(super) fn remaining_freshness(_response: &GraphqlResponse) -> Keeping {
    Keeping::Revalidated
}
