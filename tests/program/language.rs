//! What cases can express, seen from the requests they cause.

use axum::response::{IntoResponse, Json};
use insta::assert_snapshot;
use serde_json::json;

use crate::provider::Provider;
use crate::support::{Output, Project};

/// Runs these cases against a mock of a stack that answers a `GET` with its path and number, and anything else
/// with what it was sent.
fn run(yaml: &str) -> (Output, Provider) {
    let stack = Provider::start(|asked| async move {
        let (method, path) = asked.what.split_once(' ').expect("has a path");
        match method {
            "GET" => Json(json!({"path": path, "number": asked.number, "items": [{"id": "a"}, {"id": "b"}]}))
                .into_response(),
            _ => asked.body.into_response(),
        }
    });
    let output = Project::cases(yaml).run(&["--stack-config", &stack.url(), "-j1"]);
    (output, stack)
}

/// Runs a case that passes; gives what was asked.
#[track_caller]
fn passes(yaml: &str) -> String {
    let (output, stack) = run(yaml);
    assert_eq!(output.code, Some(0), "{output}");
    let asked = stack.asked();
    let lines =
        asked.iter().skip(1).map(|asked| format!("{} {}", asked.what, String::from_utf8_lossy(&asked.body)));
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn kept_values_and_arithmetic() {
    let asked = passes(
        r#"
vars: {base: 40}
cases:
  - name: a
    rows: [{id: two, add: 2}, {id: half, add: 0.5}]
    vars: {sum: "${{ base + row.add }}", shout: "${{ row.id | upper }}!"}
    steps:
      - get: /items
        keep: {number: $.number, ids: "$.items[*].id", first: "$.items[0]", doubled: {value: "${{ number * 2 }}"}}
        expect:
          - value: {of: "${{ doubled - number }}", equals: "${{ number }}"}
      - post: "/sum/${{ first.id }}"
        query: {order: asc, limit: "${{ ids | length }}", after: null}
        headers: {x-sum: "${{ sum }}"}
        body: {json: {sum: "${{ sum }}", text: "is ${{ sum }}", more: "${{ sum + 0.0001 }}", ids: "${{ ids }}", shout: "${{ shout }}"}}
        expect:
          - json: {at: $.sum, equals: "${{ sum }}"}
          - assert: "'a' in ids"
"#,
    );
    assert_snapshot!(asked, @r#"
    GET /items
    POST /sum/a?order=asc&limit=2 {"sum":42,"text":"is 42","more":42.0001,"ids":["a","b"],"shout":"TWO!"}
    GET /items
    POST /sum/a?order=asc&limit=2 {"sum":40.5,"text":"is 40.5","more":40.5001,"ids":["a","b"],"shout":"HALF!"}
    "#);
}

#[test]
fn for_each_over_what_came_back() {
    let asked = passes(
        r#"
cases:
  - name: a
    steps:
      - get: /items
        keep: {items: $.items}
      - for_each: {item: "${{ items }}"}
        get: "/items/${{ item.id }}"
        keep: {paths: $.path}
        expect: [{json: {at: $.path, ends_with: "${{ item.id }}"}}]
      - expect:
          - value: {of: "${{ paths }}", equals: [/items/a, /items/b]}
      - for_each: {item: []}
        get: /never
        expect: [{status: 200}]
"#,
    );
    assert_snapshot!(asked, @"
    GET /items
    GET /items/a
    GET /items/b
    ");
}

#[test]
fn for_each_stops_at_the_item_that_fails() {
    let (output, stack) = run(r#"
cases:
  - name: a
    steps:
      - for_each: {item: [a, b, c]}
        get: "/items/${{ item }}"
        expect: [{json: {at: $.path, not_equals: /items/b}}]
"#);
    assert_eq!(
        (output.code, stack.log()),
        (Some(1), ["GET /v1/health", "GET /items/a", "GET /items/b"].map(str::to_owned).to_vec())
    );
}

#[test]
fn conditional_steps() {
    let asked = passes(
        r#"
cases:
  - name: a
    rows: [{id: yes_please, more: true}, {id: no_thanks, more: false}]
    steps:
      - {get: /always, expect: [{status: 200}]}
      - {if: row.more, get: /more, expect: [{status: 200}]}
"#,
    );
    assert_snapshot!(asked, @"
    GET /always
    GET /more
    GET /always
    ");
}

#[test]
fn poll_until_it_holds() {
    let asked = passes(
        r#"
cases:
  - name: a
    steps:
      - get: /job
        poll: {within: 60s, every: 1ms}
        keep: {number: $.number}
        expect: [{json: {at: $.number, min: 3}}]
      - expect: [{assert: number == 3}]
"#,
    );
    assert_snapshot!(asked, @"
    GET /job
    GET /job
    GET /job
    ");
}

#[test]
fn poll_that_runs_out_fails_or_skips() {
    let (output, _stack) = run(r#"
cases:
  - name: fails
    steps: [{get: /job, poll: {within: 30ms, every: 5ms}, expect: [{json: {at: $.path, equals: done}}]}]
  - name: skips
    steps: [{get: /job, poll: {within: 30ms, every: 5ms, timeout_is: skip}, expect: [{json: {at: $.path, equals: done}}]}]
"#);
    let number = regex::Regex::new(r#""number":\d+"#).expect("compiles");
    assert_snapshot!(number.replace_all(&output.to_string(), r#""number":[n]"#), @r#"
    exit 1
    --- stdout
    all cases: 2 trials against http://127.0.0.1:[port] (replay, [jobs])
      FAIL   0.00s a::fails
      SKIP   0.00s a::skips  test_cases/a.yaml:6: did not hold within 0.00s

    --- a::fails ---
    test_cases/a.yaml:4: after polling for 0.00s: $.path: expected "done", got "/job"
          4 |     steps: [{get: /job, poll: {within: 30ms, every: 5ms}, expect: [{json: {at: $.path, equals: done}}]}]
      request:
        curl -sS -X GET 'http://127.0.0.1:[port]/job' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'
      answer:
        HTTP 200 OK application/json
        {"path":"/job","number":[n],"items":[{"id":"a"},{"id":"b"}]}

    skipped:
         1  test_cases/a.yaml:6: did not hold within 0.00s

    0 passed, 1 failed, 1 skipped in 0.00s
    "#);
}

#[test]
fn poll_ends_at_once_in_an_unwanted_state() {
    let (output, stack) = run(r#"
cases:
  - name: a
    steps:
      - get: /job
        poll: {within: 1h, every: 1ms, unless: [{json: {at: $.number, min: 2}}]}
        expect: [{json: {at: $.path, equals: done}}]
"#);
    assert_eq!((output.code, stack.log().len()), (Some(1), 3));
    assert!(
        output.stdout.contains("test_cases/a.yaml:6: polling ended: this state was not wanted"),
        "{output}"
    );
}

#[test]
fn multipart_uploads() {
    let yaml = r#"
cases:
  - name: a
    steps:
      - post: /v1/files
        body:
          multipart:
            purpose: assistants
            "expires_after[seconds]": "${{ 60 * 60 }}"
            text: {filename: a.txt, content_type: text/plain, text: "Hi ${{ trial.id }}"}
            lines: {filename: b.jsonl, jsonl: [{n: 1}, {n: "${{ 1 + 1 }}"}]}
            file: {filename: c.bin, path: files/c.bin}
        expect:
          - status: 200
"#;
    let stack = Provider::start(|asked| async move { asked.body.into_response() });
    let project = Project::cases(yaml).file("files/c.bin", "bytes");
    assert_eq!(project.run(&["--stack-config", &stack.url()]).code, Some(0));
    let asked = stack.asked().pop().expect("was asked");
    let content_type = asked.headers["content-type"].to_str().expect("is text");
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("has a boundary");
    let body = String::from_utf8(asked.body.to_vec()).expect("is text");
    assert_snapshot!(body.replace(boundary, "[boundary]").replace('\r', ""), @r#"
    --[boundary]
    Content-Disposition: form-data; name="purpose"

    assistants
    --[boundary]
    Content-Disposition: form-data; name="expires_after[seconds]"

    3600
    --[boundary]
    Content-Disposition: form-data; name="text"; filename="a.txt"
    Content-Type: text/plain

    Hi a::a
    --[boundary]
    Content-Disposition: form-data; name="lines"; filename="b.jsonl"
    Content-Type: application/octet-stream

    {"n":1}
    {"n":2}

    --[boundary]
    Content-Disposition: form-data; name="file"; filename="c.bin"
    Content-Type: application/octet-stream

    bytes
    --[boundary]--
    "#);
}

#[test]
fn client_profiles_are_an_axis() {
    let (output, stack) = run(r#"
cases:
  - name: a
    clients: [openai_client, llama_stack_client]
    steps: [{get: /x, expect: [{status: 200}]}]
"#);
    assert_eq!(output.code, Some(0), "{output}");
    let header = |name: &str| -> Vec<String> {
        let of = |asked: crate::provider::Asked| {
            asked.headers.get(name).map_or_else(String::new, |v| v.to_str().expect("is text").to_owned())
        };
        stack.asked().into_iter().skip(1).map(of).collect()
    };
    assert_eq!(header("authorization"), ["Bearer fake", ""]);
    assert_eq!(header("user-agent"), ["OpenAI/Python runner", "LlamaStackClient/Python runner"]);
}

#[test]
fn a_name_that_is_undefined_only_at_run_time() {
    let (output, _stack) = run(
        "cases:\n  - name: a\n    steps:\n      - {get: /x, keep: {answer: $}, expect: [{status: 200}]}\n      - {get: \"/${{ answer.nmuber }}\", expect: [{status: 200}]}\n",
    );
    assert_snapshot!(output, @r#"
    exit 1
    --- stdout
    all cases: 1 trial against http://127.0.0.1:[port] (replay, [jobs])
      FAIL   0.00s a::a

    --- a::a ---
    test_cases/a.yaml:5: `answer.nmuber` is undefined at `answer.nmuber`; known: items, number, path
          5 |       - {get: "/${{ answer.nmuber }}", expect: [{status: 200}]}

    0 passed, 1 failed in 0.00s
    "#);
}
