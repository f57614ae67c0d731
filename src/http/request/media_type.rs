//! In what form a request's body comes: its media type (RFC 9110 section 8.3, RFC 8259) and its coding (RFC 9110 section 8.4).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::http::answer::refusal::Refusal;

/// What nearly everybody sends.
const JSON: &str = "application/json";

/// Characters of a value that a message repeats at most.
const REPEATED: usize = 100;

/// Whether the body is called JSON.
pub(in crate::http) fn is_json(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|content_type| essence(content_type).eq_ignore_ascii_case(JSON))
}

/// Refuses a body that is not JSON in UTF-8 as it is.
pub(in crate::http) fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    require_bare(headers)?;
    let content_type = content_type(headers).unwrap_or_default();
    if content_type == JSON {
        return Ok(());
    }
    let unsupported = |detail: &str| {
        let sentence = format!("send the request as application/json in UTF-8{detail}");
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence)
    };
    if !essence(content_type).eq_ignore_ascii_case(JSON) {
        return Err(unsupported(""));
    }
    match parameters(content_type).find(|(name, value)| name.eq_ignore_ascii_case("charset") && !is_utf_8(value)) {
        Some((_, charset)) => Err(unsupported(&format!(", not in the charset {:?}", shorten(&charset)))),
        None => Ok(()),
    }
}

/// Refuses a body that has to be decoded first, however small it may be when it is sent.
fn require_bare(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(());
    }
    let lines = headers.get_all(header::CONTENT_ENCODING).iter().map(|line| line.to_str().unwrap_or("unreadable"));
    let mut codings = lines.flat_map(|line| line.split(',')).map(str::trim);
    match codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => {
            let sentence = format!(
                "the body of the request is coded by {:?}, which is not decoded here; send it as it is, without Content-Encoding",
                shorten(coding)
            );
            let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence);
            // RFC 9110 section 15.5.16.
            Err(Refusal { header: Some((header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))), ..refusal })
        }
        None => Ok(()),
    }
}

/// The only `Content-Type`; none when there are several, since nobody knows which of them holds.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(content_type)
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The parameters of a media type, without quotes.
fn parameters(content_type: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = content_type.split_once(';').map_or("", |(_, parameters)| parameters);
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return None;
            }
            let (name, after) = rest.split_at(rest.find(['=', ';']).unwrap_or(rest.len()));
            let Some(value) = after.strip_prefix('=').map(str::trim_start) else {
                rest = after;
                continue;
            };
            let (value, after) = read_value(value);
            rest = after;
            return Some((name.trim(), value));
        }
    })
}

/// A value, and what follows it. A quote that is not closed goes to the end.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return (value.trim().to_owned(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (place, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[place + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Whether it is a name of UTF-8, with or without hyphen.
fn is_utf_8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('\'');
    ["utf-8", "utf8", "utf_8", "csutf8"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

fn shorten(text: &str) -> String {
    text.chars().take(REPEATED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &header::HeaderName, values: &[&str]) -> Result<(), String> {
        let mut headers: HeaderMap = values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect();
        if *name != header::CONTENT_TYPE {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        require_json(&headers).map_err(|refusal| refusal.message)
    }

    #[test]
    fn utf_8_has_many_spellings() {
        for content_type in [
            "application/json",
            "Application/JSON",
            " application/json ;",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/json; charset=UTF8",
            "application/json; charset=utf8",
            "application/json; Charset=\"UTF-8\"",
            "application/json; charset=\"utf8\"",
            "application/json; charset=\"u\\tf-8\"",
            "application/json ; charset = utf-8 ",
            "application/json;; charset=utf-8;",
            "application/json; charset='utf-8'",
            "application/json; v=1; charset=Utf-8",
            "application/json; q=\"a;charset=latin1\"; charset=utf-8",
            "application/json; profile",
        ] {
            assert_eq!(check(&header::CONTENT_TYPE, &[content_type]), Ok(()), "{content_type}");
        }
        for (content_type, charset) in [
            ("application/json; charset=latin1", "latin1"),
            ("application/json; charset=\"ISO-8859-1\"", "ISO-8859-1"),
            ("application/json; charset=utf-16", "utf-16"),
            ("application/json; charset=UTF-8; charset=utf-7", "utf-7"),
            ("application/json; charset=", ""),
        ] {
            let expected = format!("send the request as application/json in UTF-8, not in the charset {charset:?}");
            assert_eq!(check(&header::CONTENT_TYPE, &[content_type]), Err(expected), "{content_type}");
        }
        for values in [
            &["text/plain"][..],
            &[""],
            &["text/plain; application/json"],
            &["application/json", "text/plain"],
            &["application/jsonx"],
        ] {
            assert_eq!(
                check(&header::CONTENT_TYPE, values),
                Err("send the request as application/json in UTF-8".to_owned()),
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_coding_is_refused_by_its_name() {
        for values in [&["identity"][..], &["IDENTITY"], &[""], &["identity, identity"], &["identity", ""]] {
            assert_eq!(check(&header::CONTENT_ENCODING, values), Ok(()), "{values:?}");
        }
        for (values, coding) in [
            (&["gzip"][..], "gzip"),
            (&["GZip"], "GZip"),
            (&["br"], "br"),
            (&["zstd"], "zstd"),
            (&["deflate, gzip"], "deflate"),
            (&["identity, gzip"], "gzip"),
            (&["identity", "x-gzip"], "x-gzip"),
            (&["aes\"128"], "aes\\\"128"),
        ] {
            let sentence = check(&header::CONTENT_ENCODING, values).unwrap_err();
            assert!(sentence.starts_with(&format!("the body of the request is coded by \"{coding}\"")), "{sentence}");
        }
    }
}
