//! Lists of known failures: what they make of a run, and what is said of entries that are not needed.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::Project;

const CASES: &str = r#"
cases:
  - {name: gone, steps: [{get: /v1/version, expect: [{status: 404}]}]}
  - {name: known, steps: [{get: /v1/version, expect: [{status: 404}]}]}
  - {name: mended, steps: [{get: /v1/version, expect: [{status: 200}]}]}
  - {name: unsteady, rows: [{id: a, n: 200}, {id: b, n: 404}], steps: [{get: /v1/version, expect: [{assert: row.n == 200}]}]}
  - {name: steady, steps: [{get: /v1/version, expect: [{status: 200}]}]}
"#;

const LISTS: &str = r#"
xfail:
  - {trials: "a::known", because: bug 7, until: 9999-12-31}
  - {trials: "a::mended", because: bug 8}
  - {trials: "a::gone", because: bug 9, until: 2020-02-29}
  - {trials: "a", target_is: server, because: only there}
  - {trials: "a", setup: local, because: only with it}
quarantine:
  - {trials: "a::unsteady*", because: it depends}
  - {trials: "a::s*[*]", because: no such row}
  - {trials: ["a::steady"], because: it did depend}
"#;

fn project() -> Project {
    Project::cases(CASES).file("expectations/known.yaml", LISTS)
}

#[test]
fn known_failures_do_not_fail_a_run() {
    let project = project();
    let output = project.says(&["-j1", "-k", "not gone", "--retries=3", "--report=r.jsonl"]);
    assert_snapshot!(output, @r#"
    exit 0
    --- stdout
    all cases: 5 trials against starter (replay, [jobs])
     XFAIL   0.00s a::known  bug 7
     XPASS   0.00s a::mended  bug 8
      PASS   0.00s a::unsteady[a]  in quarantine: it depends
     QFAIL   0.00s a::unsteady[b]  it depends
      PASS   0.00s a::steady  in quarantine: it did depend

    --- a::unsteady[b] (quarantined) ---
    test_cases/a.yaml:6: assert: expected true, got false
          6 |   - {name: unsteady, rows: [{id: a, n: 200}, {id: b, n: 404}], steps: [{get: /v1/version, expect: [{assert: row.n == 200}]}]}
      request:
        curl -sS -X GET 'http://in-process/v1/version' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]' \
          -H 'traceparent: [traceparent]'
      answer:
        HTTP 200 OK application/json
        {"version":"0.3.0"}

    expectations/known.yaml:4: xfail, but its trial passed; remove it (bug 8)
    expectations/known.yaml:11: quarantine, but its trial passed; remove it if that is reliable now (it did depend)

    2 passed, 0 failed, 1 xfailed, 1 xpassed, 1 quarantined in 0.00s
    --- stderr
    note: expectations/known.yaml:5: this entry counted until 2020-02-29 and is not applied
    "#);
    let lines = project.read("r.jsonl");
    let line = lines.lines().find(|line| line.contains("trial_finished") && line.contains("unsteady[b]"));
    let trial: serde_json::Value = serde_json::from_str(line.expect("is there")).expect("is JSON");
    assert_eq!(
        (&trial["outcome"], &trial["attempts"], &trial["failures"][0]["title"], &trial["listed"]),
        (
            &json!("quarantined"),
            &json!(1),
            &json!("assert: expected true, got false"),
            &json!([{"kind": "quarantine", "place": "expectations/known.yaml:9", "because": "it depends"}])
        )
    );
    assert_snapshot!(project.says(&["merge", "r.jsonl", "--report=tap=r.tap", "--report=r.md", "--report=r.xml"]), @r"
    exit 0
    --- stdout

    2 passed, 0 failed, 1 xfailed, 1 xpassed, 1 quarantined in 0.00s
    ");
    let tap = project.read("r.tap").replace(concat!("TO", "DO"), "[expected]");
    assert_snapshot!(tap, @r#"
    TAP version 14
    1..5
    not ok 1 - a::known # [expected] bug 7
    ok 2 - a::mended # [expected] bug 8
    ok 3 - a::steady
    ok 4 - a::unsteady[a]
    not ok 5 - a::unsteady[b] # [expected] it depends
      ---
      outcome: quarantined
      message: |
        test_cases/a.yaml:6: assert: expected true, got false
              6 |   - {name: unsteady, rows: [{id: a, n: 200}, {id: b, n: 404}], steps: [{get: /v1/version, expect: [{assert: row.n == 200}]}]}
          request:
            curl -sS -X GET 'http://in-process/v1/version' \
              -H 'accept: application/json' \
              -H 'user-agent: runner/[version]' \
              -H 'traceparent: [traceparent]'
          answer:
            HTTP 200 OK application/json
            {"version":"0.3.0"}
      ...
    "#);
    let xml = project.read("r.xml");
    assert!(xml.contains("tests=\"5\" skipped=\"2\" errors=\"0\" failures=\"0\""), "{xml}");
    assert!(
        xml.contains("<skipped message=\"failed in quarantine: it depends\">test_cases/a.yaml:6: assert"),
        "{xml}"
    );
    let page = project.read("r.md");
    assert!(page.contains("| 🚧 quarantined | `a::unsteady[b]` |"), "{page}");
    assert!(
        page.contains("## Expectations that were not met\n\n- expectations/known.yaml:4: xfail"),
        "{page}"
    );
}

#[test]
fn an_entry_past_its_day_or_for_another_setup_changes_nothing() {
    let output = project().run(&["a::gone", "-q"]);
    assert_eq!((output.code, output.stdout.lines().last()), (Some(1), Some("0 passed, 1 failed in 0.00s")));
    assert_snapshot!(output.stderr, @"note: expectations/known.yaml:5: this entry counted until 2020-02-29 and is not applied");
    assert_snapshot!(project().says(&["--suite=base", "a::gone", "a::steady", "-j1"]), @r"
    exit 0
    --- stdout
    suite base, setup local: 2 trials against starter (replay, [jobs])
     XFAIL   0.00s a::gone  only with it
     XPASS   0.00s a::steady  only with it

    expectations/known.yaml:11: quarantine, but its trial passed; remove it if that is reliable now (it did depend)

    0 passed, 0 failed, 1 xfailed, 1 xpassed in 0.00s
    --- stderr
    note: expectations/known.yaml:5: this entry counted until 2020-02-29 and is not applied
    ");
}

#[test]
fn github_is_told_at_the_places_of_the_entries() {
    let project = project().env("GITHUB_ACTIONS", "true");
    let output = project.run(&["-j1", "-q", "-k", "not gone"]);
    let warnings: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_snapshot!(warnings.join("\n"), @r#"
    ::warning file=test_cases/a.yaml,line=5,title=a%3A%3Amended::passed, though it was expected to fail: bug 8
    ::warning file=test_cases/a.yaml,line=6,title=a%3A%3Aunsteady[b]::failed in quarantine: it depends%0Atest_cases/a.yaml:6: assert: expected true, got false%0A      6 |   - {name: unsteady, rows: [{id: a, n: 200}, {id: b, n: 404}], steps: [{get: /v1/version, expect: [{assert: row.n == 200}]}]}%0A  request:%0A    curl -sS -X GET 'http://in-process/v1/version' \%0A      -H 'accept: application/json' \%0A      -H 'user-agent: runner/[version]' \%0A      -H 'traceparent: [traceparent]'%0A  answer:%0A    HTTP 200 OK application/json%0A    {"version":"0.3.0"}
    ::warning file=expectations/known.yaml,line=4,title=expectation::xfail, but its trial passed; remove it (bug 8)
    ::warning file=expectations/known.yaml,line=11,title=expectation::quarantine, but its trial passed; remove it if that is reliable now (it did depend)
    "#);
}

#[test]
fn check_finds_entries_that_count_for_nothing() {
    let lists = "xfail:\n  - {trials: ['a::knwon', 'a::known'], because: x}\n  - {trials: 'a::*', setup: local, because: y, until: 2020-01-01}\n\
                 quarantine:\n  - {trials: 'a::unsteady[c]', setup: local, because: z}\n";
    let project = Project::cases(CASES).file("expectations/known.yaml", lists);
    assert_snapshot!(project.says(&["check"]), @r"
    exit 4
    --- stderr
    error: no trial matches `a::knwon`
     --> expectations/known.yaml:2:15
      |
    2 |   - {trials: ['a::knwon', 'a::known'], because: x}
      |               ^^^^^^^^^^
      |
      = help: did you mean `a::known`?

    error: this entry counted until 2020-01-01, which has passed
     --> expectations/known.yaml:3:55
      |
    3 |   - {trials: 'a::*', setup: local, because: y, until: 2020-01-01}
      |                                                       ^^^^^^^^^^
      |
      = help: remove the entry, or give it another day if the reason still holds

    error: no trial matches `a::unsteady[c]` with setup local
     --> expectations/known.yaml:5:14
      |
    5 |   - {trials: 'a::unsteady[c]', setup: local, because: z}
      |              ^^^^^^^^^^^^^^^^
      |
      = help: did you mean `a::unsteady`?

    3 problems found; nothing was run
    ");
}

#[test]
fn the_stack_decides_whether_an_entry_for_a_kind_of_target_counts() {
    let lists = "xfail: [{trials: 'a::known', target_is: in_process, because: x}]\n";
    let project = Project::cases(CASES).file("expectations/known.yaml", lists);
    assert!(project.says(&["a::known"]).contains("XFAIL"), "{}", project.says(&["a::known"]));
    let project = Project::cases(CASES).file("expectations/known.yaml", lists.replace("in_process", "url"));
    assert_eq!(project.run(&["a::known"]).code, Some(1));
}
