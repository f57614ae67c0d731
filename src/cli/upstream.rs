//! What the commands that call the upstream share.

use std::path::Path;

use super::{Failed, load_tenants, start_log, system_clock};
use crate::app;
use crate::config::{self, Config, Log};
use crate::koodrive::{Client, Failure, Verdict};
use crate::metrics::Metrics;
use crate::shown;
use crate::tenants::WatchedTenant;

/// A client with the config's settings, and the tenants.
pub(super) fn open(config: Option<&Path>) -> Result<(Config, Client, Vec<WatchedTenant>), Failed> {
    let config = config::load(config, config::process_environment())?;
    let mut log = config.log.clone();
    if log.filter == Log::default().filter {
        // The command says itself what failed. Of secrets and certificates it warns. Who asks for a log gets it.
        "warn,quotagraph::koodrive=error".clone_into(&mut log.filter);
    }
    start_log(&log)?;
    let watched = load_tenants(&config)?;
    let client = Client::new(&app::koodrive_settings(&config), system_clock(), Metrics::default().upstream)?;
    Ok((config, client, watched))
}

/// The same with one tenant.
pub(super) fn open_one(config: Option<&Path>, tenant: &str) -> Result<(Client, WatchedTenant), Failed> {
    let (config, client, watched) = open(config)?;
    let known = watched.len();
    let file = config.file.unwrap_or_default();
    let watched = watched.into_iter().find(|watched| watched.tenant.id.as_str() == tenant).ok_or_else(|| {
        format!(
            "there is no tenant {} in {} (it has {known}); `quotagraph check` lists them",
            shown::cut(tenant),
            shown::path(&file)
        )
    })?;
    Ok((client, watched))
}

/// What failed, what the gateway itself says of it, what to look at, and by which id the upstream's people find the request.
pub(super) fn describe(failure: &Failure) -> String {
    let Failure { verdict, trace_id, .. } = failure;
    let mut text = verdict.to_string();
    if let Some(message) = verdict.gateway_message() {
        text.extend([": ", message]);
    }
    if let Some(hint) = hint(verdict) {
        text.extend(["; ", hint]);
    }
    if let Some(trace_id) = trace_id {
        text.extend(["; X-Traceid ", trace_id]);
    }
    text
}

/// What to look at when a request was turned away. The gateway's codes are those that the simulator gives, too.
fn hint(verdict: &Verdict) -> Option<&'static str> {
    let Verdict::Refused(fault) = verdict else { return None };
    match fault.gateway_code.as_deref()? {
        "APIGW.0301" => Some("are app_id or the token, and user_id right?"),
        "APIGW.0303" => Some("is the secret right?"),
        "APIGW.0304" => Some("is the clock of this machine right?"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::koodrive::HttpFault;

    #[test]
    fn a_refusal_is_told_with_the_gateways_words_and_a_hint_by_its_code() {
        for (code, said, hint) in [
            (Some("APIGW.0301"), None, ", APIGW.0301; are app_id or the token, and user_id right?"),
            (Some("APIGW.0303"), Some("\"no\""), ", APIGW.0303: \"no\"; is the secret right?"),
            (Some("APIGW.0304"), Some("\"no\""), ", APIGW.0304: \"no\"; is the clock of this machine right?"),
            (Some("APIGW.0101"), Some("\"no\""), ", APIGW.0101: \"no\""),
            (None, None, ""),
        ] {
            let fault = HttpFault { status: 400, gateway_code: code.map(Into::into), gateway_message: said.map(Into::into) };
            let (verdict, took) = (Verdict::Refused(fault), Duration::ZERO);
            let failure = Failure { verdict, trace_id: Some("f00".into()), attempts: 1, took };
            assert_eq!(describe(&failure), format!("refused: HTTP 400{hint}; X-Traceid f00"));
        }
    }
}
