//! The log: events of `tracing` on stderr, as text for people or as JSON for machines.

mod format;
mod line;

use std::error::Error;
use std::io::IsTerminal;

use tracing::{Level, error};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub use self::format::LogFormat;
use self::line::{EscapedLines, QuotedFields, may_be_told};
use crate::supervisor;

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not understood.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// There is a log already in this process.
    #[error("the log runs already: {0}")]
    AlreadyRuns(#[from] TryInitError),
}

/// Why a text is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log filter is a level (error, warn, info, debug, trace, off) or a list such as info,quotagraph::koodrive=debug")]
pub struct InvalidFilter;

/// Starts the log of this process. `filter` is a level such as `info`, or a list such as `info,quotagraph::koodrive=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let ansi = std::io::stderr().is_terminal() && format == LogFormat::Text;
    let builder = tracing_subscriber::fmt()
        .with_writer(EscapedLines::new(std::io::stderr, format, ansi))
        .with_env_filter(parse_filter(filter)?)
        .with_ansi(ansi);
    match format {
        LogFormat::Text => builder.fmt_fields(QuotedFields).finish().with(filter_fn(may_be_told)).try_init()?,
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).finish().with(filter_fn(may_be_told)).try_init()?;
        }
    }
    log_panics();
    Ok(())
}

/// Has panics logged as everything else is, once each: what a panic says may come from outside, and a log of JSON has lines of JSON only. Nothing of
/// them is shown to clients.
fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !tracing::enabled!(Level::ERROR) {
            return usual(info);
        }
        let panic = supervisor::describe(info.payload());
        let place = info.location().map(ToString::to_string);
        let thread = std::thread::current().name().map(str::to_owned);
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then(|| backtrace.to_string());
        error!(panic, place, thread, backtrace, "a task panicked");
    }));
}

/// An error and what lies behind it, on one line. The JSON form of the log shows nothing but an error's own text, so events carry this.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        let sentence = deeper.to_string();
        // Messages often repeat their source already.
        if !text.contains(&sentence) {
            text.push_str(": ");
            text.push_str(&sentence);
        }
        source = deeper.source();
    }
    text
}

/// Reads a filter. A bare word must be a level: `tracing` itself takes a misspelt one for a module's name, which silences the log.
pub(crate) fn parse_filter(filter: &str) -> Result<EnvFilter, InvalidFilter> {
    let parts: Vec<&str> = filter.split(',').map(str::trim).collect();
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    if !parts.iter().all(|part| part.contains('=') || is_level(part)) {
        return Err(InvalidFilter);
    }
    EnvFilter::builder().parse(parts.join(",")).map_err(|_| InvalidFilter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn an_error_is_explained_by_its_causes_and_nothing_is_said_twice() {
        let because = |source: &str| StoreError::Database { action: "recording", source: source.to_owned().into() };
        assert_eq!(explain(&because("the disk is full")), "the database recording failed: the disk is full");
        assert_eq!(explain(&because("recording failed")), "the database recording failed");
        assert_eq!(explain(&because("")), "the database recording failed");
    }

    #[test]
    fn filters_are_levels_and_lists_and_a_misspelt_level_is_refused() {
        for good in ["info", "off", "WARN", "info,quotagraph::koodrive=debug", "sqlx=off, info"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,", "info,quotagraph", "quotagraph=loud"] {
            assert_eq!(parse_filter(bad).err(), Some(InvalidFilter), "{bad}");
        }
    }
}
