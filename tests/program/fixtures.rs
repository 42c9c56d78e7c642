//! Fixtures, seen from the requests they cause: how often they are made, when they end, and what happens when they fail.

use std::sync::mpsc;

use axum::response::{IntoResponse, Json};
use insta::assert_snapshot;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::provider::Provider;
use crate::support::{Output, Project};

/// A stack that answers with the path it was asked for; `/broken` is a failure and `/hang` never answers.
fn stack(asked_to_hang: mpsc::Sender<()>) -> Provider {
    Provider::start(move |asked| {
        let path = asked.what.split(' ').nth(1).unwrap_or_default().to_owned();
        let asked_to_hang = asked_to_hang.clone();
        async move {
            if path.starts_with("/hang") {
                let _ = asked_to_hang.send(());
                std::future::pending::<()>().await;
            }
            let status = if path.starts_with("/broken") { 500 } else { 200 };
            let status = axum::http::StatusCode::from_u16(status).expect("is a status");
            (status, Json(json!({"path": path}))).into_response()
        }
    })
}

/// Runs a project against that stack; gives what it printed and what the stack was asked, its readiness aside.
fn run(project: &Project, args: &[&str]) -> (Output, String) {
    let stack = stack(mpsc::channel().0);
    let output = project.run(&[&["--stack-config", &stack.url()], args].concat());
    (output, asked(&stack))
}

fn asked(stack: &Provider) -> String {
    stack.log().into_iter().skip(1).collect::<Vec<_>>().join("\n")
}

/// Fixtures of every scope, each using the one that lives longer.
const SHARED: &str = r#"
fixtures:
  account:
    scope: run
    steps: [{post: /accounts, keep: {path: $.path}, expect: [{status: 200}]}]
    cleanup: [{delete: "${{ path }}", expect: [{status: 200}]}]
"#;

fn file(name: &str) -> String {
    format!(
        r#"
fixtures:
  store:
    scope: file
    uses: [account]
    steps: [{{post: "${{{{ account.path }}}}/{name}", keep: {{path: $.path}}, expect: [{{status: 200}}]}}]
    cleanup: [{{delete: "${{{{ path }}}}", expect: [{{status: 200}}]}}]
  item:
    uses: [store]
    steps: [{{post: "${{{{ store.path }}}}/${{{{ row.id }}}}", keep: {{path: $.path}}, expect: [{{status: 200}}]}}]
    cleanup: [{{delete: "${{{{ path }}}}", expect: [{{status: 200}}]}}]
cases:
  - name: uses
    rows: [{{id: one}}, {{id: two}}]
    uses: [item]
    vars: {{address: "${{{{ item.path }}}}?from=${{{{ row.id }}}}"}}
    steps: [{{get: "${{{{ address }}}}", expect: [{{status: 200}}]}}]
"#
    )
}

#[test]
fn each_scope_is_made_once_and_ends_with_its_last_user() {
    let project =
        Project::cases(&file("a")).file("test_cases/b.yaml", file("b")).file("fixtures/all.yaml", SHARED);
    let (output, asked) = run(&project, &["-j1"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_snapshot!(asked, @r"
    POST /accounts
    POST /accounts/a
    POST /accounts/a/one
    GET /accounts/a/one?from=one
    DELETE /accounts/a/one
    POST /accounts/a/two
    GET /accounts/a/two?from=two
    DELETE /accounts/a/two
    DELETE /accounts/a
    POST /accounts/b
    POST /accounts/b/one
    GET /accounts/b/one?from=one
    DELETE /accounts/b/one
    POST /accounts/b/two
    GET /accounts/b/two?from=two
    DELETE /accounts/b/two
    DELETE /accounts/b
    DELETE /accounts
    ");
}

#[test]
fn trials_side_by_side_wait_for_the_one_that_makes_it() {
    let rows: Vec<String> = (0..12).map(|row| format!("{{id: r{row}}}")).collect();
    let cases = file("a").replace("{id: one}, {id: two}", &rows.join(", "));
    let project = Project::cases(&cases).file("fixtures/all.yaml", SHARED);
    let (output, asked) = run(&project, &["-j8"]);
    assert_eq!(output.code, Some(0), "{output}");
    let count = |what: &str| asked.lines().filter(|line| *line == what).count();
    assert_eq!((count("POST /accounts"), count("POST /accounts/a")), (1, 1), "{asked}");
    assert!(asked.ends_with("DELETE /accounts/a\nDELETE /accounts"), "{asked}");
}

#[test]
fn a_fixture_that_fails_breaks_its_users_and_cleans_up_once() {
    let project = Project::cases(
        r#"
fixtures:
  store:
    scope: file
    steps:
      - {post: /made, keep: {path: $.path}, expect: [{status: 200}]}
      - {post: /broken, expect: [{status: 200}]}
    cleanup: [{delete: "${{ path }}", expect: [{status: 200}]}, {delete: /always, expect: [{status: 200}]}]
cases:
  - {name: one, uses: store, steps: [{get: /one, expect: [{status: 200}]}]}
  - {name: two, uses: store, steps: [{get: /two, expect: [{status: 200}]}]}
  - {name: three, steps: [{get: /three, expect: [{status: 200}]}]}
"#,
    );
    let (output, asked) = run(&project, &["-j1"]);
    assert_snapshot!(output, @r#"
    exit 1
    --- stdout
    all cases: 3 trials against http://127.0.0.1:[port] (replay, [jobs])
    BROKEN   0.00s a::one
    BROKEN   0.00s a::two
      PASS   0.00s a::three

    --- a::one ---
    test_cases/a.yaml:7: fixture `store`: status: expected 200, got 500
          7 |       - {post: /broken, expect: [{status: 200}]}
      received status 500, application/json: {"path":"/broken"}
      request:
        curl -sS -X POST 'http://127.0.0.1:[port]/broken' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'
      answer:
        HTTP 500 Internal Server Error application/json
        {"path":"/broken"}

    --- a::two ---
    test_cases/a.yaml:7: fixture `store`: status: expected 200, got 500
          7 |       - {post: /broken, expect: [{status: 200}]}
      received status 500, application/json: {"path":"/broken"}
      request:
        curl -sS -X POST 'http://127.0.0.1:[port]/broken' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'
      answer:
        HTTP 500 Internal Server Error application/json
        {"path":"/broken"}

    1 passed, 0 failed, 2 broken in 0.00s
    "#);
    assert_snapshot!(asked, @r"
    POST /made
    POST /broken
    DELETE /made
    DELETE /always
    GET /three
    ");
}

#[test]
fn cleanup_comes_after_failures_and_time_outs_and_its_own_failure_counts() {
    let project = Project::cases(
        r#"
fixtures:
  item:
    steps: [{post: /item, keep: {path: $.path}, expect: [{status: 200}]}]
    cleanup: [{delete: "${{ path }}", expect: [{status: 200}]}]
  sticky:
    scope: file
    steps: [{post: /sticky, expect: [{status: 200}]}]
    cleanup: [{delete: /broken, expect: [{status: 200}]}]
cases:
  - {name: fails, uses: item, steps: [{get: /broken, expect: [{status: 200}]}]}
  - {name: hangs, uses: item, timeout: 200ms, steps: [{get: /hang, expect: [{status: 200}]}]}
  - {name: passes, uses: sticky, steps: [{get: /ok, expect: [{status: 200}]}]}
"#,
    );
    let (output, asked) = run(&project, &["-j1"]);
    assert_snapshot!(output, @r#"
    exit 1
    --- stdout
    all cases: 3 trials against http://127.0.0.1:[port] (replay, [jobs])
      FAIL   0.00s a::fails
      FAIL   0.00s a::hangs
      FAIL   0.00s a::passes

    --- a::fails ---
    test_cases/a.yaml:11: status: expected 200, got 500
         11 |   - {name: fails, uses: item, steps: [{get: /broken, expect: [{status: 200}]}]}
      received status 500, application/json: {"path":"/broken"}
      request:
        curl -sS -X GET 'http://127.0.0.1:[port]/broken' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'
      answer:
        HTTP 500 Internal Server Error application/json
        {"path":"/broken"}

    --- a::hangs ---
    test_cases/a.yaml:12: the trial did not end within 0.2s; it was at this step
         12 |   - {name: hangs, uses: item, timeout: 200ms, steps: [{get: /hang, expect: [{status: 200}]}]}

    --- a::passes ---
    test_cases/a.yaml:9: fixture `sticky`: status: expected 200, got 500
          9 |     cleanup: [{delete: /broken, expect: [{status: 200}]}]
      received status 500, application/json: {"path":"/broken"}
      request:
        curl -sS -X DELETE 'http://127.0.0.1:[port]/broken' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'
      answer:
        HTTP 500 Internal Server Error application/json
        {"path":"/broken"}

    0 passed, 3 failed in 0.00s
    "#);
    assert_snapshot!(asked, @r"
    POST /item
    GET /broken
    DELETE /item
    POST /item
    GET /hang
    DELETE /item
    POST /sticky
    GET /ok
    DELETE /broken
    ");
}

#[test]
fn ctrl_c_takes_down_what_is_there() {
    let (asked_to_hang, hangs) = mpsc::channel();
    let stack = stack(asked_to_hang);
    let project = Project::cases(
        r#"
fixtures:
  store:
    scope: file
    steps: [{post: /store, keep: {path: $.path}, expect: [{status: 200}]}]
    cleanup: [{delete: "${{ path }}", expect: [{status: 200}]}]
cases:
  - {name: hangs, uses: store, steps: [{get: /hang, expect: [{status: 200}]}]}
  - {name: never, uses: store, steps: [{get: /never, expect: [{status: 200}]}]}
"#,
    );
    let child = project.start(&["--stack-config", &stack.url(), "-j1"]);
    hangs.recv().expect("the stack is asked");
    let output = project.stop(child, Signal::SIGINT);
    assert_eq!(output.code, Some(2), "{output}");
    assert_eq!(asked(&stack), "POST /store\nGET /hang\nDELETE /store");
}

#[test]
fn what_an_mcp_server_received_can_be_checked() {
    stack_runner::http::tls::install();
    // A stack that passes on a tool call: to the address and with the header that it was given.
    let stack = Provider::start(|asked| async move {
        let told = asked.json();
        let Some(url) = told["url"].as_str() else { return "{}".into_response() };
        let call = |id: u64, method: &str, params: serde_json::Value| {
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
        };
        let client = reqwest::Client::builder().no_proxy().build().expect("is made");
        let send = |session: Option<String>, body: String| {
            let mut request = client.post(url).header("accept", "application/json, text/event-stream");
            request = request.header("content-type", "application/json").body(body);
            if let Some(token) = told["headers"]["Authorization"].as_str() {
                request = request.header("authorization", token);
            }
            match session {
                Some(session) => request.header("mcp-session-id", session).send(),
                None => request.send(),
            }
        };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = send(None, call(1, "initialize", hello)).await.expect("answers");
        if answer.status() != 200 {
            return (answer.status(), "refused").into_response();
        }
        let session = answer.headers()["mcp-session-id"].to_str().expect("is text").to_owned();
        answer.text().await.expect("has a body");
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        send(Some(session.clone()), ready).await.expect("answers");
        let params = json!({"name": "get_boiling_point", "arguments": {"liquid_name": told["liquid"]}});
        let answer = send(Some(session), call(2, "tools/call", params)).await.expect("answers");
        answer.text().await.expect("has a body").into_response()
    });
    let project = Project::cases(
        r#"
fixtures:
  tools: {mcp: {tools: default, token: secret-of-the-test}}
cases:
  - name: calls
    uses: tools
    steps:
      - post: /call
        body: {json: {url: "${{ tools.url }}"}}
        expect:
          - status: 401
          - mcp_calls: {server: tools, method: refused, length: 1}
          - mcp_calls: {server: tools, length: 0}
      - post: /call
        body: {json: {url: "${{ tools.url }}", headers: "${{ tools.headers }}", liquid: myawesomeliquid}}
        expect:
          - body: {contains: '"text":"-100"'}
          - mcp_calls: {server: tools, tool: get_boiling_point, length: 1}
          - mcp_calls: {server: tools, at: "$[0].arguments.liquid_name", equals: myawesomeliquid}
          - mcp_calls: {server: tools, at: "$[0].headers.authorization", equals: "Bearer ${{ tools.token }}"}
  - name: is_told_apart
    uses: tools
    steps:
      - post: /call
        body: {json: {url: "${{ tools.url }}", headers: "${{ tools.headers }}", liquid: water}}
        expect:
          - mcp_calls: {server: tools, at: "$[*].arguments", equals: {liquid_name: beer}}
          - mcp_calls: {server: tools, tool: greet_everyone, length: {min: 1}}
"#,
    );
    assert_snapshot!(project.run(&["--stack-config", &stack.url(), "-j1"]), @r#"
    exit 1
    --- stdout
    all cases: 2 trials against http://127.0.0.1:[port] (replay, [jobs])
      PASS   0.00s a::calls
      FAIL   0.00s a::is_told_apart

    --- a::is_told_apart ---
    test_cases/a.yaml:27: mcp_calls[0].arguments: expected {"liquid_name":"beer"}, got {"liquid_name":"water"}
         27 |           - mcp_calls: {server: tools, at: "$[*].arguments", equals: {liquid_name: beer}}
      request:
        curl -sS -X POST 'http://127.0.0.1:[port]/call' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'content-type: application/json' \
          --data-binary '{"url":"http://127.0.0.1:[port]/mcp","headers":{"Authorization":"Bearer secret-of-the-test"},"liquid":"water"}'
      answer:
        HTTP 200 OK text/plain
        data: {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"-1"}],"structuredContent":{"result":-1},"isError":false}}
        id: 0/0
    test_cases/a.yaml:28: mcp_calls: expected length 1 or more, got length 0: []
         28 |           - mcp_calls: {server: tools, tool: greet_everyone, length: {min: 1}}

    1 passed, 1 failed in 0.00s
    "#);
}
