//! The root of mutations.

use async_graphql::{Context, ID, Object};

use super::error::ApiError;
use super::services::Services;
use super::types::SpaceAllocation;

/// What can be done.
pub struct Mutation;

/// What can be done.
#[Object]
impl Mutation {
    /// Asks the upstream now, past every cache, records the snapshot and answers with it. Limited per tenant.
    async fn refresh_space_allocation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] tenant_id: ID,
    ) -> Result<SpaceAllocation, async_graphql::Error> {
        let services = ctx.data_unchecked::<Services>();
        let tenants = services.tenants.current();
        let watched = tenants.get(tenant_id.as_str()).ok_or_else(|| ApiError::argument("tenantId", "there is no such tenant"))?;
        services.refreshes.take(&watched.tenant.id)?;
        let answer = services.allocations.refresh(watched).await.map_err(ApiError::from)?;
        Ok(answer.into())
    }
}
