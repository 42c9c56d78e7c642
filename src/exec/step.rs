//! One step: send, keep, judge; repeated over a list or until it holds.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::event::{Failure, FailureKind};
use super::request;
use super::traffic::Traffic;
use crate::check::{Check, Mismatch, Seen, evaluate, take};
use crate::http::client::{Transport, TransportError};
use crate::http::{HeaderMap, Request, Response, curl};
use crate::plan::expression::{Scope, truthy};
use crate::plan::template::{FillError, Template};
use crate::plan::trial::{KeepPlan, PollPlan, RequestPlan, StepPlan};
use crate::schema::step::PollTimeout;
use crate::source::{Located, Span};

/// Lines of YAML shown with a failure.
const EXCERPT_LINES: usize = 8;
/// Characters of an answer's body shown with a failure.
const ANSWER_SHOWN: usize = 2000;

/// What a step needs besides its plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepContext<'a> {
    pub transport: &'a Transport,
    pub profile: &'a HeaderMap,
    pub root: &'a std::path::Path,
    pub traffic: &'a Traffic,
    pub trial: &'a str,
    /// For a request that names no time-out of its own.
    pub timeout: Duration,
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum StepEnd {
    Passed,
    Failed(Vec<Failure>),
    /// Polling ran out of time and the case says that this means a skip.
    Skipped(String),
}

/// Runs a step and adds what it keeps to the scope.
pub(super) async fn run(plan: &StepPlan, scope: &mut Scope, context: StepContext<'_>) -> StepEnd {
    match conditions(plan, scope) {
        Ok(None) => StepEnd::Passed,
        Ok(Some(items)) => over(plan, items, scope, context).await,
        Err(error) => StepEnd::Failed(vec![template_failure(&error)]),
    }
}

/// The items to run for: one nameless item without `for_each`; `None` when `if` does not hold.
fn conditions(plan: &StepPlan, scope: &Scope) -> Result<Option<Vec<Value>>, FillError> {
    if let Some(when) = &plan.when
        && !truthy(&when.fill(scope)?)
    {
        return Ok(None);
    }
    let Some((_, list)) = &plan.for_each else { return Ok(Some(vec![Value::Null])) };
    match list.fill(scope)? {
        Value::Array(items) => Ok(Some(items)),
        other => Err(FillError {
            message: format!("`for_each` needs a list, not {other}"),
            span: plan.span.clone(),
        }),
    }
}

async fn over(plan: &StepPlan, items: Vec<Value>, scope: &mut Scope, context: StepContext<'_>) -> StepEnd {
    let mut kept: Vec<Scope> = Vec::new();
    for item in items {
        let mut inner = scope.clone();
        if let Some((name, _)) = &plan.for_each {
            inner.insert(name.clone(), item);
        }
        let end = match &plan.poll {
            Some(poll) => poll_until(plan, poll, &mut inner, context).await,
            None => once(plan, &mut inner, context).await,
        };
        match end {
            StepEnd::Passed => {}
            other => return other,
        }
        kept.push(
            plan.keep.iter().filter_map(|(name, _)| Some((name.clone(), inner.get(name)?.clone()))).collect(),
        );
    }
    for (name, _) in &plan.keep {
        // A loop keeps the list of what each round kept.
        let mut values: Vec<Value> = kept.iter().filter_map(|round| round.get(name).cloned()).collect();
        let value = if plan.for_each.is_some() { Some(Value::Array(values)) } else { values.pop() };
        scope.extend(value.map(|value| (name.clone(), value)));
    }
    StepEnd::Passed
}

async fn poll_until(
    plan: &StepPlan,
    poll: &PollPlan,
    scope: &mut Scope,
    context: StepContext<'_>,
) -> StepEnd {
    let started = Instant::now();
    let mut pause = poll.every;
    loop {
        let mut tried = scope.clone();
        let (end, answer) = attempt(plan, &mut tried, context).await;
        if let Some(answer) = &answer
            && let Some(failures) = unwanted(plan, poll, &tried, answer, context)
        {
            return StepEnd::Failed(failures);
        }
        if matches!(end, StepEnd::Passed) {
            *scope = tried;
            return StepEnd::Passed;
        }
        if started.elapsed() + pause >= poll.within {
            return match (poll.timeout_is, end) {
                (PollTimeout::Skip, _) => StepEnd::Skipped(format!(
                    "{}: did not hold within {}s",
                    plan.span.file_line(),
                    poll.within.as_secs_f64()
                )),
                (PollTimeout::Fail, StepEnd::Failed(mut failures)) => {
                    if let Some(first) = failures.first_mut() {
                        first.title =
                            format!("after polling for {}s: {}", poll.within.as_secs_f64(), first.title);
                    }
                    StepEnd::Failed(failures)
                }
                (PollTimeout::Fail, other) => other,
            };
        }
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.5).min(poll.every * 10);
    }
}

/// The failures of checks under `unless` that hold: the wanted state can no longer come.
fn unwanted(
    plan: &StepPlan,
    poll: &PollPlan,
    scope: &Scope,
    answer: &Exchange,
    context: StepContext<'_>,
) -> Option<Vec<Failure>> {
    let seen = Seen::new(Some(&answer.response), &[]);
    let reached = poll.unless.iter().find(|check| {
        check.try_map(&mut |t: &Template| t.fill(scope)).is_ok_and(|check| evaluate(&check, &seen).is_ok())
    })?;
    let title = "polling ended: this state was not wanted".to_owned();
    Some(vec![failure(FailureKind::Mismatch, title, None, &reached.span, Some(answer), plan, context)])
}

async fn once(plan: &StepPlan, scope: &mut Scope, context: StepContext<'_>) -> StepEnd {
    attempt(plan, scope, context).await.0
}

/// A request with its answer.
#[derive(Debug)]
struct Exchange {
    request: Request,
    response: Response,
}

async fn attempt(
    plan: &StepPlan,
    scope: &mut Scope,
    context: StepContext<'_>,
) -> (StepEnd, Option<Exchange>) {
    let before = context.traffic.count(context.trial);
    let exchange = match &plan.request {
        None => None,
        Some(request) => match exchange(request, plan, scope, context).await {
            Ok(exchange) => Some(exchange),
            Err(failure) => return (StepEnd::Failed(vec![*failure]), None),
        },
    };
    if plan.watches_provider() {
        context.traffic.complete().await;
    }
    let calls = context.traffic.seen(context.trial, before);
    let seen = Seen::new(exchange.as_ref().map(|e| &e.response), &calls);
    let mut failures = keep(plan, scope, &seen, exchange.as_ref(), context);
    for check in &plan.expect {
        failures.extend(judge(check, plan, scope, &seen, exchange.as_ref(), context));
    }
    let end = if failures.is_empty() { StepEnd::Passed } else { StepEnd::Failed(readable(failures)) };
    (end, exchange)
}

/// The exchange is shown once, with the first failure. A name that is undefined because keeping it failed is no
/// news.
fn readable(mut failures: Vec<Failure>) -> Vec<Failure> {
    if failures.iter().any(|f| f.kind != FailureKind::Template) {
        failures.retain(|f| f.kind != FailureKind::Template);
    }
    for follower in failures.iter_mut().skip(1) {
        follower.curl = None;
        follower.answer = None;
    }
    failures
}

async fn exchange(
    request: &RequestPlan,
    plan: &StepPlan,
    scope: &Scope,
    context: StepContext<'_>,
) -> Result<Exchange, Box<Failure>> {
    let made = request::make(request, scope, context.profile, context.root, &plan.span)
        .map_err(|error| Box::new(template_failure(&error)))?;
    let timeout = request.timeout.unwrap_or(context.timeout);
    match context.transport.send(&made, timeout).await {
        Ok(response) => Ok(Exchange { request: made, response }),
        Err(error) => {
            let kind = match error {
                TransportError::TooLarge | TransportError::Timeout(_) => FailureKind::Mismatch,
                TransportError::Connection(_) => FailureKind::Fault,
            };
            let mut failure = failure(kind, error.to_string(), None, &plan.span, None, plan, context);
            failure.curl = Some(curl::command(&made, context.transport.base()));
            Err(Box::new(failure))
        }
    }
}

/// Takes what the step keeps. When nothing can be taken the expectations are judged all the same, so that the
/// reader sees a wrong status and not only a missing field.
fn keep(
    plan: &StepPlan,
    scope: &mut Scope,
    seen: &Seen<'_>,
    exchange: Option<&Exchange>,
    context: StepContext<'_>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (name, keep) in &plan.keep {
        let value = match &keep.value {
            KeepPlan::Take(what) => take(what, seen).map_err(|mismatch| {
                let title = format!("`{name}` cannot be kept: {}", headline(&mismatch));
                failure(FailureKind::Mismatch, title, mismatch.detail, &keep.span, exchange, plan, context)
            }),
            KeepPlan::Value(template) => template.fill(scope).map_err(|error| template_failure(&error)),
        };
        match value {
            Ok(value) => _ = scope.insert(name.clone(), value),
            Err(failure) => failures.push(failure),
        }
    }
    failures
}

fn judge(
    check: &Located<Check<Template>>,
    plan: &StepPlan,
    scope: &Scope,
    seen: &Seen<'_>,
    exchange: Option<&Exchange>,
    context: StepContext<'_>,
) -> Vec<Failure> {
    let filled = match check.try_map(&mut |template: &Template| template.fill(scope)) {
        Ok(filled) => filled,
        Err(error) => return vec![template_failure(&error)],
    };
    // A condition counts as pytest's `assert` counts it.
    let filled = match filled {
        Check::Assert(value) => Check::Assert(Value::Bool(truthy(&value))),
        other => other,
    };
    let Err(mismatches) = evaluate(&filled, seen) else { return Vec::new() };
    mismatches
        .into_iter()
        .map(|mismatch| {
            let title = headline(&mismatch);
            failure(FailureKind::Mismatch, title, mismatch.detail, &check.span, exchange, plan, context)
        })
        .collect()
}

fn headline(mismatch: &Mismatch) -> String {
    format!("{}: expected {}, got {}", mismatch.what, mismatch.expected, mismatch.actual)
}

fn failure(
    kind: FailureKind,
    title: String,
    detail: Option<String>,
    span: &Span,
    exchange: Option<&Exchange>,
    plan: &StepPlan,
    context: StepContext<'_>,
) -> Failure {
    // A check's own place may be inside an anchor; the excerpt shows where it is written.
    let shown = if span.end > span.start || span.start > 0 { span } else { &plan.span };
    Failure {
        kind,
        title,
        place: Some(shown.file_line()),
        excerpt: Some(shown.excerpt(EXCERPT_LINES)),
        detail,
        curl: exchange.map(|e| curl::command(&e.request, context.transport.base())),
        answer: exchange.map(|e| answer(&e.response)),
    }
}

fn template_failure(error: &FillError) -> Failure {
    Failure {
        kind: FailureKind::Template,
        title: error.message.clone(),
        place: Some(error.span.file_line()),
        excerpt: Some(error.span.excerpt(1)),
        detail: None,
        curl: None,
        answer: None,
    }
}

fn answer(response: &Response) -> String {
    let body = String::from_utf8_lossy(&response.body);
    let shown = match body.char_indices().nth(ANSWER_SHOWN) {
        Some((cut, _)) => format!("{}… ({} bytes in all)", &body[..cut], response.body.len()),
        None => body.into_owned(),
    };
    format!("HTTP {} {}\n{}", response.status, response.media_type(), shown.trim_end())
}
