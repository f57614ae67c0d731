//! What the heads of requests must have, beyond what the library sees to (RFC 9112, sections 3.2 and 6; RFC 9113, section 8.3.1).
//!
//! A request that two servers on its way understand in two ways is how requests are smuggled past the first one. What is ambiguous is
//! refused, then.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use parking_lot::Mutex;

/// A head to the letter, as far as it was read while nothing else was under way. The library drops `Content-Length` where
/// `Transfer-Encoding` stands too, before anybody can see that both were there.
#[derive(Debug, Default)]
pub(super) struct HeadCopy {
    bytes: Mutex<Vec<u8>>,
    is_fresh: AtomicBool,
}

/// More than this no head has: the library refuses it.
pub(super) const HEAD_BYTES: usize = 96 * 1024;

/// What of a copy's memory is kept for the next one.
const KEPT_BYTES: usize = 2048;

impl HeadCopy {
    /// Adds what was read; it is the beginning of a head or goes on with it.
    pub(super) fn add(&self, read: &[u8], begins: bool) {
        let mut bytes = self.bytes.lock();
        if begins {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
        }
        let room = HEAD_BYTES.saturating_sub(bytes.len());
        bytes.extend_from_slice(&read[..read.len().min(room)]);
        self.is_fresh.store(true, Ordering::Relaxed);
    }

    /// Whether this is the copy of the head of the request that begins now. It is none of any later one.
    pub(super) fn take(&self) -> bool {
        let is_fresh = self.is_fresh.load(Ordering::Relaxed);
        self.is_fresh.store(false, Ordering::Relaxed);
        is_fresh
    }

    fn has_line(&self, name: &str) -> bool {
        let bytes = self.bytes.lock();
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut lines = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
        lines.any(|line| {
            line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        })
    }
}

/// Why a request is refused by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHead {
    /// The status.
    pub status: StatusCode,
    /// What to mend.
    pub sentence: &'static str,
}

const fn bad(sentence: &'static str) -> BadHead {
    BadHead { status: StatusCode::BAD_REQUEST, sentence }
}

/// Checks the head of a request. By HTTP/2, where the target says which host it is for, it gets the `Host` header that the routes look at.
pub(super) fn check<B>(head: &mut Request<B>, is_chunked: bool, copy: Option<&HeadCopy>) -> Result<(), BadHead> {
    check_host(head)?;
    if is_chunked && head.version() <= Version::HTTP_11 {
        check_coding(head, copy)?;
    }
    Ok(())
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

fn check_coding<B>(head: &Request<B>, copy: Option<&HeadCopy>) -> Result<(), BadHead> {
    let mut codings = head.headers().get_all(header::TRANSFER_ENCODING).iter();
    let (first, second) = (codings.next(), codings.next());
    if second.is_some() || !first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let sentence = "the only Transfer-Encoding that is understood is chunked, once";
        return Err(BadHead { status: StatusCode::NOT_IMPLEMENTED, sentence });
    }
    if copy.is_some_and(|copy| copy.has_line("content-length")) {
        return Err(bad("the request has both Content-Length and Transfer-Encoding; send one of them"));
    }
    Ok(())
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

    #[test]
    fn a_copy_is_searched_up_to_the_end_of_its_head() {
        let copy = HeadCopy::default();
        copy.add(b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nCONTENT-", true);
        copy.add(b"Length: 1\r\n\r\nx", false);
        assert!(copy.has_line("content-length") && copy.take() && !copy.take());
        copy.add(b"POST / HTTP/1.1\nHost: a\n\nContent-Length: 1\n", true);
        assert!(!copy.has_line("content-length"), "that is the body");
    }
}
