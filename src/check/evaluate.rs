//! Holds a check against what was seen.

use serde_json::Value;

use super::error_shape::{error_message, stream_error};
use super::kinds::{Check, ErrorIs, PathCheck, StreamIs, Terminal};
use super::matching::{check_document, check_found};
use super::mismatch::{Mismatch, show};
use super::misuse::{misuses, misuses_of_range};
use super::provider::{check_calls, check_requests};
use super::scalar::{StatusCodes, StatusIs};
use super::seen::Seen;
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
            check_requests(call, *which, check, seen.provider_requests, out);
        }
        Check::ProviderCalls { call, count } => check_calls(call, count, seen.provider_requests, out),
        Check::McpCalls { server, method, tool, check } => {
            let calls = seen.mcp_calls(server, method, tool.as_deref());
            check_document(check, &Value::Array(calls), "mcp_calls", out);
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
            let actual = format!("none among {}, the last: {last}", events.len());
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
        | Check::McpCalls { check, .. }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{response, sse, verdict};
    use super::super::{Matcher, Parse, Path, Range};
    use super::*;
    use crate::http::Response;

    type M = Matcher<Value>;

    fn json_response(status: u16, body: &Value) -> Response {
        response(status, "application/json", body.to_string())
    }

    fn at(path: &str, matchers: Vec<M>) -> PathCheck<Value> {
        PathCheck::new(Path::parse(path).unwrap(), matchers)
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "calls read better without references")]
    fn check(check: Check<Value>, response: &Response, want: &str) {
        assert_eq!(verdict(&check, response, &[]), want);
    }

    #[test]
    fn statuses() {
        let not_found = json_response(404, &json!({"detail": "no such model"}));
        let status = |codes: Value| Check::Status(StatusIs::Computed(codes));
        check(status(json!(404)), &not_found, "");
        check(status(json!([200, "4xx"])), &not_found, "");
        check(
            Check::Status(StatusIs::OneOf(vec![StatusCodes::Exact(200), StatusCodes::Class(3)])),
            &not_found,
            "status\n  expected: 200 or 3xx\n  actual:   404\n    \
             received status 404, application/json: {\"detail\":\"no such model\"}",
        );
        check(
            status(json!("ok")),
            &not_found,
            "status\n  expected: an HTTP status to compare with\n  \
             actual:   `ok` is no HTTP status; write a code such as 404 or a class such as 4xx",
        );
    }

    #[test]
    fn headers_and_bodies() {
        let text = response(200, "text/plain", "line 1\nline 2\n");
        let header =
            |name: &str, matchers| Check::Header { name: name.to_owned(), check: PathCheck::whole(matchers) };
        check(header("Content-Type", vec![M::Equals(json!("text/plain"))]), &text, "");
        check(header("x-none", vec![M::Exists(false)]), &text, "");
        check(
            header("x-none", vec![M::Contains(json!("a"))]),
            &text,
            "header x-none\n  expected: containing \"a\"\n  actual:   nothing found",
        );
        check(Check::Body(PathCheck::whole(vec![M::Contains(json!("line 2"))])), &text, "");
        check(
            Check::Body(PathCheck::whole(vec![M::Equals(json!("line 1\nline two\n"))])),
            &text,
            "body\n  expected: \"line 1\\nline two\\n\"\n  actual:   \"line 1\\nline 2\\n\"\n    \
             difference (- expected, + actual):\n     line 1\n    -line two\n    +line 2",
        );
        let jsonl = response(200, "application/octet-stream", "{\"a\":1}\n{\"a\":2}\n");
        let rows = vec![M::Each(vec![M::At(vec![at("$.a", vec![M::Min(json!(1))])])])];
        check(Check::Body(PathCheck { parse: Some(Parse::Jsonl), ..PathCheck::whole(rows) }), &jsonl, "");
        let binary = response(200, "application/pdf", vec![0xff, 0x00]);
        check(
            Check::Body(PathCheck::whole(vec![])),
            &binary,
            "body\n  expected: UTF-8 text\n  actual:   2 bytes that are no text\n    \
             `body_base64` compares bodies that are no text",
        );
        check(Check::BodyBase64(PathCheck::whole(vec![M::Equals(json!("/wA="))])), &binary, "");
    }

    #[test]
    fn documents_of_json_and_streams() {
        let answer = json_response(200, &json!({"choices": [{"message": {"content": "Sol"}}]}));
        let content =
            |want: &str| Check::Json(at("$.choices[0].message.content", vec![M::Equals(json!(want))]));
        check(content("Sol"), &answer, "");
        check(
            content("Luna"),
            &answer,
            "$.choices[0].message.content\n  expected: \"Luna\"\n  actual:   \"Sol\"",
        );
        let stream = sse(&[
            r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"So"}}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"l"},"finish_reason":"stop"}]}"#,
            r#"{"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":3}}"#,
            "[DONE]",
        ]);
        let equals = |value: Value| vec![M::Equals(value)];
        check(
            Check::Events(at("$[*].id", vec![M::Count(Range::exact(json!(3))), M::Equals(json!("c"))])),
            &stream,
            "",
        );
        check(Check::Joined(at("$.choices[*].delta.content", equals(json!("Sol")))), &stream, "");
        check(Check::Assembled(at("$.choices[0].message.content", equals(json!("Sol")))), &stream, "");
        check(Check::Assembled(at("$.usage.total_tokens", equals(json!(3)))), &stream, "");
        check(
            Check::Joined(at("$.choices[*].delta.content", vec![M::ContainsFolded(json!("luna"))])),
            &stream,
            "joined $.choices[*].delta.content\n  expected: containing \"luna\", whatever the case and diacritics\n  \
             actual:   \"Sol\"",
        );
        check(
            Check::Joined(at("$.choices[*].delta.refusal", equals(json!("")))),
            &stream,
            "joined $.choices[*].delta.refusal\n  expected: \"\"\n  actual:   nothing found\n    \
             no event has text at $.choices[*].delta.refusal",
        );
        check(
            Check::Joined(at("$.usage.total_tokens", equals(json!("3")))),
            &stream,
            "events[2].usage.total_tokens\n  expected: strings to join\n  actual:   3",
        );
        check(
            Check::Events(at("$[0].choices[0].delta.content", equals(json!("x")))),
            &stream,
            "events[0].choices[0].delta.content\n  expected: \"x\"\n  actual:   \"So\"",
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let stream = sse(&["{}"]);
        let found = verdict(&Check::Json(PathCheck::whole(vec![])), &stream, &[]);
        assert!(
            found.ends_with("the response is a stream: `events`, `joined` and `assembled` look into it"),
            "{found}"
        );
        check(
            Check::Events(PathCheck::whole(vec![])),
            &json_response(400, &json!({"detail": "x"})),
            "stream\n  expected: a stream that can be read to its end\n  \
             actual:   the response is no stream but application/json\n    \
             received status 400, application/json: {\"detail\":\"x\"}",
        );
        check(
            Check::Events(PathCheck::whole(vec![])),
            &sse(&["{}", "{a}"]),
            "events[1]\n  expected: JSON\n  actual:   {a}\n    key must be a string at line 1 column 2",
        );
        check(
            Check::Assembled(PathCheck::whole(vec![])),
            &sse(&[r#"{"object":"chat.completion.chunk"}"#, r#"{"error":{"message":"busy"}}"#]),
            "assembled\n  expected: a stream that forms one object\n  \
             actual:   events: 2, the last: {\"error\":{\"message\":\"busy\"}}\n    events[1] is an error: busy",
        );
        let nothing = evaluate(&Check::Json(PathCheck::whole(vec![])), &Seen::new(None, &[])).unwrap_err();
        assert_eq!(nothing[0].actual, "this step sends no request");
    }

    #[test]
    fn errors_of_any_shape() {
        let detail = json_response(400, &json!({"detail": "Invalid value: tags must be a string"}));
        let error = |status: Option<u16>, message| {
            let status = status.map(|code| StatusIs::OneOf(vec![StatusCodes::Exact(code)]));
            Check::Error(ErrorIs { status, message, in_stream: false })
        };
        check(error(None, vec![]), &detail, "");
        check(error(Some(400), vec![M::ContainsFolded(json!(["TAGS", "string"]))]), &detail, "");
        check(
            error(None, vec![M::Contains(json!("metadata"))]),
            &detail,
            "error message\n  expected: containing \"metadata\"\n  actual:   \"Invalid value: tags must be a string\"",
        );
        let plain = response(502, "text/html", "<h1>Bad Gateway</h1>");
        check(error(None, vec![M::Contains(json!("Gateway"))]), &plain, "");
        check(
            error(Some(404), vec![]),
            &plain,
            "status\n  expected: 404\n  actual:   502\n    received status 502, text/html: <h1>Bad Gateway</h1>",
        );
        check(
            error(None, vec![]),
            &json_response(200, &json!({})),
            "status\n  expected: 4xx or 5xx\n  actual:   200\n    received status 200, application/json: {}",
        );
        let in_stream = |text: &str| {
            Check::Error(ErrorIs { status: None, message: vec![M::Contains(json!(text))], in_stream: true })
        };
        let broken = sse(&["{}", r#"{"error":{"message":"overloaded"}}"#]);
        check(in_stream("overloaded"), &broken, "");
        check(
            in_stream("overloaded"),
            &sse(&["{}"]),
            "stream\n  expected: an event with an error\n  actual:   none among 1, the last: {}",
        );
    }

    #[test]
    fn asserts_take_nothing_but_true() {
        let seen = Seen::new(None, &[]);
        assert_eq!(evaluate(&Check::Assert(json!(true)), &seen), Ok(()));
        for value in [json!(false), json!(null), json!(1), json!("true"), json!([])] {
            let found = evaluate(&Check::Assert(value.clone()), &seen).unwrap_err();
            assert_eq!(found, [Mismatch::new("assert", "true", value.to_string())]);
        }
    }
}
