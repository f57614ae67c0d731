//! The configuration: a TOML file, overridden by the environment. `quotagraph.example.toml` documents every field.
//!
//! [`load()`] reads and checks the settings, [`load_tenants`] the tenants with their secrets. [`Watch`] tells when who may call and the tenants are
//! worth reading again, and reads them. Every error is one sentence that names the field and what to mend.

#![warn(missing_docs)]

mod auth;
mod cache;
mod collector;
mod cors;
mod database;
mod duration;
mod environment;
mod error;
mod graphql;
mod jwt;
mod limits;
mod listen;
mod load;
mod log;
mod metrics;
mod proxy;
mod retention;
mod secrets;
mod server;
mod tenants;
mod text;
mod translate;
mod upstream;
mod watch;

use std::path::PathBuf;

use serde::Deserialize;

pub use auth::{Auth, AuthMode, KeyConfig};
pub use cache::Cache;
pub use collector::Collector;
pub use cors::Cors;
pub use database::Database;
pub use environment::process_environment;
pub use error::ConfigError;
pub use graphql::{Graphql, TrustedDocuments};
pub use jwt::JwtConfig;
pub use limits::Limits;
pub use listen::{InvalidListen, Listen};
pub use load::{DEFAULT_FILE, list_tenants, load, load_tenants};
pub use log::Log;
pub use metrics::Metrics;
pub use proxy::ProxySetting;
pub use retention::Retention;
pub use server::{Server, ServerTls};
pub use tenants::{TenantAuth, TenantConfig};
pub use upstream::Upstream;
pub use watch::{Version, Watch};

use crate::proxy::Proxies;

/// All settings. `Config::default()` is what an empty file gives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the service listens.
    pub server: Server,
    /// Where history is kept.
    pub database: Database,
    /// How often tenants are asked.
    pub collector: Collector,
    /// What becomes of old history.
    pub retention: Retention,
    /// How long answers serve.
    pub cache: Cache,
    /// How the upstream is called.
    pub upstream: Upstream,
    /// What one caller may ask for.
    pub limits: Limits,
    /// What of GraphQL is offered.
    pub graphql: Graphql,
    /// Who may call; without it only loopback is served.
    pub auth: Option<Auth>,
    /// Which pages of other servers may call.
    pub cors: Cors,
    /// Where the figures are shown besides.
    pub metrics: Metrics,
    /// What is logged.
    pub log: Log,
    /// The tenants of this file.
    pub tenants: Vec<TenantConfig>,
    /// A file with more tenants; relative to the folder of the config file.
    pub tenants_file: Option<PathBuf>,
    /// The file that this was read from; `None` when it was made by code. Relative paths in it start from its folder.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// The proxies of the environment, for requests whose section names none.
    #[serde(skip)]
    pub environment_proxies: Proxies,
}
