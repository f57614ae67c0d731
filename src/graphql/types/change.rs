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

/// An observed change of what a tenant has allocated or in total.
#[derive(SimpleObject)]
pub struct SpaceAllocationChange {
    /// The tenant.
    tenant: Tenant,
    /// What was known before; null for the first answer of the tenant.
    before: Option<SpaceAllocation>,
    /// What was observed.
    after: SpaceAllocation,
    /// Where the event stands in the order of events: give it as since to go on after it.
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
