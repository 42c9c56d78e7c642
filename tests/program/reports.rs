//! The files that a run writes.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Project;

const CASES: &str = r#"
cases:
  - name: asks
    upstream: "inference/test_x.py::test_asks[txt=${{ text_model }}]"
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "A | B?"}]}}
        expect: [{json: {at: "$.choices[0].message.content", equals: "A | B?"}}]
  - name: fails
    steps: [{get: /v1/version, expect: [{status: 404}]}]
  - name: sees
    params: [vision_model]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: xfails
    xfail: [{target_is: in_process, because: a <known> bug}]
    steps: [{get: /v1/version, expect: [{status: 404}]}]
"#;

/// Records, then replays with the reports.
fn reported(args: &[&str]) -> Project {
    let (provider, project) = Project::echoed(CASES);
    assert_eq!(project.run(&["--suite=base", "--inference-mode=record"]).code, Some(1));
    drop(provider);
    assert_eq!(project.run(&[&["--suite=base", "-j1"], args].concat()).code, Some(1));
    project
}

#[test]
fn json_lines() {
    let project = reported(&["--report=out/r.jsonl"]);
    let mut events = project.events("out/r.jsonl");
    for event in &mut events {
        without_times(event);
        if let Some(started) = event.get_mut("started") {
            assert!(started.as_str().is_some_and(|text| text.ends_with('Z')), "{started}");
            *started = "…".into();
        }
    }
    let shown: Vec<String> = events.iter().map(Value::to_string).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    {"event":"run_started","format":1,"tool":"runner [version]","suite":"base","setup":"local","target":"starter","mode":"replay","jobs":1,"trials":4,"params":{"text_model":["llama-cpp/tiny"],"vision_model":[],"embedding_model":[],"safety_shield":[],"judge_model":[],"embedding_dimension":["384"]},"started":"…","shard":null}
    {"event":"trial_started","id":"a::asks[txt=llama-cpp/tiny]"}
    {"event":"step_finished","id":"a::asks[txt=llama-cpp/tiny]","step":1,"passed":true,"seconds":0}
    {"event":"trial_finished","id":"a::asks[txt=llama-cpp/tiny]","axes":{"txt":"llama-cpp/tiny"},"outcome":"passed","reason":null,"seconds":0,"upstream":"inference/test_x.py::test_asks[txt=llama-cpp/tiny]","attempts":1,"place":"test_cases/a.yaml:3","tokens":{"prompt":1,"completion":1,"total":2},"requests":[{"place":"test_cases/a.yaml:7","method":"POST","path":"/v1/chat/completions","status":200,"at":0,"seconds":0,"bytes":456,"first_byte":0}],"matches":[{"provider":"llama-cpp","endpoint":"/v1/chat/completions","model":"tiny","tier":"exact","file":"responses/6c7442a019e6.json","status":200,"at":0,"seconds":0,"tokens":{"prompt":1,"completion":1,"total":2}}],"failures":[]}
    {"event":"trial_started","id":"a::fails"}
    {"event":"step_finished","id":"a::fails","step":1,"passed":false,"seconds":0}
    {"event":"trial_finished","id":"a::fails","axes":{},"outcome":"failed","reason":"status: expected 404, got 200","seconds":0,"upstream":null,"attempts":1,"place":"test_cases/a.yaml:10","tokens":null,"requests":[{"place":"test_cases/a.yaml:11","method":"GET","path":"/v1/version","status":200,"at":0,"seconds":0,"bytes":19,"first_byte":0}],"matches":[],"failures":[{"kind":"mismatch","title":"status: expected 404, got 200","place":"test_cases/a.yaml:11","excerpt":"   11 |     steps: [{get: /v1/version, expect: [{status: 404}]}]","detail":"received status 200, application/json: {\"version\":\"0.3.0\"}","curl":"curl -sS -X GET 'http://in-process/v1/version' \\\n  -H 'accept: application/json' \\\n  -H 'user-agent: runner/[version]' \\\n  -H 'traceparent: [traceparent]'","answer":"HTTP 200 OK application/json\n{\"version\":\"0.3.0\"}"}]}
    {"event":"trial_started","id":"a::sees[vis=none]"}
    {"event":"trial_finished","id":"a::sees[vis=none]","axes":{"vis":"none"},"outcome":"skipped","reason":"vision_model empty - skipping test","seconds":0,"upstream":null,"attempts":1,"place":"test_cases/a.yaml:12","tokens":null,"requests":[],"matches":[],"failures":[]}
    {"event":"trial_started","id":"a::xfails"}
    {"event":"step_finished","id":"a::xfails","step":1,"passed":false,"seconds":0}
    {"event":"trial_finished","id":"a::xfails","axes":{},"outcome":"xfailed","reason":"a <known> bug","seconds":0,"upstream":null,"attempts":1,"place":"test_cases/a.yaml:15","tokens":null,"requests":[{"place":"test_cases/a.yaml:17","method":"GET","path":"/v1/version","status":200,"at":0,"seconds":0,"bytes":19,"first_byte":0}],"matches":[],"failures":[]}
    {"event":"run_finished","passed":1,"failed":1,"skipped":1,"xfailed":1,"xpassed":0,"broken":0,"quarantined":0,"flaky":0,"missed":0,"stray_misses":[],"not_run":0,"interrupted":false,"unclean":[],"recordings":{"unused":[],"stale":[],"undated":0,"unmet":[]},"forwarded":{"requests":0,"uncounted":0,"estimated_tokens":0,"tokens":{"prompt":0,"completion":0,"total":0}},"matches":[{"provider":"llama-cpp","endpoint":"/v1/models","model":null,"tier":"exact","file":"responses/baa78b2d9048.json","status":200,"at":null,"seconds":0,"tokens":null}],"seconds":0}
    "#);
}

/// Makes every time in a value 0.
fn without_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_times),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_f64() {
                    Some(time) if ["seconds", "at", "first_byte"].contains(&name.as_str()) => {
                        assert!((0.0..60.0).contains(&time), "{name}: {time}");
                        *member = 0.into();
                    }
                    _ => without_times(member),
                }
            }
        }
        _ => {}
    }
}

/// What an answer is made of, not what it says.
#[test]
fn exchanges() {
    let project = reported(&["--report=exchanges=out/x.jsonl", "a::fails"]);
    let mut events = project.events("out/x.jsonl");
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["event"], "run_started");
    events[1]["seconds"] = 0.into();
    assert_eq!(
        events[1].to_string(),
        r#"{"event":"exchange","id":"a::fails","place":"test_cases/a.yaml:11","method":"GET","path":"/v1/version","endpoint":"/v1/version","seconds":0,"status":200,"media_type":"application/json","cut":false,"sequence":[],"shapes":{"":{"$":["object"],"$.version":["string"]}}}"#
    );
}

#[test]
fn junit() {
    let project = reported(&["--report=junit=out"]);
    let xml = regex::Regex::new(r#"(time|uuid|timestamp)="[^"]*""#).expect("compiles");
    assert_snapshot!(xml.replace_all(&project.read("out"), "$1=\"…\""), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="base" tests="4" failures="1" errors="0">
        <testsuite name="a" tests="4" skipped="2" errors="0" failures="1">
            <testcase name="asks[txt=llama-cpp/tiny]" classname="a" time="…">
                <system-out>upstream: inference/test_x.py::test_asks[txt=llama-cpp/tiny]
    provider request: llama-cpp /v1/chat/completions: exact</system-out>
            </testcase>
            <testcase name="fails" classname="a" time="…">
                <failure message="status: expected 404, got 200">test_cases/a.yaml:11: status: expected 404, got 200
         11 |     steps: [{get: /v1/version, expect: [{status: 404}]}]
      received status 200, application/json: {&quot;version&quot;:&quot;0.3.0&quot;}
      request:
        curl -sS -X GET &apos;http://in-process/v1/version&apos; \
          -H &apos;accept: application/json&apos; \
          -H &apos;user-agent: runner/[version]&apos; \
          -H &apos;traceparent: [traceparent]&apos;
      answer:
        HTTP 200 OK application/json
        {&quot;version&quot;:&quot;0.3.0&quot;}
    </failure>
            </testcase>
            <testcase name="sees[vis=none]" classname="a" time="…">
                <skipped message="vision_model empty - skipping test"/>
            </testcase>
            <testcase name="xfails" classname="a" time="…">
                <skipped message="expected failure: a &lt;known&gt; bug"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn markdown() {
    let project = reported(&["--report=r.md"]);
    let seconds = regex::Regex::new(r"\| \d\.\d\d \|").expect("compiles");
    assert_snapshot!(seconds.replace_all(&project.read("r.md"), "| 0.00 |"), @r#"
    # Test report

    Suite **base**, setup **local**, target `starter`, mode replay.

    **1 passed, 1 failed, 1 skipped, 1 xfailed** in 0.00s

    - text_model: `llama-cpp/tiny`
    - embedding_dimension: `384`

    | | trial | seconds | provider requests |
    |---|---|---:|---|
    | ✅ passed | `a::asks[txt=llama-cpp/tiny]` | 0.00 | exact |
    | ❌ failed | `a::fails` | 0.00 |  |
    | ➖ skipped | `a::sees[vis=none]` | 0.00 |  |
    | ➖ xfailed | `a::xfails` | 0.00 |  |

    ## Providers

    Trials that asked a provider: passed of those that ran.

    | | llama-cpp |
    |---|---|
    | a | ✅ 1/1 |

    | provider | model | requests | replayed | missed | prompt tokens | answer tokens |
    |---|---|---:|---:|---:|---:|---:|
    | llama-cpp |  | 1 | 1 | 0 | 0 | 0 |
    | llama-cpp | tiny | 1 | 1 | 0 | 1 | 1 |

    ## Failures

    ### `a::fails`

    ````text
    test_cases/a.yaml:11: status: expected 404, got 200
         11 |     steps: [{get: /v1/version, expect: [{status: 404}]}]
      received status 200, application/json: {"version":"0.3.0"}
      request:
        curl -sS -X GET 'http://in-process/v1/version' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'traceparent: [traceparent]'
      answer:
        HTTP 200 OK application/json
        {"version":"0.3.0"}
    ````

    ## Skipped

    | trials | reason |
    |---:|---|
    | 1 | vision_model empty - skipping test |
    "#);
}

#[test]
fn tokens_have_the_price_that_the_setup_says() {
    let (_provider, project) = Project::echoed(CASES);
    let prices = "{llama-cpp/tiny: {prompt: 1000000, answer: 2000000}}";
    let setup = format!("name: local\ndefaults: {{text_model: llama-cpp/tiny}}\nprices: {prices}\n");
    let project = project.file("setups/local.yaml", setup);
    let args = ["--suite=base", "--inference-mode=record", "--report=r.md", "--report=r.jsonl"];
    assert_eq!(project.run(&args).code, Some(1));
    project.run(&["merge", "r.jsonl", "--report=merged.md"]);
    for page in ["r.md", "merged.md"] {
        let text = project.read(page);
        assert!(text.contains("| llama-cpp | tiny | 1 | 0 | 0 | 1 | 1 | $3.0000 |\n"), "{text}");
        assert!(text.contains("| llama-cpp |  | 1 | 0 | 0 | 0 | 0 | |\n"), "{text}");
    }
}

/// What a page about the run knows, as its script reads it.
fn page_data(project: &Project, path: &str) -> Value {
    let page = project.read(path);
    let (_, rest) = page.split_once("id=\"data\">").expect("has data");
    serde_json::from_str(rest.split_once("</script>").expect("ends").0).expect("is JSON")
}

#[test]
fn the_page_knows_what_the_lines_say_and_how_trials_ended_before() {
    let state = tempfile::tempdir().expect("makes a directory");
    let project = Project::cases(CASES).env("XDG_STATE_HOME", state.path().display().to_string());
    for _ in 0..2 {
        project.run(&["a::fails", "a::xfails", "-j1", "--report=r.html", "--report=r.jsonl"]);
    }
    let data = page_data(&project, "r.html");
    let lines = project.read("r.jsonl");
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let trials: Vec<&Value> = events.iter().filter(|event| event["event"] == "trial_finished").collect();
    assert_eq!(trials.len(), 2);
    assert_eq!(data["trials"].as_array().expect("is a list").iter().collect::<Vec<_>>(), trials);
    assert_eq!((&data["run"], &data["end"]), (&events[0], events.last().expect("ended")));
    let past = data["history"]["a::fails"].as_array().expect("ran before");
    assert_eq!(past.iter().map(|result| &result["outcome"]).collect::<Vec<_>>(), ["failed", "failed"]);

    project.run(&["merge", "r.jsonl", "--report=merged.html"]);
    assert_eq!(page_data(&project, "merged.html")["trials"], data["trials"]);
}

/// As in every other report.
#[test]
fn no_secret_is_in_the_page() {
    let case = r#"
cases:
  - name: leaks
    steps:
      - get: "/v1/models/${{ env.MY_API_KEY }}"
        expect: [{status: 200}]
"#;
    let project = Project::cases(case).env("MY_API_KEY", "sk-very-secret-0123456789");
    let output = project.run(&[
        "--env",
        "MY_API_KEY=sk-very-secret-0123456789",
        "--report=r.html",
        "--report=r.jsonl",
        "--report=exchanges=x.jsonl",
    ]);
    assert_eq!(output.code, Some(1), "{output}");
    for file in ["r.html", "r.jsonl", "x.jsonl"] {
        let text = project.read(file);
        assert!(text.contains("/v1/models/") && !text.contains("very-secret"), "{file}: {text}");
    }
}

#[test]
fn provider_requests_are_printed_when_asked_for() {
    let (_provider, project) = Project::echoed(CASES);
    let output = project.run(&["--suite=base", "--inference-mode=record", "-v", "-k", "asks"]);
    assert_eq!(output.code, Some(0));
    assert_snapshot!(output.stdout, @"
    suite base, setup local: 1 trial against starter (record, [jobs])
      PASS   0.00s a::asks[txt=llama-cpp/tiny]
                   llama-cpp /v1/chat/completions: recorded responses/6c7442a019e6.json

    sent to providers: 1 request, 2 tokens (1 of prompts, 1 of answers)

    1 passed, 0 failed in 0.00s
    ");
}

#[test]
fn colours_when_asked_for() {
    let colored = |args: &[&str]| Project::new().run(args).stdout.contains("\u{1b}[");
    assert!(!colored(&[]));
    assert!(colored(&["--color=always"]));
    assert!(!colored(&["--color=never"]));
    assert!(Project::new().env("FORCE_COLOR", "1").run(&[]).stdout.contains("\u{1b}["));
    assert!(!Project::new().env("FORCE_COLOR", "1").env("NO_COLOR", "1").run(&[]).stdout.contains("\u{1b}["));
}
