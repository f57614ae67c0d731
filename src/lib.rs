//! quotagraph: a GraphQL service over the storage quota of KooDrive tenants.
//!
//! The modules, from above to below: each uses only what stands below it. `docs/ARCHITECTURE.md` says what exactly, and a test holds it to that.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the subcommands; parses arguments and prints |
//! | [`app`] | the composition root: a config, a store and a clock become a running service |
//! | [`http`] | routes, limits, health, the IDE |
//! | [`listener`] | connections: TLS, HTTP/1.1 and HTTP/2, time-outs, how many |
//! | [`graphql`] | the schema; thin resolvers over what follows |
//! | [`export`] | history as files: rows, and CSV, NDJSON and Parquet made of them |
//! | [`import`] | files as history: reading, revising, undoing |
//! | [`answers`] | finished answers of repeated queries, and when they are valid |
//! | [`feed`] | the observed changes, for subscribers |
//! | [`fleet`] | sums over many tenants, from the log of changes |
//! | [`collector`] | asks every tenant once an interval and records the answers |
//! | [`allocations`] | the read-through cache: freshness, coalescing, last known values |
//! | [`retention`] | thins and forgets old history |
//! | [`recorder`] | writes what was observed in batches; keeps it while the database is down |
//! | [`past`] | the history of tenants, read piece by piece |
//! | [`work`] | how much may be read and computed for one answer |
//! | [`computing`] | threads for what takes long |
//! | [`config`] | the settings, from a file and the environment |
//! | [`access`] | who may see and do what: the one door, and the caller's view of the tenants |
//! | [`tenants`] | who is watched, with which credential; replaced whole on reload |
//! | [`simulator`] | a KooDrive that verifies every signature, for the demo and the tests |
//! | [`koodrive`] | the signed upstream client; one verdict per answer |
//! | [`store`] | tenants, schedules and run-length history in Postgres or SQLite |
//! | [`proxy`] | the proxies by which our requests leave |
//! | [`tls`] | who is trusted, and our own certificate |
//! | [`origin`] | origins of pages, and hosts |
//! | `files` | reads the files that the config names |
//! | [`telemetry`] | the log |
//! | [`supervisor`] | keeps the tasks of the background alive |
//! | [`metrics`] | the figures for Prometheus |
//! | `file_stamp` | tells one version of a file from the next |
//! | [`shown`] | foreign text, as messages and the log show it |
//! | [`request_id`] | the id by which the log lines of a request are found |
//! | [`clock`] | the only place that reads the time |
//! | [`quota`] | the domain: runs, recording, calendar buckets, usage, growth, forecasts. No I/O |

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
pub mod request_id;
pub mod retention;
mod shown;
pub mod simulator;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod tenants;
pub mod tls;
pub mod work;
