//! How old a value may be.

use jiff::SignedDuration;

/// When a value is fresh, when it will still do, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Up to this age a value is served as it is.
    pub fresh_for: SignedDuration,
    /// Up to this age a value is served and refreshed in the background.
    pub stale_for: SignedDuration,
    /// Tenants kept in memory at most.
    pub max_tenants: u64,
    /// The sampling interval that is recorded with an answer, in seconds.
    pub interval_s: u32,
}
