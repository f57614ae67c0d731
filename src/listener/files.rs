//! How many connections there may be, by the files that the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files that the process needs besides its connections and those that it opens to others: its binary, the log, the poller, the database's
/// files, the config, certificates.
const OWN_FILES: u64 = 64;

/// When the system sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// Raises the limit on open files as far as it may be, and says how many connections fit in: with the configured number if it does, less
/// `reserve` files for connections to others.
pub(super) fn connections(configured: Option<usize>, reserve: usize) -> usize {
    let limit = raise_limit();
    let fit = fitting(limit, reserve);
    match configured {
        Some(configured) if configured > fit => {
            warn!(
                server.connections = configured,
                open_files = limit,
                connections = fit,
                "server.connections is more than the limit on open files allows; raise that (ulimit -n, LimitNOFILE)"
            );
            fit
        }
        Some(configured) => configured,
        None => fit,
    }
}

fn fitting(limit: u64, reserve: usize) -> usize {
    let reserve = OWN_FILES.saturating_add(u64::try_from(reserve).unwrap_or(u64::MAX));
    // Where few files are allowed, connections get at least half of them.
    let fit = limit.saturating_sub(reserve).max(limit / 2).max(1);
    usize::try_from(fit).unwrap_or(usize::MAX)
}

/// Raises the soft limit to the hard one, and gives the limit.
fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        warn!(error = %cause, "the limit on open files could not be raised");
        return current.unwrap_or(UNLIMITED);
    }
    maximum.unwrap_or(UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_needs_itself_is_kept_back() {
        for (limit, reserve, connections) in [(1024, 100, 860), (120, 100, 60), (1, 0, 1), (0, 0, 1), (65_536, 100, 65_372)] {
            assert_eq!(fitting(limit, reserve), connections);
        }
    }

    #[test]
    fn more_than_the_limit_allows_is_cut_to_what_it_allows() {
        assert_eq!(connections(Some(7), 0), 7);
        assert_eq!(connections(Some(usize::MAX), 0), connections(None, 0));
    }
}
