//! The jobs of CI.

use std::process::Command;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Project;

const MATRIX: &str = "default:\n  - {suite: base, stack_config: [starter, 'server:starter']}\n  - {suite: base, setup: local, shards: 2}\n";

fn project() -> Project {
    Project::new().file("ci_matrix.yaml", MATRIX)
}

fn git(project: &Project, args: &[&str]) {
    let config = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    let status = Command::new("git").args(config).args(args).current_dir(project.path(".")).output();
    assert!(status.expect("git starts").status.success(), "git {args:?}");
}

#[test]
fn text_is_to_be_read() {
    assert_snapshot!(project().says(&["matrix"]), @r"
    exit 0
    --- stdout
    base-local-starter         --suite=base --setup=local --stack-config=starter
    base-local-server-starter  --suite=base --setup=local --stack-config=server:starter
    base-local-1of2            --suite=base --setup=local --shard=1/2
    base-local-2of2            --suite=base --setup=local --shard=2/2
    4 jobs
    ");
}

#[test]
fn github_gets_one_line() {
    let output = project().run(&["matrix", "--format=github"]);
    assert_eq!(output.stdout.trim().lines().count(), 1);
    let matrix: Value = serde_json::from_str(&output.stdout).expect("is JSON");
    assert_snapshot!(format!("{:#}", matrix["include"][3]), @r#"
    {
      "name": "base-local-2of2",
      "args": "--suite=base --setup=local --shard=2/2",
      "suite": "base",
      "setup": "local",
      "stack_config": null,
      "stack": null,
      "inference_mode": null,
      "shard": "2/2"
    }
    "#);
}

#[test]
fn gitlab_gets_a_child_pipeline() {
    assert_snapshot!(project().says(&["matrix", "--format=gitlab", "--schedule=x"]), @r"
    exit 4
    --- stderr
    error: the matrix has no schedule `x`
     --> ci_matrix.yaml:1:1
      |
    1 | default:
      | ^
      |
      = help: none is defined

    1 problem found; nothing was run
    ");
    assert_snapshot!(project().file("ci_matrix.yaml", "default: [{suite: base}]").says(&["matrix", "--format=gitlab"]), @r#"
    exit 0
    --- stdout
    {
      "include": [
        {
          "local": "runner.gitlab-ci.yml"
        }
      ],
      "base-local": {
        "extends": ".runner",
        "variables": {
          "RUNNER_JOB": "base-local",
          "RUNNER_ARGS": "--suite=base --setup=local"
        }
      }
    }
    "#);
    let none = project().file("ci_matrix.yaml", "default: []");
    assert_snapshot!(none.says(&["matrix", "--format=gitlab"]), @r#"
    exit 0
    --- stdout
    {
      "include": [
        {
          "local": "runner.gitlab-ci.yml"
        }
      ],
      "nothing-to-run": {
        "script": [
          "echo no job is concerned"
        ]
      }
    }
    "#);
}

#[test]
fn changed_files_choose_jobs() {
    let project = project()
        .file("ci_matrix.yaml", "default: [{suite: [base, other]}]")
        .file("suites/other.yaml", "name: other\nroots: [chat]\n");
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "--quiet", "-m", "first"]);
    let jobs = || project.run(&["matrix", "--changed-since=HEAD"]).stdout;
    assert_snapshot!(jobs(), @"0 jobs");
    std::fs::write(project.path("suites/other.yaml"), "name: other\nroots: [chat/version]\n")
        .expect("writes");
    assert_snapshot!(jobs(), @r"
    other  --suite=other
    1 job
    ");
    let wrong = project.run(&["matrix", "--changed-since=nonsense"]);
    assert_eq!(wrong.code, Some(4));
    assert!(wrong.stderr.starts_with("error: --changed-since nonsense: "), "{}", wrong.stderr);
}

#[test]
fn only_setups_with_recordings() {
    let cases = "cases:\n  - name: asks\n    params: [text_model]\n    steps:\n      - post: /v1/chat/completions\n        \
                 body: {json: {model: \"${{ text_model }}\", messages: [{role: user, content: Hi}]}}\n        \
                 expect: [{status: 200}]\n";
    let (_provider, project) = Project::echoed(cases);
    let project = project
        .file("ci_matrix.yaml", "default: [{suite: base, setup: [local, far]}]")
        .file("setups/far.yaml", "name: far\n");
    assert_eq!(project.run(&["--suite=base", "--inference-mode=record"]).code, Some(0));
    assert_snapshot!(project.says(&["matrix", "--recorded"]), @r"
    exit 0
    --- stdout
    base-local  --suite=base --setup=local
    1 job
    ");
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let wrong = Project::new().file("ci_matrix.yaml", "default:\n  - {suite: bsae, shrads: 2}\n");
    assert_snapshot!(wrong.says(&["matrix"]), @r"
    exit 4
    --- stderr
    error: unknown suite `bsae`
     --> ci_matrix.yaml:2:13
      |
    2 |   - {suite: bsae, shrads: 2}
      |             ^^^^
      |
      = help: did you mean `base`?

    error: unknown key `shrads`
     --> ci_matrix.yaml:2:19
      |
    2 |   - {suite: bsae, shrads: 2}
      |                   ^^^^^^
      |
      = help: did you mean `shards`?

    2 problems found; nothing was run
    ");
    assert_snapshot!(Project::new().says(&["matrix"]), @r"
    exit 4
    --- stderr
    error: there is no ci_matrix.yaml in the project's root
     |
     = help: it lists what CI runs, as `default: [{suite: base, setup: ollama, shards: 2}]`; --file names another

    1 problem found; nothing was run
    ");
}
