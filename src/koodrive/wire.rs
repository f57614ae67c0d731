//! What the upstream's bodies look like, in every form that its reference documents or shows.
//!
//! Numbers are read from their text, so that none passes through a double: 2^53 + 1 stays what it is, and `1.0` and `1e3` are
//! refused and not rounded.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::verdict::Verdict;
use crate::quota::SpaceTypeAllocation;

/// The longest upstream code that is kept.
const MAX_CODE_CHARS: usize = 64;
/// The longest upstream message that is kept.
const MAX_MESSAGE_CHARS: usize = 200;

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
struct GatewayBody {
    error_code: Option<String>,
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
        return Err(Verdict::Business { code, msg: envelope.msg.and_then(string_of).unwrap_or_default() });
    }
    decode_data(envelope.data).map_err(Verdict::Invalid)
}

/// The gateway's own error code, if a body of a failure has one.
pub(super) fn decode_gateway_code(body: &[u8]) -> Option<String> {
    let code = serde_json::from_slice::<GatewayBody>(body).ok()?.error_code?;
    Some(shorten(&code, MAX_CODE_CHARS)).filter(|code| !code.is_empty())
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
    if error.is_data() { format!("{what} is not as documented: {error}") } else { format!("{what} is not JSON: {error}") }
}

fn decode_code(raw: Option<&RawValue>) -> Result<String, String> {
    let raw = raw.ok_or("code is missing")?;
    let code = string_of(raw).or_else(|| is_integer(raw.get()).then(|| raw.get().to_owned()));
    match code.map(|code| shorten(&code, MAX_CODE_CHARS)) {
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
    serde_json::from_str::<String>(raw.get()).ok().map(|text| shorten(&text, MAX_MESSAGE_CHARS))
}

/// A foreign text made fit for one line of the log.
fn shorten(text: &str, max_chars: usize) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(max_chars).collect()
}

fn excerpt(raw: &RawValue) -> String {
    shorten(raw.get(), 40)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allocation(space_type: i32, allocated_gb: i64, total_gb: i64) -> SpaceTypeAllocation {
        SpaceTypeAllocation { space_type, allocated_gb, total_gb }
    }

    fn decode(body: &str) -> Result<Vec<SpaceTypeAllocation>, Verdict> {
        decode_allocation(body.as_bytes())
    }

    fn decode_capacity(json: &str) -> Result<Vec<SpaceTypeAllocation>, Verdict> {
        decode(&format!(r#"{{"code":0,"data":{{"type":0,"allocateCapacity":1,"totalCapacity":{json}}}}}"#))
    }

    #[test]
    fn the_documented_form_and_the_examples_form_are_understood() {
        let expected = Ok(vec![allocation(0, 1000, 2000)]);
        for body in [
            r#"{ "data": { "type": "0", "allocateCapacity": "1000", "totalCapacity": "2000" }, "code": 0, "msg": "Operation successful." }"#,
            r#"{"code":"0","msg":"ok","data":[{"type":0,"allocateCapacity":1000,"totalCapacity":2000}]}"#,
            r#"{"code":"0","data":[{"type":"0","allocateCapacity":1000,"totalCapacity":"2000","new":{"a":[1]}}],"extra":null}"#,
            "\n{\"code\":0,\"msg\":null,\"data\":\t{\"totalCapacity\":2000,\"allocateCapacity\":\"1000\",\"type\":0}}\n",
        ] {
            assert_eq!(decode(body), expected, "{body}");
        }
    }

    #[test]
    fn unknown_types_are_kept() {
        let body = r#"{"code":0,"data":[{"type":2147483647,"allocateCapacity":1,"totalCapacity":2},{"type":"-7","allocateCapacity":0,"totalCapacity":0}]}"#;
        assert_eq!(decode(body), Ok(vec![allocation(-7, 0, 0), allocation(i32::MAX, 1, 2)]));
    }

    #[test]
    fn no_number_passes_through_a_double() {
        for gb in [i64::MAX, i64::MAX - 1, (1 << 53) + 1, 0] {
            assert_eq!(decode_capacity(&gb.to_string()), Ok(vec![allocation(0, 1, gb)]));
            assert_eq!(decode_capacity(&format!("\"{gb}\"")), Ok(vec![allocation(0, 1, gb)]));
        }
    }

    #[test]
    fn invalid_capacities_are_refused_with_the_reason() {
        for (json, reason) in [
            ("9223372036854775808", "totalCapacity 9223372036854775808 is out of range"),
            ("\"9223372036854775808\"", "totalCapacity \"9223372036854775808\" is out of range"),
            ("-1", "totalCapacity -1 is negative"),
            ("\"-1\"", "totalCapacity -1 is negative"),
            ("1.0", "totalCapacity 1.0 is not a whole number"),
            ("1e3", "totalCapacity 1e3 is not a whole number"),
            ("1e400", "totalCapacity 1e400 is not a whole number"),
            ("\"1.5\"", "totalCapacity \"1.5\" is not a whole number"),
            ("\"+1\"", "totalCapacity \"+1\" is not a whole number"),
            ("\" 1\"", "totalCapacity \" 1\" is not a whole number"),
            ("\"\"", "totalCapacity \"\" is not a whole number"),
            ("\"many\"", "totalCapacity \"many\" is not a whole number"),
            ("\"١\"", "totalCapacity \"١\" is not a whole number"),
            ("true", "totalCapacity true is not a whole number"),
            ("[1]", "totalCapacity [1] is not a whole number"),
            ("null", "totalCapacity is missing"),
        ] {
            assert_eq!(decode_capacity(json), Err(Verdict::invalid(reason)), "{json}");
        }
    }

    #[test]
    fn invalid_bodies_are_refused_with_the_reason() {
        for (body, reason) in [
            ("", "the body is not JSON"),
            ("<html>Bad gateway</html>", "the body is not JSON"),
            (r#"{"code":0,"data":{"type":0,"alloc"#, "the body is not JSON"),
            (r#"{"code":0} {"#, "the body is not JSON"),
            ("[0,\"ok\",{}]", "the body is not an object"),
            ("null", "the body is not as documented"),
            ("{}", "code is missing"),
            (r#"{"error_code":"APIGW.0301","error_msg":"no"}"#, "code is missing"),
            (r#"{"code":null,"data":{}}"#, "code is missing"),
            (r#"{"code":0.5,"data":{}}"#, "code 0.5 is neither a text nor a whole number"),
            (r#"{"code":"","data":{}}"#, "code \"\" is neither a text nor a whole number"),
            (r#"{"code":{},"data":{}}"#, "code {} is neither a text nor a whole number"),
            (r#"{"code":0,"code":1}"#, "the body is not as documented: duplicate field"),
            (r#"{"code":0}"#, "data is missing"),
            (r#"{"code":0,"data":null}"#, "data is missing"),
            (r#"{"code":0,"data":[]}"#, "data lists no space type"),
            (r#"{"code":0,"data":"1000"}"#, "data is neither an object nor an array"),
            (r#"{"code":0,"data":[[0,1000,2000]]}"#, "data is not an object"),
            (r#"{"code":0,"data":[null]}"#, "data is not as documented"),
            (r#"{"code":0,"data":{}}"#, "type is missing"),
            (r#"{"code":0,"data":{"type":0}}"#, "allocateCapacity is missing"),
            (r#"{"code":0,"data":{"type":2147483648,"allocateCapacity":1,"totalCapacity":2}}"#, "type 2147483648 is out of range"),
            (
                r#"{"code":0,"data":[{"type":1,"allocateCapacity":1,"totalCapacity":2},{"type":"1","allocateCapacity":1,"totalCapacity":2}]}"#,
                "type 1 is listed twice",
            ),
        ] {
            let Err(Verdict::Invalid(found)) = decode(body) else { panic!("{body} is not invalid") };
            assert!(found.starts_with(reason), "{body}: {found}");
        }
        assert_eq!(decode_allocation(b"{\"code\":\"\xff\"}"), Err(Verdict::invalid("the body is not UTF-8")));
    }

    #[test]
    fn a_code_other_than_zero_is_a_business_error_whatever_the_data() {
        for (body, code, msg) in [
            (r#"{"code":13000301,"msg":"Space missing."}"#, "13000301", "Space missing."),
            (r#"{"code":"13000102","msg":null,"data":null}"#, "13000102", ""),
            (r#"{"code":"00","data":[]}"#, "00", ""),
            (r#"{"code":-1,"msg":"a\nb","data":{"type":0,"allocateCapacity":1,"totalCapacity":2}}"#, "-1", "ab"),
        ] {
            assert_eq!(decode(body), Err(Verdict::Business { code: code.into(), msg: msg.into() }), "{body}");
        }
    }

    #[test]
    fn the_gateways_code_is_kept_if_there_is_one() {
        let code = |body: &str| decode_gateway_code(body.as_bytes());
        assert_eq!(code(r#"{"error_code":"APIGW.0301","error_msg":"x","request_id":"y"}"#).as_deref(), Some("APIGW.0301"));
        assert_eq!(code(r#"{"error_code":301}"#), None);
        assert_eq!(code("<html>"), None);
        assert_eq!(code(&format!(r#"{{"error_code":"{}"}}"#, "x".repeat(500))).map(|c| c.len()), Some(64));
    }

    /// One answer in one of the forms that are accepted.
    fn write_body(by_type: &[SpaceTypeAllocation], quoted: [bool; 4], object: bool) -> String {
        let text = |number: i64, quoted: bool| if quoted { format!("\"{number}\"") } else { number.to_string() };
        let items: Vec<String> = by_type
            .iter()
            .map(|t| {
                format!(
                    r#"{{"type":{},"x":[{{}}],"allocateCapacity":{},"totalCapacity":{}}}"#,
                    text(t.space_type.into(), quoted[0]),
                    text(t.allocated_gb, quoted[1]),
                    text(t.total_gb, quoted[2])
                )
            })
            .collect();
        let data = if object && items.len() == 1 { items[0].clone() } else { format!("[{}]", items.join(",")) };
        format!(r#"{{"data":{data},"code":{}}}"#, text(0, quoted[3]))
    }

    proptest! {
        #[test]
        fn every_valid_answer_comes_back_in_every_form(
            values in prop::collection::btree_map(any::<i32>(), (0..=i64::MAX, 0..=i64::MAX), 1..5),
            quoted in any::<[bool; 4]>(),
            object in any::<bool>(),
        ) {
            let by_type: Vec<_> = values.iter().map(|(t, (a, b))| allocation(*t, *a, *b)).collect();
            prop_assert_eq!(decode(&write_body(&by_type, quoted, object)), Ok(by_type));
        }

        #[test]
        fn a_truncated_answer_is_never_good(values in (any::<i32>(), 0..=i64::MAX, 0..=i64::MAX), cut in any::<prop::sample::Index>()) {
            let body = write_body(&[allocation(values.0, values.1, values.2)], [false; 4], true);
            prop_assert!(matches!(decode(&body[..cut.index(body.len())]), Err(Verdict::Invalid(_))));
        }

        #[test]
        fn any_bytes_give_a_verdict_and_no_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode_allocation(&body).is_err());
        }

        #[test]
        fn a_number_is_accepted_exactly_when_it_is_a_whole_one_in_range(number in any::<i128>(), shift in 0..128_u32, fraction in prop::option::of(0..100_u8)) {
            let number = number >> shift;
            let text = fraction.map_or_else(|| number.to_string(), |f| format!("{number}.{f}"));
            let accepted = decode_capacity(&text).is_ok();
            prop_assert_eq!(accepted, fraction.is_none() && (0..=i128::from(i64::MAX)).contains(&number), "{}", text);
        }
    }
}
