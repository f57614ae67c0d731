//! What a request brings along, and what its fields share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use async_graphql::{Context, ContextBase};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::budget::Budget;
use super::delivery::Delivery;
use super::error::ApiError;
use super::services::Services;
use crate::access::View;
use crate::answers::Dependencies;
use crate::store::StoreError;
use crate::work::Work;

/// What a request brings along, and what its fields share. Each request has one, as the only thing that is its data.
pub struct RequestContext {
    /// What the caller may see: the only way to a tenant.
    pub view: View,
    /// Where resolvers note what they use.
    pub dependencies: Arc<Dependencies>,
    /// What the answer may take.
    pub budget: Arc<Budget>,
    /// How the events of a subscription travel.
    pub delivery: Delivery,
    /// What all fields are told that waited too long for the database.
    exhausted: OnceLock<ApiError>,
    moment: Mutex<Moment>,
}

/// What holds for one answer, and not for the next event of a subscription.
#[derive(Default)]
struct Moment {
    now: Option<Timestamp>,
    /// What fields have made of their arguments: those of a list are the same for all of its entries.
    made: HashMap<(TypeId, String), Box<dyn Any + Send + Sync>>,
}

impl RequestContext {
    /// Of a request that nothing was done for yet.
    #[must_use]
    pub fn new(view: View, dependencies: Arc<Dependencies>, budget: Arc<Budget>, delivery: Delivery) -> Self {
        Self { view, dependencies, budget, delivery, exhausted: OnceLock::new(), moment: Mutex::default() }
    }

    /// That of the request that is answered.
    pub(super) fn of<'a, T>(ctx: &ContextBase<'a, T>) -> &'a Arc<Self> {
        ctx.data_unchecked::<Arc<Self>>()
    }

    /// The work that the answer may take.
    pub(super) fn work(&self) -> &Arc<Work> {
        self.budget.work()
    }

    /// The instant of the answer: one for all of its fields, so that what a list asks is asked of all of its entries together.
    pub(super) fn now(&self, services: &Services) -> Timestamp {
        *self.moment.lock().now.get_or_insert_with(|| services.clock.now())
    }

    /// What is made of these arguments, made once for all fields that have the same ones.
    pub(super) fn once<T: Clone + Send + Sync + 'static>(&self, arguments: String, make: impl FnOnce() -> T) -> T {
        let mut moment = self.moment.lock();
        let key = (TypeId::of::<T>(), arguments);
        if let Some(known) = moment.made.get(&key).and_then(|known| known.downcast_ref::<T>()) {
            return known.clone();
        }
        let value = make();
        moment.made.insert(key, Box::new(value.clone()));
        value
    }

    /// Begins anew: the next event of a subscription is an answer of its own.
    pub(super) fn renew(&self) {
        *self.moment.lock() = Moment::default();
    }

    /// What a caller is told of a failure of the database.
    pub(super) fn explain(&self, failed: StoreError) -> ApiError {
        match failed {
            StoreError::Slow(_) => self.exhausted.get_or_init(|| failed.into()).clone(),
            other => other.into(),
        }
    }
}

/// What the caller may see.
pub(super) fn view<'a>(ctx: &Context<'a>) -> &'a View {
    &RequestContext::of(ctx).view
}

/// Where the resolvers of a request note what they use.
pub(super) fn dependencies<'a>(ctx: &Context<'a>) -> &'a Dependencies {
    &RequestContext::of(ctx).dependencies
}

/// Who asks for something: a request. One is equal to itself alone.
#[derive(Clone)]
pub struct Asker(Arc<RequestContext>);

impl Asker {
    /// Who asks for a field.
    pub(super) fn of(ctx: &Context<'_>) -> Self {
        Self(Arc::clone(RequestContext::of(ctx)))
    }
}

impl PartialEq for Asker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Asker {}

impl Hash for Asker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Deref for Asker {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.0
    }
}
