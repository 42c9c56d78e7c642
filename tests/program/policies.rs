//! What may be recorded and spent, and what a run demands of its recordings.

use insta::assert_snapshot;

use crate::provider::{Asked, Provider};
use crate::support::Project;

const SUNS: &str = r#"
cases:
  - name: sun
    params: [text_model]
    rows:
      - {id: one, question: Which sun?, most: 40}
      - {id: two, question: Which other sun?, most: 40}
      - {id: three, question: Why?, most: 400}
    steps:
      - post: /v1/chat/completions
        body:
          json:
            model: "${{ text_model }}"
            messages: [{role: user, content: "${{ row.question }}"}]
            max_tokens: "${{ row.most }}"
        expect:
          - json: {at: "$.choices[0].message.content", equals: "${{ row.question }}"}
"#;

/// A project whose three trials are recorded, with its provider.
fn recorded() -> (Provider, Project) {
    let (provider, project) = Project::echoed(SUNS);
    let run = project.run(&["--suite=base", "--inference-mode=record", "-j1"]);
    assert_eq!((run.code, provider.asked().len()), (Some(0), 3), "{run}");
    (provider, project)
}

/// The files of recordings that answer a question.
fn files(project: &Project, question: &str) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(project.path("recordings/responses")).expect("reads");
    let files = folder.map(|file| file.expect("reads").path());
    let asks = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).expect("reads").contains(&format!("\"content\": \"{question}\""))
    };
    files.filter(asks).collect()
}

#[test]
fn only_the_chosen_trials_are_recorded_again() {
    let (provider, project) = recorded();
    let args = ["--suite=base", "--inference-mode=record", "-j1", "-v", "--record-only=moon,tiny and two"];
    assert_snapshot!(project.says(&args), @"
    exit 0
    --- stdout
    suite base, setup local: 3 trials against starter (record, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
                   llama-cpp /v1/chat/completions: exact responses/56e98b2b5393.json
      PASS   0.00s a::sun[txt=llama-cpp/tiny-two]
                   llama-cpp /v1/chat/completions: recorded responses/8d8f271f454f.json
      PASS   0.00s a::sun[txt=llama-cpp/tiny-three]
                   llama-cpp /v1/chat/completions: exact responses/a76a3cf166b8.json

    sent to providers: 1 request, 2 tokens (1 of prompts, 1 of answers)

    3 passed, 0 failed in 0.00s
    ");
    let asked: Vec<_> = provider.asked().iter().map(Asked::question).collect();
    assert_eq!(asked[3..], ["Which other sun?"]);
}

#[test]
fn a_trial_that_is_not_chosen_misses_what_is_not_recorded() {
    let (provider, project) = recorded();
    let project = project.file("test_cases/a.yaml", SUNS.replace("Why?", "Why not?"));
    let args = ["--suite=base", "--inference-mode=record-if-missing", "-j1", "--record-only=two"];
    let run = project.run(&args);
    assert_eq!((run.code, provider.asked().len()), (Some(7), 3), "{run}");
}

#[test]
fn record_only_must_choose_something_and_record() {
    let project = Project::cases(SUNS);
    assert_snapshot!(project.says(&["--suite=base", "--record-only=moon"]), @"
    exit 4
    --- stderr
    error: --record-only has nothing to record in mode replay
     |
     = help: give a mode that records: --inference-mode=record or record-if-missing

    error: --record-only matches none of the selected trials
     |
     = help: `runner --list` with the same flags shows the trials

    2 problems found; nothing was run
    ");
    assert_snapshot!(project.says(&["--suite=base", "--inference-mode=record", "--record-only=sun and,one"]), @"
    exit 4
    --- stderr
    error: --record-only: a word is missing at character 8 of `sun and`
     |
     = help: expressions as for -k, separated by commas, as `--record-only 'chat and streaming,tools'`

    1 problem found; nothing was run
    ");
}

#[test]
fn recordings_that_are_too_old_are_reported_or_fail_the_run() {
    let (_provider, project) = recorded();
    for file in files(&project, "Why?") {
        let text = std::fs::read_to_string(&file).expect("reads");
        let at = text.find("\"recorded_at\": \"").expect("is there") + 16;
        let old = format!("{}2024-02-29T12:00:00.000Z{}", &text[..at], &text[at + 24..]);
        std::fs::write(file, old).expect("writes");
    }
    assert_snapshot!(project.says(&["--suite=base", "-j1", "-q", "--max-age=90d"]), @"
    exit 0
    --- stdout

    3 passed, 0 failed in 0.00s
    ");
    assert_snapshot!(project.says(&["--suite=base", "-j1", "--max-age=90d", "-v"]), @"
    exit 0
    --- stdout
    suite base, setup local: 3 trials against starter (replay, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
                   llama-cpp /v1/chat/completions: exact responses/56e98b2b5393.json
      PASS   0.00s a::sun[txt=llama-cpp/tiny-two]
                   llama-cpp /v1/chat/completions: exact responses/8d8f271f454f.json
      PASS   0.00s a::sun[txt=llama-cpp/tiny-three]
                   llama-cpp /v1/chat/completions: exact responses/a76a3cf166b8.json

    older than 90d: 1 recording, the oldest of 2024-02-29
      responses/a76a3cf166b8.json of 2024-02-29  a::sun[txt=llama-cpp/tiny-three]

    3 passed, 0 failed in 0.00s
    ");
    let args = ["--suite=base", "-j1", "-q", "--max-age=90d", "--max-age-is=fail"];
    assert_snapshot!(project.says(&args), @"
    exit 1
    --- stdout

    failed for: 1 recording too old (--max-age-is=fail)

    3 passed, 0 failed in 0.00s
    ");
    assert_eq!(
        project.run(&["--suite=base", "-k", "one", "--max-age=90d", "--max-age-is=fail"]).code,
        Some(0)
    );
}

#[test]
fn recordings_that_nobody_asked_for_are_reported_or_fail_the_run() {
    let (_provider, project) = recorded();
    let changed = SUNS
        .replace("Why?", "Why not?")
        .replace("      - {id: two, question: Which other sun?, most: 40}\n", "");
    let project = project.file("test_cases/a.yaml", changed);
    let fill = ["--suite=base", "--inference-mode=record-if-missing", "-j1"];
    assert_snapshot!(project.says(&fill), @"
    exit 0
    --- stdout
    suite base, setup local: 2 trials against starter (record-if-missing, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
      PASS   0.00s a::sun[txt=llama-cpp/tiny-three]

    sent to providers: 1 request, 2 tokens (1 of prompts, 1 of answers)
    not used: 2 recordings, 1 of them of trials that are gone (-v names them)

    2 passed, 0 failed in 0.00s
    ");
    let args = ["--suite=base", "-j1", "-v", "--fail-on-unused", "--report=run.jsonl"];
    assert_snapshot!(project.says(&args), @"
    exit 1
    --- stdout
    suite base, setup local: 2 trials against starter (replay, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
                   llama-cpp /v1/chat/completions: exact responses/56e98b2b5393.json
      PASS   0.00s a::sun[txt=llama-cpp/tiny-three]
                   llama-cpp /v1/chat/completions: exact responses/dc017617fece.json

    not used: 2 recordings, 1 of them of trials that are gone
      responses/8d8f271f454f.json  a::sun[txt=llama-cpp/tiny-two] (gone)
      responses/a76a3cf166b8.json  a::sun[txt=llama-cpp/tiny-three]
    failed for: 2 unused recordings (--fail-on-unused)

    2 passed, 0 failed in 0.00s
    ");
    let end = project.events("run.jsonl").pop().expect("has lines");
    assert_eq!(end["recordings"]["unused"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_a_selection_leaves_out_is_not_unused() {
    let (_provider, project) = recorded();
    let other = "name: other\ndefaults: {text_model: llama-cpp/tiny}\n";
    let project = project.file("setups/other.yaml", other);
    for args in [
        &["--suite=base", "-k", "one", "--fail-on-unused"][..],
        &[
            "--suite=base",
            "--text-model=llama-cpp/tiny",
            "a::sun[txt=llama-cpp/tiny-two]",
            "--fail-on-unused",
        ],
        // The same trials with another setup: its recordings are others.
        &["--suite=base", "--setup=other", "--fail-on-unused"],
    ] {
        let run = project.run(args);
        assert_eq!(run.code, Some(0), "{run}");
        assert!(!run.stdout.contains("not used"), "{run}");
    }
}

#[test]
fn a_budget_of_requests_stops_the_run_before_it_is_exceeded() {
    let (provider, project) = Project::echoed(SUNS);
    let args = ["--suite=base", "--inference-mode=record", "-j1", "--max-requests=1", "--report=run.jsonl"];
    assert_snapshot!(project.says(&args), @r#"
    exit 1
    --- stdout
    suite base, setup local: 3 trials against starter (record, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
    BROKEN   0.00s a::sun[txt=llama-cpp/tiny-two]

    --- a::sun[txt=llama-cpp/tiny-two] ---
    stopped by the budget: POST /v1/chat/completions to llama-cpp
      the budget of 1 request is used up (--max-requests); it was not sent
      then test_cases/a.yaml:17: $.choices[0].message.content: expected "Which other sun?", got nothing found
      provider requests of this trial:
        llama-cpp /v1/chat/completions: over budget

    sent to providers: 1 request, 2 tokens (1 of prompts, 1 of answers)

    1 passed, 0 failed, 1 broken, 1 not run in 0.00s
    "#);
    assert_eq!(provider.asked().len(), 1);
    let mut finished = project.events("run.jsonl");
    finished.retain(|event| event["event"] == "trial_finished");
    let tokens = serde_json::json!({"prompt": 1, "completion": 1, "total": 2});
    let broken = finished.iter().find(|event| event["outcome"] == "broken").expect("is there");
    assert!(finished.iter().any(|event| event["tokens"] == tokens), "{finished:?}");
    assert!(broken["tokens"].is_null() && broken["failures"][0]["kind"] == "fault", "{broken}");
}

#[test]
fn a_budget_of_tokens_holds_in_a_live_run() {
    let (provider, project) = Project::echoed(SUNS);
    let args = ["--suite=base", "--inference-mode=live", "-j1", "-v", "--max-tokens=200"];
    assert_snapshot!(project.says(&args), @r#"
    exit 1
    --- stdout
    suite base, setup local: 3 trials against starter (live, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
                   llama-cpp /v1/chat/completions: forwarded
      PASS   0.00s a::sun[txt=llama-cpp/tiny-two]
                   llama-cpp /v1/chat/completions: forwarded
    BROKEN   0.00s a::sun[txt=llama-cpp/tiny-three]
                   llama-cpp /v1/chat/completions: over budget

    --- a::sun[txt=llama-cpp/tiny-three] ---
    stopped by the budget: POST /v1/chat/completions to llama-cpp
      it may take 421 tokens, and 4 of 200 are spent (--max-tokens); it was not sent
      then test_cases/a.yaml:17: $.choices[0].message.content: expected "Why?", got nothing found
      provider requests of this trial:
        llama-cpp /v1/chat/completions: over budget

    sent to providers: 2 requests, 4 tokens (2 of prompts, 2 of answers)

    2 passed, 0 failed, 1 broken in 0.00s
    "#);
    assert_eq!(provider.asked().len(), 2);
}

#[test]
fn a_budget_that_cannot_hold_is_refused() {
    let stack = Provider::chat(Asked::question);
    let url = stack.url();
    let live = ["--stack-config", &url, "--inference-mode=live", "--max-requests=5"];
    assert_snapshot!(Project::new().says(&live), @"
    exit 4
    --- stderr
    error: a budget cannot hold for the stack at http://127.0.0.1:[port]: it was not started here, so its requests to providers do not pass through the proxy; `runner proxy` takes --max-requests and --max-tokens, too
    ");
    let replay = Project::new().run(&["--stack-config", &url, "--max-requests=5"]);
    assert!(!replay.stderr.contains("budget"), "{replay}");
}

#[test]
fn an_interval_that_is_no_number_is_refused() {
    let project = Project::new().env("LLAMA_STACK_TEST_INTERVAL_SECONDS", "often");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: LLAMA_STACK_TEST_INTERVAL_SECONDS: `often` is no number of seconds; write one such as 2 or 0.5

    1 problem found; nothing was run
    ");
}
