//! YAML as written: suites, setups, stacks and cases, with their places and no meaning yet.

pub mod case;
pub mod check;
pub mod decode;
pub mod fault;
pub mod setup;
pub mod stack;
pub mod step;
pub mod suite;

use std::sync::Arc;

pub use case::{Case, CaseFile};
pub use fault::Fault;
pub use setup::Setup;
pub use stack::StackDefinition;
pub use suite::Suite;

use crate::source::project::{Folder, Project};
use crate::source::{Node, Problem, Problems, SourceFile};
use decode::Decode;

/// Every document of a project, as far as it could be read.
#[derive(Debug, Default)]
pub struct Documents {
    pub suites: Vec<Suite>,
    pub setups: Vec<Setup>,
    pub stacks: Vec<StackDefinition>,
    pub cases: Vec<CaseFile>,
    /// Whether everything could be read; otherwise a name that is missing may be in a broken file.
    pub complete: bool,
}

impl Documents {
    /// Reads the whole tree. Problems come with what could be read, so that `--help` works with a broken file.
    pub fn load(project: &Project) -> (Self, Problems) {
        let mut problems = Problems::default();
        let mut documents = Self {
            suites: read_all(project, Folder::Suites, &mut problems),
            setups: read_all(project, Folder::Setups, &mut problems),
            stacks: read_all(project, Folder::Stacks, &mut problems),
            cases: read_all(project, Folder::TestCases, &mut problems),
            complete: false,
        };
        duplicates(documents.suites.iter().map(|s| &s.name), "suite", &mut problems);
        duplicates(documents.setups.iter().map(|s| &s.name), "setup", &mut problems);
        duplicates(documents.stacks.iter().map(|s| &s.name), "stack", &mut problems);
        documents.complete = problems.is_empty();
        (documents, problems)
    }
}

fn read_all<T: Decode>(project: &Project, folder: Folder, problems: &mut Problems) -> Vec<T> {
    let files = match project.files(folder) {
        Ok(files) => files,
        Err((path, error)) => {
            problems.push(Problem::new(format!("cannot read the directory {}: {error}", path.display())));
            return Vec::new();
        }
    };
    let mut documents = Vec::new();
    for relative in files {
        match SourceFile::read(&project.root.join(&relative), &relative) {
            Ok(file) => documents.extend(parse::<T>(&file, problems)),
            Err(problem) => problems.push(problem),
        }
    }
    documents
}

/// One file into one document.
pub fn parse<T: Decode>(file: &Arc<SourceFile>, problems: &mut Problems) -> Option<T> {
    match Node::parse(file) {
        Ok(node) => T::decode(&node, problems),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn duplicates<'a>(
    names: impl Iterator<Item = &'a crate::source::Located<String>>,
    what: &str,
    problems: &mut Problems,
) {
    let mut seen: Vec<&crate::source::Located<String>> = Vec::new();
    for name in names {
        match seen.iter().find(|earlier| earlier.value == name.value) {
            Some(first) => problems.push(
                name.problem(format!("the {what} `{}` is defined twice", name.value))
                    .label("again here")
                    .other(&first.span, "first here"),
            ),
            None => seen.push(name),
        }
    }
}
