//! Time zones by name.

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// There is no time zone of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {name:?}; give one by its IANA name, such as \"Europe/Berlin\", or \"UTC\"")]
pub struct UnknownTimeZone {
    /// The name, cut to its first 64 characters.
    pub name: String,
}

/// The time zone of an IANA name, in upper or lower case. It comes from the database in the binary, so that all machines agree and
/// none needs one of its own. Neither the system's zone nor rules in POSIX form are names.
///
/// # Errors
/// [`UnknownTimeZone`] when the database has no such name.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownTimeZone> {
    TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        .filter(|tz| !tz.is_unknown())
        .ok_or_else(|| UnknownTimeZone { name: name.chars().take(64).collect() })
}
