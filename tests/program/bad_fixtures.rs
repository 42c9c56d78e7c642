//! Mistakes in fixtures, and in what cases say of them.

use insta::assert_snapshot;

use crate::support::Project;

/// What a run says of these files.
fn says(cases: &str, fixtures: Option<&str>) -> String {
    let project = Project::cases(cases);
    match fixtures {
        Some(fixtures) => project.file("fixtures/all.yaml", fixtures).says(&[]),
        None => project.says(&[]),
    }
}

#[test]
fn mistakes_in_fixtures() {
    let steps = "steps: [{get: /v1/version, expect: [{status: 200}]}]";
    let cases = format!(
        r#"fixtures:
  empty: {{}}
  both: {{mcp: {{tools: default}}, {steps}}}
  left: {{uses: [right], {steps}}}
  right: {{uses: [left], {steps}}}
  long: {{scope: file, uses: [short], {steps}}}
  short: {{{steps}}}
  longest: {{scope: run, {steps}}}
  row: {{{steps}}}
  unused: {{{steps}}}
  server: {{scope: file, mcp: {{tools: default}}}}
  kept: {{steps: [{{get: /v1/version, keep: {{version: $.version}}}}]}}
cases:
  - name: a
    uses: [empty, both, left, long, longest, row, server, kpt]
    {steps}
  - name: b
    uses: [kept, tools]
    vars: {{tools: 1}}
    skip: [{{if: kept.version == '1', because: too early}}]
    steps:
      - get: "/v1/${{{{ kept.versoin }}}}/${{{{ short.x }}}}"
        expect: [{{status: 200}}, {{mcp_calls: {{server: kept, length: 1}}}}, {{mcp_calls: {{server: tools, length: 1}}}}, {{mcp_calls: {{server: none}}}}]
"#
    );
    assert_snapshot!(says("fixtures: {a: {scop: file, scope: session, mcp: {tools: defaults, transport: http}}}\ncases:\n  - {name: a, steps: [{expect: [{mcp_calls: {server: a, method: b, tool: c}}]}]}\n", None), @"
    exit 4
    --- stderr
    error: unknown key `scop`
     --> test_cases/a.yaml:1:16
      |
    1 | fixtures: {a: {scop: file, scope: session, mcp: {tools: defaults, transport: http}}}
      |                ^^^^
      |
      = help: did you mean `scope`?

    error: `session` is not a fixture's scope
     --> test_cases/a.yaml:1:35
      |
    1 | fixtures: {a: {scop: file, scope: session, mcp: {tools: defaults, transport: http}}}
      |                                   ^^^^^^^
      |
      = help: known: trial, file, run

    error: `defaults` is not a tool set
     --> test_cases/a.yaml:1:57
      |
    1 | fixtures: {a: {scop: file, scope: session, mcp: {tools: defaults, transport: http}}}
      |                                                         ^^^^^^^^
      |
      = help: did you mean `default`?

    error: `http` is not an MCP transport
     --> test_cases/a.yaml:1:78
      |
    1 | fixtures: {a: {scop: file, scope: session, mcp: {tools: defaults, transport: http}}}
      |                                                                              ^^^^
      |
      = help: known: streamable_http, sse

    error: a `tool` is called by `tools/call`; `method` is for other requests
     --> test_cases/a.yaml:3:65
      |
    3 |   - {name: a, steps: [{expect: [{mcp_calls: {server: a, method: b, tool: c}}]}]}
      |                                                                 ^

    5 problems found; nothing was run
    ");
    let fixtures = "fixtures:\n  tools: {scope: run, mcp: {tools: outputs}}\n  kept: {mcp: {tools: default}}\n  nobody: {mcp: {tools: default}}\n";
    assert_snapshot!(says(&cases, Some(fixtures)), @r#"
    exit 4
    --- stderr
    error: the fixture `nobody` is never made: no case uses it
     --> fixtures/all.yaml:4:3
      |
    4 |   nobody: {mcp: {tools: default}}
      |   ^^^^^^
      |
      = help: name it under `uses: [nobody]` of a case, or remove it

    error: the fixture `empty` makes nothing
     --> test_cases/a.yaml:2:3
      |
    2 |   empty: {}
      |   ^^^^^
      |
      = help: give it `steps`, or `mcp: {tools: default}`

    error: a fixture is an MCP server or has steps, not both
     --> test_cases/a.yaml:3:15
      |
    3 |   both: {mcp: {tools: default}, steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |               ^
      |
      = help: move the steps to a fixture that uses this one

    error: `left` and `right` need each other
     --> test_cases/a.yaml:4:17
      |
    4 |   left: {uses: [right], steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |                 ^^^^^
      |
      = help: a fixture is made after those that it uses

    error: `right` and `left` need each other
     --> test_cases/a.yaml:5:18
      |
    5 |   right: {uses: [left], steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |                  ^^^^
      |
      = help: a fixture is made after those that it uses

    error: a fixture for the file cannot use one for the trial
     --> test_cases/a.yaml:6:30
      |
    6 |   long: {scope: file, uses: [short], steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |                              ^^^^^
    7 |   short: {steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |   ----- this lives as long as a trial

    error: a fixture of one file lives as long as its file at most
     --> test_cases/a.yaml:8:20
      |
    8 |   longest: {scope: run, steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |                    ^^^
      |
      = help: write `scope: file`, or move it below fixtures/, where every file may use it

    error: `row` cannot name a fixture
     --> test_cases/a.yaml:9:3
      |
    9 |   row: {steps: [{get: /v1/version, expect: [{status: 200}]}]}
      |   ^^^
      |
      = help: templates use the name: letters, digits and `_`, and none that they know already

    error: the fixture `unused` is never made: no case or fixture of this file uses it
      --> test_cases/a.yaml:10:3
       |
    10 |   unused: {steps: [{get: /v1/version, expect: [{status: 200}]}]}
       |   ^^^^^^
       |
       = help: name it under `uses: [unused]` of a case, or remove it

    error: two fixtures are named `kept`
      --> test_cases/a.yaml:12:3
       |
    12 |   kept: {steps: [{get: /v1/version, keep: {version: $.version}}]}
       |   ^^^^ this one
       |
      ::: fixtures/all.yaml:3:3
       |
     3 |   kept: {mcp: {tools: default}}
       |   ---- and this one

    error: there is no fixture `kpt`
      --> test_cases/a.yaml:15:59
       |
    15 |     uses: [empty, both, left, long, longest, row, server, kpt]
       |                                                           ^^^
       |
       = help: did you mean `kept`?

    error: `tools` is also a fixture that this case uses
      --> test_cases/a.yaml:19:12
       |
    19 |     vars: {tools: 1}
       |            ^^^^^

    error: undefined variable `kept`
      --> test_cases/a.yaml:20:17
       |
    20 |     skip: [{if: kept.version == '1', because: too early}]
       |                 ^^^^^^^^^^^^^^^^^^^
       |
       = help: known: client, env, lacks, models, row, setup, tools, trial

    error: the fixture `kept` has no `versoin`
      --> test_cases/a.yaml:22:23
       |
    22 |       - get: "/v1/${{ kept.versoin }}/${{ short.x }}"
       |                       ^^^^^^^^^^^^
       |
       = help: did you mean `version`?

    error: this case does not use the fixture `short`
      --> test_cases/a.yaml:22:43
       |
    22 |       - get: "/v1/${{ kept.versoin }}/${{ short.x }}"
       |                                           ^^^^^^^
       |
       = help: write `uses: [short]`

    error: the fixture `kept` is no MCP server
      --> test_cases/a.yaml:23:33
       |
    23 | ...   expect: [{status: 200}, {mcp_calls: {server: kept, length: 1}}, {mcp_calls: {server: tools, length: 1}}, {mcp_calls: {server: ...
       |                               ^
       |
       = help: it has steps

    error: trials share the MCP server `tools`, so that its calls are nobody's
      --> test_cases/a.yaml:23:73
       |
    23 | ...   expect: [{status: 200}, {mcp_calls: {server: kept, length: 1}}, {mcp_calls: {server: tools, length: 1}}, {mcp_calls: {server: ...
       |                                                                       ^
       |
       = help: give it `scope: trial`

    error: this case uses no MCP server `none`
      --> test_cases/a.yaml:23:114
       |
    23 | ...   expect: [{status: 200}, {mcp_calls: {server: kept, length: 1}}, {mcp_calls: {server: tools, length: 1}}, {mcp_calls: {server: ...
       |                                                                                                                ^
       |
       = help: known: tools

    18 problems found; nothing was run
    "#);
}
