//! The tenants of the demo: made-up companies with made-up credentials.

use sha2::{Digest, Sha256};

use super::behaviour::Form;
use super::model::Model;
use super::noise::Noise;
use super::space::{Space, Total};
use super::tenant::{SimulatedTenant, Values};
use crate::koodrive::Credential;
use crate::quota::{Label, Tenant, TenantId};

/// A tenant of the demo.
#[derive(Clone, Debug)]
pub struct DemoTenant {
    /// As the service knows it.
    pub tenant: Tenant,
    /// As the simulator knows it.
    pub simulated: SimulatedTenant,
    /// How its storage develops; the simulated tenant answers by the same one.
    pub model: Model,
}

/// Ids and names. From the second round on they are numbered.
const COMPANIES: [(&str, &str); 40] = [
    ("acme", "Acme Ltd"),
    ("aurora-foods", "Aurora Foods"),
    ("bluewater", "Bluewater Shipping"),
    ("northwind", "Northwind Traders"),
    ("cedar-health", "Cedar Health"),
    ("contour-maps", "Contour Maps"),
    ("delta-optics", "Delta Optics"),
    ("evergreen", "Evergreen Paper"),
    ("fabrik", "Fabrik Design Studio"),
    ("granite-bank", "Granite Bank"),
    ("harbor-law", "Harbor & Lowe Law"),
    ("helios-solar", "Helios Solar"),
    ("indigo-media", "Indigo Media"),
    ("jade-river", "Jade River Tea"),
    ("kestrel-air", "Kestrel Air Cargo"),
    ("lumen-labs", "Lumen Labs"),
    ("maple-schools", "Maple Schools"),
    ("meridian", "Meridian Insurance"),
    ("nimbus-games", "Nimbus Games"),
    ("oakfield", "Oakfield Builders"),
    ("orchid-textiles", "Orchid Textiles"),
    ("pinnacle", "Pinnacle Engineering"),
    ("polar-cold", "Polar Cold Chain"),
    ("quartz-audio", "Quartz Audio"),
    ("redwood-energy", "Redwood Energy"),
    ("riverbend", "Riverbend Clinic"),
    ("saffron", "Saffron Kitchens"),
    ("sierra-mining", "Sierra Mining"),
    ("silverline", "Silverline Rail"),
    ("stellar-ads", "Stellar Ads"),
    ("summit-gear", "Summit Gear"),
    ("tangram", "Tangram Software"),
    ("terra-survey", "Terra Survey"),
    ("tidal-power", "Tidal Power"),
    ("umbra-security", "Umbra Security"),
    ("valley-dairy", "Valley Dairy"),
    ("vertex-motors", "Vertex Motors"),
    ("willow-books", "Willow Books"),
    ("yunshan", "Yunshan Logistics"),
    ("zephyr-travel", "Zephyr Travel"),
];
const DEPARTMENTS: [&str; 7] = ["it", "design", "finance", "research", "sales", "legal", "media"];
const REGIONS: [&str; 6] = ["cn-north-4", "cn-east-3", "ap-southeast-1", "eu-west-101", "cn-south-1", "la-north-2"];
const PLANS: [&str; 3] = ["standard", "business", "enterprise"];

/// The first `n` tenants of the demo; the same ones each time. Out of every 25 one is nearly full, two grow fast and have little to spare, one
/// has gaps, one has a space type that comes and goes, one uses a token, and many have two or three space types.
#[must_use]
pub fn demo_tenants(n: usize) -> Vec<DemoTenant> {
    (0..n).filter_map(demo_tenant).collect()
}

fn demo_tenant(i: usize) -> Option<DemoTenant> {
    let (id, name) = COMPANIES[i % COMPANIES.len()];
    let round = i / COMPANIES.len() + 1;
    let (id, name) =
        if round == 1 { (id.to_owned(), name.to_owned()) } else { (format!("{id}-{round}"), format!("{name} {round}")) };
    let id: TenantId = id.parse().ok()?;
    let noise = Noise::new(u64::try_from(i).ok()?);
    let model = demo_model(i, noise);
    let label = |key: &str, value: &str| Label { key: key.to_owned(), value: value.to_owned() };
    let labels = vec![
        label("department", DEPARTMENTS[i % DEPARTMENTS.len()]),
        label("plan", pick(&PLANS, noise, 2)),
        label("region", pick(&REGIONS, noise, 1)),
    ];
    let simulated = SimulatedTenant {
        id: id.clone(),
        user_id: (1_505_084_218_764_547_200 + u64::try_from(i).ok()?).to_string(),
        credential: demo_credential(i, &id),
        values: Values::Model(model.clone()),
        form: if i.is_multiple_of(2) { Form::ArrayOfNumbers } else { Form::ObjectOfTexts },
    };
    Some(DemoTenant { tenant: Tenant { id, name, labels }, simulated, model })
}

fn demo_credential(i: usize, id: &TenantId) -> Credential {
    let made_up = |what: &str| hex::encode(Sha256::digest(format!("quotagraph demo {what} {id}")));
    if i % 25 == 11 {
        Credential::Token { token: made_up("token").into(), prefix: "Bearer+".to_owned() }
    } else {
        Credential::App { app_id: made_up("app"), app_secret: made_up("secret").into() }
    }
}

fn demo_model(i: usize, noise: Noise) -> Model {
    let place = i % 25;
    let count = match place {
        0 | 1 | 6 | 9 | 13 | 17 | 21 => 2,
        3 | 12 | 19 => 3,
        _ => 1,
    };
    let grows_fast = matches!(place, 18 | 22);
    let spaces = (0..count).map(|space_type| {
        let draw = |what: i64| noise.unit([10 + what, space_type.into(), 0]);
        let total = if place == 4 {
            Total::NearlyFull(4096)
        } else if grows_fast {
            Total::Tight { every_days: 30 }
        } else {
            Total::Resized { every_days: 45 + noise.below(60, [20, space_type.into(), 0]), spare: 0.25 + 0.5 * draw(0) }
        };
        Space {
            space_type,
            base_gb: if grows_fast { 300.0 + 300.0 * draw(1) } else { 150.0 * 2_f64.powf(6.0 * draw(1)) },
            growth: if grows_fast { 20.0 } else { 0.08 + 0.5 * draw(2) },
            total,
            cleanup: (14 + noise.below(28, [21, space_type.into(), 0]), if grows_fast { 0.005 } else { 0.02 + 0.06 * draw(3) }),
            comes_and_goes: place == 9 && space_type == 1,
        }
    });
    Model { seed: noise.bits([0, 0, 0]), spaces: spaces.collect(), has_gaps: place == 7 }
}

fn pick<'a>(from: &[&'a str], noise: Noise, what: i64) -> &'a str {
    let index = noise.below(i64::try_from(from.len()).unwrap_or(1), [30, what, 0]);
    from[usize::try_from(index).unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::Timestamp;

    use super::*;
    use crate::quota::SpaceTypeAllocation;
    use crate::quota::forecast::forecast;
    use crate::simulator::space::DAY_S;

    #[test]
    fn tenants_have_ids_names_and_credentials_of_their_own_however_many_there_are() {
        let tenants = demo_tenants(1000);
        assert_eq!(tenants.len(), 1000);
        let ids: HashSet<_> = tenants.iter().map(|t| t.tenant.id.clone()).collect();
        let names: HashSet<_> = tenants.iter().map(|t| t.tenant.name.clone()).collect();
        let users: HashSet<_> = tenants.iter().map(|t| t.simulated.user_id.clone()).collect();
        assert_eq!((ids.len(), names.len(), users.len()), (1000, 1000, 1000));
        assert!(tenants.iter().all(|t| t.simulated.user_id.len() == 19 && t.tenant.labels.is_sorted()));
    }

    #[test]
    fn the_first_tenants_are_the_same_in_every_demo() {
        let (few, many) = (demo_tenants(25), demo_tenants(300));
        assert_eq!(few[0].tenant.id.as_str(), "acme");
        assert!(few.iter().zip(&many).all(|(a, b)| a.tenant == b.tenant && a.model == b.model));
    }

    #[test]
    fn some_tenant_is_soon_full_whenever_the_demo_is_started() {
        let fast: Vec<_> = demo_tenants(25).into_iter().filter(|demo| demo.model.spaces[0].growth > 1.0).collect();
        // What is allocated and in total, in GB.
        let sums = |model: &Model, day: i64| {
            let values = model.values(Timestamp::from_second(day * DAY_S).unwrap()).unwrap();
            let sum = |of: fn(&SpaceTypeAllocation) -> i64| f64::from(i32::try_from(values.iter().map(of).sum::<i64>()).unwrap());
            (sum(|value| value.allocated_gb), sum(|value| value.total_gb))
        };
        let is_soon_full = |model: &Model, today: i64| {
            let days: Vec<_> = (today - 90..=today).map(|day| Some(sums(model, day).0)).collect();
            forecast(&days, sums(model, today).1, 180, 0.9).unwrap().reaching(1.0).expected.is_some()
        };
        // Three years from 2026-11-01 on.
        for today in (20_758..20_758 + 1096).step_by(5) {
            assert!(fast.iter().any(|demo| is_soon_full(&demo.model, today)), "day {today}");
        }
    }

    #[test]
    fn both_kinds_of_credential_and_both_forms_occur() {
        let tenants = demo_tenants(25);
        let tokens = tenants.iter().filter(|t| matches!(t.simulated.credential, Credential::Token { .. })).count();
        let texts = tenants.iter().filter(|t| t.simulated.form == Form::ObjectOfTexts).count();
        assert_eq!((tokens, texts), (1, 12));
    }
}
