//! What is sent, and every form of a good answer.

use std::collections::HashSet;

use quotagraph::koodrive::{Account, Credential, Settings};
use quotagraph::quota::{SpaceAllocation, SpaceTypeAllocation};
use quotagraph::simulator::{Behaviour, Form, SimulatedTenant};

use super::{World, healthy, now, quick, tenant};
use crate::support::site::client;

fn value(space_type: i32, allocated_gb: i64, total_gb: i64) -> SpaceTypeAllocation {
    SpaceTypeAllocation { space_type, allocated_gb, total_gb }
}

#[tokio::test]
async fn every_form_of_a_good_answer_gives_the_same_allocation() {
    let world = World::of(1, quick()).await;
    let answers = [
        vec![value(0, 1000, 2000)],
        vec![value(7, i64::MAX, i64::MAX)],
        vec![value(0, 0, 0)],
        vec![value(-3, (1 << 53) + 1, 1), value(0, 1, 2), value(i32::MAX, 3, 4)],
    ];
    for by_type in answers {
        world.tenant(0).set_values(&by_type).unwrap();
        for form in [Form::ArrayOfNumbers, Form::ArrayOfTexts, Form::ObjectOfNumbers, Form::ObjectOfTexts] {
            world.behave(0, Behaviour { form: Some(form), ..world.tenant(0).behaviour() });
            assert_eq!(world.call(0).await.unwrap(), SpaceAllocation::new(now(), by_type.clone()), "{form:?}");
        }
    }
}

#[tokio::test]
async fn tokens_are_sent_behind_each_prefix() {
    let with_token = |(i, prefix): (usize, &str)| SimulatedTenant {
        credential: Credential::Token { token: format!("token-{i}").into(), prefix: prefix.into() },
        ..tenant(i)
    };
    let tenants = ["Bearer+", "Bearer ", ""].into_iter().enumerate().map(with_token).collect();
    let world = World::with(tenants, quick()).await;
    for i in 0..3 {
        assert!(world.call(i).await.is_ok());
    }
    let credential = Credential::Token { token: "token-0".into(), prefix: "Bearer ".into() };
    let failure = world.client.space_allocation(&Account { credential, ..world.account(0) }).await.unwrap_err();
    assert_eq!(failure.verdict.code(), "UPSTREAM_REJECTED");
}

#[tokio::test]
async fn every_request_has_a_trace_id_of_its_own_and_the_language() {
    let world = World::of(1, Settings { language: "zh-CN".into(), ..quick() }).await;
    world.behave(0, Behaviour { status: Some(500), fail_times: Some(2), ..healthy() });
    for _ in 0..50 {
        world.call(0).await.unwrap();
    }
    let requests = world.tenant(0).requests();
    let ids: HashSet<String> = requests.iter().filter_map(|request| request.trace_id.clone()).collect();
    assert_eq!((requests.len(), ids.len()), (52, 52));
    assert!(ids.iter().all(|id| id.len() == 58));
    assert!(requests.iter().all(|request| request.language.as_deref() == Some("zh-CN")));
}

#[tokio::test]
async fn the_simulator_has_the_api_at_its_own_path_alone() {
    let world = World::of(1, quick()).await;
    for path in ["/", "/proxy/koodrive/ose/v1/space/allocation/get", "/koodrive/ose/v1/space/allocation/get/"] {
        let answer = client().get(world.simulator.endpoint().join(path).unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.unwrap().contains("APIGW.0101"), "{path}");
    }
}

#[tokio::test]
async fn a_host_name_is_signed_as_it_is_sent() {
    let world = World::of(1, quick()).await;
    let mut endpoint = world.simulator.endpoint();
    endpoint.set_host(Some("LocalHost")).unwrap();
    assert!(world.client.space_allocation(&Account { endpoint, ..world.account(0) }).await.is_ok());
}
