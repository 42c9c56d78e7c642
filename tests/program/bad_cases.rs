//! Mistakes inside a case: templates, paths, checks and their values.

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
fn unknown_parameter() {
    assert_snapshot!(cases("cases:\n  - name: a\n    params: [txt_model, reranker]\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n"), @"
    exit 4
    --- stderr
    error: unknown parameter `txt_model`
     --> test_cases/a.yaml:3:14
      |
    3 |     params: [txt_model, reranker]
      |              ^^^^^^^^^
      |
      = help: did you mean `text_model`?

    error: unknown parameter `reranker`
     --> test_cases/a.yaml:3:25
      |
    3 |     params: [txt_model, reranker]
      |                         ^^^^^^^^
      |
      = help: a new parameter is declared by a setup that gives it a value under `defaults`

    2 problems found; nothing was run
    ");
}

#[test]
fn cycle_in_templates() {
    assert_snapshot!(cases("cases:\n  - name: a\n    vars:\n      greeting: hello ${{ name }}\n      name: not ${{ other }}\n      other: ${{ greeting }}\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n"), @"
    exit 4
    --- stderr
    error: these variables need each other: greeting → name → other → greeting
     --> test_cases/a.yaml:4:7
      |
    4 |       greeting: hello ${{ name }}
      |       ^^^^^^^^
      |
      = help: give one of them a value of its own

    1 problem found; nothing was run
    ");
}

#[test]
fn undefined_variable() {
    assert_snapshot!(step("{get: \"/v1/models/${{ text_modle }}\", expect: [{status: 200}]}"), @r#"
    exit 4
    --- stderr
    error: undefined variable `text_modle`
     --> test_cases/a.yaml:4:31
      |
    4 |       - {get: "/v1/models/${{ text_modle }}", expect: [{status: 200}]}
      |                               ^^^^^^^^^^
      |
      = help: known: client, env, lacks, models, row, setup, trial

    1 problem found; nothing was run
    "#);
    assert_snapshot!(cases("cases:\n  - name: a\n    params: [text_model]\n    steps: [{get: \"/v1/models/${{ text_modle }}\", expect: [{status: 200}]}]\n"), @r#"
    exit 4
    --- stderr
    error: undefined variable `text_modle`
     --> test_cases/a.yaml:4:35
      |
    4 |     steps: [{get: "/v1/models/${{ text_modle }}", expect: [{status: 200}]}]
      |                                   ^^^^^^^^^^
      |
      = help: did you mean `text_model`?

    1 problem found; nothing was run
    "#);
    assert_snapshot!(step("{get: /v1/version, expect: [{assert: \"versoin == '1'\"}], keep: {version: $.version}}"), @r#"
    exit 4
    --- stderr
    error: undefined variable `versoin`
     --> test_cases/a.yaml:4:47
      |
    4 |       - {get: /v1/version, expect: [{assert: "versoin == '1'"}], keep: {version: $.version}}
      |                                               ^^^^^^^^^^^^^^
      |
      = help: did you mean `version`?

    1 problem found; nothing was run
    "#);
}

#[test]
fn bad_template() {
    assert_snapshot!(step("{get: \"/v1/${{ 1 + }}\", expect: [{status: 200}]}"), @r#"
    exit 4
    --- stderr
    error: bad expression `1 +`: syntax error: unexpected end of input, expected expression
     --> test_cases/a.yaml:4:15
      |
    4 |       - {get: "/v1/${{ 1 + }}", expect: [{status: 200}]}
      |               ^^^^^^^^^^^^^^^^
      |
      = help: expressions are Jinja2's, as in `${{ text_model }}` or `${{ score + 0.1 }}`

    1 problem found; nothing was run
    "#);
    assert_snapshot!(step("{get: \"/v1/${{ trial\", expect: [{status: 200}]}"), @r#"
    exit 4
    --- stderr
    error: bad expression `trial`: `${{` without `}}`
     --> test_cases/a.yaml:4:15
      |
    4 |       - {get: "/v1/${{ trial", expect: [{status: 200}]}
      |               ^^^^^^^^^^^^^^^
      |
      = help: expressions are Jinja2's, as in `${{ text_model }}` or `${{ score + 0.1 }}`

    1 problem found; nothing was run
    "#);
}

#[test]
fn a_row_without_the_field() {
    assert_snapshot!(cases("cases:\n  - name: a\n    rows: [{id: one, question: x}]\n    vars: {q: \"${{ row.qestion }}\"}\n    steps: [{get: /v1/version, expect: [{status: 200}]}]\n"), @r#"
    exit 4
    --- stderr
    error: `q`: `row.qestion` is undefined at `row.qestion`; known: id, question
     --> test_cases/a.yaml:4:20
      |
    4 |     vars: {q: "${{ row.qestion }}"}
      |                    ^^^^^^^^^^^

    1 problem found; nothing was run
    "#);
}

#[test]
fn path_without_a_slash() {
    assert_snapshot!(step("{get: v1/models, expect: [{status: 200}]}"), @"
    exit 4
    --- stderr
    error: a path begins with `/`; the target's address is put before it
     --> test_cases/a.yaml:4:15
      |
    4 |       - {get: v1/models, expect: [{status: 200}]}
      |               ^^^^^^^^^
      |
      = help: write `/v1/models`

    1 problem found; nothing was run
    ");
}

#[test]
fn missing_upload() {
    assert_snapshot!(step("{post: /v1/files, body: {multipart: {file: {filename: a.txt, path: files/a.txt}}}, expect: [{status: 200}]}"), @"
    exit 4
    --- stderr
    error: there is no file `files/a.txt`
     --> test_cases/a.yaml:4:76
      |
    4 |       - {post: /v1/files, body: {multipart: {file: {filename: a.txt, path: files/a.txt}}}, expect: [{status: 200}]}
      |                                                                            ^^^^^^^^^^^
      |
      = help: paths are relative to the project's root

    1 problem found; nothing was run
    ");
}

#[test]
fn path_that_leaves_the_project() {
    assert_snapshot!(step("{post: /v1/files, body: {multipart: {file: {filename: a.txt, path: ../../etc/passwd}}}, expect: [{status: 200}]}"), @"
    exit 4
    --- stderr
    error: this path leaves the project
     --> test_cases/a.yaml:4:76
      |
    4 |       - {post: /v1/files, body: {multipart: {file: {filename: a.txt, path: ../../etc/passwd}}}, expect: [{status: 200}]}
      |                                                                            ^^^^^^^^^^^^^^^^
      |
      = help: paths are relative to the project's root, without `..`

    1 problem found; nothing was run
    ");
    assert_snapshot!(step("{post: /v1/files, body: {multipart: {file: {filename: a.txt, path: /etc/passwd}}}, expect: [{status: 200}]}"), @"
    exit 4
    --- stderr
    error: this path leaves the project
     --> test_cases/a.yaml:4:76
      |
    4 |       - {post: /v1/files, body: {multipart: {file: {filename: a.txt, path: /etc/passwd}}}, expect: [{status: 200}]}
      |                                                                            ^^^^^^^^^^^
      |
      = help: paths are relative to the project's root, without `..`

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_check() {
    assert_snapshot!(step("{get: /v1/version, expect: [{statsu: 200}]}"), @"
    exit 4
    --- stderr
    error: unknown check `statsu`
     --> test_cases/a.yaml:4:38
      |
    4 |       - {get: /v1/version, expect: [{statsu: 200}]}
      |                                      ^^^^^^
      |
      = help: did you mean `status`?

    1 problem found; nothing was run
    ");
    assert_snapshot!(step("{get: /v1/version, expect: [{xyzzy: 200}]}"), @"
    exit 4
    --- stderr
    error: unknown check `xyzzy`
     --> test_cases/a.yaml:4:38
      |
    4 |       - {get: /v1/version, expect: [{xyzzy: 200}]}
      |                                      ^^^^^
      |
      = help: known: status, header, body, body_base64, json, events, assembled, joined, value, error, stream, provider_request, provider_calls, mcp_calls, assert

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_matcher() {
    assert_snapshot!(step("{get: /v1/version, expect: [{json: {at: $.version, starts_wiht: \"0\"}}]}"), @r#"
    exit 4
    --- stderr
    error: unknown key `starts_wiht`
     --> test_cases/a.yaml:4:60
      |
    4 |       - {get: /v1/version, expect: [{json: {at: $.version, starts_wiht: "0"}}]}
      |                                                            ^^^^^^^^^^^
      |
      = help: did you mean `starts_with`?

    1 problem found; nothing was run
    "#);
}

#[test]
fn bad_jsonpath() {
    assert_snapshot!(step("{get: /v1/version, expect: [{json: {at: \"$.data[0\", exists: true}}]}"), @r#"
    exit 4
    --- stderr
    error: `$.data[0` is not a JSONPath: the path cannot be read from `0` on (character 8)
     --> test_cases/a.yaml:4:49
      |
    4 |       - {get: /v1/version, expect: [{json: {at: "$.data[0", exists: true}}]}
      |                                                 ^^^^^^^^^^

    1 problem found; nothing was run
    "#);
    assert_snapshot!(step("{get: /v1/version, keep: {version: \"$..[\"}}"), @r#"
    exit 4
    --- stderr
    error: `$..[` is not a JSONPath: the path cannot be read from `.[` on (character 3)
     --> test_cases/a.yaml:4:44
      |
    4 |       - {get: /v1/version, keep: {version: "$..["}}
      |                                            ^^^^^^

    1 problem found; nothing was run
    "#);
}

#[test]
fn bad_regular_expression() {
    assert_snapshot!(step("{get: /v1/version, expect: [{json: {at: $.version, matches: \"^(0\"}}]}"), @r#"
    exit 4
    --- stderr
    error: bad regular expression `^(0`: unclosed group
     --> test_cases/a.yaml:4:69
      |
    4 |       - {get: /v1/version, expect: [{json: {at: $.version, matches: "^(0"}}]}
      |                                                                     ^^^^^

    1 problem found; nothing was run
    "#);
}

#[test]
fn bad_json_schema() {
    assert_snapshot!(step("{get: /v1/version, expect: [{json: {schema: {type: strin}}}]}"), @r"
    exit 4
    --- stderr
    error: not a valid JSON Schema, at /type: no alternative fits: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'; want array, but got string
     --> test_cases/a.yaml:4:53
      |
    4 |       - {get: /v1/version, expect: [{json: {schema: {type: strin}}}]}
      |                                                     ^

    1 problem found; nothing was run
    ");
}

#[test]
fn bad_status() {
    assert_snapshot!(step("{get: /v1/version, expect: [{status: 2000}]}"), @"
    exit 4
    --- stderr
    error: `2000` is no HTTP status; write a code such as 404 or a class such as 4xx
     --> test_cases/a.yaml:4:46
      |
    4 |       - {get: /v1/version, expect: [{status: 2000}]}
      |                                              ^^^^

    1 problem found; nothing was run
    ");
    assert_snapshot!(step("{get: /v1/version, expect: [{status: ok}]}"), @"
    exit 4
    --- stderr
    error: `ok` is no HTTP status; write a code such as 404 or a class such as 4xx
     --> test_cases/a.yaml:4:46
      |
    4 |       - {get: /v1/version, expect: [{status: ok}]}
      |                                              ^^

    1 problem found; nothing was run
    ");
}
