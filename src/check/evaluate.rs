//! Holds a check against what was seen.

use serde_json::Value;

use super::describe::describe_all;
use super::error_shape::{error_message, stream_error};
use super::kinds::{Check, ErrorIs, PathCheck, ProviderCall, StreamIs, Terminal, Which};
use super::matching::{check_count, check_document, check_found};
use super::mismatch::{Mismatch, show};
use super::misuse::{misuses, misuses_of_range};
use super::scalar::{StatusCodes, StatusIs};
use super::seen::{ProviderRequestSeen, Seen};
use super::stream::check_stream;

/// `Ok` when the check holds, otherwise everything in which it does not.
pub fn evaluate(check: &Check<Value>, seen: &Seen<'_>) -> Result<(), Vec<Mismatch>> {
    let mut wrong = Vec::new();
    for problem in problems(check) {
        wrong.push(Mismatch::new(check.name(), "a check that can be made", problem));
    }
    if wrong.is_empty()
        && let Err(mismatch) = look(check, seen, &mut wrong)
    {
        wrong.push(mismatch);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The error is what kept the check from being made at all.
fn look(check: &Check<Value>, seen: &Seen<'_>, out: &mut Vec<Mismatch>) -> Result<(), Mismatch> {
    match check {
        Check::Status(status) => {
            let actual = seen.response()?.status.as_u16();
            match codes(status)? {
                codes if codes.iter().any(|codes| codes.contains(actual)) => {}
                codes => out.push(wrong_status(&codes, seen, actual)),
            }
        }
        Check::Header { name, check } => {
            let value = seen.header(name)?.map(Value::String);
            check_optional(check, value.as_ref(), &format!("header {name}"), out);
        }
        Check::Body(check) => check_document(check, &Value::from(seen.text()?), "body", out),
        Check::BodyBase64(check) => check_document(check, &Value::from(seen.base64()?), "body_base64", out),
        Check::Json(check) => check_document(check, seen.json()?, "$", out),
        Check::Events(check) => check_document(check, seen.events()?, "events", out),
        Check::Assembled(check) => check_document(check, seen.assembled()?, "assembled", out),
        Check::Joined(check) => {
            let joined = seen.joined(&check.at)?.map(Value::String);
            let found = joined.as_ref().map(|text| (format!("joined {}", check.at), text));
            let hint = || Some(format!("no event has text at {}", check.at));
            check_found(check, found.into_iter().collect(), &format!("joined {}", check.at), hint, out);
        }
        Check::Value { of, check } => check_document(check, of, "value", out),
        Check::Error(error) => check_error(error, seen, out)?,
        Check::Stream(stream) => check_stream(stream, seen, out)?,
        Check::ProviderRequest { call, which, check } => {
            check_provider(call, *which, check, seen.provider_requests, out);
        }
        Check::ProviderCalls { call, count } => {
            let made = seen.provider_requests.iter().filter(|request| is_meant(call, request)).count();
            let what = format!("provider calls{}", call_name(call));
            let wrong = check_count(made, count, &what, "calls");
            out.extend(wrong.map(|wrong| wrong.with(overview(seen.provider_requests))));
        }
        Check::Assert(Value::Bool(true)) => {}
        Check::Assert(other) => out.push(Mismatch::new("assert", "true", show(other))),
    }
    Ok(())
}

/// A document that may be absent as a whole.
fn check_optional(check: &PathCheck<Value>, value: Option<&Value>, what: &str, out: &mut Vec<Mismatch>) {
    match value {
        Some(value) => check_document(check, value, what, out),
        None => check_found(check, Vec::new(), what, || None, out),
    }
}

fn codes(status: &StatusIs<Value>) -> Result<Vec<StatusCodes>, Mismatch> {
    match status {
        StatusIs::OneOf(codes) => Ok(codes.clone()),
        StatusIs::Computed(value) => StatusCodes::from_value(value)
            .map_err(|problem| Mismatch::new("status", "an HTTP status to compare with", problem)),
    }
}

fn wrong_status(codes: &[StatusCodes], seen: &Seen<'_>, actual: u16) -> Mismatch {
    let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
    Mismatch::new("status", codes.join(" or "), actual.to_string())
        .with(format!("received {}", seen.summary()))
}

fn check_error(error: &ErrorIs<Value>, seen: &Seen<'_>, out: &mut Vec<Mismatch>) -> Result<(), Mismatch> {
    let actual = seen.response()?.status.as_u16();
    let default = if error.in_stream { vec![StatusCodes::Class(2)] } else { ANY_ERROR.to_vec() };
    let codes = error.status.as_ref().map(codes).transpose()?.unwrap_or(default);
    if !codes.iter().any(|codes| codes.contains(actual)) {
        out.push(wrong_status(&codes, seen, actual));
        return Ok(());
    }
    let message = if error.in_stream {
        let events = seen.events()?.as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(message) = events.iter().find_map(stream_error) else {
            let last = events.last().map_or("none".to_owned(), show);
            let actual = format!("{} events without one, the last: {last}", events.len());
            return Err(Mismatch::new("stream", "an event with an error", actual));
        };
        message
    } else {
        let body = &seen.response()?.body;
        let known = serde_json::from_slice(body).ok().and_then(|body| error_message(&body));
        known.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
    };
    if !error.message.is_empty() {
        let check = PathCheck::whole(error.message.clone());
        check_document(&check, &Value::String(message), "error message", out);
    }
    Ok(())
}

const ANY_ERROR: [StatusCodes; 2] = [StatusCodes::Class(4), StatusCodes::Class(5)];

fn check_provider(
    call: &ProviderCall,
    which: Which,
    check: &PathCheck<Value>,
    requests: &[ProviderRequestSeen],
    out: &mut Vec<Mismatch>,
) {
    // Requests without JSON, such as for a list of models, have nothing to look into.
    let meant: Vec<_> =
        requests.iter().filter(|request| is_meant(call, request) && !request.body.is_null()).collect();
    let at = |number: usize| {
        let request = meant.get(number.checked_sub(1)?)?;
        let mut found = Vec::new();
        check_document(check, &request.body, &format!("provider request {number} $"), &mut found);
        Some(found)
    };
    let missing = |expected: &str| {
        Mismatch::new("provider requests", format!("{expected}{}", call_name(call)), overview(requests))
    };
    match which {
        _ if meant.is_empty() => out.push(missing("1 or more with a body")),
        Which::Every => out.extend((1..=meant.len()).filter_map(at).flatten()),
        Which::Last => out.extend(at(meant.len()).unwrap_or_default()),
        Which::Nth(number) => match at(number.get()) {
            Some(found) => out.extend(found),
            None => out.push(missing(&format!("{number} or more with a body"))),
        },
        Which::Some => {
            let tried: Vec<_> = (1..=meant.len()).filter_map(at).collect();
            if !tried.iter().any(Vec::is_empty) {
                let expected = format!("one with {} {}", check.at, describe_all(&check.matchers));
                let reasons: Vec<_> = tried
                    .iter()
                    .filter_map(|found| found.first())
                    .take(5)
                    .map(|it| format!("{}: {}", it.what, it.actual))
                    .collect();
                let mismatch =
                    Mismatch::new("provider requests", expected, format!("none of {}", meant.len()));
                out.push(mismatch.with(reasons.join("\n")));
            }
        }
    }
}

fn is_meant(call: &ProviderCall, request: &ProviderRequestSeen) -> bool {
    let path = path_only(&request.path);
    let endpoint = call.endpoint.as_deref().map(|endpoint| endpoint.trim_matches('/'));
    let meant = endpoint.is_none_or(|endpoint| {
        path.trim_end_matches('/').strip_suffix(endpoint).is_some_and(|before| before.ends_with('/'))
    });
    meant && call.provider.as_ref().is_none_or(|provider| *provider == request.provider)
}

fn path_only(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

fn call_name(call: &ProviderCall) -> String {
    let endpoint = call.endpoint.as_ref().map(|endpoint| format!(" to {endpoint}")).unwrap_or_default();
    let provider = call.provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
    format!("{endpoint}{provider}")
}

/// All requests, in order of their first, counted.
fn overview(requests: &[ProviderRequestSeen]) -> String {
    let mut calls: Vec<(String, usize)> = Vec::new();
    for request in requests {
        let call = format!("{} {} ({})", request.method, path_only(&request.path), request.provider);
        match calls.iter_mut().find(|(known, _)| *known == call) {
            Some((_, count)) => *count += 1,
            None => calls.push((call, 1)),
        }
    }
    let calls: Vec<_> = calls.iter().map(|(call, count)| format!("{call} ×{count}")).collect();
    if calls.is_empty() { "the stack made no requests".to_owned() } else { calls.join(", ") }
}

/// Expected values that make no sense, so that the check cannot be made.
fn problems(check: &Check<Value>) -> Vec<String> {
    let mut out = Vec::new();
    match check {
        Check::Header { check, .. }
        | Check::Body(check)
        | Check::BodyBase64(check)
        | Check::Json(check)
        | Check::Events(check)
        | Check::Assembled(check)
        | Check::Joined(check)
        | Check::Value { check, .. }
        | Check::ProviderRequest { check, .. } => misuses(&check.matchers, &mut out),
        Check::Error(error) => misuses(&error.message, &mut out),
        Check::ProviderCalls { count, .. } => misuses_of_range("count", count, &mut out),
        Check::Stream(stream) => problems_of_stream(stream, &mut out),
        Check::Status(_) | Check::Assert(_) => {}
    }
    out
}

fn problems_of_stream(stream: &StreamIs<Value>, out: &mut Vec<String>) {
    misuses_of_range("events", &stream.events, out);
    if let Some(Terminal::Event(check)) = &stream.terminal {
        misuses(&check.matchers, out);
    }
    let between = stream.between.iter();
    let between = between.flat_map(|rule| [Some(&rule.event), rule.after.as_ref(), rule.before.as_ref()]);
    let names = [stream.first.as_ref(), stream.last.as_ref()].into_iter().chain(between).flatten();
    for name in names.chain(&stream.in_order).filter(|name| !name.is_string()) {
        out.push(format!("names of events are texts, and {} is none", show(name)));
    }
}
