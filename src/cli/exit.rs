//! The exit status: one enum, one conversion.

use std::process::ExitCode;

use crate::exec::event::Summary;

/// What the process says at its end. 0 to 5 mean what pytest's mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    Passed = 0,
    TestsFailed = 1,
    Interrupted = 2,
    Internal = 3,
    /// A flag, a file or the environment is wrong.
    Usage = 4,
    NothingRun = 5,
    TargetDidNotStart = 6,
    /// The only failures are replay misses.
    ReplayMisses = 7,
    /// A trial passed only at a retry, under `--fail-on-flaky`.
    Flaky = 8,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

impl ExitStatus {
    /// The status of a run; `flaky_fails` for `--fail-on-flaky`.
    pub fn of(summary: &Summary, flaky_fails: bool) -> Self {
        match Self::from(summary) {
            Self::Passed if flaky_fails && summary.flaky > 0 => Self::Flaky,
            status => status,
        }
    }
}

impl From<&Summary> for ExitStatus {
    fn from(summary: &Summary) -> Self {
        if summary.interrupted {
            return Self::Interrupted;
        }
        if summary.total() == 0 {
            return Self::NothingRun;
        }
        let bad = summary.failed + summary.broken;
        if bad > summary.missed || !summary.unclean.is_empty() || !summary.recordings.unmet.is_empty() {
            Self::TestsFailed
        } else if bad + summary.stray_misses.len() > 0 {
            Self::ReplayMisses
        } else {
            Self::Passed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::review::Review;

    fn check(summary: Summary, want: ExitStatus) {
        assert_eq!(ExitStatus::from(&summary), want, "{summary:?}");
    }

    #[test]
    fn a_flaky_trial_fails_only_what_would_pass() {
        let flaky = Summary { passed: 2, flaky: 1, ..Summary::default() };
        assert_eq!(ExitStatus::of(&flaky, true), ExitStatus::Flaky);
        assert_eq!(ExitStatus::of(&flaky, false), ExitStatus::Passed);
        assert_eq!(ExitStatus::of(&Summary { failed: 1, ..flaky }, true), ExitStatus::TestsFailed);
    }

    #[test]
    fn the_worst_that_happened_decides() {
        check(Summary { passed: 1, ..Summary::default() }, ExitStatus::Passed);
        check(Summary { skipped: 1, ..Summary::default() }, ExitStatus::Passed);
        check(Summary::default(), ExitStatus::NothingRun);
        check(Summary { passed: 1, failed: 2, missed: 1, ..Summary::default() }, ExitStatus::TestsFailed);
        check(Summary { passed: 1, failed: 1, missed: 1, ..Summary::default() }, ExitStatus::ReplayMisses);
        check(
            Summary { passed: 1, stray_misses: vec!["m".into()], ..Summary::default() },
            ExitStatus::ReplayMisses,
        );
        check(Summary { failed: 1, interrupted: true, ..Summary::default() }, ExitStatus::Interrupted);
        check(Summary { broken: 1, ..Summary::default() }, ExitStatus::TestsFailed);
        let recordings = Review { unmet: vec!["1 unused recording".into()], ..Review::default() };
        check(Summary { passed: 1, recordings, ..Summary::default() }, ExitStatus::TestsFailed);
    }
}
