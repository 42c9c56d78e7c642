//! A JSON Schema that stands in a file of the project, as `schemas/chat.json#/$defs/Chunk`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value};

use crate::check::{SchemaDocument, SchemaRef};
use crate::source::nearest::suggestion;
use crate::source::{Node, Problem, Problems, SourceFile};

/// What a part of a document may refer to: definitions, of JSON Schema and of OpenAPI.
const DEFINITIONS: [&str; 4] = ["$schema", "$defs", "definitions", "components"];

/// Documents by the project's root and their path in it. A process reads its project once.
static DOCUMENTS: LazyLock<Mutex<Documents>> = LazyLock::new(Mutex::default);

type Documents = HashMap<(PathBuf, String), Arc<Document>>;

struct Document {
    json: Value,
    /// The definitions alone, for parts: the rest of it says something of other values.
    definitions: OnceLock<Result<SchemaDocument, String>>,
}

/// The schema that `reference` names: a path from the project's root, and a JSON pointer after `#`.
pub(super) fn read(reference: &str, node: &Node, problems: &mut Problems) -> Option<SchemaRef> {
    let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let document = document(path, node, problems)?;
    let schema = if pointer.is_empty() {
        return compiled(SchemaRef::compile(document.json.clone()), node, problems);
    } else if document.json.pointer(pointer).is_none() {
        problems.push(nothing_there(path, pointer, &document.json, node));
        return None;
    } else {
        document.definitions.get_or_init(|| {
            let json = definitions(&document.json);
            let parts = names(&json);
            SchemaDocument::new(json, parts)
        })
    };
    let schema = match schema {
        Ok(known) if known.has(pointer) => known.part(pointer),
        Ok(_) => SchemaDocument::new(definitions(&document.json), [pointer.to_owned()])
            .and_then(|d| d.part(pointer)),
        Err(error) => Err(error.clone()),
    };
    compiled(schema, node, problems)
}

fn compiled(schema: Result<SchemaRef, String>, node: &Node, problems: &mut Problems) -> Option<SchemaRef> {
    schema.map_err(|error| problems.push(node.problem(error))).ok()
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
