//! What is logged of a failed call, by us and by the libraries below.

use std::io;
use std::sync::{Arc, Mutex};

use quotagraph::koodrive::{Account, Credential};
use quotagraph::simulator::Behaviour;
use tracing::level_filters::LevelFilter;

use super::{World, healthy, quick};

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_failed_call_is_one_warning_with_the_trace_id_and_no_secret_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).finish();
    // While there is one subscriber only, tracing asks the thread that first comes by an event whether it is wanted, and other tests
    // want none. With a second one it asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    let _guard = tracing::subscriber::set_default(subscriber);

    let world = World::of(1, quick()).await;
    world.behave(0, Behaviour { status: Some(502), ..healthy() });
    let failure = world.call(0).await.unwrap_err();
    let credential = Credential::Token { token: "a secret token".into(), prefix: "Bearer+".into() };
    world.client.space_allocation(&Account { credential, ..world.account(0) }).await.unwrap_err();

    let text = log.text();
    let warnings: Vec<&str> = text.lines().filter(|line| line.contains("koodrive call failed")).collect();
    assert_eq!(warnings.len(), 2, "{text}");
    for part in ["WARN", "tenant=t0", "attempts=3", "code=\"UPSTREAM_UNAVAILABLE\"", &failure.trace_id.unwrap()] {
        assert!(warnings[0].contains(part), "{part} is missing in {}", warnings[0]);
    }
    assert_eq!(text.matches("koodrive request failed").count(), 4, "{text}");
    for secret in ["secret of 0", "Signature=", "a secret token"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
