//! A JSON Schema that stands in a file of the project, as `schemas/chat.json#/$defs/Chunk`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value};

use crate::check::{SchemaDocument, SchemaRef};
use crate::source::nearest::suggestion;
use crate::source::project::Project;
use crate::source::{Node, Problem, Problems, SourceFile, Span};

/// What a part of a document may refer to: definitions, of JSON Schema and of OpenAPI.
const DEFINITIONS: [&str; 4] = ["$schema", "$defs", "definitions", "components"];

/// Documents by the project's root and their path in it. A process reads its project once.
static DOCUMENTS: LazyLock<Mutex<Documents>> = LazyLock::new(Mutex::default);

type Documents = HashMap<(PathBuf, String), Arc<Document>>;

struct Document {
    json: Value,
    /// The definitions alone, for parts: the rest of it says something of other values.
    definitions: OnceLock<Arc<SchemaDocument>>,
}

/// What was referred to, and where first, by project: see [`verify`].
static REFERENCES: LazyLock<Mutex<Vec<(SchemaRef, Span)>>> = LazyLock::new(Mutex::default);

/// The schema that `reference` names: a path from the project's root, and a JSON pointer after `#`. Whether it is one is
/// for [`verify`] to say.
pub(super) fn read(reference: &str, node: &Node, problems: &mut Problems) -> Option<SchemaRef> {
    let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let document = document(path, node, problems)?;
    if document.json.pointer(pointer).is_none() {
        problems.push(nothing_there(path, pointer, &document.json, node));
        return None;
    }
    let schema = document.part(pointer);
    let mut references = REFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
    references.push((schema.clone(), node.span.clone()));
    Some(schema)
}

/// Reports the schemas in files of a project that are none: what reading leaves out, because it takes a while.
pub fn verify(project: &Project, problems: &mut Problems) {
    let references = REFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
    for (schema, span) in references.iter().filter(|(_, span)| span.file.root == project.root) {
        if let Some(problem) = schema.problem() {
            problems.push(Problem::new(problem).at(span));
        }
    }
}

impl Document {
    fn part(&self, pointer: &str) -> SchemaRef {
        if pointer.is_empty() {
            return SchemaDocument::new(self.json.clone(), [String::new()]).part("");
        }
        let shared = self.definitions.get_or_init(|| {
            let json = definitions(&self.json);
            let parts = names(&json);
            SchemaDocument::new(json, parts)
        });
        if shared.has(pointer) {
            return shared.part(pointer);
        }
        SchemaDocument::new(definitions(&self.json), [pointer.to_owned()]).part(pointer)
    }
}

fn document(path: &str, node: &Node, problems: &mut Problems) -> Option<Arc<Document>> {
    if super::leaves_project(path) {
        let problem = node.problem("this path leaves the project");
        problems.push(problem.help("paths are relative to the project's root, without `..`"));
        return None;
    }
    let root = &node.span.file.root;
    // Held while reading, so that a file is read once.
    let mut known = DOCUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (root.clone(), path.to_owned());
    if let Some(document) = known.get(&key) {
        return Some(document.clone());
    }
    let file = match SourceFile::read(&root.join(path), Path::new(path)) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(
                problem.at(&node.span).help("a schema is a mapping, or a path from the project's root"),
            );
            return None;
        }
    };
    let json = Node::parse(&file).map_err(|problem| problems.push(problem)).ok()?.to_json();
    let document = Arc::new(Document { json, definitions: OnceLock::new() });
    known.insert(key, document.clone());
    Some(document)
}

fn nothing_there(path: &str, pointer: &str, json: &Value, node: &Node) -> Problem {
    let (parent, last) = pointer.rsplit_once('/').unwrap_or_default();
    let known = json.pointer(parent).and_then(Value::as_object);
    let known: Vec<&str> = known.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let problem = node.problem(format!("{path} has nothing at `{pointer}`"));
    let help = if known.is_empty() { format!("`{parent}` holds no names") } else { suggestion(last, &known) };
    problem.help(help)
}

fn definitions(json: &Value) -> Value {
    let whole = json.as_object().into_iter().flatten();
    let kept = whole.filter(|(key, _)| DEFINITIONS.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<String, Value>>().into()
}

/// Pointers to the definitions with plain names, of which most parts are.
fn names(json: &Value) -> Vec<String> {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let places = ["/$defs", "/definitions", "/components/schemas"];
    let of = |place: &str| {
        let names =
            json.pointer(place).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        names.filter(|name| plain(name)).map(|name| format!("{place}/{name}")).collect::<Vec<_>>()
    };
    places.into_iter().flat_map(of).collect()
}
