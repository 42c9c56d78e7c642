//! Ctrl-C: what is running ends, what is known is printed, and nothing is left behind.

use std::io::Read;
use std::process::Command;
use std::sync::mpsc;

use insta::assert_snapshot;
use nix::sys::signal::Signal;

use crate::provider::Provider;
use crate::support::{Output, Project};

/// The second case hangs at the model, after which a third would come.
const CASES: &str = r#"
cases:
  - {name: before, steps: [{get: /v1/version, expect: [{status: 200}]}]}
  - name: hangs
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: Hello}]}}
        expect: [{status: 200}]
    cleanup: [{delete: /v1/models/none}]
  - {name: after, steps: [{get: /v1/version, expect: [{status: 200}]}]}
"#;

/// Runs until the model is asked, sends the signal, and waits for the end.
fn interrupted(project: Project, args: &[&str], signal: Signal) -> Output {
    let (asked, is_asked) = mpsc::channel();
    let provider = Provider::start(move |_| {
        let _ = asked.send(());
        std::future::pending()
    });
    let project = project.talks_to(&provider);
    let child = project.start(&[&["--suite=base", "--inference-mode=live", "-j1"], args].concat());
    is_asked.recv().expect("the model is asked");
    project.stop(child, signal)
}

#[test]
fn ctrl_c_ends_a_trial_that_hangs() {
    assert_snapshot!(interrupted(Project::cases(CASES), &[], Signal::SIGINT), @"
    exit 2
    --- stdout
    suite base, setup local: 3 trials against starter (live, [jobs])
      PASS   0.00s a::before
    BROKEN   0.00s a::hangs[txt=llama-cpp/tiny]

    --- a::hangs[txt=llama-cpp/tiny] ---
    test_cases/a.yaml:4: interrupted

    1 passed, 0 failed, 1 broken, 1 not run in 0.00s (interrupted)
    ");
}

#[test]
fn a_request_to_terminate_does_the_same() {
    assert_eq!(interrupted(Project::cases(CASES), &[], Signal::SIGTERM).code, Some(2));
}

#[test]
fn ctrl_c_ends_the_server_and_its_children() {
    let project = Project::cases(CASES).file(
        "stacks/family.yaml",
        r#"
name: family
launch:
  - sh
  - -c
  - 'exec 3>alive; sleep 600 & exec "$0" serve --stack-config starter --port "$1"'
  - "${{ runner }}"
  - "${{ port }}"
ready: {get: /v1/health, within: 60s}
"#,
    );
    let pipe = project.path("alive");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("starts").success());
    // Open as long as the server or its child is there.
    let gone = std::thread::spawn(move || {
        let mut alive = std::fs::File::open(pipe).expect("opens when the server starts");
        alive.read_to_end(&mut Vec::new()).expect("reads to the end")
    });
    let output = interrupted(project, &["--stack=family", "--stack-config=server:starter"], Signal::SIGINT);
    assert_eq!(output.code, Some(2), "{output}");
    gone.join().expect("all of the server ends");
}

/// A server that is still starting ends too.
#[track_caller]
fn interrupted_at_boot(signal: Signal) {
    let project = Project::new().file(
        "stacks/slow.yaml",
        "name: slow\nlaunch: [sh, -c, 'exec 3>alive; echo up >&3; sleep 600']\nready: {get: /v1/health, within: 1h}\n",
    );
    let pipe = project.path("alive");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("starts").success());
    let child = project.start(&["--stack=slow", "--stack-config=server:starter"]);
    let mut alive = std::fs::File::open(pipe).expect("opens when the server starts");
    alive.read_exact(&mut [0; 3]).expect("it is up");
    let output = project.stop(child, signal);
    alive.read_to_end(&mut Vec::new()).expect("all of the server ends");
    let said = output.to_string();
    assert_eq!(said, "exit 2\n--- stderr\ninterrupted before the stack was ready; nothing was run");
}

#[test]
fn ctrl_c_while_the_server_starts() {
    interrupted_at_boot(Signal::SIGINT);
}

#[test]
fn a_request_to_terminate_while_the_server_starts() {
    interrupted_at_boot(Signal::SIGTERM);
}
