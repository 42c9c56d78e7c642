//! `runner mutate` lists what a case lets through.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Project;

const CASES: &str = r#"cases:
  - name: strict
    steps:
      - get: /v1/version
        expect:
          - status: 200
          - header: {name: content-type, starts_with: application/json}
          - json: {schema: {type: object, properties: {version: {type: string, minLength: 1}}, required: [version]}}
  - name: lax
    steps:
      - get: /v1/version
        expect: [{status: 2xx}, {json: {type: object}}]
  - name: skipped
    skip: [{target_is: in_process, because: not here}]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
"#;

#[test]
fn what_a_case_does_not_assert_is_listed() {
    let project = Project::cases(CASES);
    assert_snapshot!(project.says(&["mutate"]), @"
    exit 0
    --- stdout
    a::lax: 3 of 10 noticed (30.0 %), 1 trial
      test_cases/a.yaml:11  get: /v1/version
        unnoticed: $ empty
        unnoticed: $.version dropped
        unnoticed: $.version empty
        unnoticed: $.version null
        unnoticed: $.version of another type
        unnoticed: content-type application/x-other
        unnoticed: status 202
    a::strict: 10 of 10 noticed (100.0 %), 1 trial

    13 of 20 noticed (65.0 %) in 2 trials; 1 skipped; seed 0; at most 150 a trial, which left places out in 0 trials
    ");
}

#[test]
fn a_bound_decides_the_exit_status() {
    let project = Project::cases(CASES);
    assert_eq!(project.run(&["mutate", "--at-least=99%", "-q"]).code, Some(1));
    assert_eq!(project.run(&["mutate", "--at-least=60%"]).code, Some(0));
    assert_eq!(project.run(&["mutate", "--at-least=100", "a::strict"]).code, Some(0));
    assert_eq!(project.run(&["mutate", "a::skipped"]).code, Some(5));
    assert_eq!(project.run(&["mutate", "--at-least=lots"]).code, Some(4));
}

#[test]
fn the_report_for_programs_says_the_same_in_any_number_of_threads() {
    let project = Project::cases(CASES);
    let report = |jobs: &str| -> Value {
        let output = project.run(&["mutate", "--format=json", "--most=4", "--seed=3", jobs]);
        assert_eq!(output.code, Some(0), "{output}");
        serde_json::from_str(&output.stdout).expect("is JSON")
    };
    let one = report("-j1");
    assert_eq!(one, report("-j3"));
    assert_eq!((&one["seed"], &one["tried"]), (&Value::from(3), &Value::from(8)));
    assert_eq!(one["left_out"][0]["reason"], "not here");
}

#[test]
fn a_case_that_fails_as_it_is_says_nothing() {
    let project =
        Project::cases("cases: [{name: failing, steps: [{get: /v1/version, expect: [{status: 404}]}]}]\n");
    let output = project.run(&["mutate"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("a::failing: does not pass without corruption: status"), "{output}");
}

/// A poll that were content with the first answer, corrupted, would leave the last step in the second of the first one.
const WAITS: &str = r#"cases:
  - name: waits
    steps:
      - post: /v1/conversations
        body: {json: {}}
        keep: {first: "$.created_at"}
      - post: /v1/conversations
        body: {json: {}}
        poll: {every: 20ms, within: 30s}
        expect: [{json: {at: "$.created_at", not_equals: "${{ first }}"}}]
      - post: /v1/conversations
        body: {json: {}}
        expect: [{json: {at: "$.created_at", above: "${{ first }}"}}]
"#;

#[test]
fn of_the_answers_to_a_poll_the_one_that_ends_it_is_corrupted() {
    let project = Project::cases(WAITS);
    assert_snapshot!(project.says(&["mutate", "--most=1", "--seed=37"]), @"
    exit 0
    --- stdout
    a::waits: 0 of 1 noticed (0.0 %), 1 trial
      test_cases/a.yaml:7  post: /v1/conversations
        unnoticed: $.created_at of another type

    0 of 1 noticed (0.0 %) in 1 trial; 0 skipped; seed 37; at most 1 a trial, which left places out in 1 trial
    ");
}
