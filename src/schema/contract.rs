//! What a target answers at its endpoints: files that a suite names under `contract`, such as `shapes/openai.yaml`.

use std::path::PathBuf;

use super::decode::{Decode, Table};
use super::record::record;
use super::schema_file;
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

/// Reads the files, and those in the folders, that a suite names.
pub fn read(project: &Project, names: &[Located<String>], problems: &mut Problems) -> Vec<ContractFile> {
    let mut files = Vec::new();
    for name in names {
        let paths = match paths(project, name) {
            Ok(paths) => paths,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for path in paths {
            let mut found = Problems::default();
            let file = match schema_file::document(&project.root, &path.to_string_lossy()) {
                Ok(document) => ContractFile::decode(&document.node, &mut found),
                Err(problem) => {
                    found.push(problem);
                    None
                }
            };
            files.extend(file.filter(|_| found.is_empty()));
            problems.extend(found);
        }
    }
    files
}

fn paths(project: &Project, name: &Located<String>) -> Result<Vec<PathBuf>, Problem> {
    if super::leaves_project(name) {
        let problem = name.problem("this path leaves the project");
        return Err(problem.help("paths are relative to the project's root, without `..`"));
    }
    let path = PathBuf::from(&name.value);
    if project.root.join(&path).is_file() {
        return Ok(vec![path]);
    }
    let below = project.files_below(&path).map_err(|(path, error)| {
        name.problem(format!("cannot read the directory {}: {error}", path.display()))
    })?;
    if below.is_empty() {
        let problem = name.problem(format!("`{}` is no YAML file, and no folder with one", name.value));
        return Err(problem.help("paths are relative to the project's root"));
    }
    Ok(below)
}
