//! No tenant ever gets the values of another.

use futures_util::StreamExt;
use futures_util::stream;
use quotagraph::koodrive::Credential;
use quotagraph::simulator::{Form, SimulatedTenant};
use rand::seq::SliceRandom;

use super::{World, quick, tenant};

const TENANTS: usize = 500;

/// Tenants of every credential and form, on one host.
fn various(i: usize) -> SimulatedTenant {
    let token = |prefix: &str| Credential::Token { token: format!("token-{i}").into(), prefix: prefix.into() };
    let credential = match i % 5 {
        0 => token("Bearer+"),
        1 => token(""),
        _ => tenant(i).credential,
    };
    let form = if i.is_multiple_of(2) { Form::ObjectOfTexts } else { Form::ArrayOfNumbers };
    SimulatedTenant { credential, form, ..tenant(i) }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_tenants_in_any_order_each_get_their_own_values() {
    let world = World::with((0..TENANTS).map(various).collect(), quick()).await;
    let mut calls: Vec<usize> = (0..TENANTS).cycle().take(3 * TENANTS).collect();
    calls.shuffle(&mut rand::rng());
    let world = &world;
    let answers = stream::iter(calls).map(|i| async move { (i, world.call(i).await.unwrap()) }).buffer_unordered(64);
    let wrong: Vec<_> = answers
        .filter(|(i, allocation)| std::future::ready(allocation.allocated_gb() != i128::try_from(1000 + i).unwrap()))
        .collect()
        .await;
    assert_eq!(wrong, []);
    assert!((0..TENANTS).all(|i| world.tenant(i).hits() == 3));
}
