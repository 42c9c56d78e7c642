//! One step: send, keep, judge; repeated over a list or until it holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::event::{Failure, FailureKind};
use super::request;
use super::tap::{Slot, Tap};
use super::trace::{Asked, ExchangeLog};
use super::traffic::Traffic;
use super::verdict::{Exchange, Verdict, failure};
use crate::check::{Contract, Seen, evaluate};
use crate::http::client::{Transport, TransportError};
use crate::http::{BodyEnd, HeaderMap, curl};
use crate::plan::expression::{Scope, truthy};
use crate::plan::template::{FillError, Template};
use crate::plan::trial::{PollPlan, RequestPlan, StepPlan};
use crate::schema::step::PollTimeout;

/// What a step needs besides its plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepContext<'a> {
    pub transport: &'a Transport,
    pub profile: &'a HeaderMap,
    pub root: &'a std::path::Path,
    pub traffic: &'a Traffic,
    pub trial: &'a str,
    /// What the MCP servers that the trial uses received.
    pub servers: &'a BTreeMap<String, crate::mcp::Log>,
    /// What every answer is held against, besides what the step expects of it.
    pub contract: Option<&'a Contract>,
    /// What answers pass through before they are judged.
    pub tap: Option<&'a Tap>,
    /// Which of the trial's exchanges this is, for the tap.
    pub slot: Option<Slot>,
    /// Hears of every exchange.
    pub exchanges: &'a ExchangeLog,
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
    match items(plan, scope) {
        Ok(items) => over(plan, items, scope, context).await,
        Err(error) => StepEnd::Failed(vec![Failure::template(&error)]),
    }
}

/// Whether everything is known that a cleanup step starts from: the list it loops over, or else its path.
pub(super) fn ready(plan: &StepPlan, scope: &Scope) -> bool {
    match &plan.for_each {
        Some((_, list)) => list.fill(scope).is_ok(),
        None => plan.request.as_ref().is_none_or(|request| request.path.fill(scope).is_ok()),
    }
}

/// The items to run for: one nameless item without `for_each`.
fn items(plan: &StepPlan, scope: &Scope) -> Result<Vec<Value>, FillError> {
    let Some((_, list)) = &plan.for_each else { return Ok(vec![Value::Null]) };
    match list.fill(scope)? {
        Value::Array(items) => Ok(items),
        other => Err(FillError {
            message: format!("`for_each` needs a list, not {other}"),
            span: plan.span.clone(),
        }),
    }
}

fn applies(plan: &StepPlan, scope: &Scope) -> Result<bool, FillError> {
    plan.when.as_ref().map_or(Ok(true), |when| when.fill(scope).map(|value| truthy(&value)))
}

async fn over(plan: &StepPlan, items: Vec<Value>, scope: &mut Scope, context: StepContext<'_>) -> StepEnd {
    let mut kept: Vec<Scope> = Vec::new();
    let mut end = StepEnd::Passed;
    for item in items {
        let mut inner = scope.clone();
        if let Some((name, _)) = &plan.for_each {
            inner.insert(name.clone(), item);
        }
        match applies(plan, &inner) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => return StepEnd::Failed(vec![Failure::template(&error)]),
        }
        end = round(plan, &mut inner, context).await;
        kept.push(
            plan.keep.iter().filter_map(|(name, _)| Some((name.clone(), inner.get(name)?.clone()))).collect(),
        );
        if plan.for_each.is_none() {
            // What the steps of a group kept stays known after it.
            *scope = inner;
        }
        if !matches!(end, StepEnd::Passed) {
            // What was kept stays known all the same: the cleanup needs it.
            break;
        }
    }
    for (name, _) in &plan.keep {
        // A loop keeps the list of what each round kept.
        let mut values: Vec<Value> = kept.iter().filter_map(|round| round.get(name).cloned()).collect();
        let value = if plan.for_each.is_some() { Some(Value::Array(values)) } else { values.pop() };
        scope.extend(value.map(|value| (name.clone(), value)));
    }
    end
}

/// The step's own steps, then its own exchange.
async fn round(plan: &StepPlan, scope: &mut Scope, context: StepContext<'_>) -> StepEnd {
    if !plan.steps.is_empty() {
        match Box::pin(group(plan, scope, context)).await {
            StepEnd::Passed => {}
            other => return other,
        }
    }
    let slot = context.tap.filter(|_| plan.request.is_some()).map(Tap::slot);
    let context = StepContext { slot, ..context };
    match &plan.poll {
        Some(poll) => poll_until(plan, poll, scope, context).await,
        None => once(plan, scope, context).await,
    }
}

/// The steps of a group, once or as long as `repeat` says.
async fn group(plan: &StepPlan, scope: &mut Scope, context: StepContext<'_>) -> StepEnd {
    let mut rounds = 0;
    loop {
        for inner in &plan.steps {
            match run(inner, scope, context).await {
                StepEnd::Passed => {}
                other => return other,
            }
        }
        rounds += 1;
        let Some(repeat) = &plan.repeat else { return StepEnd::Passed };
        match repeat.again_while.fill(scope) {
            Ok(value) if !truthy(&value) => return StepEnd::Passed,
            Ok(_) if rounds < repeat.at_most => {}
            Ok(_) => {
                let title = format!("still to be repeated after {} rounds", repeat.at_most);
                return StepEnd::Failed(vec![failure(
                    FailureKind::Mismatch,
                    title,
                    None,
                    &plan.span,
                    None,
                    plan,
                    context,
                )]);
            }
            Err(error) => return StepEnd::Failed(vec![Failure::template(&error)]),
        }
    }
}

async fn poll_until(
    plan: &StepPlan,
    poll: &PollPlan,
    scope: &mut Scope,
    context: StepContext<'_>,
) -> StepEnd {
    let started = Instant::now();
    let mut pause = poll.every;
    let within = match (context.tap, context.slot) {
        (Some(tap), Some(slot)) => tap.within(slot, poll.within),
        _ => poll.within,
    };
    loop {
        let mut tried = scope.clone();
        let Attempt { verdict, exchange, corrupted } = attempt(plan, &mut tried, context).await;
        // What every state of the endpoint would keep is broken: there is nothing to wait for any more.
        if !verdict.breaches.is_empty() {
            *scope = tried;
            return StepEnd::Failed(verdict.breaches);
        }
        if let Some(answer) = &exchange
            && let Some(failures) = unwanted(plan, poll, &tried, answer, context)
        {
            *scope = tried;
            return StepEnd::Failed(failures);
        }
        if verdict.holds() {
            *scope = tried;
            return StepEnd::Passed;
        }
        // What the poll waited for had come; that it was corrupted will not change.
        if corrupted || started.elapsed() + pause >= within {
            *scope = tried;
            let waited = poll.within.as_secs_f64();
            return match poll.timeout_is {
                PollTimeout::Skip => {
                    StepEnd::Skipped(format!("{}: did not hold within {waited}s", plan.span.file_line()))
                }
                PollTimeout::Fail => {
                    let mut failures = verdict.into_failures();
                    if let Some(first) = failures.first_mut() {
                        first.title = format!("after polling for {waited}s: {}", first.title);
                    }
                    StepEnd::Failed(failures)
                }
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
    let verdict = attempt(plan, scope, context).await.verdict;
    if verdict.holds() { StepEnd::Passed } else { StepEnd::Failed(verdict.into_failures()) }
}

/// One try of a step.
struct Attempt {
    verdict: Verdict,
    exchange: Option<Exchange>,
    /// Whether the answer was corrupted before it was judged.
    corrupted: bool,
}

async fn attempt(plan: &StepPlan, scope: &mut Scope, context: StepContext<'_>) -> Attempt {
    let before = context.traffic.count(context.trial);
    let heard: Vec<usize> = context.servers.values().map(crate::mcp::Log::len).collect();
    let mut exchange = match &plan.request {
        None => None,
        Some(request) => match exchanged(request, plan, scope, context).await {
            Ok(exchange) => Some(exchange),
            Err(failure) => {
                let verdict = Verdict::unanswered(*failure);
                return Attempt { verdict, exchange: None, corrupted: false };
            }
        },
    };
    if plan.watches_provider() {
        context.traffic.complete().await;
    }
    let calls = context.traffic.seen(context.trial, before);
    let servers = context.servers.iter().zip(heard);
    let mcp: Vec<_> = servers.map(|((name, log), from)| (name.clone(), log.since(from))).collect();
    let judged = |scope: &mut Scope, exchange: Option<&Exchange>| {
        let seen = Seen::new(exchange.map(|e| &e.response), &calls).with_mcp(&mcp);
        Verdict::of(plan, scope, &seen, exchange, context)
    };
    let spoilt = exchange.as_ref().and_then(|e| context.tap?.corrupted(context.slot?, &e.response));
    // Of a poll's answers the one that would end it is corrupted: the others fail as they are.
    if spoilt.is_some() && plan.poll.is_some() {
        let verdict = judged(&mut scope.clone(), exchange.as_ref());
        if !verdict.holds() {
            return Attempt { verdict, exchange, corrupted: false };
        }
    }
    let corrupted = spoilt.is_some();
    if let (Some(exchange), Some(response)) = (&mut exchange, spoilt) {
        exchange.response = response;
    }
    Attempt { verdict: judged(scope, exchange.as_ref()), exchange, corrupted }
}

async fn exchanged(
    request: &RequestPlan,
    plan: &StepPlan,
    scope: &Scope,
    context: StepContext<'_>,
) -> Result<Exchange, Box<Failure>> {
    let made = request::make(request, scope, context.profile, context.root, &plan.span)
        .map_err(|error| Box::new(Failure::template(&error)))?;
    let timeout = request.timeout.unwrap_or(context.timeout);
    let asked = Asked { trial: context.trial, step: &plan.span, plan: request, timeout };
    match context.exchanges.send(context.transport, &made, asked).await {
        Ok(response) if request.abort_after.is_some() && response.end != BodyEnd::Aborted => {
            let wanted = request.abort_after.unwrap_or_default();
            let title = format!("the answer ended before it could be aborted after {wanted} events");
            let exchange = Exchange { request: made, response };
            let failed =
                failure(FailureKind::Mismatch, title, None, &plan.span, Some(&exchange), plan, context);
            Err(Box::new(failed))
        }
        Ok(response) => {
            if let (Some(tap), Some(slot)) = (context.tap, context.slot) {
                tap.hear(slot, &response, &plan.span);
            }
            Ok(Exchange { request: made, response })
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::Check;
    use crate::plan::trial::{BodyPlan, KeepPlan};
    use crate::source::{Located, Problems, SourceFile, Span};

    fn scope(value: Value) -> Scope {
        let Value::Object(scope) = value else { panic!("not an object") };
        scope
    }

    /// A step with a loop, a path, an expectation and kept values, each an expression.
    fn step(
        over: Option<&str>,
        path: Option<&str>,
        expected: Option<&str>,
        kept: &[(&str, &str)],
    ) -> StepPlan {
        let span = Span { file: SourceFile::inline("a.yaml", "x"), start: 0, end: 1 };
        let text = |text: &str| Template::text(text, &span, &mut Problems::default());
        let request = |path: &str| RequestPlan {
            method: http::Method::DELETE,
            path: text(path),
            query: Vec::new(),
            headers: Vec::new(),
            body: BodyPlan::None,
            timeout: None,
            abort_after: None,
        };
        let keep = |value: &str| Located::new(KeepPlan::Value(text(value)), span.clone());
        StepPlan {
            name: None,
            request: path.map(request),
            for_each: over.map(|list| ("n".to_owned(), text(list))),
            steps: Vec::new(),
            repeat: None,
            when: None,
            poll: None,
            expect: expected
                .map(|e| Located::new(Check::Assert(text(e)), span.clone()))
                .into_iter()
                .collect(),
            keep: kept.iter().map(|(name, value)| ((*name).to_owned(), keep(value))).collect(),
            span: span.clone(),
        }
    }

    #[test]
    fn a_cleanup_step_is_ready_when_its_list_or_else_its_path_is_known() {
        let known = scope(json!({"id": 1, "ids": [1]}));
        let check =
            |over, path, want| assert_eq!(ready(&step(over, path, None, &[]), &known), want, "{path:?}");
        check(None, Some("/v1/files/${{ id }}"), true);
        check(None, Some("/v1/files/${{ other }}"), false);
        check(Some("${{ ids }}"), Some("/v1/files/${{ n }}"), true);
        check(Some("${{ others }}"), Some("/v1/files/${{ n }}"), false);
        check(None, None, true);
    }

    #[tokio::test]
    async fn a_failing_step_leaves_what_it_kept_to_the_cleanup() {
        let traffic = Traffic::unseen();
        let context = StepContext {
            transport: &Transport::network("http://127.0.0.1:9").expect("an address"),
            profile: &HeaderMap::new(),
            root: std::path::Path::new("."),
            traffic: &traffic,
            trial: "t",
            servers: &BTreeMap::new(),
            contract: None,
            tap: None,
            slot: None,
            exchanges: &ExchangeLog::default(),
            timeout: Duration::from_secs(1),
        };
        let mut known = scope(json!({}));
        let end =
            run(&step(None, None, Some("${{ id == 2 }}"), &[("id", "${{ 1 }}")]), &mut known, context).await;
        assert!(matches!(end, StepEnd::Failed(_)), "{end:?}");
        let looping = step(Some("${{ [1, 2, 3] }}"), None, Some("${{ n < 2 }}"), &[("ids", "${{ n * 10 }}")]);
        let end = run(&looping, &mut known, context).await;
        assert!(matches!(end, StepEnd::Failed(_)), "{end:?}");
        assert_eq!(Value::Object(known), json!({"id": 1, "ids": [10, 20]}));
    }
}
