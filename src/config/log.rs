//! `[log]`.

use serde::Deserialize;

use super::error::Invalid;
use crate::shown;
use crate::telemetry::{self, LogFormat};

/// What is logged, and how. The log goes to stderr.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` for people or `json` for machines, one event a line. Default `text`.
    pub format: LogFormat,
    /// Which events: a level (`error`, `warn`, `info`, `debug`, `trace`) or a list such as `info,quotagraph::koodrive=debug`.
    /// Default `info`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Log {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        telemetry::parse_filter(&self.filter).map(drop).map_err(|_| {
            let rule = "must be a level (error, warn, info, debug, trace) or a list like \"info,quotagraph::koodrive=debug\"";
            Invalid::found("log.filter", rule, shown::quoted(&self.filter))
        })
    }
}
