//! A suite's contract: every answer is held against the shape of its endpoint, whatever its case expects.

use insta::assert_snapshot;

use crate::support::Project;

const CASES: &str = r#"
cases:
  - {name: version, steps: [{get: /v1/version, expect: [{status: 200}]}]}
  - {name: health, steps: [{get: "/v1/health?a=b", expect: [{status: 200}]}]}
  - {name: gone, steps: [{get: /v1/files/file-none, expect: [{status: 404}]}]}
  - {name: unknown, steps: [{get: /v1/models, expect: [{status: 200}]}]}
"#;

const CONTRACT: &str = r##"
error: {required: [code]}
endpoints:
  GET /v1/version: {answer: "#/$defs/version"}
  GET /v1/health: {answer: {properties: {status: {enum: [OK]}}}}
  GET /v1/files/{id}: {}
$defs:
  version: {required: [version, commit], properties: {version: {type: integer}}}
"##;

fn project() -> Project {
    Project::cases(CASES)
        .file("suites/base.yaml", "name: base\nroots: ['**']\ncontract: [shapes/stack.yaml]\n")
        .file("shapes/stack.yaml", CONTRACT)
}

#[test]
fn an_answer_of_another_shape_fails_whatever_the_case_expects() {
    assert_snapshot!(project().says(&["--suite=base", "-j1"]), @r#"
    exit 1
    --- stdout
    suite base: 4 trials against starter (replay, [jobs])
      FAIL   0.00s a::version
      PASS   0.00s a::health
      FAIL   0.00s a::gone
      PASS   0.00s a::unknown

    --- a::gone ---
    test_cases/a.yaml:5: $: expected what shapes/stack.yaml:6 says of GET /v1/files/{id}, got {"detail":"File 'file-none' not found. Use 'client.files.list()' to list available Files."}
          5 |   - {name: gone, steps: [{get: /v1/files/file-none, expect: [{status: 404}]}]}
      missing properties 'code'
      request:
        curl -sS -X GET 'http://in-process/v1/files/file-none' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'traceparent: [traceparent]'
      answer:
        HTTP 404 Not Found application/json
        {"detail":"File 'file-none' not found. Use 'client.files.list()' to list available Files."}

    --- a::version ---
    test_cases/a.yaml:3: $: expected what shapes/stack.yaml:4 says of GET /v1/version, got {"version":"0.3.0"}
          3 |   - {name: version, steps: [{get: /v1/version, expect: [{status: 200}]}]}
      missing properties 'commit'
      request:
        curl -sS -X GET 'http://in-process/v1/version' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'traceparent: [traceparent]'
      answer:
        HTTP 200 OK application/json
        {"version":"0.3.0"}
    test_cases/a.yaml:3: $.version: expected what shapes/stack.yaml:4 says of GET /v1/version, got "0.3.0"
          3 |   - {name: version, steps: [{get: /v1/version, expect: [{status: 200}]}]}
      want integer, but got string

    2 passed, 2 failed in 0.00s
    "#);
}

#[test]
fn without_the_contract_the_cases_alone_decide() {
    assert_snapshot!(project().says(&["--suite=base", "-j1", "--quiet", "--no-contract"]), @r"
    exit 0
    --- stdout

    4 passed, 0 failed in 0.00s
    ");
    assert_snapshot!(project().says(&["-j1", "--quiet"]), @r"
    exit 0
    --- stdout

    4 passed, 0 failed in 0.00s
    ");
}

#[test]
fn what_is_wrong_in_a_contract_is_told_before_anything_runs() {
    let project = project().file("shapes/stack.yaml", CONTRACT.replace("#/$defs/version", "#/$defs/versoin"));
    assert_snapshot!(project.says(&["--suite=base"]), @r##"
    exit 4
    --- stderr
    error: shapes/stack.yaml has nothing at `/$defs/versoin`
     --> shapes/stack.yaml:4:29
      |
    4 |   GET /v1/version: {answer: "#/$defs/versoin"}
      |                             ^^^^^^^^^^^^^^^^^
      |
      = help: did you mean `version`?

    1 problem found; nothing was run
    "##);
}

/// Waiting does not mend a shape, and a state that never comes must not make the case skipped.
#[test]
fn an_answer_of_another_shape_ends_a_poll() {
    let case = "
cases:
  - name: polls
    steps:
      - get: /v1/version
        poll: {within: 60s, timeout_is: skip}
        expect: [{json: {at: $.version, equals: never}}]
";
    let said = project().file("test_cases/a.yaml", case).says(&["--suite=base", "-j1"]);
    assert!(said.contains("exit 1") && said.contains("missing properties 'commit'"), "{said}");
}
