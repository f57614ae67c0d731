//! The root of queries.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::context::view;
use super::error::ApiError;
use super::history::null_alone;
use super::scalars::Integer;
use super::services::Services;
use super::types::{Fleet, Page, Tenant, TenantConnection, TenantFilter, TenantOrder, list_tenants};
use crate::access::Role;

/// Queries.
pub struct Query;

/// Queries.
#[Object]
impl Query {
    /// One tenant; null when there is none of that id that the caller may see. Without id: the configured default tenant, or the only
    /// one that the caller may see; otherwise the error `BAD_USER_INPUT`.
    async fn tenant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] id: Option<ID>,
    ) -> Option<Result<Tenant, async_graphql::Error>> {
        let view = view(ctx);
        if let Err(forbidden) = view.require(Role::Read) {
            return Some(Err(ApiError::from(forbidden).into()));
        }
        if let Some(id) = id {
            return view.get(id.as_str()).map(|watched| Ok(Tenant::new(Arc::clone(watched))));
        }
        let default = ctx.data_unchecked::<Services>().default_tenant.as_ref();
        let why = match (default.and_then(|id| view.get(id.as_str())), view.all().as_ref()) {
            (Some(meant), _) | (None, [meant]) => return Some(Ok(Tenant::new(Arc::clone(meant)))),
            (None, []) => "you may see no tenant",
            (None, _) => "you may see several tenants, and none of them is server.default_tenant",
        };
        Some(Err(ApiError::BadUserInput(format!("id is required: {why}")).into()))
    }

    /// A tenant that another subgraph of an Apollo Federation refers to.
    #[graphql(entity)]
    async fn find_tenant_by_id(&self, ctx: &Context<'_>, #[graphql(key)] id: ID) -> Option<Result<Tenant, async_graphql::Error>> {
        let view = view(ctx);
        if let Err(forbidden) = view.require(Role::Read) {
            return Some(Err(ApiError::from(forbidden).into()));
        }
        view.get(id.as_str()).map(|watched| Ok(Tenant::new(Arc::clone(watched))))
    }

    /// The tenants that the caller may see, page by page (Relay cursor connections). Null, with an error, when an argument is wrong or
    /// the database is needed and cannot be read.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the schema")]
    async fn tenants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many items. Default: 50, if last is not given either.")] first: Option<Integer>,
        #[graphql(desc = "Only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many items.")] last: Option<Integer>,
        #[graphql(desc = "Only items before this cursor.")] before: Option<String>,
        #[graphql(name = "where", desc = "Only tenants that meet these conditions.")] filter: Option<TenantFilter>,
        #[graphql(desc = "The order of the list. Default: by id.")] order_by: Option<TenantOrder>,
    ) -> Option<Result<TenantConnection, async_graphql::Error>> {
        null_alone(async {
            view(ctx).require(Role::Read)?;
            let limit = ctx.data_unchecked::<Services>().page_size;
            let page = Page::parse(first, after.as_deref(), last, before.as_deref(), limit)?;
            list_tenants(ctx, page, &filter.unwrap_or_default(), order_by.unwrap_or_default()).await.map(Some)
        })
        .await
    }

    /// All tenants that the caller may see and that match the filter, taken together. Null, with an error, when an argument is wrong or the database must be
    /// read and cannot.
    async fn fleet(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Only tenants that meet these conditions.")] filter: Option<TenantFilter>,
    ) -> Option<Result<Fleet, async_graphql::Error>> {
        null_alone(async {
            view(ctx).require(Role::Read)?;
            Fleet::of(ctx, &filter.unwrap_or_default()).await.map(Some)
        })
        .await
    }
}
