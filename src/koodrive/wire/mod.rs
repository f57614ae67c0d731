//! What the upstream's bodies look like, in every form that its reference documents or shows.
//!
//! Numbers are read from their text, so that none passes through a double: 2^53 + 1 stays what it is, and `1.0` and `1e3` are
//! refused and not rounded.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::verdict::Verdict;
use crate::quota::{MAX_SPACE_TYPES, SpaceTypeAllocation};
use crate::shown;

/// The longest upstream code that is kept.
const MAX_CODE_CHARS: usize = 64;
/// The most that is told of a value that is not taken.
const MAX_EXCERPT_CHARS: usize = 40;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    msg: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    space_type: Option<&'a RawValue>,
    #[serde(borrow)]
    allocate_capacity: Option<&'a RawValue>,
    #[serde(borrow)]
    total_capacity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GatewayBody<'a> {
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    error_msg: Option<&'a RawValue>,
}

/// Decodes the body of an answer with status 200.
///
/// # Errors
/// [`Verdict::Business`] or [`Verdict::Invalid`].
pub(super) fn decode_allocation(body: &[u8]) -> Result<Vec<SpaceTypeAllocation>, Verdict> {
    let text = std::str::from_utf8(body).map_err(|_| Verdict::invalid("the body is not UTF-8"))?;
    let envelope: Envelope = decode_object(text, "the body").map_err(Verdict::Invalid)?;
    let code = decode_code(envelope.code).map_err(Verdict::Invalid)?;
    if code != "0" {
        let msg = envelope.msg.and_then(string_of).unwrap_or_default();
        return Err(Verdict::Business { code, msg: shown::cut(msg.trim()).into_owned() });
    }
    decode_data(envelope.data).map_err(Verdict::Invalid)
}

/// The gateway's own error code and its message, in quotes, if a body of a failure has them.
pub(super) fn decode_gateway(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(GatewayBody { error_code, error_msg }) = serde_json::from_slice(body) else { return (None, None) };
    let code = error_code.and_then(string_of).map(|code| fit_code(code.trim()));
    let message = error_msg.and_then(string_of).filter(|message| !message.trim().is_empty());
    (code.filter(|code| !code.is_empty()), message.map(|message| shown::quoted(message.trim())))
}

fn decode_data(data: Option<&RawValue>) -> Result<Vec<SpaceTypeAllocation>, String> {
    let text = data.ok_or("data is missing")?.get();
    let items: Vec<&RawValue> = match text.as_bytes().first() {
        Some(b'[') => serde_json::from_str(text).map_err(|error| json_reason("data", &error))?,
        Some(b'{') => vec![data.ok_or("data is missing")?],
        _ => return Err("data is neither an object nor an array".to_owned()),
    };
    if items.is_empty() {
        return Err("data lists no space type".to_owned());
    }
    if items.len() > MAX_SPACE_TYPES {
        return Err(format!("data lists {} space types, and more than {MAX_SPACE_TYPES} are not taken", items.len()));
    }
    let mut by_type = Vec::with_capacity(items.len());
    for item in items {
        by_type.push(decode_item(item.get())?);
    }
    by_type.sort_unstable();
    if let Some(twice) = by_type.windows(2).find(|pair| pair[0].space_type == pair[1].space_type) {
        return Err(format!("type {} is listed twice", twice[0].space_type));
    }
    Ok(by_type)
}

fn decode_item(text: &str) -> Result<SpaceTypeAllocation, String> {
    let item: Item = decode_object(text, "data")?;
    let capacity = |raw, field| {
        let gb: i64 = decode_integer(raw, field)?;
        if gb < 0 { Err(format!("{field} {gb} is negative")) } else { Ok(gb) }
    };
    Ok(SpaceTypeAllocation {
        space_type: decode_integer(item.space_type, "type")?,
        allocated_gb: capacity(item.allocate_capacity, "allocateCapacity")?,
        total_gb: capacity(item.total_capacity, "totalCapacity")?,
    })
}

/// serde takes an array for a struct, in the order of its fields; the upstream's are objects only.
fn decode_object<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, String> {
    let object = serde_json::from_str(text).map_err(|error| json_reason(what, &error))?;
    if text.trim_ascii_start().starts_with('{') { Ok(object) } else { Err(format!("{what} is not an object")) }
}

fn json_reason(what: &str, error: &serde_json::Error) -> String {
    // The reader's own words repeat a value, however long it is.
    let (reason, found) = (error.to_string(), if error.is_data() { "not as documented" } else { "not JSON" });
    format!("{what} is {found}: {}", shown::cut(&reason))
}

fn decode_code(raw: Option<&RawValue>) -> Result<String, String> {
    let raw = raw.ok_or("code is missing")?;
    let code = string_of(raw).or_else(|| is_integer(raw.get()).then(|| raw.get().to_owned()));
    match code.map(|code| fit_code(code.trim())) {
        Some(code) if !code.is_empty() => Ok(code),
        _ => Err(format!("code {} is neither a text nor a whole number", excerpt(raw))),
    }
}

/// A whole number, or a text that is one.
fn decode_integer<T: FromStr<Err: Display>>(raw: Option<&RawValue>, field: &str) -> Result<T, String> {
    let raw = raw.ok_or_else(|| format!("{field} is missing"))?;
    let text = raw.get();
    let string: Option<String> = if text.starts_with('"') { serde_json::from_str(text).ok() } else { None };
    let digits = string.as_deref().unwrap_or(text);
    if !is_integer(digits) {
        return Err(format!("{field} {} is not a whole number", excerpt(raw)));
    }
    digits.parse().map_err(|_| format!("{field} {} is out of range", excerpt(raw)))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn string_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The beginning of a code, fit to be shown.
fn fit_code(code: &str) -> String {
    let end = code.char_indices().nth(MAX_CODE_CHARS).map_or(code.len(), |(end, _)| end);
    shown::escape(&code[..end]).into_owned()
}

/// The beginning of a value as it stands there, fit to be shown.
fn excerpt(raw: &RawValue) -> Cow<'_, str> {
    shown::cut_to(raw.get(), MAX_EXCERPT_CHARS)
}

#[cfg(test)]
mod tests;
