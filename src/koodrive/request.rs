//! The request for a tenant's allocation, dated and signed.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use super::account::{Account, Credential};
use super::signing;

/// Where the allocation is asked, whatever path the endpoint has.
pub const ALLOCATION_PATH: &str = "/koodrive/ose/v1/space/allocation/get";

/// How long an `X-Traceid` is.
const TRACE_ID_BYTES: usize = 58 / 2;

/// A GET request that is ready to be sent. Its headers prove who asks: they are not to be logged.
pub struct SignedRequest {
    /// The address.
    pub url: Url,
    /// All headers that matter to the upstream, `Host` included.
    pub headers: Vec<(&'static str, String)>,
}

/// Why no request can be made for an account. The sentence says what to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsendable(pub(super) &'static str);

/// Makes the request of an account, dated `date`.
pub(super) fn sign_request(
    account: &Account,
    date: Timestamp,
    trace_id: &str,
    language: &str,
) -> Result<SignedRequest, Unsendable> {
    let url = allocation_url(&account.endpoint);
    let host = host_header(&url).ok_or(Unsendable("the endpoint has no host"))?;
    let date = date.strftime("%Y%m%dT%H%M%SZ").to_string();
    let authorization = match &account.credential {
        Credential::App { app_id, app_secret } => {
            let headers = [("host", host.as_str()), ("x-date", &date), ("x-user-id", &account.user_id)];
            let request = signing::Request { method: "GET", path: url.path(), query: &[], headers: &headers, body: b"" };
            signing::sign(app_id, app_secret, &request).authorization
        }
        Credential::Token { token, prefix } => format!("{prefix}{}", token.expose_secret()),
    };
    let headers = vec![
        ("Host", host),
        ("Authorization", authorization),
        ("X-User-Id", account.user_id.clone()),
        ("X-Date", date),
        ("X-Traceid", trace_id.to_owned()),
        ("language", language.to_owned()),
    ];
    if headers.iter().any(|(_, value)| !value.bytes().all(|b| matches!(b, b' '..=b'~'))) {
        return Err(Unsendable("the user id, token or language has characters that no header may have"));
    }
    Ok(SignedRequest { url, headers })
}

/// A new trace id: 58 hexadecimal digits.
pub(super) fn new_trace_id() -> String {
    let mut bytes = [0; TRACE_ID_BYTES];
    rand::fill(&mut bytes);
    hex::encode(bytes)
}

/// The name and port under which an endpoint's limits are kept.
pub(super) fn host_key(endpoint: &Url) -> String {
    let port = endpoint.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", endpoint.host_str().unwrap_or_default())
}

fn allocation_url(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    // Neither can fail for an address that has a host, and one without is refused later.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(ALLOCATION_PATH);
    url
}

/// What is sent as `Host`: the port is named when it is not the scheme's own.
fn host_header(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(endpoint: &str, credential: Credential) -> Account {
        Account {
            tenant: "acme".parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            user_id: "1505084218764547200".into(),
            credential,
            generation: 1,
        }
    }

    fn app() -> Credential {
        Credential::App {
            app_id: "a378331eca141163119eb602adb67b7802cc79cd33ba44c7d2fe61d1586c96a1".into(),
            app_secret: "example-app-secret".into(),
        }
    }

    fn sign(account: &Account) -> SignedRequest {
        sign_request(account, "2024-09-09T03:33:25.9Z".parse().unwrap(), "trace", "zh-CN").unwrap()
    }

    fn header<'a>(request: &'a SignedRequest, name: &str) -> &'a str {
        &request.headers.iter().find(|(n, _)| *n == name).unwrap().1
    }

    #[test]
    fn the_references_example_request_comes_out() {
        let request = sign(&account("https://10.32.45.165", app()));
        assert_eq!(request.url.as_str(), "https://10.32.45.165/koodrive/ose/v1/space/allocation/get");
        assert_eq!(header(&request, "Host"), "10.32.45.165");
        assert_eq!(header(&request, "X-Date"), "20240909T033325Z");
        assert_eq!(header(&request, "X-User-Id"), "1505084218764547200");
        assert_eq!(header(&request, "X-Traceid"), "trace");
        assert_eq!(header(&request, "language"), "zh-CN");
        let signature = "Signature=af89863fc8ac4d318e205ae5bc435263897f8554d7e8f1cafe10a549b19dd45d";
        assert!(header(&request, "Authorization").ends_with(signature));
    }

    #[test]
    fn only_the_endpoints_scheme_and_host_count_and_only_an_unusual_port_is_named() {
        for (endpoint, url, host) in [
            ("https://k.example:443/", "https://k.example/koodrive/ose/v1/space/allocation/get", "k.example"),
            ("http://k.example:8080", "http://k.example:8080/koodrive/ose/v1/space/allocation/get", "k.example:8080"),
            ("https://me:pw@K.example/a/b/?x#y", "https://k.example/koodrive/ose/v1/space/allocation/get", "k.example"),
            ("http://[::1]:81/", "http://[::1]:81/koodrive/ose/v1/space/allocation/get", "[::1]:81"),
        ] {
            let request = sign(&account(endpoint, app()));
            assert_eq!(request.url.as_str(), url);
            assert_eq!(header(&request, "Host"), host);
        }
    }

    #[test]
    fn a_token_stands_behind_its_prefix_as_it_is() {
        for prefix in ["Bearer+", "Bearer ", ""] {
            let credential = Credential::Token { token: "t0k+n".into(), prefix: prefix.into() };
            let request = sign(&account("https://k.example", credential));
            assert_eq!(header(&request, "Authorization"), format!("{prefix}t0k+n"));
        }
    }

    #[test]
    fn an_endpoint_without_a_host_cannot_be_called() {
        let account = account("data:text/plain,x", app());
        let refusal = sign_request(&account, Timestamp::UNIX_EPOCH, "", "").map(|r| r.url);
        assert_eq!(refusal, Err(Unsendable("the endpoint has no host")));
    }

    #[test]
    fn what_does_not_fit_into_a_header_cannot_be_sent() {
        for user_id in ["line\nbreak", "用户", "\u{7f}"] {
            let account = Account { user_id: user_id.into(), ..account("https://k.example", app()) };
            assert!(sign_request(&account, Timestamp::UNIX_EPOCH, "", "").is_err(), "{user_id:?}");
        }
    }

    #[test]
    fn trace_ids_have_58_digits_and_differ() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| new_trace_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 58 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
