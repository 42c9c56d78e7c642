//! How trials end, what is printed of it, and when a run stops.

use axum::response::IntoResponse;
use insta::assert_snapshot;

use crate::provider::{Provider, SAYS_SOL, completion};
use crate::support::Project;

/// Cases that ask the model something; the model answers with what it was asked.
const CASES: &str = r#"
cases:
  - name: answers
    params: [text_model]
    steps: [{post: /v1/chat/completions, body: {json: {model: "${{ text_model }}", messages: [{role: user, content: Sol}]}}, expect: [{status: 200}]}]
  - name: says_luna
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: Sol}]}}
        expect:
          - status: 200
          - json: {at: "$.choices[0].message.content", equals: Luna}
          - json: {at: $.usage, equals: {prompt_tokens: 1, completion_tokens: 2, total_tokens: 3}}
  - name: sees
    params: [vision_model]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: skipped_by_a_rule
    params: [text_model]
    skip: [{provider_of: text_model, type_in: ["remote::llama-cpp"], because: it cannot}]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: expected_to_fail
    params: [text_model]
    xfail: [{target_is: in_process, because: known bug}]
    steps:
      - get: /v1/version
        expect: [{status: 404}]
  - name: expected_to_fail_but_passes
    xfail: [{target_is: in_process, because: known bug}]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: after_all_others
    steps: [{get: /v1/version, expect: [{status: 200}]}]
"#;

#[test]
fn every_outcome() {
    let (_provider, project) = Project::echoed(CASES);
    assert_snapshot!(project.says(&["--suite=base", "--inference-mode=live", "-j1"]), @r#"
    exit 1
    --- stdout
    suite base, setup local: 7 trials against starter (live, [jobs])
      PASS   0.00s a::answers[txt=llama-cpp/tiny]
      FAIL   0.00s a::says_luna[txt=llama-cpp/tiny]
      SKIP   0.00s a::sees[vis=none]  vision_model empty - skipping test
      SKIP   0.00s a::skipped_by_a_rule[txt=llama-cpp/tiny]  it cannot
     XFAIL   0.00s a::expected_to_fail[txt=llama-cpp/tiny]  known bug
     XPASS   0.00s a::expected_to_fail_but_passes  known bug
      PASS   0.00s a::after_all_others

    --- a::says_luna[txt=llama-cpp/tiny] ---
    test_cases/a.yaml:13: $.choices[0].message.content: expected "Luna", got "Sol"
         13 |           - json: {at: "$.choices[0].message.content", equals: Luna}
      request:
        curl -sS -X POST 'http://in-process/v1/chat/completions' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'content-type: application/json' \
          --data-binary '{"model":"llama-cpp/tiny","messages":[{"role":"user","content":"Sol"}]}'
      answer:
        HTTP 200 OK application/json
        {"id":"chatcmpl-1","choices":[{"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"Sol","refusal":null,"role":"assistant","annotations":null,"audio":null,"function_call":null,"tool_calls":null}}],"created":1700000000,"model":"tiny","object":"chat.completion","service_tier":null,"system_fingerprint":null,"usage":{"completion_tokens":1,"prompt_tokens":1,"total_tokens":2,"completion_tokens_details":null,"prompt_tokens_details":null}}
    test_cases/a.yaml:14: $.usage: expected {"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}, got {"completion_tokens":1,"prompt_tokens":1,"total_tokens":2,"completion_tokens_details":null,"prompt_tokens_details":null}
         14 |           - json: {at: $.usage, equals: {prompt_tokens: 1, completion_tokens: 2, total_tokens: 3}}
      difference (- expected, + actual):
       {
      -  "completion_tokens": 2,
      +  "completion_tokens": 1,
      +  "completion_tokens_details": null,
         "prompt_tokens": 1,
      -  "total_tokens": 3
      +  "prompt_tokens_details": null,
      +  "total_tokens": 2
       }

    skipped:
         1  it cannot
         1  vision_model empty - skipping test

    2 passed, 1 failed, 2 skipped, 1 xfailed, 1 xpassed in 0.00s
    "#);
}

#[test]
fn quiet_prints_failures_and_counts() {
    let (_provider, project) = Project::echoed(CASES);
    let selected = ["a::answers", "a::says_luna", "a::sees"];
    let output =
        project.run(&[&selected[..], &["--suite=base", "--inference-mode=live", "-j1", "-q"]].concat());
    let first_lines: Vec<&str> = output.stdout.lines().take(5).collect();
    assert_snapshot!(first_lines.join("\n"), @r#"
      FAIL   0.00s a::says_luna[txt=llama-cpp/tiny]

    --- a::says_luna[txt=llama-cpp/tiny] ---
    test_cases/a.yaml:13: $.choices[0].message.content: expected "Luna", got "Sol"
         13 |           - json: {at: "$.choices[0].message.content", equals: Luna}
    "#);
    assert_eq!(
        (output.code, output.stdout.lines().last()),
        (Some(1), Some("1 passed, 1 failed, 1 skipped in 0.00s"))
    );
}

/// Three cases, of which the first two fail.
const FAILING: &str = r#"
cases:
  - {name: one, steps: [{get: /v1/version, expect: [{status: 404}]}]}
  - {name: two, steps: [{get: /v1/version, expect: [{status: 404}]}]}
  - {name: three, steps: [{get: /v1/version, expect: [{status: 200}]}]}
"#;

/// Exit status, the line of each trial, and the counts.
fn course(project: &Project, args: &[&str]) -> String {
    let output = project.run(args);
    let is_course =
        |line: &&str| line.contains("::") && !line.starts_with("---") || line.contains(" passed, ");
    let lines: Vec<&str> = output.stdout.lines().filter(is_course).collect();
    format!("exit {:?}\n{}{}", output.code.unwrap_or(-1), lines.join("\n"), output.stderr)
}

#[test]
fn other_trials_go_on_after_a_failure() {
    assert_snapshot!(course(&Project::cases(FAILING), &["-j1"]), @"
    exit 1
      FAIL   0.00s a::one
      FAIL   0.00s a::two
      PASS   0.00s a::three
    1 passed, 2 failed in 0.00s
    ");
}

#[test]
fn exitfirst_stops_after_the_first_failure() {
    assert_snapshot!(course(&Project::cases(FAILING), &["-j1", "-x"]), @"
    exit 1
      FAIL   0.00s a::one
    0 passed, 1 failed, 2 not run in 0.00s
    ");
}

#[test]
fn maxfail_stops_after_that_many() {
    assert_snapshot!(course(&Project::cases(FAILING), &["-j1", "--maxfail=2"]), @"
    exit 1
      FAIL   0.00s a::one
      FAIL   0.00s a::two
    0 passed, 2 failed, 1 not run in 0.00s
    ");
}

#[test]
fn retries_until_it_passes() {
    let provider = Provider::sol_after(2);
    let project = Project::cases(SAYS_SOL).talks_to(&provider);
    assert_snapshot!(course(&project, &["--suite=base", "--inference-mode=live", "--retries=5"]), @"
    exit 0
      PASS   0.00s a::says_sol[txt=llama-cpp/tiny] (attempt 3)
    1 passed, 0 failed, 1 flaky in 0.00s
    ");
    assert_eq!(provider.asked().len(), 3);
}

#[test]
fn retries_run_out() {
    let provider = Provider::sol_after(2);
    let project = Project::cases(SAYS_SOL).talks_to(&provider);
    assert_snapshot!(course(&project, &["--suite=base", "--inference-mode=live", "--retries=1"]), @"
    exit 1
      FAIL   0.00s a::says_sol[txt=llama-cpp/tiny] (attempt 2)
    0 passed, 1 failed in 0.00s
    ");
    assert_eq!(provider.asked().len(), 2);
}

#[test]
fn a_trial_that_hangs_ends_at_its_timeout() {
    let provider = Provider::start(|asked| async move {
        if asked.number == 0 {
            std::future::pending::<()>().await;
        }
        completion("Sol")
    });
    let project = Project::cases(SAYS_SOL).talks_to(&provider);
    assert_snapshot!(project.says(&["--suite=base", "--inference-mode=live", "--timeout=300ms"]), @r#"
    exit 1
    --- stdout
    suite base, setup local: 1 trial against starter (live, [jobs])
      FAIL   0.00s a::says_sol[txt=llama-cpp/tiny]

    --- a::says_sol[txt=llama-cpp/tiny] ---
    test_cases/a.yaml:6: the trial did not end within 0.3s; it was at this step
          6 |       - post: /v1/chat/completions
          7 |         body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "The sun?"}]}}
          8 |         expect: [{json: {at: "$.choices[0].message.content", equals: Sol}}]

    0 passed, 1 failed in 0.00s
    "#);
}

#[test]
fn a_trial_of_many_steps_ends_at_its_timeout() {
    let polls = "{get: /v1/version, poll: {within: 1h}, expect: [{status: 404}]}";
    let yaml = format!(
        "cases:\n  - name: a\n    steps:\n      - {{get: /v1/version, expect: [{{status: 200}}]}}\n      - {polls}\n"
    );
    assert_snapshot!(Project::cases(&yaml).says(&["--timeout=300ms"]), @"
    exit 1
    --- stdout
    all cases: 1 trial against starter (replay, [jobs])
      FAIL   0.00s a::a

    --- a::a ---
    test_cases/a.yaml:5: the trial did not end within 0.3s; it was at this step
          5 |       - {get: /v1/version, poll: {within: 1h}, expect: [{status: 404}]}

    0 passed, 1 failed in 0.00s
    ");
}

/// A request may have less time than its trial.
#[test]
fn a_request_ends_at_its_own_timeout() {
    let stack = Provider::start(|asked| async move {
        if asked.number > 0 {
            std::future::pending::<()>().await;
        }
        axum::http::StatusCode::OK.into_response()
    });
    let yaml =
        "cases:\n  - name: a\n    steps:\n      - {get: /v1/x, timeout: 100ms, expect: [{status: 200}]}\n";
    assert_snapshot!(Project::cases(yaml).says(&["--stack-config", &stack.url()]), @r#"
    exit 1
    --- stdout
    all cases: 1 trial against http://127.0.0.1:[port] (replay, [jobs])
      FAIL   0.00s a::a

    --- a::a ---
    test_cases/a.yaml:4: no complete answer within 0.1s
          4 |       - {get: /v1/x, timeout: 100ms, expect: [{status: 200}]}
      request:
        curl -sS -X GET 'http://127.0.0.1:[port]/v1/x' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'

    0 passed, 1 failed in 0.00s
    "#);
}

#[test]
fn cleanup_runs_after_a_failure_and_after_success() {
    let stack = Provider::start(|_| async { "{\"id\": \"f-1\"}".into_response() });
    let project = Project::cases(
        r#"
cases:
  - name: fails
    steps:
      - {post: /v1/files, keep: {id: $.id}, expect: [{status: 200}]}
      - {get: "/v1/files/${{ id }}", expect: [{status: 404}]}
      - {get: /v1/never, expect: [{status: 200}]}
    cleanup:
      - {delete: "/v1/files/${{ id }}", expect: [{status: 200}]}
  - name: passes
    steps:
      - {post: /v1/passes, keep: {id: $.id}, expect: [{status: 200}]}
    cleanup:
      - {delete: "/v1/passes/${{ id }}"}
  - name: has_nothing_to_clean_up
    steps:
      - {post: /v1/nothing, keep: {id: $.file.id}}
    cleanup:
      - {delete: "/v1/nothing/${{ id }}"}
"#,
    );
    assert_snapshot!(course(&project, &["-j1", "--stack-config", &stack.url()]), @"
    exit 1
      FAIL   0.00s a::fails
      PASS   0.00s a::passes
      FAIL   0.00s a::has_nothing_to_clean_up
    1 passed, 2 failed in 0.00s
    ");
    assert_snapshot!(stack.log().join("\n"), @"
    GET /v1/health
    POST /v1/files
    GET /v1/files/f-1
    DELETE /v1/files/f-1
    POST /v1/passes
    DELETE /v1/passes/f-1
    POST /v1/nothing
    ");
}

#[test]
fn a_failing_cleanup_fails_the_trial() {
    let project = Project::cases(
        "cases:\n  - name: a\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n    cleanup: [{delete: /v1/models/none, expect: [{status: 200}]}]\n",
    );
    assert_snapshot!(project.says(&[]), @r#"
    exit 1
    --- stdout
    all cases: 1 trial against starter (replay, [jobs])
      FAIL   0.00s a::a

    --- a::a ---
    test_cases/a.yaml:4: status: expected 200, got 404
          4 |     cleanup: [{delete: /v1/models/none, expect: [{status: 200}]}]
      received status 404, application/json: {"detail":"Model 'none' not found. Use 'client.models.list()' to list available Models."}
      request:
        curl -sS -X DELETE 'http://in-process/v1/models/none' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'traceparent: [traceparent]'
      answer:
        HTTP 404 Not Found application/json
        {"detail":"Model 'none' not found. Use 'client.models.list()' to list available Models."}

    0 passed, 1 failed in 0.00s
    "#);
}

#[test]
fn a_stack_that_breaks_off_is_no_mismatch() {
    let stack = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", stack.local_addr().expect("has an address"));
    // Answers the first request, which asks whether anybody is there, and no other.
    std::thread::spawn(move || {
        for (number, connection) in stack.incoming().enumerate() {
            let Ok(mut connection) = connection else { break };
            let mut head = [0; 1024];
            let _ = std::io::Read::read(&mut connection, &mut head);
            if number == 0 {
                let _ = std::io::Write::write_all(
                    &mut connection,
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        }
    });
    let output = Project::new().run(&["--stack-config", &url]);
    assert_eq!(output.code, Some(1));
    assert_snapshot!(output.stdout, @r#"
    all cases: 1 trial against http://127.0.0.1:[port] (replay, [jobs])
    BROKEN   0.00s chat/version::version

    --- chat/version::version ---
    test_cases/chat/version.yaml:4: no answer: client error (SendRequest): connection closed before message completed
          4 |       - get: /v1/version
          5 |         expect: [{status: 200}]
      request:
        curl -sS -X GET 'http://127.0.0.1:[port]/v1/version' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'

    0 passed, 0 failed, 1 broken in 0.00s
    "#);
}
