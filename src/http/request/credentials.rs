//! Where callers put what they prove themselves by: headers, and for `WebSocket`s the payload of the first message.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use crate::access::{Credentials, Ignored};
use crate::http::request::Object;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request brings along: `X-Api-Key: KEY`, `Authorization: ApiKey KEY` or `Authorization: Bearer TOKEN` (RFC 6750), the scheme in any
/// case. What is empty is not there. The first of them counts where there are two keys. A header that comes twice cannot be used: who
/// added which cannot be told.
pub(in crate::http) fn in_headers(headers: &HeaderMap) -> Credentials<'_> {
    let (Ok(api_key), Ok(authorization)) = (only(headers, &X_API_KEY), only(headers, &header::AUTHORIZATION)) else {
        return Credentials { unusable: true, ..Credentials::default() };
    };
    let proof = authorization.map(read_authorization).unwrap_or_default();
    Credentials { api_key: api_key.or(proof.api_key), ..proof }
}

/// The text of a header, without blanks around it; an error when it comes more than once, or is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut found = None;
    for value in headers.get_all(name) {
        let text = HeaderValue::to_str(value).map_err(drop)?.trim_ascii();
        if !text.is_empty() && found.replace(text).is_some() {
            return Err(());
        }
    }
    Ok(found)
}

/// What stands after the scheme. Other schemes are not for us.
fn read_authorization(text: &str) -> Credentials<'_> {
    let (scheme, proof) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let (is_token, is_key) = (scheme.eq_ignore_ascii_case("bearer"), scheme.eq_ignore_ascii_case("apikey"));
    let proof = proof.trim_ascii_start();
    let ignored = |why| Credentials { ignored: Some(why), ..Credentials::default() };
    match (is_token || is_key, proof) {
        (true, "") => ignored(Ignored::Empty),
        (true, _) if is_token => Credentials { token: Some(proof), ..Credentials::default() },
        (true, _) => Credentials { api_key: Some(proof), ..Credentials::default() },
        (false, "") => ignored(Ignored::NoScheme),
        (false, _) => ignored(Ignored::OtherScheme),
    }
}

/// The same, kept until it is asked for.
#[derive(Default)]
pub(in crate::http) struct HeldCredentials {
    api_key: Option<SecretString>,
    token: Option<SecretString>,
    unusable: bool,
    ignored: Option<Ignored>,
}

impl HeldCredentials {
    /// Those of a request's headers.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Self {
        Self::hold(in_headers(headers))
    }

    /// These together with those of the payload of a `connection_init`, as the clients of the field send them: `apiKey`, `authorization`,
    /// `authToken` or `token`, or the headers under `headers`. Names are taken in any case, with or without `-` and `_`. The payload's go before
    /// the handshake's. Other things than tokens are called `token` too: what is written as one goes before what is not.
    pub(in crate::http) fn with_payload(self, payload: &Object) -> Self {
        let headers = payload.iter().filter(|(name, _)| plain(name) == "headers").find_map(|(_, value)| value.as_object());
        let texts = |names: &'static [&str]| {
            let members = [Some(payload), headers].into_iter().flatten().flatten();
            let named = members.filter(move |(name, _)| names.contains(&plain(name).as_str()));
            named.filter_map(|(_, value)| value.as_str()).map(str::trim_ascii).filter(|text| !text.is_empty())
        };
        let proofs = texts(&["authorization"]).chain(texts(&["authtoken", "accesstoken", "token"])).map(read_in_payload);
        let proofs: Vec<_> = proofs.collect();
        let api_key = texts(&["xapikey", "apikey"]).next().or_else(|| proofs.iter().find_map(|proof| proof.api_key));
        let tokens = || proofs.iter().filter_map(|proof| proof.token);
        if api_key.is_none() && tokens().next().is_none() {
            return Self { ignored: self.ignored.or_else(|| proofs.iter().find_map(|proof| proof.ignored)), ..self };
        }
        // What cannot be used of the handshake does no harm beside what can.
        let own = if self.unusable { Self::default() } else { self };
        let handshake = own.borrow();
        let all = || tokens().chain(handshake.token);
        let token = all().find(|token| is_written_as_a_token(token)).or_else(|| all().next());
        Self::hold(Credentials { api_key: api_key.or(handshake.api_key), token, ..Credentials::default() })
    }

    fn hold(Credentials { api_key, token, unusable, ignored }: Credentials<'_>) -> Self {
        Self { api_key: api_key.map(Into::into), token: token.map(Into::into), unusable, ignored }
    }

    pub(in crate::http) fn borrow(&self) -> Credentials<'_> {
        Credentials {
            api_key: self.api_key.as_ref().map(SecretString::expose_secret),
            token: self.token.as_ref().map(SecretString::expose_secret),
            unusable: self.unusable,
            ignored: self.ignored,
        }
    }
}

/// What a text of a payload means. Some clients leave the scheme out.
fn read_in_payload(text: &str) -> Credentials<'_> {
    match read_authorization(text) {
        Credentials { ignored: Some(Ignored::NoScheme), .. } => Credentials { token: Some(text), ..Credentials::default() },
        read => read,
    }
}

/// Whether it has the three parts of a signed token (RFC 7515, section 3.1).
fn is_written_as_a_token(text: &str) -> bool {
    text.split('.').count() == 3
}

/// A name in lower case, without `-` and `_`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The key and the token, or that nothing counts.
    type Found<'a> = Result<(Option<&'a str>, Option<&'a str>), ()>;

    fn found<'a>(credentials: &Credentials<'a>) -> Found<'a> {
        if credentials.unusable { Err(()) } else { Ok((credentials.api_key, credentials.token)) }
    }

    #[test]
    fn credentials_stand_in_either_header_and_what_is_empty_is_not_there() {
        let none: Found = Ok((None, None));
        let (key, token): (Found, Found) = (Ok((Some("k"), None)), Ok((None, Some("a.b.c"))));
        for (lines, expected) in [
            (&[][..], none),
            (&["x-api-key: k"], key),
            (&["x-api-key:  k "], key),
            (&["authorization: ApiKey k"], key),
            (&["authorization: apikey  \t k"], key),
            (&["authorization: APIKEY k", "x-api-key: "], key),
            (&["authorization: Bearer a.b.c"], token),
            (&["authorization: bearer   a.b.c"], token),
            (&["authorization: BEARER\ta.b.c "], token),
            (&["authorization: Bearer a.b.c", "x-api-key: "], token),
            (&["authorization: Bearer a.b.c", "authorization: "], token),
            (&["authorization: Bearer a.b.c", "x-api-key: k"], Ok((Some("k"), Some("a.b.c")))),
            (&["authorization: ApiKey other", "x-api-key: k"], key),
            (&["authorization: Bearer", "x-api-key: "], none),
            (&["authorization: Bearer  "], none),
            (&["authorization: Basic YTpi"], none),
            (&["authorization: Basic YTpi", "x-api-key: k"], key),
            (&["authorization: a.b.c"], none),
            (&["authorization:"], none),
            (&["authorization: Bearer a.b.c", "authorization: Bearer d.e.f"], Err(())),
            (&["authorization: Basic YTpi", "authorization: Bearer a.b.c"], Err(())),
            (&["authorization: Bearer a.b.c", "authorization: Bearer a.b.c", "x-api-key: k"], Err(())),
            (&["x-api-key: k", "x-api-key: k"], Err(())),
            (&["x-api-key: k\u{e9}", "authorization: Bearer a.b.c"], Err(())),
        ] {
            assert_eq!(found(&in_headers(&headers_of(lines))), expected, "{lines:?}");
        }
    }

    #[test]
    fn credentials_stand_in_a_payload_as_clients_put_them_there() {
        let (key, token) = (Some((Some("k"), None)), Some((None, Some("a.b.c"))));
        for (payload, expected) in [
            (json!({ "apiKey": "k" }), key),
            (json!({ "api_key": "k" }), key),
            (json!({ "X-API-KEY": "k", "authorization": "" }), key),
            (json!({ "Authorization": "ApiKey k" }), key),
            (json!({ "headers": { "x-api-key": "k" } }), key),
            (json!({ "Headers": { "X-Api-Key": "k" } }), key),
            (json!({ "authorization": "Bearer a.b.c" }), token),
            (json!({ "Authorization": "bearer  a.b.c" }), token),
            (json!({ "Authorization": "a.b.c" }), token),
            (json!({ "authToken": "a.b.c" }), token),
            (json!({ "authToken": "Bearer a.b.c" }), token),
            (json!({ "token": "a.b.c" }), token),
            (json!({ "access_token": "a.b.c" }), token),
            (json!({ "headers": { "Authorization": "Bearer a.b.c" } }), token),
            (json!({ "headers": { "authorization": "Bearer a.b.c", "apollographql-client-name": "x" }, "other": 7 }), token),
            (json!({ "headers": { "authorization": "Bearer x.y.z" }, "authorization": "Bearer a.b.c" }), token),
            (json!({ "authorization": "Bearer", "headers": { "authorization": "Bearer a.b.c" } }), token),
            (json!({ "authorization": "Bearer a.b.c", "apiKey": "k" }), Some((Some("k"), Some("a.b.c")))),
            (json!({}), None),
            (json!({ "headers": "Bearer a.b.c" }), None),
            (json!({ "headers": { "headers": { "apiKey": "k" } } }), None),
            (json!({ "authorization": 7, "apiKey": null }), None),
            (json!({ "authorization": "Basic YTpi" }), None),
        ] {
            let Value::Object(object) = &payload else { unreachable!() };
            let held = HeldCredentials::default().with_payload(object);
            let found = held.borrow();
            assert_eq!((found.api_key, found.token), expected.unwrap_or_default(), "{payload}");
        }
    }

    #[test]
    fn what_stands_in_a_payload_counts_together_with_what_the_handshake_had() {
        let (key, token, both) = ("x-api-key: k", "authorization: Bearer a.b.c", (Some("k"), Some("a.b.c")));
        for (lines, payload, expected) in [
            (&[key][..], json!({ "token": "csrf" }), (Some("k"), Some("csrf"))),
            (&[key], json!({ "authorization": "Bearer a.b.c" }), both),
            (&[key], json!({ "apiKey": "other" }), (Some("other"), None)),
            (&[key], json!({ "authorization": "Basic YTpi" }), (Some("k"), None)),
            (&[token], json!({ "token": "csrf" }), (None, Some("a.b.c"))),
            (&[token], json!({ "authToken": "d.e.f" }), (None, Some("d.e.f"))),
            (&[token], json!({ "apiKey": "k" }), both),
            (&[key, key], json!({ "authorization": "Bearer a.b.c" }), (None, Some("a.b.c"))),
            (&[], json!({ "authorization": "Bearer a.b.c", "headers": { "X-Api-Key": "k" } }), both),
            (&[], json!({ "token": "csrf", "headers": { "X-Api-Key": "k" } }), (Some("k"), Some("csrf"))),
            (&[], json!({ "token": "csrf", "headers": { "Authorization": "Bearer a.b.c" } }), (None, Some("a.b.c"))),
            (&[], json!({ "token": "csrf", "accessToken": "a.b.c" }), (None, Some("a.b.c"))),
            (&[], json!({ "authorization": "ApiKey other", "headers": { "X-Api-Key": "k" } }), (Some("k"), None)),
            (&[], json!({ "authorization": "Basic YTpi", "headers": { "authorization": "ApiKey k" } }), (Some("k"), None)),
        ] {
            let Value::Object(object) = &payload else { unreachable!() };
            let held = HeldCredentials::of(&headers_of(lines)).with_payload(object);
            let found = held.borrow();
            assert_eq!(((found.api_key, found.token), found.unusable), (expected, false), "{lines:?} {payload}");
        }
        let Value::Object(basic) = json!({ "authorization": "Basic YTpi" }) else { unreachable!() };
        assert!(HeldCredentials::of(&headers_of(&[key, key])).with_payload(&basic).borrow().unusable);
        assert_eq!(HeldCredentials::default().with_payload(&basic).borrow().ignored, Some(Ignored::OtherScheme));
    }

    fn headers_of(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            let value = HeaderValue::from_bytes(value.strip_prefix(' ').unwrap_or(value).as_bytes()).unwrap();
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        headers
    }
}
