//! From what a question about tenants is answered.

/// Of so many tenants one at most is asked about when their runs are read.
///
/// A year of a tenant with four changes a day costs one or two milliseconds by its runs, and by the log a fiftieth of one, which then is to be paid for
/// every tenant there is. So both cost the same where about one tenant of a hundred is asked about, at any number of tenants. But the same
/// question again is answered from what was kept of the log, in a small part of the time, and of runs nothing is kept: it is worth it
/// well below that only. Of 10,000 tenants, 33 are few.
const FEW: usize = 300;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The log of changes, whole for the stretch: what it costs depends on all tenants, not on those that are asked about.
    Log,
    /// The runs of those that are asked about.
    Runs,
}

impl Source {
    /// What is read for a question about so many of all tenants.
    pub(super) fn of(asked: usize, all: usize) -> Self {
        if asked.saturating_mul(FEW) <= all { Self::Runs } else { Self::Log }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn the_runs_are_read_of_few_among_many() {
        assert_eq!(Source::of(3, 10_000), Source::Runs);
        assert_eq!(Source::of(3, 10), Source::Log, "all runs of these take longer than the log, which is short too");
        assert_eq!(Source::of(10_000, 10_000), Source::Log);
    }
}
