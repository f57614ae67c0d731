//! Foreign text made fit to be shown: in the log, in messages, on a terminal.
//!
//! What callers, upstreams, files and databases say may hold characters that a reader does not see, or that change how the text around them is
//! seen: control characters, turns of the writing direction, breaks of lines and invisible ones. They are written out as escapes. And it may
//! be long: of a value, a message shows 200 characters.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// The most characters of a value that are shown.
pub const MAX_CHARS: usize = 200;

/// Whether a character does not stand for itself in a text of one line.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text with escapes such as `\u{202e}` in place of what is hidden.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_all_but(text, |_| false)
}

/// The same, but for those characters that are `let_through`.
#[must_use]
pub fn escape_all_but(text: &str, let_through: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |c: char| is_hidden(c) && !let_through(c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// A text of JSON with the escapes of JSON in place of what is hidden. There, that stands in strings only.
#[must_use]
pub fn escape_in_json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A value as a message shows it: its beginning, with what is hidden escaped.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    cut_to(text, MAX_CHARS)
}

/// Where a file is, as a message shows it.
#[must_use]
pub fn path(path: &Path) -> String {
    cut(&path.to_string_lossy()).into_owned()
}

/// The beginning of a text, of so many characters, with what is hidden escaped.
#[must_use]
pub fn cut_to(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        Some((end, _)) => Cow::Owned(format!("{}…", escape(&text[..end]))),
        None => escape(text),
    }
}

/// A sentence in which foreign values may stand, fit to be shown: a word of more characters than a value shows is cut.
#[must_use]
pub fn sentence(text: &str) -> String {
    let show = |word| {
        let value = str::trim_matches(word, [':', ',', ';', '"', '(', ')', '…']);
        if value.chars().nth(MAX_CHARS).is_some() { cut(word) } else { escape(word) }
    };
    text.split(' ').map(show).collect::<Vec<_>>().join(" ")
}

/// The same in quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX_CHARS) {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            _ if is_hidden(c) => quoted.extend(c.escape_default()),
            _ => quoted.push(c),
        }
    }
    if chars.next().is_some() {
        quoted.push('…');
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_sentence_is_longer_than_a_value() {
        let long = "x".repeat(MAX_CHARS + 1);
        let whole = format!("of \"{}…\": more", &long[1..]);
        assert_eq!(sentence(&whole), whole);
        assert_eq!(sentence(&format!("the field  {long} is\nwrong")), format!("the field  {}… is\\nwrong", &long[1..]));
    }

    #[test]
    fn what_is_hidden_is_written_out_and_the_rest_stays() {
        for (text, shown) in [
            ("a \u{202e}b", "a \\u{202e}b"),
            ("line\u{2028}break\n\t\r", "line\\u{2028}break\\n\\t\\r"),
            ("\u{0}\u{1b}[31m\u{85}\u{9b}", "\\u{0}\\u{1b}[31m\\u{85}\\u{9b}"),
            ("zero\u{200b}\u{feff}\u{2066}\u{e0041}", "zero\\u{200b}\\u{feff}\\u{2066}\\u{e0041}"),
            ("Zürich 東京 \u{1f600} \\ \"", "Zürich 東京 \u{1f600} \\ \""),
        ] {
            assert_eq!(escape(text), shown);
        }
        assert_eq!(escape_in_json("\"\u{202e}\u{e0041}ü\""), "\"\\u202e\\udb40\\udc41ü\"");
        assert_eq!(escape_all_but("a\n\u{1b}", |c| c == '\n'), "a\n\\u{1b}");
    }

    #[test]
    fn of_a_long_value_the_beginning_is_shown() {
        let long = "ü".repeat(1000);
        assert_eq!(cut(&long).chars().count(), MAX_CHARS + 1);
        assert_eq!(quoted(&long).chars().count(), MAX_CHARS + 3);
        assert_eq!(cut(&long[..2 * MAX_CHARS]), long[..2 * MAX_CHARS]);
        assert_eq!(quoted("a \"b\"\\\u{202e}"), r#""a \"b\"\\\u{202e}""#);
    }
}
