//! What the heads of requests must have, beyond what the library sees to (RFC 9112, sections 3.2 and 6; RFC 9113, section 8.3.1).
//!
//! A request that two servers on its way understand in two ways is how requests are smuggled past the first one. What is ambiguous is
//! refused, then.

use axum::http::{HeaderValue, Request, StatusCode, Version, header};

use super::framing::Seen;

/// Why a request is refused by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHead {
    pub status: StatusCode,
    /// What to mend.
    pub sentence: &'static str,
}

const fn bad(sentence: &'static str) -> BadHead {
    BadHead { status: StatusCode::BAD_REQUEST, sentence }
}

/// Checks the head of a request. By HTTP/2, where the target says which host it is for, it gets the `Host` header that the routes look at.
/// `chunked` is what is known of the head of a request in chunks by HTTP/1.1.
pub(super) fn check<B>(head: &mut Request<B>, chunked: Option<Seen>) -> Result<(), BadHead> {
    check_host(head)?;
    chunked.map_or(Ok(()), |seen| check_coding(head, seen))
}

fn check_host<B>(head: &mut Request<B>) -> Result<(), BadHead> {
    let mut hosts = head.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(bad("the request has more than one Host header; send one"));
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(bad("the Host header is no host name or address with or without a port"));
    }
    let Some(authority) = head.uri().authority() else {
        return match host {
            None if head.version() != Version::HTTP_10 => Err(bad("the request has no Host header; send one")),
            _ => Ok(()),
        };
    };
    if !is_host(authority.as_str().as_bytes()) {
        return Err(bad("the target names no host name or address with or without a port"));
    }
    if head.version() <= Version::HTTP_11 {
        return match host {
            None if head.version() == Version::HTTP_11 => Err(bad("the request has no Host header; send one")),
            _ => Ok(()),
        };
    }
    match host {
        Some(host) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {}
        Some(_) => return Err(bad("the Host header is another host than :authority; send one of them")),
        None => {
            let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| bad("the target names no host"))?;
            head.headers_mut().insert(header::HOST, authority);
        }
    }
    Ok(())
}

fn check_coding<B>(head: &Request<B>, seen: Seen) -> Result<(), BadHead> {
    let mut codings = head.headers().get_all(header::TRANSFER_ENCODING).iter();
    let (first, second) = (codings.next(), codings.next());
    if second.is_some() || !first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let sentence = "the only Transfer-Encoding that is understood is chunked, once";
        return Err(BadHead { status: StatusCode::NOT_IMPLEMENTED, sentence });
    }
    match seen {
        Seen::Clear => Ok(()),
        Seen::HasLength => Err(bad("the request has both Content-Length and Transfer-Encoding; send one of them")),
        Seen::Not => Err(bad(
            "whether the request has Content-Length besides Transfer-Encoding is not known; send it alone, or with Content-Length",
        )),
    }
}

/// Whether this is a host with or without a port (RFC 3986, sections 3.2.2 and 3.2.3): a name, or an IPv6 address in brackets.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let address = &rest[..end];
            if address.is_empty() || !address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) {
                return false;
            }
            (&host[..1], &rest[end + 1..])
        }
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // What RFC 3986 calls unreserved, and `%` and what may stand between; no user, path or blank.
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[".contains(byte);
    is_port && !name.is_empty() && name.iter().all(is_of_name) && (name == b"[" || !name.contains(&b'['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_with_or_without_a_port() {
        for good in ["a", "quota.example", "quota.example:8080", "127.0.0.1", "[::1]", "[::1]:80", "a_b-c.d", "a:", "%41"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "user:pw@a",
            "a:b",
            "a:80:80",
            "a:123456",
            "[::1",
            "[]",
            "[x]",
            "[::1]a",
            "a\"",
            "a,b c",
            "a[",
            "é",
            "a?b",
            "a#b",
            "a\\b",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
