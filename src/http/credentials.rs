//! Where callers put what they prove themselves by: headers, and for `WebSocket`s the payload of the first message.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::request::Object;
use crate::access::Credentials;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request brings along: `X-Api-Key: KEY`, `Authorization: ApiKey KEY` or `Authorization: Bearer TOKEN` (RFC 6750), the scheme in any
/// case. What is empty is not there. The first of them counts where there are two keys. A header that comes twice cannot be used: who
/// added which cannot be told.
pub(super) fn in_headers(headers: &HeaderMap) -> Credentials<'_> {
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
    let Some((scheme, proof)) = text.split_once(|c: char| c.is_ascii_whitespace()) else { return Credentials::default() };
    let proof = Some(proof.trim_ascii_start());
    if scheme.eq_ignore_ascii_case("bearer") {
        Credentials { token: proof, ..Credentials::default() }
    } else if scheme.eq_ignore_ascii_case("apikey") {
        Credentials { api_key: proof, ..Credentials::default() }
    } else {
        Credentials::default()
    }
}

/// The same, kept until it is asked for.
#[derive(Default)]
pub(super) struct HeldCredentials {
    api_key: Option<SecretString>,
    token: Option<SecretString>,
    unusable: bool,
}

impl HeldCredentials {
    /// Those of a request's headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self::hold(in_headers(headers))
    }

    /// Those of the payload of a `connection_init`, as the clients of the field send them: `apiKey`, `authorization`, `authToken` or `token`, or
    /// the headers under `headers`. Names are taken in any case, with or without `-` and `_`. `None` when there are none.
    pub(super) fn in_payload(payload: &Object) -> Option<Self> {
        let headers = payload.iter().filter(|(name, _)| plain(name) == "headers").find_map(|(_, value)| value.as_object());
        [Some(payload), headers].into_iter().flatten().find_map(Self::in_object)
    }

    fn in_object(object: &Object) -> Option<Self> {
        let find = |names: &[&str]| {
            let texts = object.iter().filter(|(name, _)| names.contains(&plain(name).as_str()));
            texts.filter_map(|(_, value)| value.as_str()).map(str::trim_ascii).find(|text| !text.is_empty())
        };
        let authorization = find(&["authorization"]).or_else(|| find(&["authtoken", "accesstoken", "token"]));
        // Some clients leave the scheme out.
        let proof = authorization.map(|text| match text.contains(|c: char| c.is_ascii_whitespace()) {
            true => read_authorization(text),
            false if ["bearer", "apikey"].iter().any(|scheme| text.eq_ignore_ascii_case(scheme)) => Credentials::default(),
            false => Credentials { token: Some(text), ..Credentials::default() },
        });
        let proof = proof.unwrap_or_default();
        let proof = Credentials { api_key: find(&["xapikey", "apikey"]).or(proof.api_key), ..proof };
        (proof.api_key.is_some() || proof.token.is_some()).then(|| Self::hold(proof))
    }

    fn hold(Credentials { api_key, token, unusable }: Credentials<'_>) -> Self {
        Self { api_key: api_key.map(Into::into), token: token.map(Into::into), unusable }
    }

    pub(super) fn borrow(&self) -> Credentials<'_> {
        Credentials {
            api_key: self.api_key.as_ref().map(SecretString::expose_secret),
            token: self.token.as_ref().map(SecretString::expose_secret),
            unusable: self.unusable,
        }
    }
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
            let mut headers = HeaderMap::new();
            for line in lines {
                let (name, value) = line.split_once(':').unwrap();
                let value = HeaderValue::from_bytes(value.strip_prefix(' ').unwrap_or(value).as_bytes()).unwrap();
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
            assert_eq!(found(&in_headers(&headers)), expected, "{lines:?}");
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
            let held = HeldCredentials::in_payload(object);
            let borrowed = held.as_ref().map(HeldCredentials::borrow);
            assert_eq!(borrowed.map(|found| (found.api_key, found.token)), expected, "{payload}");
        }
    }
}
