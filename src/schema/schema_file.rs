//! A JSON Schema that stands in a file of the project, as `schemas/chat.json#/$defs/Chunk`.

use std::path::{Component, Path};

use serde_json::{Map, Value};

use crate::source::nearest::suggestion;
use crate::source::{Node, Problems, SourceFile};

/// What a part of a document may refer to: definitions, of JSON Schema and of OpenAPI.
const DEFINITIONS: [&str; 4] = ["$schema", "$defs", "definitions", "components"];

/// The schema that `reference` names: a path from the project's root, and a JSON pointer after `#`.
pub(super) fn read(reference: &str, node: &Node, problems: &mut Problems) -> Option<Value> {
    let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let leaves = |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(path).components().any(leaves) {
        let problem = node.problem("this path leaves the project");
        problems.push(problem.help("paths are relative to the project's root, without `..`"));
        return None;
    }
    let file = match SourceFile::read(&node.span.file.root.join(path), Path::new(path)) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(
                problem.at(&node.span).help("a schema is a mapping, or a path from the project's root"),
            );
            return None;
        }
    };
    let document = Node::parse(&file).map_err(|problem| problems.push(problem)).ok()?.to_json();
    if pointer.is_empty() {
        return Some(document);
    }
    if document.pointer(pointer).is_none() {
        let (parent, last) = pointer.rsplit_once('/').unwrap_or_default();
        let known = document.pointer(parent).and_then(Value::as_object);
        let known: Vec<&str> = known.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let problem = node.problem(format!("{path} has nothing at `{pointer}`"));
        let help =
            if known.is_empty() { format!("`{parent}` holds no names") } else { suggestion(last, &known) };
        problems.push(problem.help(help));
        return None;
    }
    // Only what it may refer to comes along: the rest of the document says something of other values.
    let whole = document.as_object().into_iter().flatten();
    let mut schema: Map<String, Value> = whole
        .filter(|(key, _)| DEFINITIONS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    schema.insert("$ref".to_owned(), format!("#{pointer}").into());
    Some(Value::Object(schema))
}
