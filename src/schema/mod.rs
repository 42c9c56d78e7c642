//! YAML as written: suites, setups, stacks, cases and expectations, with their places and no meaning yet.

pub mod case;
pub mod check;
pub mod ci;
pub mod contract;
pub mod decode;
pub mod expectation;
pub mod fault;
pub mod fixture;
pub mod kind;
pub mod matcher;
mod record;
mod schema_file;
pub mod setup;
pub mod shape;
pub mod stack;
pub mod step;
pub mod suite;

use std::path::{Component, Path};
use std::sync::Arc;

pub use case::{Case, CaseFile};
pub use contract::ContractFile;
pub use expectation::ExpectationFile;
pub use fault::Fault;
pub use fixture::FixtureFile;
pub use kind::FileKind;
pub use schema_file::verify as verify_schemas;
pub use setup::Setup;
pub use stack::StackDefinition;
pub use suite::Suite;

use crate::source::parallel::in_parallel;
use crate::source::project::{Folder, Project};
use crate::source::{Node, Problem, Problems, SourceFile};
use check::PlainKeep;
use decode::Decode;
use step::{Body, Part, Step};

/// The stack that every project has.
pub const BUILT_IN_STACK: &str = "runner";

/// Every document of a project, as far as it could be read.
#[derive(Debug, Default)]
pub struct Documents {
    pub suites: Vec<Suite>,
    pub setups: Vec<Setup>,
    pub stacks: Vec<StackDefinition>,
    pub fixtures: Vec<FixtureFile>,
    pub cases: Vec<CaseFile>,
    pub expectations: Vec<ExpectationFile>,
    /// Files with problems: a name that is missing may be in one of them.
    pub broken: Vec<Broken>,
}

/// A file that could not be read as a whole.
#[derive(Debug)]
pub struct Broken {
    pub folder: Folder,
    /// Without text when it could not even be read.
    pub file: Arc<SourceFile>,
    /// Where its problems are.
    pub places: Vec<usize>,
}

impl Documents {
    /// Reads the whole tree. Problems come with what could be read, so that `--help` works with a broken file.
    pub fn load(project: &Project) -> (Self, Problems) {
        let mut problems = Problems::default();
        let mut broken = Vec::new();
        let mut read = Reader { project, problems: &mut problems, broken: &mut broken };
        let documents = Self {
            suites: read.folder(Folder::Suites),
            setups: read.folder(Folder::Setups),
            stacks: with_built_in(read.folder(Folder::Stacks)),
            fixtures: read.folder(Folder::Fixtures),
            cases: read.folder(Folder::TestCases),
            expectations: read.folder(Folder::Expectations),
            broken,
        };
        duplicates(documents.suites.iter().map(|s| &s.name), "suite", &mut problems);
        one_default(&documents.suites, &mut problems);
        duplicates(documents.setups.iter().map(|s| &s.name), "setup", &mut problems);
        duplicates(documents.stacks.iter().map(|s| &s.name), "stack", &mut problems);
        uploads(&documents, project, &mut problems);
        (documents, problems)
    }

    /// Whether all of a folder could be read.
    pub fn is_complete(&self, folder: Folder) -> bool {
        self.broken(folder).next().is_none()
    }

    /// The broken files of a folder.
    pub fn broken(&self, folder: Folder) -> impl Iterator<Item = &Broken> {
        self.broken.iter().filter(move |broken| broken.folder == folder)
    }

    /// Whether a name that no document defines may be defined in a broken file: its text holds the name.
    pub fn may_be_in_broken(&self, folder: Folder, name: &str) -> bool {
        self.broken(folder).any(|broken| broken.file.text.is_empty() || broken.file.text.contains(name))
    }

    /// Whether all between a place and an offset in the same file could be read.
    pub fn is_whole(&self, from: &crate::source::Span, end: usize) -> bool {
        let broken = self.broken.iter().filter(|broken| broken.file == from.file);
        !broken.flat_map(|broken| &broken.places).any(|place| (from.start..end).contains(place))
    }
}

struct Reader<'a> {
    project: &'a Project,
    problems: &'a mut Problems,
    broken: &'a mut Vec<Broken>,
}

impl Reader<'_> {
    fn folder<T: Decode + Send>(&mut self, folder: Folder) -> Vec<T> {
        let files = match self.project.files(folder) {
            Ok(files) => files,
            Err((path, error)) => {
                let problem = format!("cannot read the directory {}: {error}", path.display());
                self.problems.push(Problem::new(problem));
                self.broken.push(Broken {
                    folder,
                    file: SourceFile::inline(folder.name(), ""),
                    places: Vec::new(),
                });
                return Vec::new();
            }
        };
        let mut documents = Vec::new();
        for (document, file, found) in in_parallel(&files, |relative| read_one::<T>(self.project, relative)) {
            documents.extend(document);
            if !found.is_empty() {
                let places = found.iter().filter_map(|problem| Some(problem.span.as_ref()?.start)).collect();
                self.broken.push(Broken { folder, file, places });
            }
            self.problems.extend(found);
        }
        documents
    }
}

/// The files that cases upload are there. Known before anything is sent, because their names hold no templates.
fn uploads(documents: &Documents, project: &Project, problems: &mut Problems) {
    for case in documents.cases.iter().flat_map(|file| &file.cases) {
        uploads_of(&case.steps, project, problems);
        uploads_of(&case.cleanup, project, problems);
    }
    let own = documents.cases.iter().flat_map(|file| file.fixtures.iter());
    let everyones = documents.fixtures.iter().flat_map(|file| file.fixtures.iter());
    for (_, fixture) in own.chain(everyones) {
        uploads_of(&fixture.steps, project, problems);
    }
}

fn uploads_of(steps: &[Step], project: &Project, problems: &mut Problems) {
    for step in steps {
        uploads_of(&step.options.steps, project, problems);
        let parts = match &step.options.body {
            Some(Body::Multipart(parts)) => parts.as_slice(),
            _ => &[],
        };
        let sent = parts.iter().filter_map(|(_, part)| match part {
            Part::File(file) => file.path.as_ref(),
            Part::Field(_) => None,
        });
        let kept = step.options.keep.iter().filter_map(|(_, keep)| match &keep.value {
            PlainKeep::File(path, _) => Some(path),
            PlainKeep::Take(_) | PlainKeep::Value(_) => None,
        });
        let paths = sent.chain(kept);
        for path in paths.filter(|path| is_missing(&project.root, path)) {
            let problem = path.problem(format!("there is no file `{}`", path.value));
            problems.push(problem.help("paths are relative to the project's root"));
        }
    }
}

fn read_one<T: Decode>(project: &Project, relative: &Path) -> (Option<T>, Arc<SourceFile>, Problems) {
    let mut problems = Problems::default();
    match SourceFile::read(&project.root.join(relative), relative) {
        Ok(file) => (parse::<T>(&file, &mut problems), file, problems),
        Err(problem) => {
            problems.push(problem);
            (None, SourceFile::inline(&relative.to_string_lossy(), ""), problems)
        }
    }
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

/// A path that leaves the project is another mistake, found later.
fn is_missing(root: &Path, path: &str) -> bool {
    !leaves_project(path) && !root.join(path).is_file()
}

/// Whether a path from the project's root may lead out of it.
fn leaves_project(path: &str) -> bool {
    let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    !Path::new(path).components().all(stays)
}

/// `runner` itself can serve in every project; one of its own may define it otherwise.
fn with_built_in(mut stacks: Vec<StackDefinition>) -> Vec<StackDefinition> {
    if !stacks.iter().any(|stack| stack.name.value == BUILT_IN_STACK) {
        let file =
            SourceFile::inline("stacks/runner.yaml (built in)", include_str!("../../stacks/runner.yaml"));
        stacks.extend(parse::<StackDefinition>(&file, &mut Problems::default()));
    }
    stacks
}

fn one_default(suites: &[Suite], problems: &mut Problems) {
    let mut defaults = suites.iter().filter_map(|suite| suite.default.as_ref()).filter(|d| d.value);
    let Some(first) = defaults.next() else { return };
    for again in defaults {
        let problem = again.problem("a project has one default suite");
        problems.push(problem.label("this is another").other(&first.span, "the first one"));
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
