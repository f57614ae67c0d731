//! How large an answer may become, and what is made once for it.

use std::time::Duration;

use quotagraph::config::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::app::{Database, TenantSetup, TestApp, World, tenant};
use crate::support::process::{patiently, until};
use crate::support::subscriber::{Events, Socket};
use crate::support::wire::{connect, head};

/// A series of 744 points, of some 50 kB when its points have a start and an end.
const SERIES: &str = "usageOverTime(from: \"2026-01-01T00:00:00Z\", to: \"2026-02-01T00:00:00Z\", interval: \"PT1H\")";

async fn start_with(configure: impl FnOnce(&mut Config)) -> (World, TestApp) {
    let tenants: Vec<TenantSetup> = (0..40).map(|number| tenant(&format!("t{number:02}"), 1, 2)).collect();
    let world = World::new(Database::sqlite(), tenants).await;
    let app = world.start_with(configure).await;
    (world, app)
}

fn too_large(limit: usize) -> (String, String) {
    let sentence = format!("the answer is larger than {limit} bytes, which is the limit; ask for less at a time");
    ("QUERY_TOO_COMPLEX".to_owned(), sentence)
}

fn error_of(answer: &Value) -> (String, String) {
    let error = &answer["errors"][0];
    (error["extensions"]["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_answer_is_given_up_as_a_whole_when_it_becomes_too_large() {
    let (_world, app) = start_with(|config| config.limits.answer_bytes = 20_000).await;
    let list = |first: usize| format!("{{ tenants(first: {first}) {{ nodes {{ id name labels {{ key }} }} }} }}");
    app.data(&list(40)).await;
    app.data(&format!("{{ tenant(id: \"t00\") {{ {SERIES} {{ points {{ complete }} }} }} }}")).await;
    let long = "x".repeat(800);
    for document in [
        format!("{{ tenant(id: \"t00\") {{ {SERIES} {{ points {{ start end }} }} }} }}"),
        format!("{{ fleet {{ {SERIES} {{ points {{ start }} }} }} }}"),
        format!("{{ tenants {{ nodes {{ {long}: id }} }} }}"),
        format!(
            "{{ tenants(first: 40) {{ nodes {{ {} }} }} }}",
            (0..20).map(|n| format!("a{n}: id")).collect::<Vec<_>>().join(" ")
        ),
        "{ __schema { types { name description fields { name description } } } }".to_owned(),
    ] {
        let answer = app.ask(&document).await;
        assert_eq!((error_of(&answer), answer.get("data")), (too_large(20_000), None), "{document}");
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
    }
    app.data(&list(40)).await;
    app.stop().await;
}

#[tokio::test]
async fn the_operations_of_a_list_share_what_there_is_and_events_have_it_each() {
    let (_world, app) = start_with(|config| config.limits.answer_bytes = 60_000).await;
    let query = format!("{{ tenant(id: \"t00\") {{ {SERIES} {{ points {{ start }} }} }} }}");
    let one = json!({ "query": query });
    let (_, answer) = app.post(&json!([one])).await;
    assert!(answer[0].get("errors").is_none(), "{answer}");
    let (status, answer) = app.post(&json!([one, one, one])).await;
    let refused = answer.as_array().unwrap().iter().filter(|answer| answer.get("errors").is_some()).count();
    assert!(status == 200 && refused >= 1 && answer.to_string().len() < 70_000, "{refused}");

    let double = format!(
        "{{ tenant(id: \"t00\") {{ a: {SERIES} {{ points {{ start end }} }} b: {SERIES} {{ points {{ start end }} }} }} }}"
    );
    let mut socket = Socket::init(&app, json!({})).await;
    for _ in 0..2 {
        socket.say(json!({ "type": "subscribe", "id": "a", "payload": { "query": double } })).await;
        let message = socket.hear().await;
        assert_eq!(
            (&message["type"], &message["payload"][0]["extensions"]["code"]),
            (&json!("error"), &json!("QUERY_TOO_COMPLEX"))
        );
    }
    socket.say(json!({ "type": "subscribe", "id": "a", "payload": { "query": query } })).await;
    assert_eq!(socket.hear().await["type"], "next");
    let text = Events::post(&app, &double, &[]).await.text().await.unwrap();
    assert!(text.contains("QUERY_TOO_COMPLEX") && text.contains("event: complete"), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn an_event_that_becomes_too_large_ends_its_subscription() {
    let (world, app) = start_with(|config| config.limits.answer_bytes = 20_000).await;
    app.collect().await;
    let mut socket = Socket::init(&app, json!({})).await;
    let event = |points: &str| {
        format!("subscription {{ spaceAllocationChanged {{ tenant {{ id {SERIES} {{ points {{ {points} }} }} }} }} }}")
    };
    let (small, large) = (socket.subscribe(&event("complete")).await, socket.subscribe(&event("start end")).await);
    for round in 0..2 {
        world.advance_s(600);
        world.set_values("t00", &[(1, 5 + round, 10)]);
        app.collect().await;
        // Each event has the bytes anew.
        let mut heard = Vec::new();
        while heard.len() < 2 - usize::try_from(round).unwrap() {
            heard.push(socket.hear().await);
        }
        heard.sort_by_key(|message| message["type"] == "error");
        assert_eq!((&heard[0]["type"], &heard[0]["id"]), (&json!("next"), &json!(small)));
        assert_eq!(heard[0]["payload"]["data"]["spaceAllocationChanged"]["tenant"]["id"], "t00");
        if let Some(refused) = heard.get(1) {
            assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!(large)), "{refused}");
            assert_eq!(refused["payload"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn equal_representations_are_made_once_and_stand_in_each_place() {
    let (_world, app) = start_with(|config| config.limits.answer_bytes = 100_000).await;
    let of = |id: &str| json!({ "__typename": "Tenant", "id": id });
    let ids = ["t03", "t01", "t03", "t03", "t02", "t01"];
    let representations: Vec<_> = ids.iter().map(|id| of(id)).collect();
    let document = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Tenant { id } } \
        again: _entities(representations: $r) { ...F } \
        literal: _entities(representations: [{ __typename: \"Tenant\", id: \"t05\" }, { __typename: \"Tenant\", id: \"t05\" }]) { ...F } } \
        fragment F on Tenant { name }";
    for _ in 0..2 {
        let answer = app.ask_with(document, json!({ "r": representations })).await;
        let expected = |key: &str, of: &dyn Fn(&str) -> String, ids: &[&str]| -> Vec<Value> {
            ids.iter().map(|id| json!({ key: of(id) })).collect()
        };
        let name = |id: &str| format!("{id} Ltd");
        assert_eq!(answer["data"]["_entities"], json!(expected("id", &str::to_owned, &ids)), "{answer}");
        assert_eq!(answer["data"]["again"], json!(expected("name", &name, &ids)));
        assert_eq!(answer["data"]["literal"], json!(expected("name", &name, &["t05", "t05"])));
    }
    // Copies take room in the answer, too.
    let document = format!(
        "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on Tenant {{ {SERIES} {{ points {{ start }} }} }} }} }}"
    );
    let answer = app.ask_with(&document, json!({ "r": [of("t00"), of("t00")] })).await;
    let entities = answer["data"]["_entities"].as_array().unwrap();
    assert!(entities.len() == 2 && entities[0] == entities[1] && entities[0]["usageOverTime"]["points"][743].is_object());
    let answer = app.ask_with(&document, json!({ "r": vec![of("t00"); 6] })).await;
    assert_eq!(error_of(&answer), too_large(100_000));
    // And all of them count in the complexity.
    let answer = app.ask_with(&document, json!({ "r": vec![of("t00"); 300] })).await;
    assert!(error_of(&answer).1.starts_with("the document's complexity is "), "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn what_is_asked_of_points_in_several_places_is_gathered() {
    let (_world, app) = start_with(|_| {}).await;
    let day = "usageOverTime(from: \"2026-01-01T00:00:00Z\", to: \"2026-01-02T00:00:00Z\")";
    let plain = format!(
        "{{ tenant(id: \"t00\") {{ {day} {{ points {{ start end allocated(unit: TB) {{ min max }} complete }} coverage }} }} }}"
    );
    let expected = app.data(&plain).await;
    for document in [
        format!(
            "{{ tenant(id: \"t00\") {{ {day} {{ points {{ start }} points {{ end }} }} {day} {{ points {{ allocated(unit: TB) {{ min }} complete allocated(unit: TB) {{ max }} }} coverage }} }} }}"
        ),
        format!(
            "{{ tenant(id: \"t00\") {{ ...T {day} {{ points {{ start ... {{ end }} }} }} }} }} fragment T on Tenant {{ {day} {{ ...S coverage }} }} fragment S on UsageSeries {{ points {{ ...P }} }} fragment P on UsagePoint {{ start allocated(unit: TB) {{ ...M ...M }} complete }} fragment M on Measure {{ min max }}"
        ),
        format!(
            "query($u: StorageUnit = TB) {{ tenant(id: \"t00\") {{ {day} {{ points {{ start end @skip(if: false) allocated(unit: $u) {{ min max average @skip(if: true) }} complete }} coverage }} }} }}"
        ),
    ] {
        assert_eq!(app.data(&document).await, expected, "{document}");
    }
    app.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_takes_have_a_limit_together() {
    let (_world, app) = start_with(|config| {
        config.cache.answer_bytes = 0;
        config.limits.unsent_bytes = 64 << 20;
        // However slow this machine is.
        config.limits.stall_timeout = Duration::from_mins(10);
        config.limits.aliases = 1000;
    })
    .await;
    // 40 tenants with 60 names of 800 bytes: two megabytes, which the system would take on by itself.
    let names: Vec<_> = (0..60).map(|number| format!("{}{number:03}:id", "x".repeat(797))).collect();
    let names = names.join(" ");
    let body = json!({ "query": format!("{{tenants(first:40){{nodes{{{names}}}}}}}") }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let ask = async || {
        let mut stream = connect(&app).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = head(&mut stream).await;
        (head, stream)
    };
    // Half of the room is for one caller.
    let mut slow = Vec::new();
    let refused = loop {
        let (head, stream) = ask().await;
        if !head.starts_with("HTTP/1.1 200 ") {
            break head;
        }
        slow.push(stream);
        assert!(slow.len() < 100, "nothing is refused");
    };
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("\r\nRetry-After: 10\r\n"), "{refused}");
    assert_eq!(slow.len(), (32 << 20) / (60 * 40 * 809));
    let mut socket = Socket::init(&app, json!({})).await;
    socket
        .say(
            json!({ "type": "subscribe", "id": "1", "payload": { "query": format!("{{tenants(first:40){{nodes{{{names}}}}}}}") } }),
        )
        .await;
    let told = socket.hear().await;
    assert_eq!((&told["type"], &told["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("RATE_LIMITED")), "{told}");
    // What is small goes on.
    app.data("{ tenants(first: 1) { nodes { id } } }").await;
    drop(slow);
    until("room for another answer", async || ask().await.0.starts_with("HTTP/1.1 200 ")).await;
    app.stop().await;
}

#[tokio::test]
async fn answers_that_were_taken_and_are_kept_take_no_room_of_those_that_are_not() {
    let (_world, app) = start_with(|config| {
        config.limits.answer_bytes = 50_000;
        config.limits.unsent_bytes = 100_000;
    })
    .await;
    for round in 0..2 {
        for number in 0..5 {
            let names: Vec<_> = (0..50).map(|name| format!("{}{number}{name:02}:id", "x".repeat(797))).collect();
            let answer = app.data(&format!("{{ tenant(id: \"t00\") {{ {} }} }}", names.join(" "))).await;
            assert_eq!(answer["tenant"].as_object().unwrap().len(), 50, "{round} {number}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_a_little_at_a_time_gets_all_of_its_answer() {
    let (_world, app) = start_with(|config| {
        config.limits.stall_timeout = Duration::from_secs(1);
        config.server.keep_alive = Duration::from_millis(500);
        config.limits.aliases = 1000;
    })
    .await;
    let names: Vec<_> = (0..200).map(|number| format!("{}{number:03}:id", "x".repeat(797))).collect();
    let body = json!({ "query": format!("{{tenants(first:40){{nodes{{{}}}}}}}", names.join(" ")) }).to_string();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    let mut stream = socket.connect(app.base.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    // Over three times as long as somebody may take nothing.
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let (mut taken, mut piece) = (0, vec![0; 16 * 1024]);
    for _ in 0..30 {
        pace.tick().await;
        taken += stream.read_exact(&mut piece).await.unwrap();
    }
    let mut rest = Vec::new();
    patiently("the rest", stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.ends_with(b"]}}}") && taken + rest.len() > 200 * 40 * 805, "{taken} and {} bytes", rest.len());
    app.stop().await;
}
