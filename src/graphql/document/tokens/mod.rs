//! What a document's text alone tells of how much work its parser will have: tokens, and brackets within each other, found in one scan
//! (GraphQL specification, section 2.1).
//!
//! The parser recurses over brackets, so a document is looked at here before the parser sees it. The scan reads strings and comments as the
//! parser does; where the two could differ, in a string without an end, the document is refused.

use async_graphql::ServerError;

use crate::graphql::error::{code, coded_error};

/// Longer names than these bytes are refused: an error of the validation names what is wrong, maybe once for each of many uses.
const LONGEST_NAME: usize = 1000;

/// How much the parser may be given. A document within these bounds is parsed in linear time and little stack.
#[derive(Clone, Copy, Debug)]
pub struct TextLimits {
    /// Lexical tokens.
    pub tokens: usize,
    /// Brackets of any kind within each other.
    pub nesting: usize,
}

impl TextLimits {
    /// Looks at a document before it is parsed.
    ///
    /// # Errors
    /// When it has more of something than the limits allow, or a string without an end.
    pub fn check(&self, document: &str) -> Result<(), ServerError> {
        let TextSize { tokens, nesting, longest_name } = measure_text(document).map_err(|Unclosed { line, column }| {
            let sentence = format!("the document has a string without an end, which begins at line {line}, column {column}");
            coded_error(sentence, code::BAD_USER_INPUT)
        })?;
        refuse_over("tokens", tokens, self.tokens)?;
        if nesting > self.nesting {
            return Err(too_complex(too_nested("the document", nesting, self.nesting)));
        }
        if longest_name > LONGEST_NAME {
            return Err(too_complex(format!("the document has a name of {longest_name} characters; the limit is {LONGEST_NAME}")));
        }
        Ok(())
    }

    /// Looks at JSON of a request before it is read; `what` calls it in the sentence.
    ///
    /// # Errors
    /// A sentence, when it has more brackets within each other than the limit allows.
    pub fn check_json(&self, what: &str, json: &[u8]) -> Result<(), String> {
        // Most have fewer brackets in all.
        if json.iter().filter(|byte| **byte | 0x20 == b'{').count() <= self.nesting {
            return Ok(());
        }
        let nesting = json_nesting(json);
        if nesting > self.nesting { Err(too_nested(what, nesting, self.nesting)) } else { Ok(()) }
    }
}

/// Refuses a document that has more of something than it may.
pub(in crate::graphql) fn refuse_over(what: &str, found: usize, limit: usize) -> Result<(), ServerError> {
    if found <= limit {
        return Ok(());
    }
    Err(too_complex(format!("the document has {found} {what}; the limit is {limit}")))
}

pub(in crate::graphql) fn too_complex(sentence: String) -> ServerError {
    coded_error(sentence, code::QUERY_TOO_COMPLEX)
}

fn too_nested(what: &str, found: usize, limit: usize) -> String {
    format!("{what} has {found} brackets within each other; the limit is {limit}")
}

/// What the scan of a document finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::graphql) struct TextSize {
    /// Lexical tokens. Blanks, commas and comments are none. What is no token at all counts as one by character; the parser refuses it
    /// afterwards.
    pub tokens: usize,
    /// The most brackets `(`, `[` and `{` within each other. Whatever is closed by another bracket than it was opened with is refused by the
    /// parser when it gets there, so that kinds need not be told apart.
    pub nesting: usize,
    /// The bytes of the longest name.
    longest_name: usize,
}

/// Where a string begins that has no end. The parser would look for other ways to read what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graphql) struct Unclosed {
    line: usize,
    column: usize,
}

impl Unclosed {
    fn at(document: &str, byte: usize) -> Self {
        let before = document.get(..byte).unwrap_or_default();
        let line = before.rfind('\n').map_or(before, |end| &before[end + 1..]);
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

pub(in crate::graphql) fn measure_text(document: &str) -> Result<TextSize, Unclosed> {
    let mut rest = document.as_bytes();
    let mut size = TextSize::default();
    let mut open = 0_usize;
    while let [first, ..] = *rest {
        let length = match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | 0xEF | 0xBB | 0xBF => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                rest = &rest[run(rest, |b| b != b'\n' && b != b'\r')..];
                continue;
            }
            b'"' => {
                let length = if rest.starts_with(br#"""""#) { block_string(rest) } else { string(rest) };
                length.ok_or_else(|| Unclosed::at(document, document.len() - rest.len()))?
            }
            b'.' if rest.starts_with(b"...") => 3,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                let length = run(rest, |b| b.is_ascii_alphanumeric() || b == b'_');
                size.longest_name = size.longest_name.max(length);
                size.tokens += values_before_name(&rest[..length]);
                length
            }
            b'0'..=b'9' | b'-' => number(rest),
            b'(' | b'[' | b'{' => {
                open += 1;
                size.nesting = size.nesting.max(open);
                1
            }
            b')' | b']' | b'}' => {
                open = open.saturating_sub(1);
                1
            }
            _ => 1,
        };
        rest = &rest[length..];
        size.tokens += 1;
    }
    Ok(size)
}

/// The most brackets within each other in JSON. What is no JSON gets its error when it is read, which is not deeper than this.
pub(in crate::graphql) fn json_nesting(json: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    most
}

/// How many bytes from the start on are of that kind.
fn run(bytes: &[u8], of_kind: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| of_kind(**byte)).count()
}

/// How many values the parser finds in a name before its last one: it takes `truefalsex` for two where values stand in a row, and `true00` for
/// three.
fn values_before_name(mut name: &[u8]) -> usize {
    let mut values = 0;
    loop {
        let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| name.starts_with(word)).map(<[u8]>::len);
        // Digits stand here only after such a word.
        let value = word.or_else(|| name.first().is_some_and(u8::is_ascii_digit).then(|| number(name)));
        match value.and_then(|length| name.get(length..)) {
            Some(after) if !after.is_empty() => {
                values += 1;
                name = after;
            }
            _ => return values,
        }
    }
}

/// The length of the number that the bytes begin with. What follows without a blank is a token of its own, as the parser has it: `0-1e2` is
/// two where values stand in a row, although no number may be followed so (GraphQL specification, section 2.9.1).
fn number(bytes: &[u8]) -> usize {
    let digits = |from: usize| run(bytes.get(from..).unwrap_or_default(), |b| b.is_ascii_digit());
    let sign = usize::from(bytes[0] == b'-');
    let whole = if bytes.get(sign) == Some(&b'0') { 1 } else { digits(sign) };
    let mut end = sign + whole;
    if whole == 0 {
        return end;
    }
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digits(exponent) > 0 {
            end = exponent + digits(exponent);
        }
    }
    end
}

/// The length of the string that the bytes begin with; `None` when it does not end in its line.
fn string(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' if matches!(bytes.get(at + 1), Some(b'\n' | b'\r')) => return None,
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            b'\n' | b'\r' => return None,
            _ => at += 1,
        }
    }
}

/// The length of the block string that the bytes begin with; `None` when it does not end.
fn block_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 3;
    while at < bytes.len() {
        if bytes[at..].starts_with(br#"\""""#) {
            at += 4;
        } else if bytes[at..].starts_with(br#"""""#) {
            return Some(at + 3);
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests;
