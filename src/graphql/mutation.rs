//! The root of mutations.

use async_graphql::{Context, ID, Object};
use tracing::info;

use super::error::ApiError;
use super::ingredients;
use super::services::Services;
use super::types::SpaceAllocation;
use crate::access::{Role, View};
use crate::allocations::Answer;

/// What can be done.
pub struct Mutation;

/// What can be done.
#[Object]
impl Mutation {
    /// Asks the upstream now, past every cache, records the snapshot and answers with it. Needs the role REFRESH; limited per tenant.
    async fn refresh_space_allocation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] tenant_id: ID,
    ) -> Result<SpaceAllocation, async_graphql::Error> {
        let (services, view) = (ctx.data_unchecked::<Services>(), ctx.data_unchecked::<View>());
        ingredients(ctx).never_keep();
        let outcome = refresh(services, view, tenant_id.as_str()).await;
        let told = outcome.as_ref().map_or_else(ApiError::code, |_| "OK");
        info!(target: "quotagraph::audit", principal = %view.principal().name, operation = "refreshSpaceAllocation",
            tenant = tenant_id.as_str(), outcome = told, "mutation");
        Ok(outcome?.into())
    }
}

async fn refresh(services: &Services, view: &View, tenant_id: &str) -> Result<Answer, ApiError> {
    view.require(Role::Refresh)?;
    let watched = view.get(tenant_id).ok_or_else(|| ApiError::argument("tenantId", "there is no such tenant"))?;
    services.refreshes.take(&watched.tenant.id).map_err(ApiError::RateLimited)?;
    Ok(services.allocations.refresh(watched).await?)
}
