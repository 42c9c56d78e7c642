//! Running trials again: retries, repetition, order, and what failed last.

use insta::assert_snapshot;

use crate::provider::{Provider, SAYS_SOL};
use crate::support::Project;

const MANY: &str = "
cases:
  - {name: a, steps: [{get: /v1/version, expect: [{status: 200}]}]}
  - {name: b, steps: [{get: /v1/version, expect: [{status: 404}]}]}
  - {name: c, steps: [{get: /v1/version, expect: [{status: 200}]}]}
  - {name: d, steps: [{get: /v1/version, expect: [{status: 200}]}]}
  - {name: e, steps: [{get: /v1/version, expect: [{status: 404}]}]}
";

/// The first word and the id of each trial's line.
fn order(stdout: &str) -> String {
    let lines = stdout.lines().filter(|line| line.contains("0.00s a::"));
    let words = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        format!("{} {}", words[0], words[2..].join(" "))
    };
    lines.map(words).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_flaky_trial_passes_unless_it_may_not() {
    let run = |more: &[&str]| {
        let provider = Provider::sol_after(1);
        let project = Project::cases(SAYS_SOL).talks_to(&provider);
        let args = ["--suite=base", "--inference-mode=live", "--retry-delay=1ms"];
        project.run(&[&args[..], more].concat()).code
    };
    assert_eq!(run(&["--retries=2"]), Some(0));
    assert_eq!(run(&["--retries=2", "--fail-on-flaky"]), Some(8));
    assert_eq!(run(&["--fail-on-flaky"]), Some(1));
}

#[test]
fn junit_has_the_attempts_that_did_not_pass() {
    let report = |reply: fn(usize) -> &'static str| {
        let provider = Provider::chat(move |asked| reply(asked.number).to_owned());
        let project = Project::cases(SAYS_SOL).talks_to(&provider);
        let args = ["--suite=base", "--inference-mode=live", "--retries=1", "--retry-delay=1ms"];
        project.run(&[&args[..], &["--report=r.xml"]].concat());
        project.read("r.xml")
    };
    let flaky = report(|number| if number == 0 { "Luna" } else { "Sol" });
    let attempt = "message=\"attempt 1 of 2 did not pass\" type=\"attempt\"";
    assert!(!flaky.contains("<failure"), "{flaky}");
    assert_eq!(flaky.matches(&format!("<flakyFailure {attempt}")).count(), 1, "{flaky}");
    let failed = report(|_| "Luna");
    assert!(failed.contains("<failure "), "{failed}");
    assert_eq!(failed.matches(&format!("<rerunFailure {attempt}")).count(), 1, "{failed}");
}

#[test]
fn each_trial_is_repeated_and_reported() {
    let project = Project::cases(MANY);
    let run = project.run(&["-j1", "-k", "a::a or a::b", "--repeat-each=2", "--report=run.jsonl"]);
    assert_snapshot!(order(&run.stdout), @"
    PASS a::a, PASS a::a#2, FAIL a::b, FAIL a::b#2
    ");
    assert!(run.stdout.contains("2 passed, 2 failed"), "{run}");
    let finished = project.read("run.jsonl").lines().filter(|line| line.contains("trial_finished")).count();
    assert_eq!(finished, 4);
}

/// Each repetition starts again from the first recording, and its requests are its own.
#[test]
fn a_repeated_trial_replays_its_recordings_each_time() {
    let provider = Provider::sol_after(0);
    let project = Project::cases(SAYS_SOL).talks_to(&provider);
    assert_eq!(project.run(&["--suite=base", "--inference-mode=record", "--repeat-each=2"]).code, Some(0));
    assert_eq!(provider.asked().len(), 2);
    drop(provider);
    assert_snapshot!(project.says(&["--suite=base", "--repeat-each=3", "-v", "--fail-on-unused"]), @"
    exit 0
    --- stdout
    suite base, setup local: 3 trials against starter (replay, [jobs])
      PASS   0.00s a::says_sol[txt=llama-cpp/tiny]
                   llama-cpp /v1/chat/completions: exact responses/1d1dd44ad9a0.json
      PASS   0.00s a::says_sol[txt=llama-cpp/tiny]#2
                   llama-cpp /v1/chat/completions: exact responses/1d1dd44ad9a0.json
      PASS   0.00s a::says_sol[txt=llama-cpp/tiny]#3
                   llama-cpp /v1/chat/completions: exact responses/1d1dd44ad9a0.json

    3 passed, 0 failed in 0.00s
    ");
}

#[test]
fn a_seed_gives_the_same_order_again() {
    let project = Project::cases(MANY);
    let run = |seed: &str| project.run(&["-j1", seed]).stdout;
    let shuffled = run("--shuffle=7");
    assert_snapshot!(order(&shuffled), @"
    PASS a::c, FAIL a::b, FAIL a::e, PASS a::a, PASS a::d
    ");
    assert_eq!(order(&shuffled), order(&run("--shuffle=7")));
    assert!(shuffled.contains(", --shuffle=7"), "{shuffled}");
    let random = run("--shuffle");
    let seed = random.split("--shuffle=").nth(1).and_then(|rest| rest.split(')').next()).expect("is printed");
    assert_eq!(order(&random), order(&run(&format!("--shuffle={seed}"))));
}

#[test]
fn what_failed_last_is_run_again() {
    let project = Project::cases(MANY).folder("state");
    let state = project.path("state").display().to_string();
    let project = project.env("XDG_STATE_HOME", state);
    let last = |project: &Project, args: &[&str]| {
        let run = project.run(&[&["-j1"], args].concat());
        format!("{} [{}] {}", run.code.unwrap_or(-1), order(&run.stdout), run.stderr.trim())
    };
    assert_snapshot!(last(&project, &["--lf"]), @"
    1 [PASS a::a, FAIL a::b, PASS a::c, PASS a::d, FAIL a::e] note: none of these trials failed when it last ran; all are run
    ");
    assert_snapshot!(last(&project, &["--last-failed"]), @"
    1 [FAIL a::b, FAIL a::e]
    ");
    let project = project.file("test_cases/a.yaml", MANY.replace("404", "200"));
    assert_snapshot!(last(&project, &["--lf", "-k", "a::b"]), @"
    0 [PASS a::b]
    ");
    assert_snapshot!(last(&project, &["--lf"]), @"
    0 [PASS a::e]
    ");
    assert_snapshot!(last(&project, &["--lf"]), @"
    0 [PASS a::a, PASS a::b, PASS a::c, PASS a::d, PASS a::e] note: none of these trials failed when it last ran; all are run
    ");
}

#[test]
fn without_a_home_there_is_no_history() {
    let run = Project::cases(MANY).run(&["--lf", "-j1"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("none of these trials failed"), "{run}");
}
