//! Recording provider traffic and replaying it.

use insta::assert_snapshot;

use crate::provider::{Asked, Provider};
use crate::support::Project;

const SUNS: &str = r#"
cases:
  - name: sun
    upstream: "inference/test_x.py::test_sun[txt=${{ text_model }}-${{ row.id }}]"
    params: [text_model]
    rows: [{id: one, question: Which sun?}, {id: two, question: Which other sun?}]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "${{ row.question }}"}]}}
        expect:
          - json: {at: "$.choices[0].message.content", equals: "${{ row.question }}"}
"#;

fn outcomes(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| line.contains("::") || line.contains(" passed, ")).collect()
}

#[test]
fn what_was_recorded_replays_without_the_provider() {
    let (provider, project) = Project::echoed(SUNS);
    let recorded = project.run(&["--suite=base", "--inference-mode=record", "-j1"]);
    assert_eq!((recorded.code, provider.asked().len()), (Some(0), 2), "{recorded}");
    drop(provider);
    let replayed = project.run(&["--suite=base", "-j1"]);
    assert_eq!(replayed.code, Some(0), "{replayed}");
    assert_eq!(outcomes(&replayed.stdout), outcomes(&recorded.stdout));
}

#[test]
fn a_miss_shows_the_nearest_recording_and_what_differs() {
    let (provider, project) = Project::echoed(SUNS);
    assert_eq!(project.run(&["--suite=base", "--inference-mode=record"]).code, Some(0));
    drop(provider);
    let changed = SUNS.replace("Which other sun?", "Which moon?");
    let project = project.file("test_cases/a.yaml", changed);
    assert_snapshot!(project.says(&["--suite=base", "-j1"]), @r#"
    exit 7
    --- stdout
    suite base, setup local: 2 trials against starter (replay, [jobs])
      PASS   0.00s a::sun[txt=llama-cpp/tiny-one]
      FAIL   0.00s a::sun[txt=llama-cpp/tiny-two]

    --- a::sun[txt=llama-cpp/tiny-two] ---
    replay miss: POST /v1/chat/completions to llama-cpp has no recording
      no recording answers POST /v1/chat/completions (provider llama-cpp)
        key      599f8c19732af0c3389b5598e7fd306208e6e2acb16c3affe19b483b1f360e74
        nearest  responses/482f0e568ffa.json
        differs  $.messages[0].content: request "Which moon?", recording "Which sun?"
        hint     if the request changed on purpose, record it:
                 runner 'a::sun[txt=llama-cpp/tiny-two]' --setup=local --inference-mode=record-if-missing
      then test_cases/a.yaml:11: $.choices[0].message.content: expected "Which moon?", got nothing found

    1 passed, 1 failed in 0.00s
    "#);
}

#[test]
fn nothing_recorded_at_all() {
    let project = Project::cases(SUNS).env("LLAMA_CPP_URL", "http://127.0.0.1:1/v1");
    assert_snapshot!(project.says(&["--suite=base", "-k", "one"]), @r#"
    exit 7
    --- stdout
    suite base, setup local: 1 trial against starter (replay, [jobs])
      FAIL   0.00s a::sun[txt=llama-cpp/tiny-one]

    --- a::sun[txt=llama-cpp/tiny-one] ---
    replay miss: GET /v1/models to llama-cpp has no recording
      no recording answers GET /v1/models (provider llama-cpp)
        key      baa78b2d9048b4866641ab661f395670eada5c53f778b994de8099c3913a320e
        nearest  none: nothing is recorded for this endpoint
        hint     record it:
                 runner --suite=base -k=one --setup=local --inference-mode=record-if-missing
      then test_cases/a.yaml:11: $.choices[0].message.content: expected "Which sun?", got nothing found

    0 passed, 1 failed in 0.00s
    --- stderr
    note: llama-cpp: its model list is not recorded, so the stack knows none of its models; record it: --inference-mode=record-if-missing
    "#);
}

/// A miss is worse than the failures it causes, and a failure beside it decides the exit status.
#[test]
fn a_miss_and_a_failure_are_a_failure() {
    let failing =
        format!("{SUNS}  - {{name: fails, steps: [{{get: /v1/version, expect: [{{status: 404}}]}}]}}\n");
    let output = Project::cases(&failing).run(&["--suite=base"]);
    assert_eq!(output.code, Some(1), "{output}");
}

#[test]
fn record_if_missing_asks_only_for_what_is_missing() {
    let (provider, project) = Project::echoed(SUNS);
    let run = |args: &[&str]| project.run(&[&["--suite=base", "-j1"], args].concat()).code;
    assert_eq!(run(&["--inference-mode=record", "-k", "one"]), Some(0));
    assert_eq!(run(&["--inference-mode=record-if-missing"]), Some(0));
    let asked: Vec<String> = provider.asked().iter().map(Asked::question).collect();
    assert_eq!(asked, ["Which sun?", "Which other sun?"]);
}

#[test]
fn live_records_nothing() {
    let (_provider, project) = Project::echoed(SUNS);
    assert_eq!(project.run(&["--suite=base", "--inference-mode=live", "-k", "one"]).code, Some(0));
    assert_eq!(std::fs::read_dir(project.path("recordings")).expect("reads").count(), 0);
}

/// What cannot be seen is neither passed nor failed.
#[test]
fn checks_of_provider_requests_are_skipped_where_none_are_seen() {
    let checked = format!("{SUNS}          - provider_calls: {{count: 1}}\n");
    let (_provider, project) = Project::echoed(&checked);
    let run = |args: &[&str]| project.run(&[&["--suite=base", "-j1", "-k", "one"], args].concat());
    assert_snapshot!(run(&["--inference-mode=live"]).to_string(), @"
    exit 0
    --- stdout
    suite base, setup local: 1 trial against starter (live, [jobs])
      SKIP   0.00s a::sun[txt=llama-cpp/tiny-one]  it checks provider requests, which a live run and a target given by URL do not show

    skipped:
         1  it checks provider requests, which a live run and a target given by URL do not show

    0 passed, 0 failed, 1 skipped in 0.00s
    ");
    assert_eq!(run(&["--inference-mode=record"]).code, Some(0));
    assert_eq!(run(&["--inference-mode=replay"]).code, Some(0));
}

/// With `CI` set the mode stays replay, unless it is asked for.
#[test]
fn ci_replays() {
    let (provider, project) = Project::echoed(SUNS);
    let project = project.env("CI", "true");
    assert_eq!(project.run(&["--suite=base"]).code, Some(7));
    assert_eq!(project.run(&["--suite=base", "--inference-mode=live"]).code, Some(0));
    assert_eq!(provider.asked().len(), 2);
}

/// The key reaches the provider and nothing else: no recording, no report, no output, whatever happens.
#[test]
fn secrets_stay_out_of_output_and_recordings() {
    let secret = "sk-very-secret-value-0123456789";
    let cases = r#"
cases:
  - name: fails
    steps:
      - post: /v1/chat/completions
        headers: {x-llamastack-provider-data: '{"openai_api_key": "${{ env.OPENAI_API_KEY }}"}'}
        body: {json: {model: openai/tiny, messages: [{role: user, content: "My key is ${{ env.OPENAI_API_KEY }}"}]}}
        expect: [{json: {at: "$.choices[0].message.content", equals: "not ${{ env.OPENAI_API_KEY }}"}}]
"#;
    let provider = Provider::chat(Asked::question);
    let project = Project::cases(cases)
        .env("OPENAI_API_KEY", secret)
        .env("OPENAI_BASE_URL", format!("{}/v1", provider.url()));
    let args = ["--inference-mode=record", "-v", "--report=r.jsonl", "--report=r.xml", "--report=r.md"];
    let output = project.run(&args);
    let asked = provider.asked().pop().expect("was asked");
    assert_eq!(asked.headers["authorization"], format!("Bearer {secret}"));
    assert_eq!(asked.question(), format!("My key is {secret}"));
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("My key is ***"), "{output}");
    let explained = project.run(&["explain", "--env", &format!("OTHER_TOKEN={secret}")]);
    let mut files = vec![("output", output.to_string()), ("explain", explained.to_string())];
    let recordings = std::fs::read_dir(project.path("recordings/responses")).expect("reads");
    let paths = recordings
        .map(|entry| entry.expect("reads").path())
        .chain(["r.jsonl", "r.xml", "r.md"].map(|name| project.path(name)));
    files.extend(paths.map(|path| ("file", std::fs::read_to_string(path).expect("reads"))));
    assert!(files.len() >= 6, "a recording, reports and output are looked at");
    for (what, text) in files {
        assert!(!text.contains(secret), "{what}: {text}");
    }
}
