//! The log of a test, as objects.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

/// What this thread logs from now on. The tests' runtimes have one thread, on which all but the blocking work is done.
pub struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

/// As long as there is just one subscriber, tracing asks that of the thread which comes by an event first, and switches the event off for all when it has
/// none. So there is always another one.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

impl Log {
    pub fn keep() -> Self {
        LazyLock::force(&ANOTHER);
        let text = Arc::new(Mutex::new(Vec::new()));
        let to = Writer(Arc::clone(&text));
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || to.clone()).finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The events of a target so far, each with its fields only.
    pub fn of(&self, target: &str) -> Vec<Value> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["target"] == target).map(|mut event| event["fields"].take()).collect()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
