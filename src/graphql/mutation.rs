//! The root of mutations.

use async_graphql::{Context, ID, Object};
use tracing::info;

use super::context::{dependencies, view};
use super::error::ApiError;
use super::history::wait_for_history;
use super::services::Services;
use super::types::SpaceAllocation;
use crate::access::{Role, View};
use crate::allocations::AllocationAnswer;

/// Mutations.
pub struct Mutation;

/// Mutations.
#[Object]
impl Mutation {
    /// Asks the upstream now, past every cache, records the snapshot and answers with it. Needs the role REFRESH; limited per tenant.
    /// Null, with an error, when it cannot; an answer that could not be recorded as yet is recorded later.
    async fn refresh_space_allocation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] tenant_id: ID,
    ) -> Option<Result<SpaceAllocation, async_graphql::Error>> {
        let view = view(ctx);
        dependencies(ctx).never_keep();
        let outcome = refresh(ctx, view, tenant_id.as_str()).await;
        let told = outcome.as_ref().map_or_else(ApiError::code, |_| "OK");
        info!(target: "quotagraph::audit", principal = %view.principal().name, by = view.principal().name.means().name(), operation = "refreshSpaceAllocation",
            tenant = tenant_id.as_str(), outcome = told, "mutation");
        Some(outcome.map(Into::into).map_err(Into::into))
    }
}

async fn refresh(ctx: &Context<'_>, view: &View, tenant_id: &str) -> Result<AllocationAnswer, ApiError> {
    let services = ctx.data_unchecked::<Services>();
    view.require(Role::Refresh)?;
    let watched = view.get(tenant_id).ok_or_else(|| ApiError::argument("tenantId", "there is no such tenant"))?;
    services.refreshes.take(&watched.tenant.id).map_err(ApiError::RateLimited)?;
    let allocation = services.allocations.fetch_now(watched).await?;
    wait_for_history(ctx, services.allocations.record_now(watched, allocation)).await
}
