//! Mistakes in YAML: all of them at once, each at its place, with what to do.

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
      = help: its keys are anchors, vars, cases

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
      = help: its keys are anchors, vars, cases

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
      = help: known: status, header, body, body_base64, json, events, assembled, joined, value, error, stream, provider_request, provider_calls, assert

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
    assert_snapshot!(step("{get: /v1/version, expect: [{json: {schema: {type: strin}}}]}"), @r#"
    exit 4
    --- stderr
    error: not a valid JSON Schema, at /type: "strin" is not valid under any of the schemas listed in the 'anyOf' keyword
     --> test_cases/a.yaml:4:53
      |
    4 |       - {get: /v1/version, expect: [{json: {schema: {type: strin}}}]}
      |                                                     ^

    1 problem found; nothing was run
    "#);
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

#[test]
fn suite_with_a_root_that_is_not_there() {
    let project = Project::new()
        .file("suites/vision.yaml", "name: vision\nroots: [chat, chat/versin]\ndefault_setup: lokal\n");
    assert_snapshot!(project.says(&["--suite=base"]), @"
    exit 4
    --- stderr
    error: no case matches `chat/versin`
     --> suites/vision.yaml:2:15
      |
    2 | roots: [chat, chat/versin]
      |               ^^^^^^^^^^^
      |
      = help: did you mean `chat/version`?

    error: there is no setup `lokal`
     --> suites/vision.yaml:3:16
      |
    3 | default_setup: lokal
      |                ^^^^^
      |
      = help: did you mean `local`?

    2 problems found; nothing was run
    ");
}

#[test]
fn bad_stack_definition() {
    let project = Project::new()
        .file("stacks/mine.yaml", "name: mine\nlaunch: [serve, \"${{ confg }}\"]\nready: {get: v1/health}\n");
    assert_snapshot!(project.says(&[]), @r#"
    exit 4
    --- stderr
    error: undefined variable `confg`
     --> stacks/mine.yaml:2:22
      |
    2 | launch: [serve, "${{ confg }}"]
      |                      ^^^^^
      |
      = help: did you mean `config`?

    error: a path begins with `/`
     --> stacks/mine.yaml:3:14
      |
    3 | ready: {get: v1/health}
      |              ^^^^^^^^^
      |
      = help: write `/v1/health`

    2 problems found; nothing was run
    "#);
}

/// A tree with mistakes in every folder: nothing hides anything, and each has its line.
#[test]
fn every_mistake_of_a_tree_at_once() {
    let project = Project::new()
        .file("suites/base.yaml", "name: base\nroots: [chat]\ndefault_setup: locale\n")
        .file("suites/other.yaml", "name: other\nroots: [\"chat/{a\"]\n")
        .file("setups/more.yaml", "name: local\n")
        .file("stacks/mine.yaml", "name: mine\nlaunch: []\nready: {get: /}\n")
        .file(
            "test_cases/chat/one.yaml",
            r#"vars: {greeting: "hi ${{ nobody }}"}
cases:
  - name: first
    params: [text_modle]
    steps:
      - post: v1/chat/completions
        body: {json: {model: "${{ modle }}"}}
        expect:
          - statsu: 200
          - json: {at: "$.[", equals: 1}
          - json: {at: $.id, startswith: x}
  - name: first
    steps: [{get: /v1/version, expect: [{body: {matches: "("}}]}]
  - name: third
    skip: [{type_in: [x], because: never}]
    steps: [{get: /v1/version, poll: {within: soon}, expect: [{status: 200}]}]
"#,
        )
        .file("test_cases/chat/two.yaml", "cases:\n  - name: a\n    steps: [\n")
        .file("test_cases/deep/er/three.yaml", "cases:\n  - {name: only}\n");
    let output = project.run(&["--suite=bass", "--stack=my", "--list"]);
    let summary: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| {
            line.starts_with("error") || line.trim_start().starts_with("-->") || line.contains("found;")
        })
        .map(str::trim)
        .collect();
    assert_eq!(output.code, Some(4));
    assert_snapshot!(summary.join("\n"), @"
    error: there is no suite `bass`
    error: there is no stack `my`
    error: the setup `local` is defined twice
    --> setups/more.yaml:1:7
    error: `launch` is empty
    --> stacks/mine.yaml:1:1
    error: there is no setup `locale`
    --> suites/base.yaml:3:16
    error: bad pattern `chat/{a`: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
    --> suites/other.yaml:2:9
    error: undefined variable `nobody`
    --> test_cases/chat/one.yaml:1:26
    error: unknown parameter `text_modle`
    --> test_cases/chat/one.yaml:4:14
    error: a path begins with `/`; the target's address is put before it
    --> test_cases/chat/one.yaml:6:15
    error: undefined variable `modle`
    --> test_cases/chat/one.yaml:7:35
    error: unknown check `statsu`
    --> test_cases/chat/one.yaml:9:13
    error: `$.[` is not a JSONPath: the path cannot be read from `.[` on (character 2)
    --> test_cases/chat/one.yaml:10:24
    error: unknown key `startswith`
    --> test_cases/chat/one.yaml:11:30
    error: two cases are named `first`: their trials would have the same ids
    --> test_cases/chat/one.yaml:12:11
    error: bad regular expression `(`: unclosed group
    --> test_cases/chat/one.yaml:13:58
    error: expected a duration such as 250ms, 2s or 1m, found text
    --> test_cases/chat/one.yaml:16:47
    error: not valid YAML: unclosed bracket '['
    --> test_cases/chat/two.yaml:3:12
    error: this case has no steps, so it would always pass
    --> test_cases/deep/er/three.yaml:2:12
    18 problems found; nothing was run
    ");
}
