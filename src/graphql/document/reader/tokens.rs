//! The tokens of a document, one after the other, each with its place (GraphQL specification, section 2.1).

use async_graphql::parser::Pos;

/// What is left of a document, from the start of a token on.
pub(in crate::graphql) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// Where the line would begin if each of its characters were one byte.
    line_start: usize,
}

impl<'a> Tokens<'a> {
    pub fn of(text: &'a str) -> Self {
        let mut tokens = Self { text, at: 0, line: 1, line_start: 0 };
        tokens.skip_ignored();
        tokens
    }

    /// The first byte of the next token; `None` at the end.
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Where the next token stands.
    pub fn position(&self) -> Pos {
        Pos { line: self.line, column: self.at - self.line_start + 1 }
    }

    /// Takes the next token if it is this sign.
    pub fn take(&mut self, sign: u8) -> Option<()> {
        (self.peek() == Some(sign)).then(|| self.advance(1))
    }

    /// Takes the three dots of a spread.
    pub fn take_spread(&mut self) -> Option<()> {
        self.rest().starts_with("...").then(|| self.advance(3))
    }

    /// Takes a name.
    pub fn take_name(&mut self) -> Option<&'a str> {
        self.peek().filter(|first| first.is_ascii_alphabetic() || *first == b'_')?;
        let name = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        self.advance(name.len());
        Some(name)
    }

    /// Takes the `on` of a type condition, after which blanks must stand, and no comment.
    pub fn take_on(&mut self) -> Option<()> {
        let rest = self.rest().strip_prefix("on")?;
        let after = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
        let is_on = after.len() < rest.len() && after.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        is_on.then(|| self.advance(2))
    }

    /// Takes what a type is written with, without blanks in it; nothing when none stands here.
    pub fn take_type(&mut self) -> &'a str {
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'[' | b']' | b'!'));
        self.advance(text.len());
        text
    }

    /// Takes a number after which a blank or a sign stands, as the library's parser has it after any number of a document that is meant well.
    pub fn take_number(&mut self) -> Option<&'a str> {
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-'));
        is_number(text).then(|| self.advance(text.len()))?;
        Some(text)
    }

    /// Takes a string of one line without escapes: what is between its quotes.
    pub fn take_plain_string(&mut self) -> Option<&'a str> {
        let rest = self.rest().strip_prefix('"')?;
        let length = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r'))?;
        let string = &rest[..length];
        if !rest[length..].starts_with('"') || rest.starts_with("\"\"") {
            return None;
        }
        self.widen(string);
        self.advance(length + 2);
        Some(string)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The bytes from here on that are of a kind, of which all are ASCII.
    fn run(&self, is_of_kind: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        &rest[..rest.bytes().position(|byte| !is_of_kind(byte)).unwrap_or(rest.len())]
    }

    /// Goes on after a token, to the start of the next one.
    fn advance(&mut self, length: usize) {
        self.at += length;
        self.skip_ignored();
    }

    /// Skips blanks, commas and comments.
    fn skip_ignored(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b',' => self.at += 1,
                b'\n' | b'\r' => {
                    self.at += 1;
                    self.line += usize::from(byte == b'\n');
                    self.line_start = self.at;
                }
                b'#' => {
                    let comment = self.run(|byte| byte != b'\n' && byte != b'\r');
                    self.widen(comment);
                    self.at += comment.len();
                }
                0xEF if self.rest().starts_with('\u{feff}') => {
                    self.widen("\u{feff}");
                    self.at += '\u{feff}'.len_utf8();
                }
                _ => break,
            }
        }
    }

    /// Has the text, which is about to be passed, count by its characters and not its bytes.
    fn widen(&mut self, text: &str) {
        self.line_start += text.bytes().filter(|byte| !byte.is_ascii() && *byte & 0xC0 == 0x80).count();
    }
}

/// Whether a text is a number (GraphQL specification, sections 2.9.1 and 2.9.2).
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let text = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || whole > 1 && text.starts_with('0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}
