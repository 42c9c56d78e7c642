//! YAML that is not what its folder holds: each mistake at its place, with what to do.

use insta::assert_snapshot;

use crate::support::Project;

/// What a run says of one file of cases.
fn cases(yaml: &str) -> String {
    Project::cases(yaml).says(&[])
}

/// What a run says of a case with this step.
fn step(step: &str) -> String {
    cases(&format!("cases:\n  - name: a\n    steps:\n      - {step}\n"))
}

#[test]
fn bad_yaml() {
    assert_snapshot!(cases("cases:\n  - name: a\n    steps: [{get: /v1/version]\n"), @"
    exit 4
    --- stderr
    error: not valid YAML: mismatched bracket '{' closed by ']'
     --> test_cases/a.yaml:3:13
      |
    3 |     steps: [{get: /v1/version]
      |             ^
      |
      = help: check indentation, quotes and brackets around this place

    1 problem found; nothing was run
    ");
    assert_snapshot!(cases("cases:\n\t- name: a\n"), @"
    exit 4
    --- stderr
    error: not valid YAML: tabs disallowed within this context (block indentation)
     --> test_cases/a.yaml:2:2
      |
    2 |     - name: a
      |     ^
      |
      = help: check indentation, quotes and brackets around this place

    1 problem found; nothing was run
    ");
    assert_snapshot!(cases("cases:\n  - name: \"a\n"), @r#"
    exit 4
    --- stderr
    error: not valid YAML: unclosed quote
     --> test_cases/a.yaml:2:11
      |
    2 |   - name: "a
      |           ^
      |
      = help: check indentation, quotes and brackets around this place

    1 problem found; nothing was run
    "#);
}

#[test]
fn not_text() {
    let project = Project::new().file("test_cases/a.yaml", b"cases: [\xff]\n");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: cannot read test_cases/a.yaml: stream did not contain valid UTF-8

    1 problem found; nothing was run
    ");
}

#[test]
fn not_a_mapping() {
    assert_snapshot!(cases("- name: a\n"), @"
    exit 4
    --- stderr
    error: expected a mapping, found a list
     --> test_cases/a.yaml:1:1
      |
    1 | - name: a
      | ^
      |
      = help: its keys are anchors, vars, fixtures, cases

    1 problem found; nothing was run
    ");
    assert_snapshot!(cases(""), @"
    exit 4
    --- stderr
    error: expected a mapping, found nothing
     --> test_cases/a.yaml:1:1
      |
    1 |
      | ^
      |
      = help: its keys are anchors, vars, fixtures, cases

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_and_missing_keys() {
    assert_snapshot!(cases("cases:\n  - nam: a\n    stepz: []\n"), @"
    exit 4
    --- stderr
    error: unknown key `nam`
     --> test_cases/a.yaml:2:5
      |
    2 |   - nam: a
      |     ^^^
      |
      = help: did you mean `name`?

    error: missing key `name` (text)
     --> test_cases/a.yaml:2:5
      |
    2 |   - nam: a
      |     ^

    error: unknown key `stepz`
     --> test_cases/a.yaml:3:5
      |
    3 |     stepz: []
      |     ^^^^^
      |
      = help: did you mean `steps`?

    3 problems found; nothing was run
    ");
    assert_snapshot!(Project::new().file("setups/x.yaml", "name: x\ndefault: {text_model: a}\n").says(&[]), @"
    exit 4
    --- stderr
    error: unknown key `default`
     --> setups/x.yaml:2:1
      |
    2 | default: {text_model: a}
      | ^^^^^^^
      |
      = help: did you mean `defaults`?

    1 problem found; nothing was run
    ");
    assert_snapshot!(Project::new().file("suites/x.yaml", "name: x\nrots: [chat]\n").says(&[]), @"
    exit 4
    --- stderr
    error: unknown key `rots`
     --> suites/x.yaml:2:1
      |
    2 | rots: [chat]
      | ^^^^
      |
      = help: did you mean `roots`?

    1 problem found; nothing was run
    ");
    assert_snapshot!(Project::new().file("stacks/x.yaml", "name: x\nlaunch: [x]\nready: {got: /v1/health}\n").says(&[]), @"
    exit 4
    --- stderr
    error: missing key `get` (text)
     --> stacks/x.yaml:3:8
      |
    3 | ready: {got: /v1/health}
      |        ^

    error: unknown key `got`
     --> stacks/x.yaml:3:9
      |
    3 | ready: {got: /v1/health}
      |         ^^^
      |
      = help: did you mean `get`?

    2 problems found; nothing was run
    ");
}

#[test]
fn duplicate_keys() {
    assert_snapshot!(cases("cases:\n  - name: a\n    name: b\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n"), @"
    exit 4
    --- stderr
    error: the key `name` is written twice
     --> test_cases/a.yaml:3:5
      |
    2 |   - name: a
      |     ---- first here
    3 |     name: b
      |     ^^^^ again here

    1 problem found; nothing was run
    ");
}

#[test]
fn duplicate_cases() {
    let case = "  - name: a\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n";
    assert_snapshot!(cases(&format!("cases:\n{case}{case}")), @"
    exit 4
    --- stderr
    error: two cases are named `a`: their trials would have the same ids
     --> test_cases/a.yaml:4:11
      |
    2 |   - name: a
      |           - first here
    3 |     steps: [{get: /v1/version, expect: [{status: 200}]}]
    4 |   - name: a
      |           ^ again here

    1 problem found; nothing was run
    ");
}

#[test]
fn duplicate_rows() {
    assert_snapshot!(cases("cases:\n  - name: a\n    rows: [{id: one}, {id: two}, {id: one}]\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n"), @"
    exit 4
    --- stderr
    error: two rows have the id `one`
     --> test_cases/a.yaml:3:39
      |
    3 |     rows: [{id: one}, {id: two}, {id: one}]
      |                 --- first here        ^^^ again here

    1 problem found; nothing was run
    ");
}

#[test]
fn duplicate_suites() {
    let project = Project::new().file("suites/again.yaml", "name: base\nroots: [\"**\"]\n");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: the suite `base` is defined twice
     --> suites/base.yaml:1:7
      |
    1 | name: base
      |       ^^^^ again here
      |
     ::: suites/again.yaml:1:7
      |
    1 | name: base
      |       ---- first here

    1 problem found; nothing was run
    ");
}

#[test]
fn names_that_would_make_ids_ambiguous() {
    assert_snapshot!(cases("cases:\n  - name: \"a::b\"\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n"), @r#"
    exit 4
    --- stderr
    error: `a::b` cannot name a case
     --> test_cases/a.yaml:2:11
      |
    2 |   - name: "a::b"
      |           ^^^^^^
      |
      = help: ids are `path::name[…]`: a name has no `::`, brackets or line breaks, and is not empty

    1 problem found; nothing was run
    "#);
}

#[test]
fn cases_that_cannot_fail() {
    assert_snapshot!(cases("cases:\n  - name: a\n    steps: []\n  - name: b\n    steps: [{get: /v1/version}]\n"), @"
    exit 4
    --- stderr
    error: this case has no steps, so it would always pass
     --> test_cases/a.yaml:2:11
      |
    2 |   - name: a
      |           ^
      |
      = help: give it `steps`, such as `- get: /v1/models`

    error: no step of this case expects anything, so it would always pass
     --> test_cases/a.yaml:4:11
      |
    4 |   - name: b
      |           ^
      |
      = help: give a step `expect`, such as `expect: [{status: 200}]`

    2 problems found; nothing was run
    ");
}

#[test]
fn two_methods_in_a_step() {
    assert_snapshot!(step("{get: /v1/version, post: /v1/files, expect: [{status: 200}]}"), @"
    exit 4
    --- stderr
    error: a step makes one request
     --> test_cases/a.yaml:4:28
      |
    4 |       - {get: /v1/version, post: /v1/files, expect: [{status: 200}]}
      |          --- first here    ^^^^ a second method

    1 problem found; nothing was run
    ");
}

#[test]
fn bad_duration() {
    assert_snapshot!(step("{get: /v1/version, poll: {within: 5}, expect: [{status: 200}]}"), @"
    exit 4
    --- stderr
    error: expected a duration such as 250ms, 2s or 1m, found a number
     --> test_cases/a.yaml:4:43
      |
    4 |       - {get: /v1/version, poll: {within: 5}, expect: [{status: 200}]}
      |                                           ^

    1 problem found; nothing was run
    ");
}
