//! What a run says about its recordings: which were not used, which are too old, and whether that fails it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::context::RunContext;
use super::event::{Outcome, ProviderUse, TrialReport};
use crate::record::{Coverage, Unused};

/// What a run demands of its recordings.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    /// Recordings that answer are not older than this.
    pub max_age: Option<Duration>,
    /// An older one fails the run.
    pub age_fails: bool,
    /// An unused one fails the run.
    pub unused_fails: bool,
    pub setup: Option<String>,
    /// The ids of all trials that the project has with this setup.
    pub known: BTreeSet<String>,
    /// Those of them that can never run with it.
    pub impossible: BTreeSet<String>,
    /// Whether all parameters have the setup's own values.
    pub known_is_exact: bool,
}

/// A recording that answered and is older than it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    pub file: String,
    pub recorded_at: Timestamp,
    /// The first trial that it answered; `None` outside trials.
    pub trial: Option<String>,
}

/// The outcome of a [`Reviewer`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// In order of files.
    pub unused: Vec<Unused>,
    /// Oldest first.
    pub stale: Vec<Stale>,
    pub max_age: Option<Duration>,
    /// Recordings that answered without saying when they were made, where an age is demanded.
    pub undated: usize,
    /// Demands that were not met, in words; they fail the run.
    pub unmet: Vec<String>,
}

impl Review {
    /// Adds what another part of the same run says.
    pub fn absorb(&mut self, other: &Self) {
        self.unused.extend(other.unused.iter().cloned());
        self.stale.extend(other.stale.iter().cloned());
        self.undated += other.undated;
        self.unmet.extend(other.unmet.iter().cloned());
    }
}

/// Gathers what the reports of a run say about recordings.
#[derive(Debug, Default)]
pub(super) struct Reviewer {
    ended: BTreeSet<String>,
    ended_trials: BTreeSet<String>,
    /// File, when it was made, and the first trial it answered.
    used: BTreeMap<String, (Option<Timestamp>, bool, Option<String>)>,
}

impl Reviewer {
    pub(super) fn note(&mut self, report: &TrialReport) {
        if matches!(report.outcome, Outcome::Passed | Outcome::XPassed(_)) {
            self.ended_trials.insert(report.trial.clone());
            self.ended.insert(report.trial.clone());
            self.ended.extend(report.upstream.clone());
        }
        self.note_uses(&report.matches, Some(&report.id));
    }

    fn note_uses(&mut self, uses: &[ProviderUse], trial: Option<&str>) {
        for used in uses {
            let Some(file) = &used.file else { continue };
            let was_recorded_now = used.tier == RECORDED;
            self.used
                .entry(file.clone())
                .and_modify(|(at, now, _)| {
                    *at = at.or(used.recorded_at);
                    *now |= was_recorded_now;
                })
                .or_insert_with(|| (used.recorded_at, was_recorded_now, trial.map(str::to_owned)));
        }
    }

    pub(super) fn finish(mut self, others: &[ProviderUse], context: &RunContext) -> Review {
        self.note_uses(others, None);
        let demands = &context.demands;
        let unused = context.traffic.unused(&self.coverage(demands));
        self.judge(demands, unused, Timestamp::now())
    }

    fn coverage(&self, demands: &Demands) -> Coverage {
        let ended = |id: &String| self.ended_trials.contains(id) || demands.impossible.contains(id);
        Coverage {
            used: self.used.keys().cloned().collect(),
            ended: self.ended.clone(),
            setup: demands.setup.clone(),
            is_complete: demands.known_is_exact && demands.known.iter().all(ended),
            known: demands.known.clone(),
            known_is_exact: demands.known_is_exact,
        }
    }

    fn judge(self, demands: &Demands, unused: Vec<Unused>, now: Timestamp) -> Review {
        let mut review = Review { unused, max_age: demands.max_age, ..Review::default() };
        // An age that reaches back before all time is no limit.
        let limit = demands.max_age.and_then(|age| SignedDuration::try_from(age).ok());
        if let Some(oldest) = limit.and_then(|age| now.checked_sub(age).ok()) {
            for (file, (recorded_at, is_new, trial)) in self.used {
                match recorded_at {
                    Some(at) if at < oldest => review.stale.push(Stale { file, recorded_at: at, trial }),
                    None if !is_new => review.undated += 1,
                    _ => {}
                }
            }
            review.stale.sort_by(|a, b| a.recorded_at.cmp(&b.recorded_at).then_with(|| a.file.cmp(&b.file)));
        }
        if demands.unused_fails && !review.unused.is_empty() {
            let n = review.unused.len();
            review.unmet.push(format!("{n} unused recording{} (--fail-on-unused)", plural(n)));
        }
        if demands.age_fails && !review.stale.is_empty() {
            let n = review.stale.len();
            review.unmet.push(format!("{n} recording{} too old (--max-age-is=fail)", plural(n)));
        }
        review
    }
}

/// The tier of what was recorded in this run.
const RECORDED: &str = "recorded";

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str, outcome: Outcome, matches: Vec<ProviderUse>) -> TrialReport {
        TrialReport { upstream: Some(format!("up.py::{id}")), matches, ..TrialReport::ended(id, outcome) }
    }

    fn used(file: &str, tier: &str, recorded_at: Option<&str>) -> ProviderUse {
        ProviderUse {
            provider: "p".into(),
            endpoint: "/v1/x".into(),
            tier: tier.into(),
            file: Some(file.into()),
            recorded_at: recorded_at.map(|at| at.parse().unwrap()),
            ..ProviderUse::default()
        }
    }

    #[test]
    fn what_answered_and_is_too_old_is_named_oldest_first() {
        let mut reviewer = Reviewer::default();
        let (old, older, new) = ("2025-01-02T00:00:00Z", "2025-01-01T00:00:00Z", "2025-03-01T00:00:00Z");
        reviewer.note(&report("a", Outcome::Passed, vec![used("old", "exact", Some(old))]));
        reviewer.note(&report(
            "b",
            Outcome::Passed,
            vec![
                used("older", "exact", Some(older)),
                used("new", "exact", Some(new)),
                used("upstream", "exact", None),
                used("made", "recorded", None),
            ],
        ));
        let day = Duration::from_secs(24 * 3600);
        let demands = Demands { max_age: Some(30 * day), age_fails: true, ..Demands::default() };
        let review = reviewer.judge(&demands, Vec::new(), "2025-03-10T00:00:00Z".parse().unwrap());
        let stale: Vec<_> =
            review.stale.iter().map(|s| (s.file.as_str(), s.trial.as_deref().unwrap())).collect();
        assert_eq!(stale, [("older", "b"), ("old", "a")]);
        assert_eq!(
            (review.undated, review.unmet),
            (1, vec!["2 recordings too old (--max-age-is=fail)".to_owned()])
        );
    }

    #[test]
    fn only_good_ends_cover_what_was_not_used() {
        let mut reviewer = Reviewer::default();
        reviewer.note(&report("a", Outcome::Passed, vec![]));
        reviewer.note(&report("b", Outcome::Failed(vec![]), vec![]));
        reviewer.note(&report("c", Outcome::Skipped("s".into()), vec![]));
        let known: BTreeSet<String> = ["a", "c"].map(str::to_owned).into();
        let demands = Demands {
            impossible: BTreeSet::from(["c".to_owned()]),
            known,
            known_is_exact: true,
            ..Demands::default()
        };
        let coverage = reviewer.coverage(&demands);
        assert_eq!(coverage.ended, BTreeSet::from(["a".to_owned(), "up.py::a".to_owned()]));
        assert!(coverage.is_complete);
        let more = Demands { known: BTreeSet::from(["b".to_owned()]), ..demands };
        assert!(!reviewer.coverage(&more).is_complete);
    }
}
