//! Keeps the log of changes packed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::clock::SharedClock;
use crate::store::{PackWhen, SharedStore};
use crate::telemetry;

/// How often it is looked for changes to pack. While many come in, as with an import, they are packed one part after the other.
const PAUSE: Duration = Duration::from_mins(1);
/// Unpacked changes that a sum reads one by one at most, and with them what packing a day anew is worth.
const ENOUGH: u32 = 5000;
/// A small fleet has fewer a day.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// Packs changes of the log as they become many or old, until it is stopped. Any number of replicas may do so.
pub async fn keep_packed(store: SharedStore, clock: SharedClock, stop: CancellationToken) {
    loop {
        let older_than = clock.now().saturating_sub(OLD).unwrap_or(Timestamp::MIN);
        let pause = match store.pack_fleet(PackWhen { at_least: ENOUGH, older_than }).await {
            Ok(0) => PAUSE,
            Ok(changes) => {
                debug!(changes, "packed changes of the log");
                Duration::ZERO
            }
            Err(error) => {
                warn!(error = telemetry::explain(&error), "cannot pack the log of changes; it stays readable, and is tried again");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
