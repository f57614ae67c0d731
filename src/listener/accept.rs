//! Listening and accepting.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::Settings;
use super::answering::Routes;
use super::bound::Bound;
use super::connection::serve;
use super::pulse::{Order, Phase};
use super::sweep::Connections;
use super::told::Told;
use super::wire::{Transport, Watched};
use crate::telemetry;
use crate::tls::Certificate;

/// How long to wait after the system could not accept.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What accepts and serves.
pub struct Listener<S> {
    /// Where.
    pub bound: Bound,
    /// For https.
    pub certificate: Option<Certificate>,
    /// What answers.
    pub routes: S,
    /// The limits.
    pub settings: Settings,
}

impl<S: Routes> Listener<S> {
    /// Serves until `stop`; then closes, ends what is under way, and returns when all of it has ended. Dropping it cuts off what is left.
    pub async fn run(self, stop: CancellationToken) {
        let Self { mut bound, mut certificate, routes, settings } = self;
        let connections = Arc::new(Connections::new(&settings));
        let running = TaskTracker::new();
        let _cut_at_the_end = CutAtTheEnd(Arc::clone(&connections));
        let mut open = |stream, peer| {
            let tls = certificate.as_mut().map(Certificate::current);
            let place = connections.admit(if tls.is_some() { Phase::Handshake } else { Phase::Head });
            let pulse = Arc::clone(&place.pulse);
            let watched = Watched::new(Transport::new(stream, place), Arc::clone(&pulse));
            running.spawn(serve(watched, pulse, peer, tls, routes.clone()));
        };
        let accepting = async {
            let crowd = Told::default();
            loop {
                if !connections.has_room() {
                    say(
                        &crowd,
                        format_args!("{} connections are open, as many as may be (server.connections)", settings.connections),
                    );
                    connections.make_room();
                    connections.wait_for_room().await;
                    continue;
                }
                let (stream, peer) = match bound.accept().await {
                    Ok(accepted) => accepted,
                    Err(cause) if is_of_one_connection(&cause) => continue,
                    Err(cause) => {
                        // Of files above all; a place that becomes free gives one back.
                        say(&crowd, format_args!("connections cannot be accepted: {}", telemetry::explain(&cause)));
                        connections.make_room();
                        sleep(AFTER_FAILURE).await;
                        continue;
                    }
                };
                open(stream, peer);
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = connections.look_after() => {}
            () = accepting => {}
        }
        for (stream, peer) in bound.close() {
            if connections.has_room() {
                open(stream, peer);
            }
        }
        connections.tell_all(Order::Finish);
        running.close();
        tokio::select! {
            () = running.wait() => {}
            () = connections.look_after() => {}
        }
    }
}

/// Whether accepting failed for a connection that was gone before it was accepted.
fn is_of_one_connection(cause: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Says that there is no room, once a minute at most.
fn say(told: &Told, what: std::fmt::Arguments<'_>) {
    told.note(1);
    if told.due().is_some() {
        warn!("{what}; new ones wait until others close, and who says nothing for longest is closed for them");
    }
}

/// Cuts off what is left when the listener is let go of.
struct CutAtTheEnd(Arc<Connections>);

impl Drop for CutAtTheEnd {
    fn drop(&mut self) {
        self.0.tell_all(Order::Cut);
    }
}
