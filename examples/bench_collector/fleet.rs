//! The tenants that are measured with, and their simulated upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use quotagraph::clock::{Clock, SystemClock};
use quotagraph::koodrive::Credential;
use quotagraph::quota::{SpaceTypeAllocation, Tenant, TenantId};
use quotagraph::simulator::{Form, SimulatedTenant, Simulator, Values};
use quotagraph::tenants::WatchedTenant;
use secrecy::SecretString;
use tokio::runtime::Handle;

use crate::Failed;

pub(crate) const SECRET: &str = "a secret of the usual length, 0123456789abcdef";
pub(crate) const TOTAL_GB: i64 = 10_000;

/// The machine's clock, moved on between rounds so that nobody waits for the next one.
#[derive(Debug, Default)]
pub(crate) struct JumpingClock {
    ahead_s: AtomicI64,
}

impl JumpingClock {
    pub(crate) fn jump(&self, seconds: i64) {
        self.ahead_s.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.ahead_s.load(Ordering::SeqCst))
    }
}

/// Tenants with one space type each, and a running simulator that verifies their signatures.
pub(crate) struct Fleet {
    simulator: Simulator,
    tenants: Vec<SimulatedTenant>,
}

impl Fleet {
    /// Starts the simulator on a free port, in the runtime `upstream`.
    pub(crate) async fn start(count: u32, clock: Arc<dyn Clock>, upstream: &Handle) -> Result<Self, Failed> {
        let tenants = (0..count).map(simulated).collect::<Result<Vec<_>, _>>()?;
        let start = Simulator::start(([127, 0, 0, 1], 0).into(), tenants.clone(), clock);
        Ok(Self { simulator: upstream.spawn(start).await??, tenants })
    }

    pub(crate) fn tenants(&self) -> &[SimulatedTenant] {
        &self.tenants
    }

    pub(crate) fn endpoint(&self) -> url::Url {
        self.simulator.endpoint()
    }

    pub(crate) fn watched(&self) -> Vec<WatchedTenant> {
        let endpoint = self.endpoint();
        let watch = |t: &SimulatedTenant| WatchedTenant { tenant: known(&t.id), account: t.account(endpoint.clone()) };
        self.tenants.iter().map(watch).collect()
    }

    /// Gives every tenant the same new value.
    pub(crate) fn set_allocated(&self, allocated_gb: i64) -> Result<(), Failed> {
        for tenant in &self.tenants {
            let handle = self.simulator.tenant(tenant.id.as_str()).ok_or("a tenant that is not simulated")?;
            handle.set_values(&[SpaceTypeAllocation { space_type: 0, allocated_gb, total_gb: TOTAL_GB }])?;
        }
        Ok(())
    }

    pub(crate) async fn stop(self) {
        self.simulator.stop().await;
    }
}

pub(crate) fn tenant_id(number: u32) -> Result<TenantId, Failed> {
    Ok(format!("tenant-{number:06}").parse()?)
}

pub(crate) fn known(id: &TenantId) -> Tenant {
    Tenant { id: id.clone(), name: format!("Tenant {id}"), labels: Vec::new() }
}

fn simulated(number: u32) -> Result<SimulatedTenant, Failed> {
    Ok(SimulatedTenant {
        id: tenant_id(number)?,
        user_id: (1_505_084_218_764_547_200 + u64::from(number)).to_string(),
        credential: Credential::App { app_id: format!("app-{number:06}"), app_secret: SecretString::from(SECRET) },
        values: Values::Fixed(vec![SpaceTypeAllocation { space_type: 0, allocated_gb: 1000, total_gb: TOTAL_GB }]),
        form: Form::ArrayOfNumbers,
    })
}
