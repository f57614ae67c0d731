//! How an event becomes a line of the log that nobody else has written.
//!
//! Whatever a caller or an upstream says, a line stays one line, its fields are those that we wrote, and it is seen as it is.

use std::fmt::{self, Debug};
use std::io;

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use super::format::LogFormat;
use crate::{request_id, shown};

/// Libraries that see credentials: headers, messages of sockets, addresses of databases and proxies. Of them nothing below `info` is logged.
const CONFIDANTS: [&str; 6] = ["h2", "reqwest", "sqlx", "tokio_tungstenite", "tungstenite", "hyper_util"];

/// Whether an event may be logged at all, whatever the filter says. At `trace`, libraries write what passes through them.
pub(super) fn may_be_told(event: &Metadata<'_>) -> bool {
    let library = event.target().split("::").next().unwrap_or_default();
    let finest = match library {
        "quotagraph" => Level::TRACE,
        _ if CONFIDANTS
            .iter()
            .any(|name| library == *name || library.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'))) =>
        {
            Level::INFO
        }
        _ => Level::DEBUG,
    };
    *event.level() <= finest
}

/// Fields as text. Values are in quotes unless they are plain words, so that none can look like another field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QuotedFields;

impl<'writer> FormatFields<'writer> for QuotedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = FieldWriter { writer, is_first: true, outcome: Ok(()) };
        fields.record(&mut visitor);
        visitor.outcome
    }
}

struct FieldWriter<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    outcome: fmt::Result,
}

impl FieldWriter<'_> {
    fn write(&mut self, field: &Field, text: &str, is_text: bool) {
        if self.outcome.is_ok() {
            self.outcome = self.try_write(field.name(), text, is_text);
        }
    }

    fn try_write(&mut self, name: &str, text: &str, is_text: bool) -> fmt::Result {
        // What the bridge from the crate `log` adds is in the event's head already.
        if name.starts_with("log.") {
            return Ok(());
        }
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return self.writer.write_str(&shown::escape(text));
        }
        let name = name.strip_prefix("r#").unwrap_or(name);
        if self.writer.has_ansi_escapes() {
            write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
        } else {
            write!(self.writer, "{name}=")?;
        }
        if !is_text && is_plain_word(text) {
            return self.writer.write_str(text);
        }
        self.writer.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(self.writer, "\\{c}")?,
                _ if shown::is_hidden(c) => write!(self.writer, "{}", c.escape_default())?,
                _ => self.writer.write_char(c)?,
            }
        }
        self.writer.write_char('"')
    }
}

impl Visit for FieldWriter<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value, true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, &format!("{value:?}"), false);
    }
}

fn is_plain_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\'))
}

/// Writes whole lines, with what is hidden in them escaped; the last word on what reaches the log.
#[derive(Clone, Debug)]
pub(super) struct EscapedLines<W> {
    to: W,
    format: LogFormat,
    /// Whether the lines are coloured by escape sequences of ours.
    ansi: bool,
}

impl<W> EscapedLines<W> {
    pub(super) fn new(to: W, format: LogFormat, ansi: bool) -> Self {
        Self { to, format, ansi }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for EscapedLines<W> {
    type Writer = EscapedLines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedLines { to: self.to.make_writer(), format: self.format, ansi: self.ansi }
    }
}

impl<W: io::Write> io::Write for EscapedLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let lines = String::from_utf8_lossy(bytes);
        let (line, end) = lines.strip_suffix('\n').map_or((&*lines, ""), |line| (line, "\n"));
        let shown = match self.format {
            LogFormat::Text => shown::escape_all_but(line, |c| self.ansi && c == '\x1b'),
            LogFormat::Json => shown::escape_in_json(line),
        };
        let (shown, end) = match (request_id::current(), self.format) {
            (None, _) => (&*shown, end.to_owned()),
            (Some(id), LogFormat::Text) if self.ansi => (&*shown, format!(" \x1b[3mrequest_id\x1b[0m\x1b[2m=\x1b[0m\"{id}\"{end}")),
            (Some(id), LogFormat::Text) => (&*shown, format!(" request_id=\"{id}\"{end}")),
            (Some(id), LogFormat::Json) => (shown.strip_suffix('}').unwrap_or(&shown), format!(",\"request_id\":\"{id}\"}}{end}")),
        };
        self.to.write_all(format!("{shown}{end}").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, event: impl FnOnce()) -> String {
        let log = Log::default();
        let to = log.clone();
        let writer = EscapedLines::new(move || to.clone(), format, false);
        let layer = tracing_subscriber::fmt::layer().without_time().with_ansi(false);
        // With one subscriber alone, tracing asks whichever thread first comes by an event whether it is wanted; with a second one it asks both.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        match format {
            LogFormat::Text => {
                let subscriber = tracing_subscriber::registry().with(layer.fmt_fields(QuotedFields).with_writer(writer));
                tracing::subscriber::with_default(subscriber, event);
            }
            LogFormat::Json => {
                let subscriber = tracing_subscriber::registry().with(layer.json().flatten_event(true).with_writer(writer));
                tracing::subscriber::with_default(subscriber, event);
            }
        }
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_tells_the_request_that_it_was_logged_for() {
        let mut id = request_id::RequestId::given(b"Root=1").unwrap();
        for (format, expected) in
            [(LogFormat::Text, "told count=3 request_id=\"Root=1\"\n"), (LogFormat::Json, ",\"request_id\":\"Root=1\"}\n")]
        {
            let text = request_id::within(&mut id, || logged(format, || tracing::info!(count = 3, "told")));
            assert!(text.ends_with(expected), "{text}");
        }
    }

    const SUB: &str = "eve\" tenant=other level=\"x\u{202e}\u{2028}\u{85}\n2026-01-01T00:00:00Z  INFO quotagraph: forged";

    #[test]
    fn a_field_cannot_look_like_another_one_nor_like_a_line() {
        let text = logged(LogFormat::Text, || {
            let span = tracing::info_span!("request", sub = %SUB);
            let _entered = span.enter();
            tracing::info!(sub = %SUB, also = SUB, tenant = %"acme", count = 3, empty = "", path = ?SUB, "told {SUB}");
        });
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains(['\u{202e}', '\u{2028}', '\u{85}']), "{text}");
        let quoted = r#""eve\" tenant=other level=\"x\u{202e}\u{2028}\u{85}\n2026-01-01T00:00:00Z  INFO quotagraph: forged""#;
        assert!(text.contains(&format!(" sub={quoted} also={quoted} tenant=acme count=3 empty=\"\" path=")), "{text}");
        assert!(text.contains(&format!("request{{sub={quoted}}}")), "{text}");
    }

    #[test]
    fn json_says_the_same_text_in_plain_sight() {
        let text = logged(LogFormat::Json, || tracing::info!(sub = %SUB, "told"));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains(['\u{202e}', '\u{2028}', '\u{85}']) && text.contains("\\u202e\\u2028\\u0085\\n"), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["sub"], SUB);
    }

    #[test]
    fn what_libraries_say_of_what_passes_through_them_is_not_told() {
        // Spans have metadata only where somebody listens.
        let text = logged(LogFormat::Text, || {
            for told in [
                tracing::span!(target: "quotagraph::koodrive", Level::TRACE, "ours").metadata().is_some_and(may_be_told),
                tracing::span!(target: "hyper::proto", Level::DEBUG, "hyper").metadata().is_some_and(may_be_told),
                tracing::span!(target: "sqlx::query", Level::INFO, "sqlx").metadata().is_some_and(may_be_told),
            ] {
                assert!(told);
            }
            for untold in [
                tracing::span!(target: "hyper::proto", Level::TRACE, "hyper").metadata().is_some_and(may_be_told),
                tracing::span!(target: "tungstenite::protocol", Level::DEBUG, "ws").metadata().is_some_and(may_be_told),
                tracing::span!(target: "sqlx_postgres::options", Level::DEBUG, "sqlx").metadata().is_some_and(may_be_told),
            ] {
                assert!(!untold);
            }
        });
        assert_eq!(text, "");
    }
}
