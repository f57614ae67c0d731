//! Connections that break at random lose nothing and repeat nothing.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{at, changes_of, seen};
use crate::support::app::{Database, TestApp, World, tenant};
use crate::support::subscriber::{Events, Socket};

/// A step: record something, or break the connection.
#[derive(Clone, Debug)]
enum Step {
    Record { tenant: usize, value: i64, pause_ms: i64 },
    Break { after: usize },
}

fn steps() -> Vec<Step> {
    let record = (0..3_usize, 0..4_i64, 0..1500_i64).prop_map(|(tenant, value, pause_ms)| Step::Record { tenant, value, pause_ms });
    let step = prop_oneof![3 => record, 1 => (0..4_usize).prop_map(|after| Step::Break { after })];
    let steps = prop::collection::vec(step, 400);
    steps.new_tree(&mut TestRunner::default()).unwrap().current()
}

enum Subscriber {
    Socket(Box<Socket>),
    Events(Box<Events>),
}

impl Subscriber {
    async fn connect(app: &TestApp, transport: usize, since: &str) -> Self {
        let query = changes_of(&format!("(since: \"{since}\")"));
        if transport == 0 {
            let mut socket = Socket::init(app, json!({})).await;
            socket.subscribe(&query).await;
            return Self::Socket(Box::new(socket));
        }
        Self::Events(Box::new(Events::of(Events::post(app, &query, &[]).await)))
    }

    async fn change(&mut self) -> Value {
        match self {
            Self::Socket(socket) => socket.change().await,
            Self::Events(events) => events.change().await,
        }
    }
}

#[tokio::test]
async fn a_hundred_random_disconnects_lose_nothing_and_repeat_nothing() {
    let world = World::new(Database::sqlite(), ["a", "b", "c"].map(|id| tenant(id, 1, 100)).to_vec()).await;
    let app = world.start().await;
    let steps = steps();
    // Each transport, by either instant.
    let mut readers = Vec::new();
    for transport in [0, 1] {
        for pointer in ["/recordedAt", "/after/observedAt"] {
            let start = at(-1).to_string();
            readers.push((transport, pointer, Subscriber::connect(&app, transport, &start).await, start, Vec::<Value>::new()));
        }
    }
    let mut now = 0;
    let mut expected: Vec<(String, i64)> = Vec::new();
    let mut values = [None; 3];
    let mut breaks = 0;
    for step in steps {
        match step {
            Step::Record { tenant, value, pause_ms } => {
                now += pause_ms;
                let id = ["a", "b", "c"][tenant];
                // At the instant of a sample before, another value is no news.
                let is_newer = values[tenant].is_none_or(|(at, _)| at < now);
                if is_newer && values[tenant].is_none_or(|(_, former)| former != value) {
                    expected.push((id.to_owned(), value));
                }
                if is_newer {
                    values[tenant] = Some((now, value));
                }
                app.store.record(&[seen(id, now, value)]).await.unwrap();
            }
            Step::Break { after } => {
                breaks += 1;
                for (transport, pointer, subscriber, since, met) in &mut readers {
                    for _ in 0..after.min(expected.len() - met.len()) {
                        let change = subscriber.change().await;
                        change.pointer(pointer).unwrap().as_str().unwrap().clone_into(since);
                        met.push(change);
                    }
                    *subscriber = Subscriber::connect(&app, *transport, since).await;
                }
            }
        }
    }
    assert!(breaks > 50, "{breaks}");
    for (transport, pointer, mut subscriber, _, mut met) in readers {
        while met.len() < expected.len() {
            met.push(subscriber.change().await);
        }
        let met: Vec<_> = met
            .iter()
            .map(|change| {
                #[expect(clippy::cast_possible_truncation, reason = "whole numbers")]
                let value = change["after"]["allocated"].as_f64().unwrap() as i64;
                (change["tenant"]["id"].as_str().unwrap().to_owned(), value)
            })
            .collect();
        assert_eq!(met, expected, "{transport} {pointer}");
    }
    app.stop().await;
}
