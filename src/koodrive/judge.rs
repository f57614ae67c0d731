//! From an answer to its verdict.

use super::exchange::{Body, UpstreamAnswer};
use super::verdict::{Cause, HttpFault, Limit, Verdict};
use super::wire;
use crate::quota::SpaceTypeAllocation;

/// The allocation that an answer holds, or the verdict that it amounts to.
pub(super) fn judge(answer: UpstreamAnswer) -> Result<Vec<SpaceTypeAllocation>, Verdict> {
    let UpstreamAnswer { status, retry_after, body, .. } = answer;
    match status {
        200 => match body {
            Body::Whole(body) => wire::decode_allocation(&body),
            Body::TooLarge => Err(Verdict::invalid("the body is larger than 1 MiB")),
            Body::Broken(cause) => Err(Verdict::unreachable(cause)),
        },
        300..=399 => Err(Verdict::invalid(format!("HTTP {status} is a redirect, and these are not followed"))),
        429 => Err(Verdict::Overloaded { by: Limit::Upstream(fault(status, &body)), retry_after }),
        408 | 500..=599 => Err(Verdict::Unreachable { cause: Cause::Status(fault(status, &body)), retry_after }),
        400..=499 => Err(Verdict::Refused(fault(status, &body))),
        _ => Err(Verdict::invalid(format!("HTTP {status} is not documented"))),
    }
}

fn fault(status: u16, body: &Body) -> HttpFault {
    let (gateway_code, gateway_message) = if let Body::Whole(body) = body { wire::decode_gateway(body) } else { (None, None) };
    HttpFault { status, gateway_code, gateway_message }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    fn verdict(status: u16, body: Body) -> Verdict {
        let retry_after = Some(Duration::from_secs(7));
        judge(UpstreamAnswer { status, date: None, received: Timestamp::UNIX_EPOCH, retry_after, body }).unwrap_err()
    }

    #[test]
    fn every_status_has_its_verdict() {
        let gateway = br#"{"error_code":"APIGW.0308","error_msg":"m","request_id":"r"}"#;
        for status in (100..=599).filter(|s| *s != 200) {
            for (body, gateway_code) in [(gateway.to_vec(), Some("APIGW.0308".to_owned())), (b"<html>".to_vec(), None)] {
                let gateway_message = gateway_code.as_ref().map(|_| "\"m\"".to_owned());
                let fault = HttpFault { status, gateway_code, gateway_message };
                let retry_after = Some(Duration::from_secs(7));
                let expected = match status {
                    429 => Verdict::Overloaded { by: Limit::Upstream(fault), retry_after },
                    408 => Verdict::Unreachable { cause: Cause::Status(fault), retry_after },
                    s if s >= 500 => Verdict::Unreachable { cause: Cause::Status(fault), retry_after },
                    s if s >= 400 => Verdict::Refused(fault),
                    _ => {
                        assert!(matches!(verdict(status, Body::Whole(body)), Verdict::Invalid(_)), "{status}");
                        continue;
                    }
                };
                assert_eq!(verdict(status, Body::Whole(body)), expected);
            }
        }
    }

    #[test]
    fn a_body_that_does_not_come_decides_only_when_it_is_needed() {
        assert_eq!(verdict(200, Body::Broken(Cause::TimedOut)), Verdict::unreachable(Cause::TimedOut));
        assert!(matches!(verdict(200, Body::TooLarge), Verdict::Invalid(_)));
        assert!(matches!(verdict(401, Body::TooLarge), Verdict::Refused(_)));
        assert!(matches!(verdict(403, Body::Broken(Cause::TimedOut)), Verdict::Refused(_)));
    }
}
