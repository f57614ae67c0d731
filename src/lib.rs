//! quotagraph: a GraphQL service over the storage quota of KooDrive tenants.
//!
//! The map, in the order of the arrows (each module knows only what stands below it):
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the subcommands; parses arguments and prints |
//! | [`app`] | the composition root: a config, a store and a clock become a running service |
//! | [`listener`] | connections: TLS, HTTP/1.1 and HTTP/2, time-outs, how many |
//! | [`http`] | routes, limits, health, the IDE |
//! | [`graphql`] | the schema; thin resolvers over what follows |
//! | [`access`] | who may see and do what: the one door, and the caller's view of the tenants |
//! | [`export`] | history as files: rows, and CSV, NDJSON and Parquet made of them |
//! | [`import`] | files as history: reading, revising, taking back |
//! | [`answers`] | finished answers of repeated queries, and when they are valid |
//! | [`feed`] | the observed changes, for subscribers |
//! | [`collector`] | asks every tenant once an interval and records the answers |
//! | [`allocations`] | the read-through cache: freshness, coalescing, last known values |
//! | [`fleet`] | sums over many tenants, from the log of changes |
//! | [`past`] | the segments of tenants, read piece by piece |
//! | [`recorder`] | writes what was observed in batches; keeps it while the database is away |
//! | [`tenants`] | who is watched, with which credential; replaced whole on reload |
//! | [`koodrive`] | the signed upstream client; one verdict per answer |
//! | [`store`] | tenants, schedules and run-length history in Postgres or SQLite |
//! | [`quota`] | the domain: runs, recording, calendar buckets, usage, growth, forecasts. No I/O |
//!
//! Beside them: [`config`], [`clock`] (the only place that reads the time), [`computing`] (threads for what takes long), [`work`] (how much of it one answer may take), [`tls`] (who is trusted, and our own certificate), [`proxy`] (by which our requests leave), [`origin`] (origins of pages, and hosts), [`metrics`], [`supervisor`] (keeps the tasks of the background alive), [`telemetry`], and [`simulator`], a
//! KooDrive that verifies every signature, for the demo and the tests.

pub mod access;
pub mod allocations;
pub mod answers;
pub mod app;
pub mod cli;
pub mod clock;
pub mod collector;
pub mod computing;
pub mod config;
pub mod export;
pub mod feed;
mod file_stamp;
mod files;
pub mod fleet;
pub mod graphql;
pub mod http;
pub mod import;
pub mod koodrive;
pub mod listener;
pub mod metrics;
pub mod origin;
pub mod past;
pub mod proxy;
pub mod quota;
pub mod recorder;
pub mod retention;
mod shown;
pub mod simulator;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod tenants;
pub mod tls;
pub mod work;
