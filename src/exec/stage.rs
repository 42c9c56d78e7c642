//! Steps one after the other within a time limit, and cleanup steps of which each gets its chance.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::context::RunContext;
use super::event::{Failure, FailureKind};
use super::step::{self, StepContext, StepEnd};
use super::verdict;
use crate::http::HeaderMap;
use crate::mcp;
use crate::plan::expression::Scope;
use crate::plan::trial::StepPlan;

/// How long one cleanup step may take after Ctrl-C.
const AFTER_INTERRUPT: Duration = Duration::from_secs(5);

/// How a list of steps ended.
#[derive(Debug)]
pub(super) enum StageEnd {
    Passed,
    Failed(Vec<Failure>),
    Skipped(String),
    /// At the step of this index.
    TimedOut(usize),
    Interrupted,
}

/// What steps get from a run; `caller` is the trial or fixture that their requests belong to.
pub(super) fn step_context<'a>(
    context: &'a RunContext,
    caller: &'a str,
    profile: &'a HeaderMap,
    servers: &'a BTreeMap<String, mcp::Log>,
    limit: Duration,
) -> StepContext<'a> {
    StepContext {
        transport: &context.transport,
        profile,
        root: &context.root,
        traffic: &context.traffic,
        trial: caller,
        servers,
        contract: context.contract.as_deref(),
        tap: None,
        slot: None,
        exchanges: &context.exchanges,
        // The stage's own limit comes first, and names the step.
        timeout: limit * 2,
    }
}

/// Runs steps until one does not pass; `done` is told of each: its index, whether it passed, how long it took.
pub(super) async fn run(
    steps: &[StepPlan],
    scope: &mut Scope,
    with: StepContext<'_>,
    limit: Duration,
    context: &RunContext,
    mut done: impl FnMut(usize, bool, Duration),
) -> StageEnd {
    let mut at = 0;
    let body = async {
        for (index, plan) in steps.iter().enumerate() {
            at = index;
            let started = Instant::now();
            let end = step::run(plan, scope, with).await;
            done(index, matches!(end, StepEnd::Passed), started.elapsed());
            match end {
                StepEnd::Passed => {}
                StepEnd::Failed(failures) => return StageEnd::Failed(failures),
                StepEnd::Skipped(reason) => return StageEnd::Skipped(reason),
            }
        }
        StageEnd::Passed
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(limit, body) => ended.ok(),
        () = context.interrupted() => Some(StageEnd::Interrupted),
    };
    ended.unwrap_or(StageEnd::TimedOut(at))
}

/// Runs every cleanup step that has what it starts from, whatever the others came to: what was made on a shared stack
/// is removed also when a trial was cut short, but an interrupt must not hang.
pub(super) async fn clean(
    steps: &[StepPlan],
    scope: &mut Scope,
    with: StepContext<'_>,
    limit: Duration,
    context: &RunContext,
) -> Vec<Failure> {
    let limit = if context.stop.interrupted() { limit.min(AFTER_INTERRUPT) } else { limit };
    let mut problems = Vec::new();
    for plan in steps {
        // A step that needs what a failed step would have kept has nothing to clean up.
        if !step::ready(plan, scope) {
            continue;
        }
        match tokio::time::timeout(limit, step::run(plan, scope, with)).await {
            Ok(StepEnd::Failed(failures)) => problems.extend(failures),
            Ok(StepEnd::Passed | StepEnd::Skipped(_)) => {}
            Err(_) => {
                let title = format!("a cleanup step did not end within {}s", limit.as_secs_f64());
                let failure = Failure::new(FailureKind::Fault, title);
                problems.push(failure.at(&plan.span, verdict::EXCERPT_LINES));
            }
        }
    }
    problems
}
