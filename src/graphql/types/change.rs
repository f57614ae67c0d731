//! A change of a tenant's allocation.

use std::sync::Arc;

use async_graphql::SimpleObject;
use jiff::SignedDuration;

use super::super::scalars::DateTime;
use super::{SpaceAllocation, Tenant};
use crate::feed::Event;

/// Up to this much after the observation, the place in the order of events is shown as its instant. The upstream's clock tells no finer, and
/// so the instants of events differ and are in their order, too.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);

/// An observed change of a tenant's allocated or total space.
#[derive(SimpleObject)]
pub struct SpaceAllocationChange {
    /// The tenant.
    tenant: Tenant,
    /// The previous allocation; null for the first one of the tenant.
    before: Option<SpaceAllocation>,
    /// The new allocation.
    after: SpaceAllocation,
    /// The position of the event in the stream. Pass it as since to resume after the event.
    recorded_at: DateTime,
}

impl From<Event> for SpaceAllocationChange {
    fn from(event: Event) -> Self {
        let (recorded_at, change) = (event.change.recorded_at, &event.change.change);
        let observed_at = change.after.observed_at();
        let shown_at = if recorded_at.duration_since(observed_at) < RESOLUTION { recorded_at } else { observed_at };
        Self {
            tenant: Tenant::new(event.watched),
            before: change.before.clone().map(|before| SpaceAllocation::recorded(Arc::new(before), None)),
            after: SpaceAllocation::recorded(Arc::new(change.after.clone()), Some(shown_at)),
            recorded_at: DateTime(recorded_at),
        }
    }
}
