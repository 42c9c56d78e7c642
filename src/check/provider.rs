//! What the stack sent to its provider meanwhile.

use serde_json::Value;

use super::describe::describe_all;
use super::kinds::{PathCheck, ProviderCall, Which};
use super::matching::{check_count, check_document};
use super::mismatch::Mismatch;
use super::scalar::Range;
use super::seen::ProviderRequestSeen;

/// Holds the bodies of the selected requests against a check.
pub(super) fn check_requests(
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

/// Counts the selected requests, those without a body too.
pub(super) fn check_calls(
    call: &ProviderCall,
    count: &Range<Value>,
    requests: &[ProviderRequestSeen],
    out: &mut Vec<Mismatch>,
) {
    let made = requests.iter().filter(|request| is_meant(call, request)).count();
    let wrong = check_count(made, count, &format!("number of provider calls{}", call_name(call)));
    out.extend(wrong.map(|wrong| wrong.with(overview(requests))));
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use serde_json::json;

    use super::super::testing::{response, verdict};
    use super::super::{Check, Matcher, Path};
    use super::*;

    type M = Matcher<Value>;

    fn requests() -> Vec<ProviderRequestSeen> {
        let request = |method: &str, path: &str, provider: &str, body: Value| ProviderRequestSeen {
            method: method.to_owned(),
            path: path.to_owned(),
            provider: provider.to_owned(),
            body,
        };
        vec![
            request("GET", "/v1/models", "vllm", Value::Null),
            request("POST", "/v1/chat/completions?x=1", "vllm", json!({"messages": [1]})),
            request("POST", "/v1/chat/completions", "vllm", json!({"messages": [1, 2, 3]})),
            request("POST", "/api/generate", "ollama", json!({"prompt": "p"})),
        ]
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "calls read better without references")]
    fn check(check: Check<Value>, want: &str) {
        assert_eq!(verdict(&check, &response(200, "application/json", "{}"), &requests()), want);
    }

    fn chat() -> ProviderCall {
        ProviderCall { provider: None, endpoint: Some("/chat/completions".to_owned()) }
    }

    #[test]
    fn requests_to_the_provider() {
        let length = |call: ProviderCall, which, min: u64| Check::ProviderRequest {
            call,
            which,
            check: PathCheck::new(
                Path::parse("$.messages").unwrap(),
                vec![M::Length(Range::at_least(json!(min)))],
            ),
        };
        let nth = |n| Which::Nth(NonZeroUsize::new(n).unwrap());
        check(length(chat(), Which::Every, 1), "");
        let vllm = ProviderCall { provider: Some("vllm".to_owned()), endpoint: None };
        check(length(vllm, Which::Every, 1), "");
        check(length(chat(), Which::Some, 3), "");
        check(length(chat(), Which::Last, 3), "");
        check(length(chat(), nth(2), 3), "");
        check(
            length(chat(), Which::Every, 2),
            "provider request 1 $.messages\n  expected: length 2 or more\n  actual:   length 1: [1]",
        );
        check(
            length(chat(), Which::Some, 4),
            "provider requests\n  expected: one with $.messages length 4 or more\n  actual:   none of 2\n    \
             provider request 1 $.messages: length 1: [1]\n    provider request 2 $.messages: length 3: [1,2,3]",
        );
        let overview =
            "GET /v1/models (vllm) ×1, POST /v1/chat/completions (vllm) ×2, POST /api/generate (ollama) ×1";
        check(
            length(chat(), nth(3), 1),
            &format!(
                "provider requests\n  expected: 3 or more with a body to /chat/completions\n  actual:   {overview}"
            ),
        );
        let embeddings = ProviderCall { endpoint: Some("embeddings".to_owned()), ..ProviderCall::default() };
        check(
            length(embeddings, Which::Every, 1),
            &format!(
                "provider requests\n  expected: 1 or more with a body to embeddings\n  actual:   {overview}"
            ),
        );
        let ollama = ProviderCall { provider: Some("ollama".to_owned()), endpoint: None };
        let prompt = PathCheck::new(Path::parse("$.prompt").unwrap(), vec![M::Equals(json!("p"))]);
        check(Check::ProviderRequest { call: ollama, which: Which::Every, check: prompt }, "");
    }

    #[test]
    fn calls_are_counted() {
        let count = |call, range| Check::ProviderCalls { call, count: range };
        check(count(ProviderCall::default(), Range::exact(json!(4))), "");
        check(count(chat(), Range { min: Some(json!(1)), max: Some(json!(2)) }), "");
        let tail = ProviderCall { endpoint: Some("/completions".to_owned()), ..ProviderCall::default() };
        check(count(tail, Range::exact(json!(2))), "");
        let part = ProviderCall { endpoint: Some("/pletions".to_owned()), ..ProviderCall::default() };
        check(count(part, Range::exact(json!(0))), "");
        check(
            count(chat(), Range::at_most(json!(1))),
            "number of provider calls to /chat/completions\n  expected: at most 1\n  actual:   2\n    \
             GET /v1/models (vllm) ×1, POST /v1/chat/completions (vllm) ×2, POST /api/generate (ollama) ×1",
        );
    }
}
