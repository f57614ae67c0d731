//! The one door.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::allowance::{Allowance, whole_seconds};
use super::changes::Changes;
use super::fault::Unverified;
use super::grant::{Basis, Grant};
use super::jwks::IssuerState;
use super::keys::find;
use super::rules::{ReplaceError, Rules};
use super::{JwksError, Lapse, Principal, PrincipalName, Proof, Scope, Settings, View};
use crate::clock::SharedClock;
use crate::quota::TenantId;
use crate::tenants::{TenantSet, Tenants};

/// How often the issuer's keys are looked after when nobody comes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When those may come back whose token cannot be judged because the issuer's keys are too old.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why a token cannot be judged, in the log.
const NOT_KNOWN_YET: &str = "no known key has signed the token, and the issuer's current keys cannot be fetched yet";

/// What a request brings along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    pub api_key: Option<&'a str>,
    pub token: Option<&'a str>,
    /// Whether something else was brought along that may have been meant as a proof, and cannot be one. Then nothing of it counts.
    pub unusable: bool,
    /// Why a header `Authorization` is not a proof. Said in the log when there is none.
    pub ignored: Option<Ignored>,
}

/// Why what stands in `Authorization` is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It has a scheme for something else.
    #[error("Authorization has another scheme than Bearer and ApiKey")]
    OtherScheme,
    /// It is one word, which is no scheme of ours.
    #[error("Authorization has no scheme; Bearer or ApiKey must stand before the proof")]
    NoScheme,
    /// It is a scheme alone.
    #[error("Authorization has nothing after its scheme")]
    Empty,
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No credentials, or none that is known.
    #[error("give {}", .proof.wanted())]
    Unauthenticated {
        /// What is accepted instead.
        proof: Proof,
        /// Whether a token was sent and rejected.
        token_refused: bool,
    },
    /// Too many requests or failed attempts; seconds until the next one.
    #[error("too many requests; try again in {0} s")]
    RateLimited(u64),
    /// The token cannot be judged, because the keys of its issuer cannot be fetched; seconds until it may be tried again.
    #[error("the token cannot be verified at the moment, because the keys of its issuer cannot be fetched; try again in {0} s")]
    IssuerAway(u64),
}

impl AccessError {
    /// The outcome in the audit log.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Unauthenticated { .. } => "UNAUTHENTICATED",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::IssuerAway(_) => "ISSUER_UNAVAILABLE",
        }
    }

    /// The same for those who give their credentials in the payload of a `connection_init`.
    #[must_use]
    pub fn of_payload(&self) -> String {
        match self {
            Self::Unauthenticated { proof, .. } => format!("give {} in the payload of connection_init", proof.wanted_in_payload()),
            Self::RateLimited(_) | Self::IssuerAway(_) => self.to_string(),
        }
    }
}

/// Lets callers in, and tells those who stay when they may no longer. Everything that answers a caller starts here.
#[derive(Debug)]
pub struct Gate {
    rules: ArcSwap<Rules>,
    changes: Arc<Changes>,
    anybody: Arc<Grant>,
    tenants: Arc<Tenants>,
    requests: Option<Allowance<PrincipalName>>,
    clock: SharedClock,
}

impl Gate {
    /// A gate to these tenants. Keys of an issuer that stand in a file are read now.
    ///
    /// # Errors
    /// When the keys of an issuer cannot be used.
    pub fn open(settings: Settings, tenants: Arc<Tenants>, clock: &SharedClock) -> Result<Self, JwksError> {
        let changes = Arc::default();
        let requests = settings.requests_per_second.map(|count| Allowance::per_second(count, clock.clone()));
        let rules = Rules::new(settings, None, tenants.current(), clock, &changes)?;
        let anybody = Arc::new(Grant { principal: Principal::anybody(), basis: Basis::Nothing, expires_at: None });
        Ok(Self { rules: ArcSwap::from_pointee(rules), changes, anybody, tenants, requests, clock: clock.clone() })
    }

    /// Lets callers in by these settings from now on, to the tenants as they are once `with_tenants` has run: at no moment to those of one version
    /// by the settings of another. Callers whose credentials are no longer valid are told. The limit on requests stays.
    ///
    /// # Errors
    /// When that would let in whoever comes, where a proof was needed until now, or when the keys of an issuer cannot be used. All stays as it was.
    pub fn replace<T>(&self, settings: Settings, with_tenants: impl FnOnce() -> T) -> Result<T, ReplaceError> {
        let rules = self.rules.load().follow(settings, &self.clock, &self.changes)?;
        let replaced = with_tenants();
        self.put_in_force(rules);
        Ok(replaced)
    }

    /// Takes from callers what these settings do not give them, and gives nobody more. For a version of the config of which the rest is not in force.
    pub fn take_back(&self, settings: &Settings) {
        // Where no proof is asked for any more, nothing is taken away.
        if settings.keys.is_some() || settings.tokens.is_some() {
            let rules = self.rules.load().less(settings);
            self.put_in_force(rules);
        }
    }

    /// Lets callers in to other tenants from now on.
    pub fn replace_tenants<T>(&self, with_tenants: impl FnOnce() -> T) -> T {
        let replaced = with_tenants();
        self.put_in_force(Rules::clone(&self.rules.load()));
        replaced
    }

    fn put_in_force(&self, mut rules: Rules) {
        rules.tenants = self.tenants.current();
        self.rules.store(Arc::new(rules));
        self.changes.tell();
    }

    /// Has the issuer's keys fetched in the background, whenever that was done last.
    pub fn refresh_keys(&self) {
        if let Some(tokens) = &self.rules.load().tokens {
            tokens.refresh();
        }
    }

    /// Looks after the issuer's keys until `stop`, at once and then every so often.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            if let Some(tokens) = &self.rules.load().tokens {
                tokens.look();
            }
        }
    }

    /// How it is with the issuer's keys; `None` where no token counts.
    #[must_use]
    pub fn issuer(&self) -> Option<IssuerState> {
        self.rules.load().tokens.as_ref().map(|tokens| tokens.issuer())
    }

    /// Whether anybody can be let in at the moment: there is an API key, a key of the issuer that counts, or nothing has to be proved.
    #[must_use]
    pub fn lets_in(&self) -> bool {
        let rules = self.rules.load();
        let by_token = || rules.tokens.as_ref().is_some_and(|tokens| tokens.issuer().lets_in());
        rules.proof.is_none() || !rules.keys.is_empty() || by_token()
    }

    /// The tenants that API keys name and that are not watched, each with the name of its key.
    #[must_use]
    pub fn unknown_tenants(&self) -> Vec<(PrincipalName, TenantId)> {
        let rules = self.rules.load();
        let named = rules.keys.iter().flat_map(|(_, grant)| match &grant.principal.scope {
            Scope::All => Vec::new(),
            Scope::Only(ids) => ids.iter().map(|id| (grant.principal.name.clone(), id.clone())).collect(),
        });
        named.filter(|(_, id)| rules.tenants.get(id.as_str()).is_none()).collect()
    }

    /// Lets a caller in, with what it may see.
    ///
    /// # Errors
    /// When it does not prove who it is, or asks too often. Each refusal is a line in the audit log.
    pub async fn admit(&self, credentials: Credentials<'_>, address: IpAddr) -> Result<View, AccessError> {
        // Before the rules are looked at: what changes meanwhile is a change after it.
        let checked = self.changes.count();
        let (grant, tenants) = match self.authenticate(credentials).await {
            Ok(found) => found,
            Err(unproven) => return Err(self.refuse(unproven, address)),
        };
        self.count(&grant.principal)?;
        let mut view = View { grant, tenants, checked };
        // A token may have waited for the keys of its issuer.
        self.recheck(&mut view)?;
        Ok(view)
    }

    /// Looks once more at who was let in, after something was waited for. Costs next to nothing when nothing has changed.
    ///
    /// # Errors
    /// When the credentials of the caller are no longer valid. Each refusal is a line in the audit log.
    pub fn recheck(&self, view: &mut View) -> Result<(), AccessError> {
        self.renew(view).map_err(|lapse| self.refuse_lapsed(view, lapse))
    }

    /// Looks whether what was made for a caller may still go to it: nothing was taken from it meanwhile. A token that only has expired is as good as
    /// it was when the request began.
    ///
    /// # Errors
    /// When something was taken from the caller. Each refusal is a line in the audit log.
    pub fn require_undiminished(&self, view: &View) -> Result<(), AccessError> {
        if view.checked == self.changes.count() {
            return Ok(());
        }
        let now = self.rules.load().stands(&view.grant).map_err(|lapse| self.refuse_lapsed(view, lapse))?;
        match now {
            Some(now) if !now.principal.includes(view.principal()) => Err(self.refuse_lapsed(view, Lapse::Withdrawn)),
            _ => Ok(()),
        }
    }

    /// Lets somebody who was let in before ask once more, with what it may see now.
    ///
    /// # Errors
    /// When it asks too often, or when its credentials are no longer valid. Each refusal is a line in the audit log.
    pub fn admit_again(&self, view: &View) -> Result<View, AccessError> {
        let mut view = view.clone();
        self.recheck(&mut view)?;
        self.count(view.principal())?;
        Ok(view)
    }

    /// Looks at who may call and which tenants are watched now. For those who stay: a request keeps the view that it began with. Costs next to
    /// nothing when nothing has changed.
    ///
    /// # Errors
    /// When the credentials of the caller are no longer valid.
    pub fn renew(&self, view: &mut View) -> Result<(), Lapse> {
        if view.expires_at().is_some_and(|at| at <= self.clock.now()) {
            return Err(Lapse::Expired);
        }
        let count = self.changes.count();
        if view.checked != count {
            let rules = self.rules.load();
            if let Some(grant) = rules.stands(&view.grant)? {
                view.grant = grant;
            }
            view.tenants = Arc::clone(&rules.tenants);
            view.checked = count;
        }
        Ok(())
    }

    /// Is told when who may call has changed. What that means for somebody is for [`Self::renew`] to say.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changes.watch()
    }

    /// Waits until somebody may no longer go on with what it began: until `may` says no to its view, or what it was let in by is taken back. A
    /// token that only expires is not.
    pub async fn until_taken_back(&self, mut view: View, may: impl Fn(&View) -> bool) {
        let mut changed = self.watch();
        loop {
            match self.rules.load().stands(&view.grant) {
                Ok(None) => {}
                Ok(Some(grant)) => view.grant = grant,
                Err(_) => return,
            }
            if !may(&view) || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Counts a request against its principal's rate.
    fn count(&self, principal: &Principal) -> Result<(), AccessError> {
        if let Some(requests) = &self.requests {
            let name = &principal.name;
            requests.take(name).map_err(|seconds| {
                info!(
                    target: "quotagraph::audit", principal = %name, by = name.means().name(), outcome = "RATE_LIMITED",
                    "request refused"
                );
                AccessError::RateLimited(seconds)
            })?;
        }
        Ok(())
    }

    /// Who calls, and the tenants of the same version. The key counts where both are sent.
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<(Arc<Grant>, Arc<TenantSet>), Unproven> {
        let (proof, tokens, token, tenants) = {
            let rules = self.rules.load();
            let tenants = Arc::clone(&rules.tenants);
            let Some(proof) = rules.proof else { return Ok((Arc::clone(&self.anybody), tenants)) };
            let refused = |reason: &str| Err(Unproven::Refused { proof, reason: reason.to_owned(), token_refused: false });
            match (credentials, &rules.tokens) {
                (Credentials { unusable: true, .. }, _) => return refused("credentials were sent twice, or not as text"),
                (Credentials { api_key: Some(key), .. }, _) if !rules.keys.is_empty() => {
                    return find(&rules.keys, key)
                        .map_or_else(|| refused("there is no such API key"), |grant| Ok((Arc::clone(grant), tenants)));
                }
                (Credentials { token: Some(token), .. }, Some(tokens)) => match tokens.recall(token) {
                    Some(grant) => return Ok((grant, tenants)),
                    None => (proof, Arc::clone(tokens), token, tenants),
                },
                (Credentials { api_key: None, token: None, ignored: Some(ignored), .. }, _) => {
                    return refused(&ignored.to_string());
                }
                (Credentials { api_key: None, token: None, .. }, _) => return refused("no credentials were sent"),
                _ => return refused("credentials were sent of a kind that auth.mode does not accept"),
            }
        };
        let verified = tokens.verify(token, &tenants).await.map_err(|unverified| match unverified {
            Unverified::Fault(fault) => Unproven::Refused { proof, reason: fault.to_string(), token_refused: true },
            Unverified::Away(wait) => Unproven::Away(wait),
        });
        verified.map(|grant| (grant, tenants))
    }

    /// Only failures count against an address: many callers may share one, and a valid key is let in whatever others try. What cannot be judged
    /// is no failure.
    fn refuse(&self, unproven: Unproven, address: IpAddr) -> AccessError {
        let (refusal, reason) = match unproven {
            Unproven::Away(wait) => (AccessError::IssuerAway(whole_seconds(wait).max(1)), NOT_KNOWN_YET.to_owned()),
            Unproven::Refused { proof, reason, token_refused } => {
                let failures = self.rules.load().failures.clone();
                match failures.map(|failures| failures.take(&whose(address))) {
                    Some(Err(seconds)) => (AccessError::RateLimited(seconds), reason),
                    _ => (AccessError::Unauthenticated { proof, token_refused }, reason),
                }
            }
        };
        info!(target: "quotagraph::audit", %address, outcome = refusal.outcome(), reason, "request refused");
        refusal
    }

    fn refuse_lapsed(&self, view: &View, lapse: Lapse) -> AccessError {
        let refusal = match (lapse, self.rules.load().proof) {
            (Lapse::Unverifiable, _) => AccessError::IssuerAway(whole_seconds(LOOK_AGAIN)),
            // A proof was asked for, or nothing could have lapsed.
            (_, proof) => {
                let token_refused = matches!(view.grant.basis, Basis::Token { .. });
                AccessError::Unauthenticated { proof: proof.unwrap_or(Proof::KeyOrToken), token_refused }
            }
        };
        let name = &view.principal().name;
        info!(
            target: "quotagraph::audit", principal = %name, by = name.means().name(), outcome = refusal.outcome(), reason = %lapse,
            "request refused"
        );
        refusal
    }
}

/// A caller did not prove who it is.
enum Unproven {
    Refused {
        proof: Proof,
        /// For the log.
        reason: String,
        /// Whether it tried with a token.
        token_refused: bool,
    },
    /// Whether it did cannot be told; how long to wait before it is tried again.
    Away(Duration),
}

/// Who is held liable for an address: of IPv6 its /64, since that is what one machine gets, with all its addresses.
fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_for_the_limit() {
        let whose = |text: &str| whose(text.parse().unwrap());
        assert_eq!(whose("2001:db8::1"), whose("2001:db8::ffff:1:2:3"));
        assert_ne!(whose("2001:db8::1"), whose("2001:db8:0:1::1"));
        assert_ne!(whose("192.0.2.1"), whose("192.0.2.2"));
    }
}
