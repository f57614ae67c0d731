//! The id of a request in its answer. What the log says of it is in `lifecycle::logging`.

use reqwest::RequestBuilder;

use crate::support::app::{Database, TestApp, World, tenant};

const GOOD: &str = "/graphql?query=%7B__typename%7D";

async fn start() -> (World, TestApp) {
    let world = World::new(Database::sqlite(), vec![tenant("acme", 1, 2)]).await;
    let app = world.start().await;
    (world, app)
}

/// The status and the id of an answer.
async fn ask(request: RequestBuilder) -> (u16, Option<String>) {
    let response = request.send().await.unwrap();
    let id = response.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
    (response.status().as_u16(), id)
}

#[tokio::test]
async fn an_id_that_is_given_comes_back_by_every_route() {
    let (_world, app) = start().await;
    for (path, status) in [
        (GOOD, 200),
        (GOOD, 200),
        ("/healthz", 200),
        ("/graphql", 400),
        ("/nowhere", 404),
        ("/v1/export/usage?nothing=1", 400),
        ("/v1/export/snapshots?format=csv", 200),
    ] {
        let request = app.client.get(format!("{}{path}", app.base)).header("x-request-id", "f81d4fae-7dec-11d0");
        assert_eq!(ask(request).await, (status, Some("f81d4fae-7dec-11d0".to_owned())), "{path}");
    }
    let post = app.client.post(format!("{}/graphql", app.base)).body("{\"query\":\"{__typename}\"}");
    let post = post.header("content-type", "application/json").header("x-request-id", "1");
    assert_eq!(ask(post).await, (200, Some("1".to_owned())));
    app.stop().await;
}

#[tokio::test]
async fn an_error_has_an_id_of_its_own_and_a_good_answer_needs_none() {
    let (_world, app) = start().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        for (path, status) in [("/graphql", 400), ("/nowhere", 404)] {
            let (found, id) = ask(app.client.get(format!("{}{path}", app.base))).await;
            assert_eq!(found, status, "{path}");
            ids.push(id.unwrap());
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
    assert_eq!(ask(app.client.get(format!("{}{GOOD}", app.base))).await, (200, None));
    // An id that cannot be written down safely is none.
    for id in ["a b", "a\"b", &"a".repeat(129)] {
        let request = app.client.get(format!("{}/nowhere", app.base)).header("x-request-id", id);
        assert_ne!(ask(request).await.1.as_deref(), Some(id));
    }
    app.stop().await;
}
