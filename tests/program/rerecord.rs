//! `runner rerecord`: what changed is listed without a provider, and recorded anew alone.

use insta::assert_snapshot;

use crate::provider::{Asked, Provider, completion};
use crate::support::Project;

/// Three questions, of which the provider's answers are checked in two.
const SUNS: &str = r#"
cases:
  - name: sun
    params: [text_model]
    rows:
      - {id: one, question: Which sun?, expected: Which sun?}
      - {id: two, question: Which other sun?, expected: Which other sun?}
      - {id: three, question: Why?, expected: Why?}
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "${{ row.question }}"}]}}
        expect:
          - json: {at: "$.choices[0].message.content", equals: "${{ row.expected }}"}
"#;

/// The provider, and a project whose recordings are those of [`SUNS`] and whose cases are these.
fn recorded(cases: &str) -> (Provider, Project) {
    let (provider, project) = Project::echoed(SUNS);
    let run = project.run(&["--suite=base", "--inference-mode=record", "-j1"]);
    assert_eq!((run.code, provider.asked().len()), (Some(0), 3), "{run}");
    (provider, project.file("test_cases/a.yaml", cases))
}

/// The second question is another one.
fn second_changed() -> String {
    SUNS.replace("Which other sun?", "Which moon?")
}

fn files(project: &Project) -> Vec<String> {
    let folder = std::fs::read_dir(project.path("recordings/responses")).expect("reads");
    let name = |file: std::io::Result<std::fs::DirEntry>| {
        file.expect("reads").file_name().into_string().expect("is text")
    };
    let mut files: Vec<String> = folder.map(name).collect();
    files.sort();
    files
}

#[test]
fn a_plan_lists_what_changed_and_connects_to_nobody() {
    let (provider, project) = recorded(&second_changed().replace("expected: Why?", "expected: Because."));
    let before = files(&project);
    assert_snapshot!(project.says(&["rerecord", "--suite=base", "--plan"]), @r#"
    exit 0
    --- stdout
    a::sun[txt=llama-cpp/tiny-two]
      llama-cpp /v1/chat/completions: no recording; nearest responses/482f0e568ffa.json
        $.messages[0].content: request "Which moon?", recording "Which sun?"

    1 of 3 trials to record anew
    fails for another reason, and is left alone: a::sun[txt=llama-cpp/tiny-three]
      $.choices[0].message.content: expected "Because.", got "Why?"
    "#);
    assert_eq!((provider.asked().len(), files(&project)), (3, before));
}

#[test]
fn nothing_is_recorded_where_nothing_changed() {
    let (provider, project) = recorded(SUNS);
    assert_snapshot!(project.says(&["rerecord", "--suite=base"]), @r"
    exit 0
    --- stdout
    ## Recordings

    3 trials: every provider request is as recorded; nothing was recorded.
    ");
    assert_eq!(provider.asked().len(), 3);
}

#[test]
fn what_changed_is_recorded_alone_and_replays() {
    let (provider, project) = recorded(&second_changed());
    assert_snapshot!(project.says(&["rerecord", "--suite=base", "-j1"]), @r#"
    exit 0
    --- stdout
    ## Recordings

    1 of 3 trials recorded anew; replay agrees.

    Sent to providers: 1 request, 2 tokens (1 of prompts, 1 of answers).

    | trial | changed | recorded | replay |
    |---|---|---|---|
    | `a::sun[txt=llama-cpp/tiny-two]` | `llama-cpp /v1/chat/completions: no recording; nearest responses/482f0e568ffa.json`<br>`$.messages[0].content: request "Which moon?", recording "Which sun?"` | passed: 1 request, 2 tokens | passed |

    Files: 1 added, 0 changed, 0 removed, 1 obsolete.

    - added: `responses/599f8c19732a.json`
    - obsolete: `responses/a72eed1f5f42.json`

    Obsolete: recordings that these trials do not use any more; `--prune` deletes them.
    --- stderr
    suite base, setup local: 1 trial against starter (record, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-two]

    sent to providers: 1 request, 2 tokens (1 of prompts, 1 of answers)
    not used: 1 recording (-v names them)

    1 passed, 0 failed in 0.00s
    suite base, setup local: 1 trial against starter (replay, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-two]

    not used: 1 recording (-v names them)

    1 passed, 0 failed in 0.00s
    "#);
    let asked: Vec<_> = provider.asked().iter().map(Asked::question).collect();
    assert_eq!(asked[3..], ["Which moon?"]);
    let project = project.file("test_cases/a.yaml", SUNS.replace("Which other sun?", "Which star?"));
    assert_snapshot!(project.run(&["rerecord", "--suite=base", "-q", "--format=text"]).stdout, @r#"
    a::sun[txt=llama-cpp/tiny-two]
      llama-cpp /v1/chat/completions: no recording; nearest responses/482f0e568ffa.json
        $.messages[0].content: request "Which star?", recording "Which sun?"
      passed: 1 request, 2 tokens; replay: passed

    1 of 3 trials to record anew
    added responses/5304ea3ca010.json
    obsolete responses/599f8c19732a.json
    obsolete responses/a72eed1f5f42.json
    "#);
    assert_eq!(files(&project).len(), 6, "the list of models, and what was asked");
    assert_eq!(project.run(&["--suite=base"]).code, Some(0));
}

#[test]
fn what_is_not_needed_any_more_is_deleted_when_asked_for() {
    let (_provider, project) = recorded(&second_changed());
    let run = project.run(&["rerecord", "--suite=base", "-q", "--prune", "--format=json", "--summary=s.md"]);
    let result: serde_json::Value = serde_json::from_str(&run.stdout).expect("is JSON");
    let of = |kind: &str| result["recorded"]["files"][kind].as_array().expect("is a list").len();
    assert_eq!((run.code, of("added"), of("changed"), of("removed")), (Some(0), 1, 0, 1), "{run}");
    assert_eq!(result["recorded"]["obsolete"], serde_json::json!([]));
    assert_eq!(files(&project).len(), 4);
    let summary = project.read("s.md");
    assert!(summary.contains("\nFiles: 1 added, 0 changed, 1 removed, 0 obsolete.\n"), "{summary}");
    assert_eq!(project.run(&["--suite=base", "--fail-on-unused"]).code, Some(0));
}

#[test]
fn a_request_that_only_normalisers_match_counts_unless_only_misses_do() {
    let (provider, project) = recorded(SUNS);
    let folder = project.path("recordings/responses");
    let asks = |name: &&String| {
        std::fs::read_to_string(folder.join(name)).expect("reads").contains("Which other sun?")
    };
    let name = files(&project).iter().find(asks).expect("is recorded").clone();
    let text = std::fs::read_to_string(folder.join(&name)).expect("reads");
    let drifted = text.replacen("\"messages\": [", "\"user\": null, \"messages\": [", 1);
    assert_ne!(text, drifted);
    std::fs::write(folder.join(&name), drifted).expect("writes");
    assert_snapshot!(project.says(&["rerecord", "--suite=base", "--plan"]), @r"
    exit 0
    --- stdout
    a::sun[txt=llama-cpp/tiny-two]
      llama-cpp /v1/chat/completions: responses/a72eed1f5f42.json answers only after dropped-nulls

    1 of 3 trials to record anew
    ");
    assert_snapshot!(project.says(&["rerecord", "--suite=base", "--plan", "--only-misses"]), @r"
    exit 0
    --- stdout
    3 trials: every provider request is as recorded
    ");
    let run = project.run(&["rerecord", "--suite=base", "-q"]);
    assert_eq!((run.code, provider.asked().len()), (Some(0), 4), "{run}");
    assert_eq!(
        project.run(&["rerecord", "--suite=base", "--plan"]).stdout.lines().last(),
        Some("3 trials: every provider request is as recorded")
    );
}

#[test]
fn a_trial_that_fails_while_it_is_recorded_is_told() {
    let (_provider, project) =
        recorded(&second_changed().replace("expected: Which moon?", "expected: Which sun?"));
    let run = project.run(&["rerecord", "--suite=base", "-q"]);
    assert_eq!(run.code, Some(1), "{run}");
    assert!(
        run.stdout.contains("**Not all is well**: 1 of 3 trials to record, 1 replayed; see the table."),
        "{run}"
    );
    assert!(run.stdout.contains("| failed: 1 request, 2 tokens | failed |"), "{run}");
    assert!(run.stderr.contains("expected \"Which sun?\", got \"Which moon?\""), "{run}");
}

#[test]
fn a_stack_whose_start_was_never_recorded_is_recorded_from_its_start() {
    let (_provider, project) = Project::echoed(SUNS);
    let run = project.run(&["rerecord", "--suite=base", "-q"]);
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!((files(&project).len(), project.run(&["--suite=base"]).code), (4, Some(0)), "{run}");
}

#[test]
fn what_shared_fixtures_asked_is_recorded_with_the_trials_that_lack_it() {
    let cases = r#"
fixtures:
  asked:
    scope: file
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ models.text_model }}", messages: [{role: user, content: Which sun?}]}}
        keep: {text: "$.choices[0].message.content"}
        expect: [{status: 200}]
cases:
  - {name: uses, uses: asked, steps: [{expect: [{value: {of: "${{ asked.text }}", exists: true}}]}]}
  - {name: needs_nothing, steps: [{get: /v1/version, expect: [{status: 200}]}]}
"#;
    let (provider, project) = Project::echoed(cases);
    assert_eq!(project.run(&["--suite=base", "--inference-mode=record"]).code, Some(0));
    let project = project.file("test_cases/a.yaml", cases.replace("Which sun?", "Which moon?"));
    assert_snapshot!(project.says(&["rerecord", "--suite=base", "--plan"]), @r"
    exit 0
    --- stdout
    a::uses
      what its fixtures or the stack's start asked has no recording

    1 of 2 trials to record anew
    ");
    let run = project.run(&["rerecord", "--suite=base", "-q"]);
    assert_eq!((run.code, provider.asked().len()), (Some(0), 2), "{run}");
    assert_eq!(project.run(&["--suite=base"]).code, Some(0));
}

#[test]
fn flags_that_have_no_meaning_here_are_refused() {
    let project = Project::cases(SUNS);
    for (flag, reason) in [
        ("--inference-mode=record", "it replays, and then records what changed"),
        ("--record-only=a", "selectors and -k choose trials"),
        ("--repeat-each=2", "a trial is recorded once"),
    ] {
        let run = project.run(&["rerecord", "--suite=base", flag]);
        assert_eq!(run.code, Some(4), "{run}");
        let name = flag.split('=').next().expect("has a name");
        assert_eq!(run.stderr.trim(), format!("error: rerecord takes no {name}: {reason}"));
    }
    let stack = Provider::start(|_| async { completion("Sol") });
    let run = project.run(&["rerecord", "--plan", &format!("--stack-config={}", stack.url())]);
    assert_eq!((run.code, stack.asked().len()), (Some(4), 0), "{run}");
    assert!(run.stderr.contains("so that it cannot be recorded"), "{run}");
}
