//! One trial: rules, attempts, steps, cleanup, and what it all comes to.

use std::time::{Duration, Instant};

use super::context::RunContext;
use super::event::{Event, Failure, FailureKind, Listed, Outcome, TrialReport, tokens};
use super::expectation::Expectation;
use super::fixtures::{self, Given};
use super::stage::{self, StageEnd};
use super::step::StepContext;
use super::tap::Tap;
use super::{request, rules, verdict};
use crate::http::HeaderMap;
use crate::plan::template::FillError;
use crate::plan::trial::TrialPlan;
use crate::record::Fault;
use crate::source::Located;

/// No retry is waited for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Why a case with faults is skipped where the runner does not stand between the stack and its providers.
const NO_FAULTS: &str = "its faults need provider traffic that is recorded or replayed: not mode live, not a stack \
                          that was started elsewhere";

/// Runs a trial to its report. Never fails itself: whatever goes wrong is an outcome.
pub(super) async fn run(context: &RunContext, trial: &TrialPlan) -> TrialReport {
    let started = Instant::now();
    let Judged { outcome, attempts, listed } = judged(context, trial, None).await;
    let left = context.fixtures.release(context, trial).await;
    let outcome = redacted(also(outcome, left), context);
    let (mut requests, began) = context.exchanges.take(&trial.id);
    for trace in &mut requests.traces {
        trace.path = context.redactor.apply(&trace.path);
    }
    let matches = context.traffic.take_uses(&trial.id, began);
    TrialReport {
        id: trial.shown_id(),
        trial: trial.id.clone(),
        axes: trial.axes.clone(),
        place: trial.case.span.file_line(),
        upstream: trial.upstream.clone(),
        outcome,
        took: started.elapsed(),
        attempts,
        tokens: tokens(&matches),
        matches,
        listed,
        requests,
    }
}

/// What a trial comes to when its answers pass through a tap. Fixtures that it shares with other trials stay.
pub(super) async fn outcome(context: &RunContext, trial: &TrialPlan, tap: &Tap) -> Outcome {
    redacted(judged(context, trial, Some(tap)).await.outcome, context)
}

/// What a trial came to, after how many attempts, and the entries of lists that had to do with it.
struct Judged {
    outcome: Outcome,
    attempts: u32,
    listed: Vec<Listed>,
}

impl Judged {
    /// It was not even tried.
    fn untried(outcome: Outcome) -> Self {
        Self { outcome, attempts: 1, listed: Vec::new() }
    }

    fn skipped(reason: impl Into<String>) -> Self {
        Self::untried(Outcome::Skipped(reason.into()))
    }

    fn broken(error: &FillError) -> Self {
        Self::untried(Outcome::Broken(vec![Failure::template(error)]))
    }
}

async fn judged(context: &RunContext, trial: &TrialPlan, tap: Option<&Tap>) -> Judged {
    if let Some(reason) = &trial.skip {
        return Judged::skipped(reason.as_str());
    }
    if trial.case.watches_provider() && !context.traffic.is_seen() {
        let reason = "it checks provider requests, which a live run and a target given by URL do not show";
        return Judged::skipped(reason);
    }
    if trial.case.fixtures.iter().any(|fixture| fixture.is_server()) && !is_near(context.transport.base()) {
        return Judged::skipped(OUT_OF_REACH);
    }
    let skip = &trial.case.skip;
    match rules::applying(skip, trial, context.kind, &context.facts, &context.transport).await {
        Ok(Some(rule)) => return Judged::skipped(rule.because.as_str()),
        Ok(None) => {}
        Err(error) => return Judged::broken(&error),
    }
    if !trial.case.faults.is_empty() && !context.traffic.is_seen() {
        return Judged::skipped(NO_FAULTS);
    }
    let expected = match Expectation::of(context, trial).await {
        Ok(expected) => expected,
        Err(error) => return Judged::broken(&error),
    };
    let mut attempts = 1;
    loop {
        let mut outcome = attempt(context, trial, Company::Shared, tap).await;
        if context.traffic.is_suspected(&trial.id) && !context.stopping() {
            // A miss came while several trials ran. Alone, it shows whose it is.
            outcome = attempt(context, trial, Company::Alone, tap).await;
        }
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Broken(_));
        if failed && !expected.is_known() && attempts <= context.retries && !context.stopping() {
            pause(context, attempts).await;
            attempts += 1;
            continue;
        }
        return Judged { outcome: expected.settle(outcome), attempts, listed: expected.listed };
    }
}

/// Waits before a retry, twice as long after each attempt, and no longer than the run goes on.
async fn pause(context: &RunContext, attempts: u32) {
    let factor = 1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
    let delay = context.retry_delay.saturating_mul(factor).min(LONGEST_PAUSE);
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = context.interrupted() => {}
        }
    }
}

/// What a local MCP server is to a stack at a URL that is not this machine's.
const OUT_OF_REACH: &str =
    "its MCP server listens on loopback, where a stack on another machine cannot reach it";

/// Whether other trials may run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    Shared,
    Alone,
}

/// Whether a stack can reach loopback ports of this machine.
fn is_near(base: &str) -> bool {
    let host = base.split_once("://").map_or(base, |(_, rest)| rest);
    ["127.", "localhost", "[::1]", "in-process"].iter().any(|near| host.starts_with(near))
}

async fn attempt(context: &RunContext, trial: &TrialPlan, company: Company, tap: Option<&Tap>) -> Outcome {
    tap.into_iter().for_each(Tap::rewind);
    // Where the wire cannot tell which trial a provider request belongs to, a trial that looks at them runs alone.
    let alone = company == Company::Alone
        || (!context.scope_is_known
            && (trial.case.watches_provider() || context.traffic.is_chosen(&trial.id)));
    let (_shared, _alone) = if alone {
        (None, Some(context.alone.write().await))
    } else {
        (Some(context.alone.read().await), None)
    };
    let mut given = match context.fixtures.shared(context, trial).await {
        Ok(given) => given,
        Err(outcome) => return outcome,
    };
    let faults = trial.case.faults.iter().map(|fault| fault.value.clone()).collect();
    let active = context.traffic.begin(&trial.id, trial.upstream.iter().cloned().collect(), faults);
    context.exchanges.begin(&trial.id);
    let outcome = whole(context, trial, &mut given, tap).await;
    context.traffic.complete().await;
    let outcome = match (&outcome, &active) {
        (Outcome::Passed, Some(active)) => unmet_faults(trial, &active.unmet_faults()).unwrap_or(outcome),
        _ => outcome,
    };
    drop(active);
    if context.traffic.is_over_budget() {
        // Nothing is forwarded any more, so what follows could only break.
        context.stop.no_more();
    }
    context.traffic.settle(&trial.id, &trial.scope, outcome)
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

/// The trial's own fixtures, its steps, its cleanup, and the end of its fixtures.
async fn whole(context: &RunContext, trial: &TrialPlan, given: &mut Given, tap: Option<&Tap>) -> Outcome {
    let mut profile = request::profile(trial.client);
    context.traffic.tag(&trial.id, &mut profile);
    let outcome = match fixtures::make_own(context, trial, &profile, given).await {
        Ok(()) => steps(context, trial, &profile, given, tap).await,
        Err(outcome) => outcome,
    };
    let left = fixtures::clean_own(context, trial, &profile, given).await;
    also(outcome, left)
}

async fn steps(
    context: &RunContext,
    trial: &TrialPlan,
    profile: &HeaderMap,
    given: &Given,
    tap: Option<&Tap>,
) -> Outcome {
    let limit = trial.case.timeout.unwrap_or(context.timeout);
    let mut scope = trial.scope.clone();
    scope.extend(given.values.iter().cloned());
    for (name, template) in &trial.case.late_vars {
        match template.fill(&scope) {
            Ok(value) => _ = scope.insert(name.clone(), value),
            Err(error) => return Outcome::Broken(vec![Failure::template(&error)]),
        }
    }
    let with = StepContext { tap, ..stage::step_context(context, &trial.id, profile, &given.servers, limit) };
    let done = |index: usize, passed, took| {
        context.emit(Event::StepFinished { id: trial.shown_id(), step: index + 1, passed, took });
    };
    let outcome = match stage::run(&trial.case.steps, &mut scope, with, limit, context, done).await {
        StageEnd::Passed => Outcome::Passed,
        StageEnd::Failed(failures) => outcome_of(failures),
        StageEnd::Skipped(reason) => Outcome::Skipped(reason),
        StageEnd::TimedOut(index) => {
            let title = format!("the trial did not end within {}s; it was at this step", limit.as_secs_f64());
            let failure = Failure::new(FailureKind::Mismatch, title);
            Outcome::Failed(vec![match trial.case.steps.get(index) {
                Some(step) => failure.at(&step.span, verdict::EXCERPT_LINES),
                None => failure.at(&trial.case.span, 0),
            }])
        }
        StageEnd::Interrupted => {
            Outcome::Broken(vec![Failure::new(FailureKind::Fault, "interrupted").at(&trial.case.span, 0)])
        }
    };
    let problems = stage::clean(&trial.case.cleanup, &mut scope, with, limit, context).await;
    also(outcome, problems)
}

/// What cleaning up came to is part of the outcome, whatever else it was.
fn also(outcome: Outcome, problems: Vec<Failure>) -> Outcome {
    match outcome {
        outcome if problems.is_empty() => outcome,
        Outcome::Failed(mut failures) => {
            failures.extend(problems);
            Outcome::Failed(failures)
        }
        Outcome::Broken(mut failures) => {
            failures.extend(problems);
            Outcome::Broken(failures)
        }
        Outcome::Quarantined(reason, mut failures) => {
            failures.extend(problems);
            Outcome::Quarantined(reason, failures)
        }
        Outcome::Passed | Outcome::Skipped(_) | Outcome::XFailed(_) | Outcome::XPassed(_) => {
            outcome_of(problems)
        }
    }
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
    match outcome {
        Outcome::Failed(failures) => Outcome::Failed(clean(failures, context)),
        Outcome::Broken(failures) => Outcome::Broken(clean(failures, context)),
        Outcome::Quarantined(reason, failures) => Outcome::Quarantined(reason, clean(failures, context)),
        other => other,
    }
}

/// The same failures without secrets.
pub(super) fn clean(failures: Vec<Failure>, context: &RunContext) -> Vec<Failure> {
    let text = |text: Option<String>| text.map(|text| context.redactor.apply(&text));
    let clean = |f: Failure| Failure {
        title: context.redactor.apply(&f.title),
        detail: text(f.detail),
        curl: text(f.curl),
        answer: text(f.answer),
        ..f
    };
    failures.into_iter().map(clean).collect()
}
