//! What one attempt at a step comes to: the values it keeps, its own checks, and the contract of the endpoint.

use serde_json::Value;

use super::event::{Failure, FailureKind};
use super::request;
use super::step::StepContext;
use crate::check::{Check, Mismatch, Seen, evaluate, take};
use crate::http::{Request, Response, curl};
use crate::plan::expression::{Scope, truthy};
use crate::plan::template::Template;
use crate::plan::trial::{KeepPlan, StepPlan};
use crate::source::{Located, Span};

/// Lines of YAML shown with a failure.
pub(super) const EXCERPT_LINES: usize = 8;
/// Characters of an answer's body shown with a failure.
const ANSWER_SHOWN: usize = 2000;

/// A request with its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: Request,
    pub(super) response: Response,
}

/// What is wrong, in two parts.
#[derive(Debug)]
pub(super) struct Verdict {
    /// With what the step keeps and expects.
    own: Vec<Failure>,
    /// With the shape that answers of the endpoint have.
    pub(super) breaches: Vec<Failure>,
}

impl Verdict {
    /// Keeps what the step keeps and judges what it got.
    pub(super) fn of(
        plan: &StepPlan,
        scope: &mut Scope,
        seen: &Seen<'_>,
        exchange: Option<&Exchange>,
        context: StepContext<'_>,
    ) -> Self {
        let mut own = keep(plan, scope, seen, exchange, context);
        for check in &plan.expect {
            own.extend(judge(check, plan, scope, seen, exchange, context));
        }
        let breaches = exchange.map(|exchange| breaches(exchange, plan, seen, context)).unwrap_or_default();
        Self { own, breaches }
    }

    /// There was no answer to judge.
    pub(super) fn unanswered(failure: Failure) -> Self {
        Self { own: vec![failure], breaches: Vec::new() }
    }

    pub(super) fn holds(&self) -> bool {
        self.own.is_empty() && self.breaches.is_empty()
    }

    /// All of it, as it is shown.
    pub(super) fn into_failures(mut self) -> Vec<Failure> {
        self.own.append(&mut self.breaches);
        readable(self.own)
    }
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
            KeepPlan::Value(template) => template.fill(scope).map_err(|error| Failure::template(&error)),
            KeepPlan::File(path, form) => {
                request::file_value(path, *form, context.root).map_err(|error| Failure::template(&error))
            }
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
        Err(error) => return vec![Failure::template(&error)],
    };
    // A condition counts as pytest's `assert` counts it.
    let filled = match filled {
        Check::Assert(value) => Check::Assert(Value::Bool(truthy(&value))),
        other => other,
    };
    let Err(mismatches) = evaluate(&filled, seen) else { return Vec::new() };
    mismatches.into_iter().map(|mismatch| differs(mismatch, &check.span, exchange, plan, context)).collect()
}

/// Where the answer does not have the shape of its endpoint.
fn breaches(exchange: &Exchange, plan: &StepPlan, seen: &Seen<'_>, context: StepContext<'_>) -> Vec<Failure> {
    let Request { method, path, .. } = &exchange.request;
    let endpoint = context.contract.and_then(|contract| contract.endpoint(method, path));
    let mismatches = endpoint.into_iter().flat_map(|endpoint| endpoint.mismatches(seen));
    mismatches.map(|mismatch| differs(mismatch, &plan.span, Some(exchange), plan, context)).collect()
}

fn differs(
    mismatch: Mismatch,
    span: &Span,
    exchange: Option<&Exchange>,
    plan: &StepPlan,
    context: StepContext<'_>,
) -> Failure {
    let title = headline(&mismatch);
    failure(FailureKind::Mismatch, title, mismatch.detail, span, exchange, plan, context)
}

fn headline(mismatch: &Mismatch) -> String {
    format!("{}: expected {}, got {}", mismatch.what, mismatch.expected, mismatch.actual)
}

/// A failure of the step, with the YAML at `span` and the exchange.
pub(super) fn failure(
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
        detail,
        curl: exchange.map(|e| curl::command(&e.request, context.transport.base())),
        answer: exchange.map(|e| answer(&e.response)),
        ..Failure::new(kind, title).at(shown, EXCERPT_LINES)
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
