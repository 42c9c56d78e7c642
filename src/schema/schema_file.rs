//! A JSON Schema that stands in a file of the project, as `schemas/chat.json#/$defs/Chunk`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value};

use crate::check::{SchemaDocument, SchemaRef};
use crate::source::nearest::suggestion;
use crate::source::project::Project;
use crate::source::{Node, NodeValue, Problem, Problems, SourceFile, Span};

/// What a part of a document may refer to: definitions, of JSON Schema and of OpenAPI.
const DEFINITIONS: [&str; 4] = ["$schema", "$defs", "definitions", "components"];

/// Documents by the project's root and their path in it. A process reads its project once.
static DOCUMENTS: LazyLock<Mutex<Documents>> = LazyLock::new(Mutex::default);

type Documents = HashMap<(PathBuf, String), Arc<Document>>;

/// A file of the project that is read for what it defines.
pub(super) struct Document {
    pub(super) node: Node,
    json: Value,
    /// The definitions alone, for parts: the rest of it says something of other values.
    definitions: OnceLock<Arc<SchemaDocument>>,
}

/// Schemas by the project's root and how they are written, with the place where that is so first. They are the same in
/// many cases.
static SCHEMAS: LazyLock<Mutex<Schemas>> = LazyLock::new(Mutex::default);

type Schemas = HashMap<(PathBuf, String), (SchemaRef, Span)>;

/// The schema that a node is, or names: a path from the project's root, and a JSON pointer after `#`; without a path it is
/// in the file that the node stands in. Whether what is named is a schema is for [`verify`] to say.
pub(super) fn schema(node: &Node, problems: &mut Problems) -> Option<SchemaRef> {
    let file = &node.span.file;
    let reference = match &node.value {
        NodeValue::Text(pointer) if pointer.starts_with('#') => {
            Some(format!("{}{pointer}", file.path.display()))
        }
        NodeValue::Text(reference) => Some(reference.clone()),
        _ => None,
    };
    let written = reference.clone().map_or_else(|| node.to_json(), Value::String).to_string();
    let key = (file.root.clone(), written);
    if let Some((known, _)) = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Some(known.clone());
    }
    let schema = match reference {
        Some(reference) => read(&reference, node, problems)?,
        None => {
            SchemaRef::compile(node.to_json()).map_err(|error| problems.push(node.problem(error))).ok()?
        }
    };
    let mut known = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
    Some(known.entry(key).or_insert_with(|| (schema, node.span.clone())).0.clone())
}

fn read(reference: &str, node: &Node, problems: &mut Problems) -> Option<SchemaRef> {
    let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    if super::leaves_project(path) {
        let problem = node.problem("this path leaves the project");
        problems.push(problem.help("paths are relative to the project's root, without `..`"));
        return None;
    }
    let document = match document(&node.span.file.root, path) {
        Ok(document) => document,
        // What is wrong in the file has its place there.
        Err(problem) if problem.span.is_some() => {
            problems.push(problem);
            return None;
        }
        Err(problem) => {
            let help = "a schema is a mapping, or a path from the project's root";
            problems.push(problem.at(&node.span).help(help));
            return None;
        }
    };
    if document.json.pointer(pointer).is_none() {
        problems.push(nothing_there(path, pointer, &document.json, node));
        return None;
    }
    Some(document.part(pointer))
}

/// Reports the schemas in files of a project that are none: what reading leaves out, because it takes a while.
pub fn verify(project: &Project, problems: &mut Problems) {
    let known = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
    for (schema, span) in known.values().filter(|(_, span)| span.file.root == project.root) {
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

/// A file by its path from the project's root, read and parsed once.
///
/// # Errors
/// Why it cannot be read, or what is no YAML in it.
pub(super) fn document(root: &Path, path: &str) -> Result<Arc<Document>, Problem> {
    // Held while reading, so that a file is read once.
    let mut known = DOCUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (root.to_owned(), path.to_owned());
    if let Some(document) = known.get(&key) {
        return Ok(document.clone());
    }
    let file = SourceFile::read(&root.join(path), Path::new(path))?;
    let node = Node::parse(&file)?;
    let document = Arc::new(Document { json: node.to_json(), node, definitions: OnceLock::new() });
    known.insert(key, document.clone());
    Ok(document)
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
