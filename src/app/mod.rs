//! The composition root: a config, tenants, a store and a clock become a running service. The commands and the tests call the same
//! functions, so that the tests cannot drift from what is shipped.

#![warn(missing_docs)]

mod building;
mod error;
mod handle;
mod running;
mod settings;
mod unknown_tenants;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::collector::Collector;
use crate::feed::Feed;
use crate::http::Edge;
use crate::listener::{Address, Listener};
use crate::recorder::Writer;
use crate::retention::Ages;

pub use self::building::check_parts;
pub use self::error::AppError;
pub use self::handle::AppHandle;
pub use self::settings::{document_settings, koodrive_settings};

/// A service that is built and bound, but does not run yet.
pub struct App {
    listener: Listener<Edge>,
    /// What serves the figures alone, on an address of their own.
    figures: Option<Listener<Edge>>,
    collector: Option<Collector>,
    feed: Feed,
    sockets: TaskTracker,
    writer: Writer,
    ages: Ages,
    certificate_file: Option<PathBuf>,
    shutdown_timeout: Duration,
    handle: AppHandle,
}

impl App {
    /// The address that is listened on; of several, the first one.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.listener.bound.addresses()[0]
    }

    /// All addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        self.listener.bound.addresses()
    }

    /// The address that has the figures alone, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<&Address> {
        self.figures.as_ref().and_then(|listener| listener.bound.addresses().first())
    }

    /// The handle to the service.
    #[must_use]
    pub fn handle(&self) -> AppHandle {
        self.handle.clone()
    }
}
