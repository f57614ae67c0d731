//! What the tests stand on.

pub(crate) mod app;
pub(crate) mod faulty_store;
pub(crate) mod histories;
pub(crate) mod issuer;
pub(crate) mod log;
pub(crate) mod outage;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod site;
pub(crate) mod sql;
pub(crate) mod subscriber;
pub(crate) mod table;
pub(crate) mod wire;
