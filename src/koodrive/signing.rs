//! App authentication: the signature of a request as a pure function.
//!
//! The rule is KooDrive's *App-based Authentication Generation Rule*, steps 1 to 4.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The name of the algorithm, as it stands in the string to sign and in `Authorization`.
pub const ALGORITHM: &str = "HMAC-SHA256";

/// What is percent-encoded: all but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method; any case.
    pub method: &'a str,
    /// The path as it is sent, percent-encoded or not, with or without the final slash.
    pub path: &'a str,
    /// Names and values of the query, not encoded, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers to sign, in any order and case; each name once.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; empty for a GET.
    pub body: &'a [u8],
}

/// A signature and the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Step 1.
    pub canonical_request: String,
    /// Step 2.
    pub string_to_sign: String,
    /// Steps 3 and 4: the value of the `Authorization` header.
    pub authorization: String,
}

#[must_use]
pub fn sign(app_id: &str, app_secret: &SecretString, request: &Request<'_>) -> Signature {
    let headers = sorted_headers(request.headers);
    let signed_headers = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let canonical_request = canonical_request(request, &headers, &signed_headers);
    let string_to_sign = format!("{ALGORITHM}\n{}", hex::encode(Sha256::digest(&canonical_request)));
    let signature = hmac_hex(app_secret.expose_secret().as_bytes(), &string_to_sign);
    let authorization = format!("{ALGORITHM} AppId={app_id},SignedHeaders={signed_headers},Signature={signature}");
    Signature { canonical_request, string_to_sign, authorization }
}

fn canonical_request(request: &Request<'_>, headers: &[(String, &str)], signed_headers: &str) -> String {
    let mut text =
        format!("{}\n{}\n{}\n", request.method.to_ascii_uppercase(), canonical_path(request.path), canonical_query(request.query));
    for (name, value) in headers {
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{signed_headers}\n{}", hex::encode(Sha256::digest(request.body)));
    text
}

fn sorted_headers<'a>(headers: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    let mut sorted: Vec<_> = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
    sorted.sort_unstable();
    sorted
}

/// The path normalised after RFC 3986, each segment encoded, with a slash at the end.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in path.split('/') {
        // Decoded first, so that a path that comes encoded is not encoded twice and `%2e` is the dot that it stands for.
        let segment: Vec<u8> = percent_decode_str(segment).collect();
        match segment.as_slice() {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut canonical = String::from("/");
    for segment in segments {
        canonical.extend(percent_encode(&segment, RESERVED));
        canonical.push('/');
    }
    canonical
}

/// The query as `name=value` pairs, sorted by name and then by value, encoded.
fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut sorted = query.to_vec();
    sorted.sort_unstable();
    let encoded: Vec<String> = sorted.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    encoded.join("&")
}

fn encode(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encode(text.as_bytes(), RESERVED)
}

fn hmac_hex(key: &[u8], message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        app_id: String,
        app_secret: String,
        method: String,
        path: String,
        query: Vec<(String, String)>,
        headers: BTreeMap<String, String>,
        signed_headers: Vec<String>,
        body: String,
        canonical_request: String,
        string_to_sign: String,
        authorization: String,
    }

    #[test]
    fn every_worked_signature_comes_out_byte_for_byte() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/data/signing-vectors.json")).unwrap();
        assert!(vectors.len() >= 6);
        for vector in vectors {
            let query: Vec<_> = vector.query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let headers: Vec<_> = vector
                .headers
                .iter()
                .filter(|(name, _)| vector.signed_headers.iter().any(|signed| signed.eq_ignore_ascii_case(name)))
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            let request = Request {
                method: &vector.method,
                path: &vector.path,
                query: &query,
                headers: &headers,
                body: vector.body.as_bytes(),
            };
            let signature = sign(&vector.app_id, &vector.app_secret.into(), &request);
            assert_eq!(signature.canonical_request, vector.canonical_request, "{}", vector.name);
            assert_eq!(signature.string_to_sign, vector.string_to_sign, "{}", vector.name);
            assert_eq!(signature.authorization, vector.authorization, "{}", vector.name);
        }
    }

    #[test]
    fn paths_are_normalised() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//a//b", "/a/b/"),
            ("/a/./b/../c", "/a/c/"),
            ("/../../a", "/a/"),
            ("/a b/空", "/a%20b/%E7%A9%BA/"),
            ("/a%20b/%e7%a9%ba", "/a%20b/%E7%A9%BA/"),
            ("/a/%2E%2e/b", "/b/"),
            ("/a%2Fb", "/a%2Fb/"),
            ("/100%", "/100%25/"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path:?}");
        }
    }

    /// The rule of percent-encoding, written down a second time.
    fn encode_slowly(text: &str) -> String {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        text.bytes().map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    }

    fn signed(query: &[(String, String)], headers: &[(String, String)]) -> Signature {
        let query: Vec<_> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        sign("app", &"secret".into(), &Request { method: "get", path: "/a", query: &query, headers: &headers, body: b"" })
    }

    proptest! {
        #[test]
        fn encoding_follows_the_rule(text in any::<String>()) {
            prop_assert_eq!(encode(&text).to_string(), encode_slowly(&text));
        }

        #[test]
        fn a_canonical_path_is_its_own_canonical_path(path in "(/|\\.|%2e|%2F|%|[a-z ~é+]){0,20}") {
            let once = canonical_path(&path);
            prop_assert!(once.starts_with('/') && once.ends_with('/'));
            prop_assert!(!once.contains("//") && !once.contains("/./") && !once.contains("/../"));
            prop_assert_eq!(canonical_path(&once), once.clone());
            prop_assert_eq!(canonical_path(once.trim_end_matches('/')), once);
        }

        #[test]
        fn plain_segments_are_encoded_one_by_one(segments in prop::collection::vec("[^/%.]{1,8}", 0..6)) {
            let expected = segments.iter().fold(String::from("/"), |path, s| path + &encode_slowly(s) + "/");
            prop_assert_eq!(canonical_path(&segments.join("/")), expected);
        }

        #[test]
        fn the_order_of_query_and_headers_does_not_matter(
            query in prop::collection::vec(("[a-c]{0,2}", any::<String>()), 0..6).prop_flat_map(|q| (Just(q.clone()), Just(q).prop_shuffle())),
            headers in prop::collection::btree_map("[a-z-]{1,6}", "[ -~]{0,8}", 0..6)
                .prop_map(|h| h.into_iter().collect::<Vec<_>>())
                .prop_flat_map(|h| (Just(h.clone()), Just(h).prop_shuffle())),
        ) {
            let shouted: Vec<_> = headers.1.iter().map(|(n, v)| (n.to_ascii_uppercase(), format!(" {v}\t"))).collect();
            prop_assert_eq!(signed(&query.0, &headers.0), signed(&query.1, &shouted));
        }

        #[test]
        fn a_query_comes_back_from_its_canonical_form(query in prop::collection::vec((any::<String>(), any::<String>()), 0..6)) {
            let pairs: Vec<_> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let canonical = canonical_query(&pairs);
            let mut back: Vec<(String, String)> = canonical.split('&').filter(|p| !p.is_empty()).map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                let decode = |t: &str| percent_decode_str(t).decode_utf8().unwrap().into_owned();
                (decode(name), decode(value))
            }).collect();
            let mut expected = query.clone();
            expected.sort();
            prop_assert!(back.is_sorted());
            back.sort();
            prop_assert_eq!(back, expected);
        }
    }
}
