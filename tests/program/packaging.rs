//! What a new user meets: a scaffolded project, completion in the shell, the manual page.

use std::path::Path;
use std::process::Command;

use axum::response::{IntoResponse, Json};
use insta::assert_snapshot;
use serde_json::json;

use crate::provider::{Provider, completion};
use crate::support::Project;

/// Every file of a project, from its root.
fn files(project: &Project) -> Vec<String> {
    let root = project.path(".");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("reads") {
            let path = entry.expect("reads").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(&root).expect("lies below").display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_project_is_green_at_once() {
    let project = Project::empty();
    assert_snapshot!(project.says(&["init"]), @r"
    exit 0
    --- stdout
    A project, with
      suites/smoke.yaml                       which cases run, and with which setup
      setups/smollm2.yaml                     the model that was recorded
      setups/ollama.yaml                      a model of yours, to be recorded
      test_cases/chat.yaml                    three cases to start from
      recordings/responses/baa78b2d9048.json  what the provider answered
      recordings/responses/b5d5303dc625.json
      recordings/responses/8a2aa771cd7b.json
      .gitignore                              what is made from other files, and .env
      schemas/case.json                       for editors: completion, and mistakes underlined
      schemas/setup.json
      schemas/suite.json
      .github/workflows/runner.yml            GitHub Actions, which needs the variable RUNNER_REPOSITORY

    Next:
      runner       # the cases over the recordings: no model, no network
      runner -v    # and which recording answered
    After a change of test_cases/chat.yaml, record what is missing; setups/*.yaml say with which models:
      runner --setup=ollama --inference-mode=record-if-missing
    ");
    assert_snapshot!(project.says(&["--jobs=1", "-v"]), @r"
    exit 0
    --- stdout
    suite smoke, setup smollm2: 3 trials against starter (replay, [jobs])
      PASS   0.00s chat::version
      PASS   0.00s chat::answers[txt=llama-cpp/smollm2-135m-sun]
                   llama-cpp /v1/chat/completions: exact responses/b5d5303dc625.json
      PASS   0.00s chat::streams[txt=llama-cpp/smollm2-135m]
                   llama-cpp /v1/chat/completions: exact responses/8a2aa771cd7b.json

    3 passed, 0 failed in 0.00s
    ");
    assert_snapshot!(project.says(&["check"]), @r"
    exit 0
    --- stdout
    1 suite, 2 setups, 1 stack, 3 cases, 6 plans: nothing is wrong
    ");
    assert_snapshot!(project.says(&["recordings", "verify", "--allow=stale-index"]), @r"
    exit 0
    --- stdout
    3 files of recordings, 14.4 kB: clean
    ");
}

/// As in an image that holds the binary and nothing else.
#[test]
fn replay_needs_no_certificates() {
    let project = Project::empty().folder("none");
    let none = project.path("none").display().to_string();
    let project = project.env("SSL_CERT_DIR", none).env("SSL_CERT_FILE", "/dev/null");
    assert_eq!(project.run(&["init", "new"]).code, Some(0));
    for stack in ["starter", "server:starter"] {
        let run = project.run(&["--root=new", "--stack-config", stack]);
        assert_eq!(run.code, Some(0), "{run}");
    }
}

#[test]
fn a_new_project_sees_what_changes() {
    let project = Project::empty();
    assert_eq!(project.run(&["init"]).code, Some(0));
    let cases = project.read("test_cases/chat.yaml");
    let project = project.file("test_cases/chat.yaml", cases.replace("expected: sol", "expected: luna"));
    assert_eq!(project.run(&["-k", "answers"]).code, Some(1));
    let project = project.file("test_cases/chat.yaml", cases.replace("in latin", "in Latin"));
    assert_eq!(project.run(&["-k", "answers"]).code, Some(7));
}

#[test]
fn its_other_setup_records() {
    let provider = Provider::start(|asked| async move {
        match (asked.what.as_str(), asked.json()["stream"] == true) {
            ("GET /api/ps", _) => {
                Json(json!({"models": [{"model": "tiny", "name": "tiny"}]})).into_response()
            }
            (_, false) => completion("Sol is its name."),
            (_, true) => {
                let piece = |text| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
                let pieces = ["Par", "is", "."].map(|text| format!("data: {}\n\n", piece(text))).concat();
                ([("content-type", "text/event-stream")], format!("{pieces}data: [DONE]\n\n")).into_response()
            }
        }
    });
    let project = Project::empty().env("OLLAMA_URL", provider.url());
    assert_eq!(project.run(&["init"]).code, Some(0));
    let with = ["--setup=ollama", "--text-model=ollama/tiny"];
    let recorded = project.run(&[&with[..], &["--inference-mode=record-if-missing"]].concat());
    assert_eq!(recorded.code, Some(0), "{recorded}");
    drop(provider);
    let replayed = project.run(&with);
    assert_eq!(replayed.code, Some(0), "{replayed}");
}

#[test]
fn nothing_is_overwritten() {
    let project =
        Project::empty().file("suites/smoke.yaml", "mine").file(".gitignore", "mine").file("schemas", "");
    let before = files(&project);
    assert_snapshot!(project.says(&["init"]), @r"
    exit 4
    --- stderr
    error: files are in the way:
      [project]/schemas is no folder
      suites/smoke.yaml exists
      .gitignore exists
    nothing was written; `runner init --keep` keeps what exists and writes the rest
    ");
    assert_eq!(files(&project), before);
    assert_snapshot!(project.says(&["init", "--keep"]), @r"
    exit 4
    --- stderr
    error: files are in the way:
      [project]/schemas is no folder
    nothing was written; `runner init --keep` keeps what exists and writes the rest
    ");
    let project = project.without("schemas");
    let kept = project.run(&["init", "--keep"]);
    assert_eq!(kept.code, Some(0), "{kept}");
    let kept: Vec<&str> = kept.stdout.lines().filter(|line| line.ends_with("  kept as it was")).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(project.read("suites/smoke.yaml"), "mine");
    let again = project.run(&["init"]);
    assert_eq!(again.stderr.matches(" exists\n").count(), files(&project).len(), "{again}");
}

#[test]
fn a_project_of_other_files_is_not_added_to_unasked() {
    assert_snapshot!(Project::new().says(&["init"]), @r"
    exit 4
    --- stderr
    error: [project] is a project already; `runner init --keep` adds to it
    ");
}

#[test]
fn the_workflow_goes_where_the_service_looks_for_it() {
    let project = Project::empty().folder(".git");
    let said = project.says(&["init", "tests/stack"]);
    assert!(said.contains("  ../../.github/workflows/runner.yml  "), "{said}");
    let workflow = project.read(".github/workflows/runner.yml");
    assert!(workflow.contains("working-directory: \"tests/stack\""), "{workflow}");
    assert_eq!(project.run(&["--root=tests/stack"]).code, Some(0));
}

#[test]
fn the_default_suite_can_be_left() {
    let suite = |name: &str, root: &str, rest: &str| format!("name: {name}\nroots: [{root}]\n{rest}");
    let project = Project::new()
        .file("suites/base.yaml", suite("base", "\"**\"", "default: true\ndefault_setup: local\n"))
        .file("suites/none.yaml", suite("none", "more", ""))
        .file(
            "test_cases/more.yaml",
            "cases:\n  - {name: more, steps: [{get: /v1/version, expect: [{status: 200}]}]}\n",
        );
    let explained = project.run(&["explain"]).stdout;
    assert_snapshot!(explained.lines().take(2).collect::<Vec<_>>().join("\n"), @r"
    suite                base                            default: true in suites/base.yaml
    setup                local                           suite base
    ");
    assert_snapshot!(project.says(&["--list", "more"]), @r"
    exit 0
    --- stdout
    more::more
    1 trial
    ");
    let two = project.file("suites/none.yaml", suite("none", "more", "default: true\n"));
    assert_snapshot!(two.says(&["--list"]), @r"
    exit 4
    --- stderr
    error: a project has one default suite
     --> suites/none.yaml:3:10
      |
    3 | default: true
      |          ^^^^ this is another
      |
     ::: suites/base.yaml:3:10
      |
    3 | default: true
      |          ---- the first one

    1 problem found; nothing was run
    ");
    let narrow = two
        .file("suites/base.yaml", "name: base\nroots: [chat]\ndefault: true\n")
        .file("suites/none.yaml", suite("none", "more", ""));
    assert_snapshot!(narrow.says(&["more"]), @r"
    exit 5
    --- stderr
    nothing was run: no trial is in suite `base` and is below `more` (`runner --list` shows all trials)
    ");
    assert_snapshot!(narrow.says(&["--list", "--suite=none"]), @r"
    exit 0
    --- stdout
    more::more
    1 trial
    ");
}

/// What bash offers after a line has been typed and the key pressed, with the script that the program prints.
fn bash(project: &Project, words: &[&str], current: &str) -> String {
    let script = project.run(&["completions", "bash"]).stdout.replace("[runner]", "runner");
    let folder = Path::new(env!("CARGO_BIN_EXE_runner")).parent().expect("lies in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let asks = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9\n_clap_complete_runner runner '{current}' ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1,
    );
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &asks]).current_dir(project.path(".")).env_clear().env("PATH", path);
    project.output(&command.output().expect("bash starts")).stdout
}

#[test]
fn bash_completes_what_the_project_has() {
    let project = Project::new()
        .file("setups/remote.yaml", "name: remote\ndefaults: {judge_model: a/b}\n")
        .file("test_cases/chat/more.yaml", "cases: []\n");
    let offers = |words: &[&str], current: &str| bash(&project, words, current);
    assert_eq!(offers(&["runner", "--suite", ""], ""), "base\n");
    assert_eq!(offers(&["runner", "--setup", ""], ""), "local\nremote\n");
    assert_eq!(offers(&["runner", "--setup", "r"], "r"), "remote\n");
    // Bash splits at `=`.
    assert_eq!(offers(&["runner", "--setup", "=", "r"], "r"), "remote\n");
    assert_eq!(offers(&["runner", "--setup", "="], ""), "local\nremote\n");
    assert_eq!(offers(&["runner", "explain", "--judge"], "--judge"), "--judge-model\n");
    assert_eq!(offers(&["runner", "--inference-mode", "rec"], "rec"), "record\nrecord-if-missing\n");
    assert_eq!(offers(&["runner", "chat"], "chat"), "chat\nchat/more.yaml\nchat/version.yaml\n");
    assert_eq!(offers(&["runner", "rec"], "rec"), "recordings\n");
    assert_eq!(offers(&["runner", "recordings", "ver"], "ver"), "verify\n");
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = Project::empty().run(&["completions", shell]);
        assert_eq!(script.code, Some(0), "{script}");
        assert!(script.stdout.contains("_RUNNER_COMPLETE"), "{script}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let project = Project::new();
    let page = project.run(&["man"]).stdout;
    assert!(page.contains(".TH RUNNER 1 \" \" \"runner [version]\" \"User Commands\""), "{page}");
    assert!(page.contains("\\fB\\-\\-suite\\fR"), "{page}");
    // It is nobody's project.
    assert!(!page.contains("A model on this machine"), "{page}");
    assert_eq!(project.run(&["man", "--dir=man"]).code, Some(0));
    let pages: Vec<String> = files(&project).into_iter().filter(|file| file.starts_with("man/")).collect();
    assert!(pages.contains(&"man/runner.1".to_owned()), "{pages:?}");
    assert!(pages.contains(&"man/runner-recordings-why.1".to_owned()), "{pages:?}");
    assert!(
        project.read("man/runner-recordings-why.1").contains("\nrunner\\-recordings\\-why \\- "),
        "{pages:?}"
    );
}
