//! One trial: rules, attempts, steps, cleanup, and what it all comes to.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::context::RunContext;
use super::event::{Event, Failure, FailureKind, Outcome, TrialReport};
use super::step::{self, StepContext, StepEnd};
use super::{request, rules};
use crate::plan::trial::{StepPlan, TrialPlan};
use crate::record::Fault;
use crate::source::Located;

/// How long one cleanup step may take after Ctrl-C.
const CLEANUP_AFTER_INTERRUPT: Duration = Duration::from_secs(5);
/// Why a case with faults is skipped where the runner does not stand between the stack and its providers.
const NO_FAULTS: &str = "its faults need provider traffic that is recorded or replayed: not mode live, not a stack \
                          that was started elsewhere";

/// Runs a trial to its report. Never fails itself: whatever goes wrong is an outcome.
pub(super) async fn run(context: &RunContext, trial: &TrialPlan) -> TrialReport {
    let started = Instant::now();
    let (outcome, attempts) = match &trial.skip {
        Some(reason) => (Outcome::Skipped(reason.clone()), 1),
        None => judged(context, trial).await,
    };
    let outcome = redacted(outcome, context);
    TrialReport {
        id: trial.id.clone(),
        place: trial.case.span.file_line(),
        upstream: trial.upstream.clone(),
        outcome,
        took: started.elapsed(),
        attempts,
        matches: context.traffic.uses(&trial.id),
    }
}

async fn judged(context: &RunContext, trial: &TrialPlan) -> (Outcome, u32) {
    if trial.case.watches_provider() && !context.traffic.is_seen() {
        let reason = "it checks provider requests, which a live run and a target given by URL do not show";
        return (Outcome::Skipped(reason.to_owned()), 1);
    }
    let ask = |rules| rules::applying(rules, trial, context.kind, &context.facts, &context.transport);
    match ask(&trial.case.skip).await {
        Ok(Some(rule)) => return (Outcome::Skipped(rule.because.clone()), 1),
        Ok(None) => {}
        Err(error) => return (Outcome::Broken(vec![Failure::template(&error)]), 1),
    }
    if !trial.case.faults.is_empty() && !context.traffic.is_seen() {
        return (Outcome::Skipped(NO_FAULTS.to_owned()), 1);
    }
    let expected = match ask(&trial.case.xfail).await {
        Ok(rule) => rule.map(|rule| rule.because.clone()),
        Err(error) => return (Outcome::Broken(vec![Failure::template(&error)]), 1),
    };
    let mut attempts = 1;
    loop {
        let mut outcome = attempt(context, trial, Company::Shared).await;
        if context.traffic.is_suspected(&trial.id) && !context.stopping() {
            // A miss came while several trials ran. Alone, it shows whose it is.
            outcome = attempt(context, trial, Company::Alone).await;
        }
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Broken(_));
        if failed && expected.is_none() && attempts <= context.retries && !context.stopping() {
            attempts += 1;
            continue;
        }
        let outcome = match (outcome, expected) {
            // A missing recording says nothing about the stack, so it is no expected failure.
            (Outcome::Failed(failures), Some(reason))
                if failures.iter().all(|f| f.kind == FailureKind::Mismatch) =>
            {
                Outcome::XFailed(reason)
            }
            (Outcome::Passed, Some(reason)) => Outcome::XPassed(reason),
            (outcome, _) => outcome,
        };
        return (outcome, attempts);
    }
}

/// Whether other trials may run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    Shared,
    Alone,
}

async fn attempt(context: &RunContext, trial: &TrialPlan, company: Company) -> Outcome {
    // Where the wire cannot tell which trial a provider request belongs to, a trial that looks at them runs alone.
    let alone = company == Company::Alone || (trial.case.watches_provider() && !context.scope_is_known);
    let (_shared, _alone) = if alone {
        (None, Some(context.alone.write().await))
    } else {
        (Some(context.alone.read().await), None)
    };
    let active = context.traffic.begin(trial);
    let limit = trial.case.timeout.unwrap_or(context.timeout);
    let outcome = steps(context, trial, limit).await;
    context.traffic.complete().await;
    let outcome = match (&outcome, &active) {
        (Outcome::Passed, Some(active)) => unmet_faults(trial, &active.unmet_faults()).unwrap_or(outcome),
        _ => outcome,
    };
    drop(active);
    context.traffic.settle(trial, outcome)
}

/// A fault that never happened leaves what the case is about untried.
fn unmet_faults(trial: &TrialPlan, unmet: &[usize]) -> Option<Outcome> {
    let unmet = unmet.iter().filter_map(|index| trial.case.faults.get(*index));
    let failure = |fault: &Located<Fault>| {
        let title = format!("a declared fault never happened: {}", fault.value);
        let detail = Some("no provider call met it; is its endpoint right?".to_owned());
        Failure { detail, ..Failure::new(FailureKind::Mismatch, title).at(&fault.span, 1) }
    };
    let failures: Vec<_> = unmet.map(failure).collect();
    (!failures.is_empty()).then_some(Outcome::Failed(failures))
}

async fn steps(context: &RunContext, trial: &TrialPlan, limit: Duration) -> Outcome {
    let mut scope = trial.scope.clone();
    let mut profile = request::profile(trial.client);
    context.traffic.tag(&trial.id, &mut profile);
    let with = StepContext {
        transport: &context.transport,
        profile: &profile,
        root: &context.root,
        traffic: &context.traffic,
        trial: &trial.id,
        // The trial's own limit comes first, and names the step.
        timeout: limit * 2,
    };
    let at = Cell::new(0);
    let body = async {
        for (index, plan) in trial.case.steps.iter().enumerate() {
            at.set(index);
            match timed(context, trial, index, plan, &mut scope, with).await {
                StepEnd::Passed => {}
                StepEnd::Failed(failures) => return outcome_of(failures),
                StepEnd::Skipped(reason) => return Outcome::Skipped(reason),
            }
        }
        Outcome::Passed
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(limit, body) => outcome.unwrap_or_else(|_| {
            let title = format!("the trial did not end within {}s; it was at this step", limit.as_secs_f64());
            let failure = Failure::new(FailureKind::Mismatch, title);
            let step = trial.case.steps.get(at.get());
            Outcome::Failed(vec![match step {
                Some(step) => failure.at(&step.span, step::EXCERPT_LINES),
                None => failure.at(&trial.case.span, 0),
            }])
        }),
        () = context.interrupted() => {
            Outcome::Broken(vec![Failure::new(FailureKind::Fault, "interrupted").at(&trial.case.span, 0)])
        }
    };
    // What a trial made on a shared stack is removed also when it was cut short, but an interrupt must not hang.
    let limit = if context.stop.interrupted() { limit.min(CLEANUP_AFTER_INTERRUPT) } else { limit };
    let mut problems = Vec::new();
    for plan in &trial.case.cleanup {
        // A step that needs what a failed step would have kept has nothing to clean up.
        if !step::ready(plan, &scope) {
            continue;
        }
        if let Ok(StepEnd::Failed(failures)) =
            tokio::time::timeout(limit, step::run(plan, &mut scope, with)).await
        {
            problems.extend(failures);
        }
    }
    match outcome {
        Outcome::Passed if !problems.is_empty() => outcome_of(problems),
        Outcome::Failed(mut failures) => {
            failures.extend(problems);
            Outcome::Failed(failures)
        }
        other => other,
    }
}

async fn timed(
    context: &RunContext,
    trial: &TrialPlan,
    index: usize,
    plan: &StepPlan,
    scope: &mut crate::plan::expression::Scope,
    with: StepContext<'_>,
) -> StepEnd {
    let started = Instant::now();
    let end = step::run(plan, scope, with).await;
    context.emit(Event::StepFinished {
        id: trial.id.clone(),
        step: index + 1,
        passed: matches!(end, StepEnd::Passed),
        took: started.elapsed(),
    });
    end
}

pub(super) fn outcome_of(failures: Vec<Failure>) -> Outcome {
    if failures.iter().all(|f| f.kind == FailureKind::Fault) {
        Outcome::Broken(failures)
    } else {
        Outcome::Failed(failures)
    }
}

/// Nothing leaves a trial with a secret in it.
fn redacted(outcome: Outcome, context: &RunContext) -> Outcome {
    let clean = |failures: Vec<Failure>| {
        let text = |text: Option<String>| text.map(|text| context.redactor.apply(&text));
        failures
            .into_iter()
            .map(|f| Failure {
                title: context.redactor.apply(&f.title),
                detail: text(f.detail),
                curl: text(f.curl),
                answer: text(f.answer),
                ..f
            })
            .collect()
    };
    match outcome {
        Outcome::Failed(failures) => Outcome::Failed(clean(failures)),
        Outcome::Broken(failures) => Outcome::Broken(clean(failures)),
        other => other,
    }
}
