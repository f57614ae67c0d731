//! Whether a request is one that the real upstream would take: signature, dates, user, trace id.
//!
//! Written down a second time, apart from the client's signing, from what is received and not from what should have been sent.

use std::fmt::Write as _;

use axum::http::{HeaderMap, Method};
use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::koodrive::Credential;

/// For how long after its `X-Date` a request is taken.
const SIGNATURE_LIFE: SignedDuration = SignedDuration::from_mins(15);
const MUST_BE_SIGNED: [&str; 3] = ["host", "x-date", "x-user-id"];
/// How long a trace id is.
const TRACE_ID_CHARS: usize = 58;
/// The SHA-256 of nothing: the body of a GET.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Why a request is refused, in the gateway's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GatewayError {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What checks a tenant's signatures. Made once, because keying takes longer than checking.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Signature(Box<Hmac<Sha256>>),
    Token,
}

impl Key {
    pub(super) fn of(credential: &Credential) -> Self {
        match credential {
            Credential::App { app_secret, .. } => {
                let key = Hmac::new_from_slice(app_secret.expose_secret().as_bytes()).expect("HMAC takes keys of any length");
                Self::Signature(Box::new(key))
            }
            Credential::Token { .. } => Self::Token,
        }
    }
}

/// An `Authorization` header taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim<'a> {
    App { app_id: &'a str, signed_headers: &'a str, signature: &'a str },
    Token(&'a str),
}

/// Takes the `Authorization` header apart.
pub(super) fn parse_claim(headers: &HeaderMap) -> Result<Claim<'_>, GatewayError> {
    let text = single(headers, "authorization")?.ok_or_else(|| unauthorized("the Authorization header is missing"))?;
    let Some(fields) = text.strip_prefix("HMAC-SHA256 ") else { return Ok(Claim::Token(text)) };
    let malformed = || bad_signature("Authorization must be HMAC-SHA256 AppId=…,SignedHeaders=…,Signature=…");
    let fields: Vec<&str> = fields.split(',').collect();
    let [app_id, signed_headers, signature] = fields.as_slice() else { return Err(malformed()) };
    Ok(Claim::App {
        app_id: app_id.strip_prefix("AppId=").ok_or_else(malformed)?,
        signed_headers: signed_headers.strip_prefix("SignedHeaders=").ok_or_else(malformed)?,
        signature: signature.strip_prefix("Signature=").ok_or_else(malformed)?,
    })
}

/// The instant that `X-Date` names.
pub(super) fn parse_date(headers: &HeaderMap) -> Result<Timestamp, GatewayError> {
    let text = single(headers, "x-date")?.ok_or_else(|| bad_date("the X-Date header is missing"))?;
    let malformed = || bad_date("X-Date must be UTC in the form yyyyMMdd'T'HHmmss'Z'");
    let in_form = text.len() == 16
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 => b == b'T',
            15 => b == b'Z',
            _ => b.is_ascii_digit(),
        });
    if !in_form {
        return Err(malformed());
    }
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", text).map_err(|_| malformed())?;
    Offset::UTC.to_timestamp(date).map_err(|_| malformed())
}

/// Checks a request that names the credential of a tenant, whose user is `user_id` and whose server clock shows `now`.
pub(super) fn verify(
    user_id: &str,
    key: &Key,
    claim: Claim<'_>,
    (method, path): (&Method, &str),
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(), GatewayError> {
    let date = parse_date(headers)?;
    if date > now {
        return Err(bad_date("X-Date lies in the future"));
    }
    if now.duration_since(date) > SIGNATURE_LIFE {
        return Err(bad_date("X-Date is more than 15 minutes ago"));
    }
    if single(headers, "x-traceid")?.is_some_and(|id| id.len() != TRACE_ID_CHARS) {
        return Err(refusal(400, "APIGW.0305", "X-Traceid must have 58 characters"));
    }
    if let (Claim::App { signed_headers, signature, .. }, Key::Signature(key)) = (claim, key) {
        verify_signature(key, signed_headers, signature, (method, path), headers)?;
    }
    match single(headers, "x-user-id")? {
        Some(user) if user == user_id => Ok(()),
        Some(_) => Err(unauthorized("X-User-Id is not a user of this credential")),
        None => Err(refusal(400, "APIGW.0305", "the X-User-Id header is missing")),
    }
}

fn verify_signature(
    key: &Hmac<Sha256>,
    signed_headers: &str,
    signature: &str,
    (method, path): (&Method, &str),
    headers: &HeaderMap,
) -> Result<(), GatewayError> {
    let names: Vec<&str> = signed_headers.split(';').collect();
    if let Some(missing) = MUST_BE_SIGNED.iter().find(|name| !names.contains(name)) {
        return Err(bad_signature(&format!("SignedHeaders must name {missing}")));
    }
    if !names.is_sorted() || names.iter().any(|name| *name == "authorization" || name.bytes().any(|b| b.is_ascii_uppercase())) {
        return Err(bad_signature("SignedHeaders must be lower case, sorted, and without authorization"));
    }
    let mut request = format!("{method}\n{path}{}\n\n", if path.ends_with('/') { "" } else { "/" });
    for name in names {
        let value = single(headers, name)?.ok_or_else(|| bad_signature(&format!("the signed header {name} is missing")))?;
        let _ = writeln!(request, "{name}:{}", value.trim());
    }
    let _ = write!(request, "\n{signed_headers}\n{EMPTY_SHA256}");

    let mut mac = key.clone();
    mac.update(format!("HMAC-SHA256\n{}", hex::encode(Sha256::digest(request))).as_bytes());
    let in_lower_case = !signature.bytes().any(|b| b.is_ascii_uppercase());
    let signature = hex::decode(signature).ok().filter(|_| in_lower_case);
    if signature.is_some_and(|signature| mac.verify_slice(&signature).is_ok()) {
        Ok(())
    } else {
        Err(bad_signature("the signature does not match the request"))
    }
}

/// The value of a header that may come once at most.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, GatewayError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text)),
        _ => Err(refusal(400, "APIGW.0305", &format!("the {name} header must come once and be plain text"))),
    }
}

fn bad_signature(message: &str) -> GatewayError {
    refusal(400, "APIGW.0303", &format!("Incorrect app authentication information: {message}"))
}

fn bad_date(message: &str) -> GatewayError {
    refusal(400, "APIGW.0304", &format!("Incorrect authentication time: {message}"))
}

pub(super) fn unauthorized(message: &str) -> GatewayError {
    refusal(401, "APIGW.0301", &format!("Incorrect authentication information: {message}"))
}

pub(super) fn refusal(status: u16, code: &'static str, message: &str) -> GatewayError {
    GatewayError { status, code, message: message.to_owned() }
}
