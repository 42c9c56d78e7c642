//! What only the whole tree shows, and all mistakes of a tree at once.

use insta::assert_snapshot;

use crate::support::Project;

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
