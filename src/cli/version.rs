//! What `quotagraph --version` says.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::Offset;

/// The version, the commit and the day of the build (UTC), as far as the build knew them: `0.1.0 (commit 0123456789ab, built 2026-11-28)`.
pub(super) static VERSION: LazyLock<String> =
    LazyLock::new(|| describe(env!("CARGO_PKG_VERSION"), option_env!("QUOTAGRAPH_COMMIT"), option_env!("QUOTAGRAPH_BUILT_AT")));

fn describe(version: &str, commit: Option<&str>, built_at: Option<&str>) -> String {
    let built_at = built_at.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    let Some(built_at) = built_at else { return format!("{version} (a debug build)") };
    let day = Offset::UTC.to_datetime(built_at).date();
    format!("{version} (commit {}, built {day})", commit.unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_its_commit_and_day() {
        assert_eq!(describe("0.1.0", None, None), "0.1.0 (a debug build)");
        assert_eq!(describe("0.1.0", None, Some("1795824000")), "0.1.0 (commit unknown, built 2026-11-28)");
        assert_eq!(describe("0.1.0", Some("0123456789ab"), Some("1795910399")), "0.1.0 (commit 0123456789ab, built 2026-11-28)");
    }
}
