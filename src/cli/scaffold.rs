//! The files of a new project, as `runner init` writes them. What is not made from types lies in `scaffold/`, where the
//! recordings were made: `runner --root=scaffold --inference-mode=record`.

use super::init::Place;
use crate::schema::FileKind;

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub place: Place,
    /// Below that place, with `/`.
    pub path: String,
    pub text: String,
    /// What to say of it; nothing where the file before it said so.
    pub purpose: &'static str,
}

/// Path in the new project, template, what it is for.
const TEMPLATES: [(&str, &str, &str); 8] = [
    (
        "suites/smoke.yaml",
        include_str!("../../scaffold/suites/smoke.yaml"),
        "which cases run, and with which setup",
    ),
    (
        "setups/smollm2.yaml",
        include_str!("../../scaffold/setups/smollm2.yaml"),
        "the model that was recorded",
    ),
    (
        "setups/ollama.yaml",
        include_str!("../../scaffold/setups/ollama.yaml"),
        "a model of yours, to be recorded",
    ),
    (
        "test_cases/chat.yaml",
        include_str!("../../scaffold/test_cases/chat.yaml"),
        "three cases to start from",
    ),
    (
        "recordings/responses/baa78b2d9048.json",
        include_str!("../../scaffold/recordings/responses/baa78b2d9048.json"),
        "what the provider answered",
    ),
    (
        "recordings/responses/b5d5303dc625.json",
        include_str!("../../scaffold/recordings/responses/b5d5303dc625.json"),
        "",
    ),
    (
        "recordings/responses/8a2aa771cd7b.json",
        include_str!("../../scaffold/recordings/responses/8a2aa771cd7b.json"),
        "",
    ),
    (".gitignore", include_str!("../../scaffold/gitignore"), "what is made from other files, and .env"),
];

const WORKFLOW: &str = include_str!("../../scaffold/workflow.yml");

/// The kinds of files that a new project has, whose schemas its editors need.
const KINDS: [FileKind; 3] = [FileKind::Case, FileKind::Setup, FileKind::Suite];

/// Every file; `within` is the project's folder as seen from the repository's root, `.` for the root itself.
pub(super) fn files(within: &str) -> Vec<Planned> {
    let project = |path: &str, text: String, purpose| Planned {
        place: Place::Project,
        path: path.to_owned(),
        text,
        purpose,
    };
    let mut files: Vec<Planned> =
        TEMPLATES.iter().map(|(path, text, purpose)| project(path, (*text).to_owned(), *purpose)).collect();
    for (index, kind) in KINDS.into_iter().enumerate() {
        let purpose = if index == 0 { "for editors: completion, and mistakes underlined" } else { "" };
        files.push(project(
            &format!("schemas/{}.json", kind.name()),
            format!("{:#}\n", kind.schema()),
            purpose,
        ));
    }
    files.push(Planned {
        place: Place::Repository,
        path: ".github/workflows/runner.yml".to_owned(),
        text: WORKFLOW.replace("@DIR@", within).replace("@VERSION@", env!("CARGO_PKG_VERSION")),
        purpose: "GitHub Actions, which needs the variable RUNNER_REPOSITORY",
    });
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_knows_where_the_project_lies() {
        let files = files("tests/stack");
        let workflow = files.iter().find(|file| file.place == Place::Repository).expect("has a workflow");
        assert!(workflow.text.contains("working-directory: \"tests/stack\"\n"), "{}", workflow.text);
        assert!(workflow.text.contains("path: \"tests/stack/reports\"\n"), "{}", workflow.text);
        assert!(
            !workflow.text.contains("@DIR@") && !workflow.text.contains("@VERSION@"),
            "{}",
            workflow.text
        );
    }

    #[test]
    fn every_yaml_file_names_a_schema_that_is_written() {
        let files = files(".");
        let yaml = files.iter().filter(|file| file.place == Place::Project && file.path.ends_with(".yaml"));
        for file in yaml {
            let first = file.text.lines().next().expect("has lines");
            let schema = first.strip_prefix("# yaml-language-server: $schema=../").expect("names a schema");
            assert!(files.iter().any(|file| file.path == schema), "{}: {schema}", file.path);
        }
    }
}
