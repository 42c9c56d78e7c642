//! `runner check` finds what is planted, each at its line; the schemas refuse what they can see of it.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;
use stack_runner::check::SchemaRef;
use stack_runner::schema::FileKind;
use stack_runner::source::{Node, SourceFile};

use crate::support::Project;

/// The tree of mistakes. Each is announced on its line by `# !` and the beginning of its message, or by `# !!` where
/// a schema refuses it too.
fn planted() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted")
}

/// Every YAML file of the tree, from its root, with its text.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["expectations", "setups", "shapes", "stacks", "suites", "test_cases"] {
        for entry in std::fs::read_dir(planted().join(folder)).expect("reads") {
            let path = entry.expect("reads").path();
            let name = path.file_name().expect("has a name").to_string_lossy().into_owned();
            found.push((format!("{folder}/{name}"), std::fs::read_to_string(&path).expect("reads")));
        }
    }
    found.sort();
    found
}

/// File, line and beginning of the message of every announced mistake; with `mark` before it.
fn announced(files: &[(String, String)], mark: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for (path, text) in files {
        for (index, line) in text.lines().enumerate() {
            if let Some((_, message)) = line.split_once(mark) {
                found.push((path.clone(), index + 1, message.trim().to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_planted_mistake_is_found_at_its_line() {
    let files = files();
    let mut want = announced(&files, "# ! ");
    want.extend(announced(&files, "# !! "));
    want.sort();
    assert!(want.len() >= 40, "{} are planted", want.len());

    let root = planted();
    let output = Project::empty().run(&["check", "--format=json", "--root", root.to_str().expect("is text")]);
    assert_eq!(output.code, Some(4), "{output}");
    let report: Value = serde_json::from_str(&output.stdout).expect("is JSON");
    let mut got: Vec<(String, usize, String)> = report["problems"]
        .as_array()
        .expect("is a list")
        .iter()
        .map(|problem| {
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            let line = problem["line"].as_u64().and_then(|line| usize::try_from(line).ok());
            (text("file"), line.unwrap_or(0), text("message"))
        })
        .collect();
    got.sort();
    let shown = |all: &[(String, usize, String)]| {
        all.iter()
            .map(|(file, line, message)| format!("{file}:{line} {message}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let same = want.len() == got.len()
        && want.iter().zip(&got).all(|(w, g)| (&w.0, w.1) == (&g.0, g.1) && g.2.starts_with(&w.2));
    assert!(same, "planted:\n{}\n\nfound:\n{}", shown(&want), shown(&got));
}

#[test]
fn every_planted_mistake_of_form_is_refused_by_the_schema() {
    let files = files();
    for (path, line, message) in announced(&files, "# !! ") {
        let text = &files.iter().find(|(name, _)| *name == path).expect("is there").1;
        let folder = path.split('/').next().expect("has a folder");
        let kind = FileKind::ALL.into_iter().find(|kind| kind.folder().name() == folder).expect("is a kind");
        let schema = SchemaRef::compile(kind.schema()).expect("is a schema");
        let value = Node::parse(&SourceFile::inline(&path, text)).expect("parses").to_json();
        // A case file holds one mistake in each case: the one with this line is looked at alone.
        let value = match value.get("cases").and_then(Value::as_array) {
            Some(cases) => serde_json::json!({"cases": [cases[case_at(text, line)]]}),
            None => value,
        };
        assert!(!schema.violations(&value).is_empty(), "{path}:{line} passes the schema: {message}");
    }
}

/// Index of the case that a line belongs to.
fn case_at(text: &str, line: usize) -> usize {
    text.lines().take(line).filter(|line| line.starts_with("  - name:")).count() - 1
}

#[test]
fn a_project_without_mistakes_says_what_was_checked() {
    let project = Project::new();
    assert_snapshot!(project.says(&["check"]), @"
    exit 0
    --- stdout
    1 suite, 1 setup, 1 stack, 1 case, 4 plans: nothing is wrong
    ");
    assert_snapshot!(project.says(&["check", "--format=json"]), @r#"
    exit 0
    --- stdout
    {
      "suites": 1,
      "setups": 1,
      "stacks": 1,
      "cases": 1,
      "plans": 4,
      "problems": []
    }
    "#);
}

#[test]
fn this_repository_has_no_mistakes() {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Project::empty().run(&["check", "--root", root]);
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn a_broken_file_is_a_problem_and_a_missing_project_too() {
    let project = Project::new().file("test_cases/b.yaml", "cases: [\n");
    assert_eq!(project.run(&["check"]).code, Some(4));
    assert_eq!(Project::empty().run(&["check"]).code, Some(4));
    assert_eq!(Project::new().run(&["schema", "nothing"]).code, Some(4));
}
