//! Changes to watch: by their models, tenants change a handful of times a day, and who subscribes to the demo would see nothing for an hour.

use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::behaviour::Behaviour;
use super::model::Model;
use super::tenant::TenantHandle;
use crate::clock::SharedClock;
use crate::quota::SpaceTypeAllocation;

/// How often one of the tenants changes.
pub const CHANGE_EVERY: Duration = Duration::from_secs(30);

/// What was allocated in the first space type moves by so many GB, up or down, in this order.
const STEPS_GB: [i64; 3] = [1, 2, 3];

/// Changes simulated tenants, one after the other.
#[derive(Debug)]
pub struct LiveChanges {
    tenants: Vec<Changing>,
    turn: usize,
}

#[derive(Debug)]
struct Changing {
    handle: TenantHandle,
    model: Model,
    /// How it behaves since its last change.
    left: Behaviour,
}

impl LiveChanges {
    /// Changes of these tenants, in their order.
    pub fn new(tenants: impl IntoIterator<Item = (TenantHandle, Model)>) -> Self {
        let changing = |(handle, model)| Changing { handle, model, left: Behaviour::default() };
        Self { tenants: tenants.into_iter().map(changing).collect(), turn: 0 }
    }

    /// Changes a tenant at once, and then one every [`CHANGE_EVERY`].
    pub async fn keep(mut self, clock: SharedClock) -> Infallible {
        let mut tick = interval(CHANGE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.make_one(clock.now());
        }
    }

    /// Changes the next tenant whose turn it is, and gives its place. Passes over those that are down, and those that somebody has told how to
    /// behave.
    fn make_one(&mut self, now: Timestamp) -> Option<usize> {
        let count = self.tenants.len();
        (0..count).find_map(|_| {
            let (round, place) = (self.turn / count, self.turn % count);
            self.turn += 1;
            self.tenants[place].change(STEPS_GB[round % STEPS_GB.len()], now).then_some(place)
        })
    }
}

impl Changing {
    fn change(&mut self, step_gb: i64, now: Timestamp) -> bool {
        let Some(mut values) = self.model.values(now) else { return false };
        let Some(first) = values.first_mut() else { return false };
        move_by(first, step_gb);
        let next = Behaviour { values: Some(values.into_iter().map(Into::into).collect()), ..Behaviour::default() };
        // Whoever has reset a tenant leaves it to us again.
        let is_ours = self.handle.behaves_as(&self.left) || self.handle.behaves_as(&Behaviour::default());
        let changed = is_ours && next != self.left && self.handle.set_behaviour(next.clone()).is_ok();
        if changed {
            self.left = next;
        }
        changed
    }
}

/// Allocates more where there is room, else less.
fn move_by(value: &mut SpaceTypeAllocation, step_gb: i64) {
    let more = value.allocated_gb.saturating_add(step_gb);
    value.allocated_gb = if more <= value.total_gb { more } else { value.allocated_gb.saturating_sub(step_gb).max(0) };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::simulator::Simulator;
    use crate::simulator::demo::demo_tenants;

    #[tokio::test]
    async fn tenants_change_in_their_order_but_for_those_that_somebody_has_told_how_to_behave() {
        let tenants = demo_tenants(3);
        let simulated = tenants.iter().map(|demo| demo.simulated.clone()).collect();
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), simulated, Arc::new(SystemClock)).await.unwrap();
        let handle = |place: usize| simulator.tenant(tenants[place].tenant.id.as_str()).unwrap();
        let mut changes = LiveChanges::new(tenants.iter().enumerate().map(|(place, demo)| (handle(place), demo.model.clone())));
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        let failing = Behaviour { status: Some(503), ..Behaviour::default() };
        handle(1).set_behaviour(failing.clone()).unwrap();

        let mut seen = vec![handle(0).behaviour()];
        for expected in [0, 2, 0, 2, 0] {
            assert_eq!(changes.make_one(now), Some(expected));
            if expected == 0 {
                seen.push(handle(0).behaviour());
            }
        }
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
        assert_eq!(handle(1).behaviour(), failing);
        let values = handle(0).behaviour().values.unwrap();
        assert!(values.iter().all(|value| value.allocated_gb <= value.total_gb), "{values:?}");

        handle(1).set_behaviour(Behaviour::default()).unwrap();
        assert_eq!(changes.make_one(now), Some(1), "it was told to behave as before");
        handle(2).set_behaviour(failing).unwrap();
        assert_eq!(changes.make_one(now), Some(0));
    }
}
