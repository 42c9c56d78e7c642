//! Runs in parts, and their reports put together.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Project;

const CASES: &str = r#"
cases:
  - name: counts
    rows: [{id: one}, {id: two}, {id: three}, {id: four}, {id: five}, {id: six}, {id: seven}]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: fails
    steps: [{get: /v1/version, expect: [{status: 404}]}]
  - name: sees
    params: [vision_model]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
"#;

/// Outcome and failures of every trial, by id.
fn outcomes(project: &Project, file: &str) -> BTreeMap<String, String> {
    let events = project.events(file).into_iter();
    events
        .filter(|event| event["event"] == "trial_finished")
        .map(|event| {
            let mut failures = event["failures"].clone();
            for failure in failures.as_array_mut().expect("is a list") {
                // It names the trace, which is another in every run.
                failure["curl"] = Value::Null;
            }
            let seen = format!("{} {} {failures}", event["outcome"], event["reason"]);
            (event["id"].as_str().expect("has an id").to_owned(), seen)
        })
        .collect()
}

fn shards(project: &Project, count: usize) {
    for index in 1..=count {
        let report = format!("--report=shards/{index}.jsonl");
        project.run(&["--suite=base", &format!("--shard={index}/{count}"), &report]);
    }
}

#[test]
fn three_shards_merged_are_the_whole_run() {
    let project = Project::cases(CASES);
    assert_eq!(project.run(&["--suite=base", "--report=whole.jsonl"]).code, Some(1));
    shards(&project, 3);
    assert_eq!(project.run(&["merge", "shards", "--report=merged.jsonl"]).code, Some(1));
    let whole = outcomes(&project, "whole.jsonl");
    assert_eq!(whole.len(), 9);
    assert_eq!(outcomes(&project, "merged.jsonl"), whole);
}

#[test]
fn a_missing_shard_is_an_error_whatever_the_others_say() {
    let project = Project::new();
    shards(&project, 2);
    assert_snapshot!(project.says(&["merge", "shards/1.jsonl"]), @r"
    exit 1
    --- stdout

    1 passed, 0 failed in 0.00s
    --- stderr
    error: base@local: shard 2/2 is missing
    ");
    assert_eq!(project.run(&["merge", "shards"]).code, Some(0));
}

#[test]
fn a_shard_may_be_empty() {
    let project = Project::new();
    let codes: Vec<_> =
        (1..=4).map(|index| project.run(&["--suite=base", &format!("--shard={index}/4")]).code).collect();
    assert_eq!(codes, [Some(0); 4]);
    shards(&project, 4);
    assert_eq!(project.run(&["merge", "shards"]).code, Some(0));
}

#[test]
fn a_ci_service_says_which_shard_it_is() {
    let project = Project::new().env("CIRCLE_NODE_INDEX", "0").env("CIRCLE_NODE_TOTAL", "1");
    assert_snapshot!(project.says(&["--list"]), @r"
    exit 0
    --- stdout
    chat/version::version
    1 trial
    ");
    let project = Project::cases(CASES).env("CI_NODE_INDEX", "2").env("CI_NODE_TOTAL", "3");
    assert_snapshot!(project.says(&["--list"]), @r"
    exit 0
    --- stdout
    a::counts[one]
    a::counts[four]
    2 trials
    ");
}

#[test]
fn shards_can_be_even_in_time() {
    let project = Project::cases(CASES);
    project.run(&["--suite=base", "--report=whole.jsonl"]);
    let list = |index: usize| {
        project.says(&["--list", &format!("--shard={index}/3"), "--shard-by=duration=whole.jsonl"])
    };
    let all = [list(1), list(2), list(3)].concat();
    assert_eq!(all.matches("a::").count(), 9, "{all}");
    assert_snapshot!(project.says(&["--list", "--shard=1/3", "--shard-by=duration=none.jsonl"]), @r"
    exit 4
    --- stderr
    error: --shard-by duration=none.jsonl: cannot be read: No such file or directory (os error 2)

    1 problem found; nothing was run
    ");
}

#[test]
fn what_cannot_be_merged_is_named() {
    let project = Project::new().file("x.jsonl", "{}\n").folder("empty");
    assert_snapshot!(project.says(&["merge", "x.jsonl", "empty", "none.jsonl"]), @r"
    exit 4
    --- stderr
    error: empty holds no .jsonl file
    error: none.jsonl: cannot be read: No such file or directory (os error 2)
    error: x.jsonl: line 1 is no event of a run
    ");
    assert_snapshot!(project.says(&["--shard=4/3"]), @r"
    exit 4
    --- stderr
    error: invalid value '4/3' for '--shard <INDEX/COUNT>': there is no shard 4 of 3; shards count from 1

    For more information, try '--help'.
    ");
}

#[test]
fn github_sees_failures_at_their_lines() {
    let project = Project::cases(CASES).env("GITHUB_ACTIONS", "true");
    let summary = project.path("summary.md").display().to_string();
    let project = project.env("GITHUB_STEP_SUMMARY", summary);
    assert_snapshot!(project.says(&["--suite=base", "-q", "a::fails"]), @r#"
    exit 1
    --- stdout
      FAIL   0.00s a::fails

    --- a::fails ---
    test_cases/a.yaml:7: status: expected 404, got 200
          7 |     steps: [{get: /v1/version, expect: [{status: 404}]}]
      received status 200, application/json: {"version":"0.3.0"}
      request:
        curl -sS -X GET 'http://in-process/v1/version' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'traceparent: [traceparent]'
      answer:
        HTTP 200 OK application/json
        {"version":"0.3.0"}

    0 passed, 1 failed in 0.00s
    ::error file=test_cases/a.yaml,line=7,title=a%3A%3Afails::test_cases/a.yaml:7: status: expected 404, got 200%0A      7 |     steps: [{get: /v1/version, expect: [{status: 404}]}]%0A  received status 200, application/json: {"version":"0.3.0"}%0A  request:%0A    curl -sS -X GET 'http://in-process/v1/version' \%0A      -H 'accept: application/json' \%0A      -H 'user-agent: runner/[version]' \%0A      -H 'traceparent: [traceparent]'%0A  answer:%0A    HTTP 200 OK application/json%0A    {"version":"0.3.0"}
    "#);
    assert!(project.read("summary.md").starts_with("# Test report\n"));
}

#[test]
fn tap() {
    let project = Project::cases(CASES);
    project.run(&["--suite=base", "a::fails", "a::sees", "--report=r.tap"]);
    assert_snapshot!(project.read("r.tap"), @r#"
    TAP version 14
    1..2
    not ok 1 - a::fails
      ---
      outcome: failed
      message: |
        test_cases/a.yaml:7: status: expected 404, got 200
              7 |     steps: [{get: /v1/version, expect: [{status: 404}]}]
          received status 200, application/json: {"version":"0.3.0"}
          request:
            curl -sS -X GET 'http://in-process/v1/version' \
              -H 'accept: application/json' \
              -H 'user-agent: runner/[version]' \
              -H 'traceparent: [traceparent]'
          answer:
            HTTP 200 OK application/json
            {"version":"0.3.0"}
      ...
    ok 2 - a::sees[vis=none] # SKIP vision_model empty - skipping test
    "#);
}

#[test]
fn ctrf() {
    let project = Project::cases(CASES);
    project.run(&["--suite=base", "a::fails", "a::sees", "--report=ctrf=r"]);
    let mut report: Value = serde_json::from_str(&project.read("r")).expect("is JSON");
    for name in ["start", "stop"] {
        assert!(report["results"]["summary"][name].take().as_i64().is_some_and(|n| n > 1_700_000_000_000));
    }
    for test in report["results"]["tests"].as_array_mut().expect("is a list") {
        assert!(test["duration"].take().is_u64());
        test["trace"].take();
    }
    assert_snapshot!(format!("{report:#}"), @r#"
    {
      "reportFormat": "CTRF",
      "specVersion": "0.0.0",
      "generatedBy": "runner",
      "results": {
        "tool": {
          "name": "runner",
          "version": "0.1.0"
        },
        "summary": {
          "tests": 2,
          "passed": 0,
          "failed": 1,
          "skipped": 1,
          "pending": 0,
          "other": 0,
          "suites": 1,
          "flaky": 0,
          "start": null,
          "stop": null
        },
        "tests": [
          {
            "name": "fails",
            "status": "failed",
            "duration": null,
            "suite": [
              "a"
            ],
            "filePath": "test_cases/a.yaml",
            "rawStatus": "failed",
            "retries": 0,
            "flaky": false,
            "line": 6,
            "message": "status: expected 404, got 200",
            "trace": null
          },
          {
            "name": "sees[vis=none]",
            "status": "skipped",
            "duration": null,
            "suite": [
              "a"
            ],
            "filePath": "test_cases/a.yaml",
            "rawStatus": "skipped",
            "retries": 0,
            "flaky": false,
            "line": 8,
            "message": "vision_model empty - skipping test",
            "trace": null
          }
        ],
        "environment": {
          "testEnvironment": "starter",
          "extra": {
            "suite": "base",
            "setup": "local",
            "mode": "replay"
          }
        }
      }
    }
    "#);
}
