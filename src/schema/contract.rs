//! What a target answers at its endpoints: files that a suite names under `contract`, such as `shapes/openai.yaml`.

use std::path::Path;

use super::decode::Table;
use super::record::record;
use crate::check::SchemaRef;
use crate::source::project::Project;
use crate::source::{Located, Node, Problem, Problems};

record! {
    /// Endpoints with the shapes of what they answer, and definitions that cases may refer to as well.
    pub struct ContractFile {
        description: Option<String>,
        /// The JSON of an answer with a status of 400 or above, at every endpoint of this file. As all schemas here: a
        /// reference such as `#/$defs/error`, a path with one, or a JSON Schema.
        error: Option<SchemaRef>,
        /// By method and path, such as `GET /v1/files/{id}`; `{name}` stands for a segment, a final `{*name}` for all that is left.
        endpoints: Table<EndpointShapes>,
        /// JSON Schemas by name.
        definitions as "$defs": Option<Node>,
    }
}

record! {
    /// What one endpoint answers; without either, anything.
    pub struct EndpointShapes {
        /// The JSON of a success.
        answer: Option<SchemaRef>,
        /// The JSON of each event of a stream.
        events: Option<SchemaRef>,
    }
}

/// Reads the files that a suite names.
pub fn read(project: &Project, names: &[Located<String>], problems: &mut Problems) -> Vec<ContractFile> {
    let mut files = Vec::new();
    for name in names {
        if super::leaves_project(name) {
            let problem = name.problem("this path leaves the project");
            problems.push(problem.help("paths are relative to the project's root, without `..`"));
            continue;
        }
        let (file, _, mut found) = super::read_one::<ContractFile>(project, Path::new(&name.value));
        if !project.root.join(&name.value).is_file() {
            found = Problems::default();
            found.push(missing(name));
        }
        files.extend(file.filter(|_| found.is_empty()));
        problems.extend(found);
    }
    files
}

fn missing(name: &Located<String>) -> Problem {
    let problem = name.problem(format!("there is no file `{}`", name.value));
    problem.help("paths are relative to the project's root")
}
