//! The simulated tenants and what is known of each at run time.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use url::Url;

use super::behaviour::{Behaviour, Form, InvalidBehaviour};
use super::model::Model;
use super::verify::Key;
use crate::koodrive::{Account, Credential};
use crate::quota::{SpaceTypeAllocation, TenantId};

/// How many of a tenant's last requests are kept.
const KEPT_REQUESTS: usize = 64;

/// A tenant as the simulator knows it.
#[derive(Clone, Debug)]
pub struct SimulatedTenant {
    /// Its id, for the control API; the real upstream knows none.
    pub id: TenantId,
    /// The only user id that it takes.
    pub user_id: String,
    /// The only credential that it takes.
    pub credential: Credential,
    /// What it answers.
    pub values: Values,
    /// In which form it answers.
    pub form: Form,
}

/// What a tenant answers.
#[derive(Clone, Debug)]
pub enum Values {
    /// Always the same.
    Fixed(Vec<SpaceTypeAllocation>),
    /// What a model says for the instant; 503 where the model says nothing.
    Model(Model),
}

/// A request that a tenant received, whether it was answered well or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// By the tenant's server clock.
    pub received: Timestamp,
    /// `X-Date`, if it was an instant.
    pub date: Option<Timestamp>,
    /// `X-Traceid`.
    pub trace_id: Option<String>,
    pub language: Option<String>,
}

impl SimulatedTenant {
    /// The account by which a client reaches this tenant.
    #[must_use]
    pub fn account(&self, endpoint: Url) -> Account {
        Account {
            tenant: self.id.clone(),
            endpoint,
            user_id: self.user_id.clone(),
            credential: self.credential.clone(),
            generation: 1,
        }
    }
}

/// A running simulator's tenant. Clones are the same tenant.
#[derive(Clone, Debug)]
pub struct TenantHandle {
    pub(super) entry: Arc<Entry>,
}

/// A tenant and its state.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tenant: SimulatedTenant,
    pub(super) key: Key,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    behaviour: Behaviour,
    failures_left: Option<u32>,
    window: Option<(Timestamp, u32)>,
    hits: u64,
    refused: u64,
    requests: VecDeque<SeenRequest>,
}

/// What is to be done with a verified request.
#[derive(Debug)]
pub(super) struct ResponsePlan {
    pub(super) behaviour: Behaviour,
    /// Whether the behaviour's failure applies to this request.
    pub(super) fail: bool,
    /// Whether the request is above the rate limit.
    pub(super) over_limit: bool,
}

impl TenantHandle {
    /// Sets how the tenant behaves from now on.
    ///
    /// # Errors
    /// When a field is out of range; the tenant then behaves as before.
    pub fn set_behaviour(&self, behaviour: Behaviour) -> Result<(), InvalidBehaviour> {
        behaviour.validate()?;
        let mut live = self.entry.live.lock();
        live.failures_left = behaviour.fail_times;
        live.window = None;
        live.behaviour = behaviour;
        Ok(())
    }

    /// How the tenant behaves.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.entry.live.lock().behaviour.clone()
    }

    /// Whether it behaves so.
    pub(super) fn behaves_as(&self, behaviour: &Behaviour) -> bool {
        self.entry.live.lock().behaviour == *behaviour
    }

    /// Answers with these values from now on and behaves otherwise as before.
    ///
    /// # Errors
    /// When a type is listed twice or a value is negative.
    pub fn set_values(&self, values: &[SpaceTypeAllocation]) -> Result<(), InvalidBehaviour> {
        self.set_behaviour(Behaviour { values: Some(values.iter().map(|v| (*v).into()).collect()), ..self.behaviour() })
    }

    /// How many requests named this tenant's credential, refused ones included.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.entry.live.lock().hits
    }

    /// How many of them did not pass verification.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.entry.live.lock().refused
    }

    /// The last of them, at most 64, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.entry.live.lock().requests.iter().cloned().collect()
    }
}

impl Entry {
    pub(super) fn new(tenant: SimulatedTenant) -> Self {
        Self { key: Key::of(&tenant.credential), tenant, live: Mutex::default() }
    }

    /// The tenant's server clock, when the simulator's shows `now`.
    pub(super) fn server_time(&self, now: Timestamp) -> Timestamp {
        let skew = SignedDuration::from_secs(self.live.lock().behaviour.clock_skew_s);
        now.saturating_add(skew).unwrap_or(now)
    }

    pub(super) fn note_request(&self, request: SeenRequest) {
        let mut live = self.live.lock();
        live.hits += 1;
        if live.requests.len() == KEPT_REQUESTS {
            live.requests.pop_front();
        }
        live.requests.push_back(request);
    }

    pub(super) fn note_refusal(&self) {
        self.live.lock().refused += 1;
    }

    /// Decides about a verified request, and counts it against rate limit and `fail_times`.
    pub(super) fn plan(&self, now: Timestamp) -> ResponsePlan {
        let mut live = self.live.lock();
        let over_limit = live.behaviour.rate_limit_per_minute.is_some_and(|limit| {
            let minute = SignedDuration::from_mins(1);
            let current = live.window.filter(|(start, _)| now.duration_since(*start).abs() < minute);
            let (start, count) = current.unwrap_or((now, 0));
            live.window = Some((start, count.saturating_add(1)));
            count >= limit
        });
        let fail = !over_limit && live.behaviour.fails() && live.failures_left != Some(0);
        if fail {
            live.failures_left = live.failures_left.map(|left| left - 1);
        }
        ResponsePlan { behaviour: live.behaviour.clone(), fail, over_limit }
    }

    pub(super) fn values(&self, behaviour: &Behaviour, now: Timestamp) -> Option<Vec<SpaceTypeAllocation>> {
        if let Some(values) = &behaviour.values {
            return Some(values.iter().map(|v| (*v).into()).collect());
        }
        match &self.tenant.values {
            Values::Fixed(values) => Some(values.clone()),
            Values::Model(model) => model.values(now),
        }
    }
}
