//! The root of subscriptions.

use std::sync::Arc;

use async_graphql::{Context, ID, Subscription as SubscriptionRoot};
use futures_util::Stream;

use super::context::{RequestContext, dependencies};
use super::error::ApiError;
use super::scalars::Instant;
use super::services::Services;
use super::types::SpaceAllocationChange;
use crate::access::Role;
use crate::feed::Ended;

fn no_such_tenant() -> ApiError {
    ApiError::argument("tenantId", "there is no such tenant")
}

/// Subscriptions.
pub struct Subscription;

/// Subscriptions.
#[SubscriptionRoot]
impl Subscription {
    /// One event for each observed change of allocated or total, of one tenant or of all that the caller may see. With since: first the
    /// changes recorded after that instant, then live ones, none missed and none twice.
    #[expect(clippy::unused_async, reason = "resolvers are async")]
    async fn space_allocation_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this tenant. Default: all tenants that the caller may see.")] tenant_id: Option<ID>,
        #[graphql(
            desc = "Where to resume: recordedAt of the last event received, or any time in the past. Default: only new events."
        )]
        since: Option<Instant>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<SpaceAllocationChange>> + use<>> {
        let services = ctx.data_unchecked::<Services>();
        let request = Arc::clone(RequestContext::of(ctx));
        let (view, delivery) = (&request.view, request.delivery.clone());
        // Events are not kept, and there may be many.
        dependencies(ctx).never_keep();
        view.require(Role::Read).map_err(ApiError::from)?;
        let tenant = tenant_id.map(|id| view.get(id.as_str()).map(|watched| watched.tenant.id.clone()).ok_or_else(no_such_tenant));
        let tenant = tenant.transpose()?;
        let since = Instant::read_optional(since.as_ref(), "since")?;
        let permit = services.subscribers.acquire(view.principal()).map_err(ApiError::from)?;
        let since = delivery.resume_after.or(since);
        let subscription = services.feed.subscribe(view.clone(), tenant, since);
        let open = services.metrics.begin(delivery.transport);
        *delivery.begins_after.lock() = Some(subscription.begins_after());
        Ok(futures_util::stream::unfold(Some((subscription, permit, open)), move |state| {
            let (place, turn) = (Arc::clone(&delivery.place), delivery.turn.clone());
            // The event that was made last has been answered.
            request.renew();
            async move {
                let (mut subscription, permit, open) = state?;
                match subscription.next().await? {
                    Ok(event) => {
                        open.count_event();
                        *place.lock() = Some(event.change.recorded_at);
                        turn.begin().await;
                        Some((Ok(event.into()), Some((subscription, permit, open))))
                    }
                    Err(Ended::Lapsed(lapse)) => Some((Err(ApiError::Lapsed(lapse).into()), None)),
                    Err(Ended::Forbidden(forbidden)) => Some((Err(ApiError::from(forbidden).into()), None)),
                    Err(Ended::NoTenant) => Some((Err(no_such_tenant().into()), None)),
                }
            }
        }))
    }
}
