//! The integration tests: one binary, one file per behaviour.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod access;
mod answer_cache;
mod answer_forms;
mod arguments;
mod browsers;
mod collector;
mod commands;
mod config_errors;
mod config_example;
mod config_watch;
mod connections;
mod database_outage;
mod exports;
mod extreme_times;
mod federation;
mod fleet;
mod forecast;
mod freshness;
mod fuzz_seeds;
mod growth;
mod hosts;
mod http;
mod https;
mod issuers;
mod known_documents;
mod known_variables;
mod lifecycle;
mod lists;
mod metrics;
mod nesting;
mod partial_answers;
mod quota_query;
mod request_limits;
mod retention;
mod schema;
mod store_contract;
mod subscriptions;
mod supervision;
mod support;
mod taking_back;
mod tokens;
mod upstream;
mod usage_over_time;
mod widest_values;
