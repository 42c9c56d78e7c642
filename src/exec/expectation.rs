//! What is known to be wrong with a trial, from its case and from the lists, and what that makes of its outcome.

use super::context::RunContext;
use super::event::{FailureKind, Listed, Outcome};
use super::rules;
use crate::plan::expectations::ListKind;
use crate::plan::template::FillError;
use crate::plan::trial::{RulePlan, TrialPlan};

/// What is known of a trial before it runs.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    /// Why it fails.
    xfail: Option<String>,
    /// Why its failures do not count.
    quarantine: Option<String>,
    /// The entries of lists that say so.
    pub(super) listed: Vec<Listed>,
}

impl Expectation {
    /// A case's own rules come before the lists.
    pub(super) async fn of(context: &RunContext, trial: &TrialPlan) -> Result<Self, FillError> {
        let mut found = Self::default();
        let own = applying(&trial.case.xfail, context, trial).await?;
        if let Some(rule) = own {
            found.xfail = Some(rule.because.clone());
        } else if let Some(rule) = applying(&trial.xfail, context, trial).await? {
            found.xfail = Some(found.list(ListKind::XFail, rule));
        }
        if let Some(rule) = applying(&trial.quarantine, context, trial).await? {
            found.quarantine = Some(found.list(ListKind::Quarantine, rule));
        }
        Ok(found)
    }

    fn list(&mut self, kind: ListKind, rule: &RulePlan) -> String {
        let because = rule.because.clone();
        self.listed.push(Listed { kind, place: rule.span.file_line(), because: because.clone() });
        because
    }

    /// Whether a failure is nothing new, so that trying again would tell nothing.
    pub(super) fn is_known(&self) -> bool {
        self.xfail.is_some() || self.quarantine.is_some()
    }

    /// The outcome, given what was known.
    pub(super) fn settle(&self, outcome: Outcome) -> Outcome {
        match (outcome, &self.xfail, &self.quarantine) {
            // A missing recording says nothing about the stack, so it is no expected failure.
            (Outcome::Failed(failures), Some(reason), _)
                if failures.iter().all(|f| f.kind == FailureKind::Mismatch) =>
            {
                Outcome::XFailed(reason.clone())
            }
            (Outcome::Passed, Some(reason), _) => Outcome::XPassed(reason.clone()),
            (Outcome::Failed(failures) | Outcome::Broken(failures), _, Some(reason)) => {
                Outcome::Quarantined(reason.clone(), failures)
            }
            (outcome, ..) => outcome,
        }
    }
}

async fn applying<'r>(
    rules: &'r [RulePlan],
    context: &RunContext,
    trial: &TrialPlan,
) -> Result<Option<&'r RulePlan>, FillError> {
    rules::applying(rules, trial, context.kind, &context.facts, &context.transport).await
}

#[cfg(test)]
mod tests {
    use super::super::event::Failure;
    use super::*;

    #[test]
    fn a_list_changes_what_it_is_about_and_nothing_else() {
        let failed = |kind| Outcome::Failed(vec![Failure::new(kind, "t")]);
        let broken = || Outcome::Broken(vec![Failure::new(FailureKind::Fault, "t")]);
        let settle = |xfail: bool, quarantine: bool, outcome| {
            let reason = |on: bool, word: &str| on.then(|| word.to_owned());
            let known = Expectation {
                xfail: reason(xfail, "x"),
                quarantine: reason(quarantine, "q"),
                listed: Vec::new(),
            };
            known.settle(outcome).word()
        };
        for (xfail, quarantine, want) in [
            (false, false, ["passed", "failed", "failed", "broken", "skipped"]),
            (true, false, ["xpassed", "xfailed", "failed", "broken", "skipped"]),
            (false, true, ["passed", "quarantined", "quarantined", "quarantined", "skipped"]),
            (true, true, ["xpassed", "xfailed", "quarantined", "quarantined", "skipped"]),
        ] {
            let outcomes = [
                Outcome::Passed,
                failed(FailureKind::Mismatch),
                failed(FailureKind::Miss),
                broken(),
                Outcome::Skipped("s".into()),
            ];
            assert_eq!(outcomes.map(|outcome| settle(xfail, quarantine, outcome)), want);
        }
    }
}
