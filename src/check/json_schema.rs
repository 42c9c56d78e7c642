//! JSON Schemas, compiled once and held against values. Nothing is fetched, nothing is read.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use boon::{CompileError, Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

/// What a schema's references are relative to while it is compiled.
const PLACE: &str = "schema:/";

/// A document with definitions of schemas. It is compiled once, not once for each part of it, and only when one is asked
/// for: reading it takes a while, and who lists trials judges nothing.
pub struct SchemaDocument {
    json: Value,
    parts: Vec<String>,
    compiled: OnceLock<Result<Compiled, String>>,
}

struct Compiled {
    schemas: Schemas,
    parts: HashMap<String, Result<SchemaIndex, String>>,
}

impl SchemaDocument {
    /// A document, of draft 2020-12 unless `$schema` says otherwise, and the JSON pointers of its parts that are schemas;
    /// the empty one is the whole.
    pub fn new(json: Value, parts: impl IntoIterator<Item = String>) -> Arc<Self> {
        Arc::new(Self { json, parts: parts.into_iter().collect(), compiled: OnceLock::new() })
    }

    /// One of the parts; of a pointer that is none the schema has a problem.
    pub fn part(self: &Arc<Self>, pointer: &str) -> SchemaRef {
        SchemaRef { document: Arc::clone(self), pointer: pointer.to_owned() }
    }

    /// Whether a JSON pointer is one of the parts.
    pub fn has(&self, pointer: &str) -> bool {
        self.parts.iter().any(|part| part == pointer)
    }

    fn compiled(&self) -> Result<&Compiled, String> {
        self.compiled.get_or_init(|| self.compile()).as_ref().map_err(Clone::clone)
    }

    fn compile(&self) -> Result<Compiled, String> {
        if let Some(away) = remote_reference(&self.json) {
            return Err(format!("`$ref: {away}` leaves the schema; only local ones such as #/$defs/X work"));
        }
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Nowhere));
        compiler.add_resource(PLACE, self.json.clone()).map_err(|error| wrong(&error))?;
        let mut schemas = Schemas::new();
        let mut compile = |pointer: &String| {
            let part = compiler.compile(&format!("{PLACE}#{pointer}"), &mut schemas);
            (pointer.clone(), part.map_err(|error| wrong(&error)))
        };
        let parts = self.parts.iter().map(&mut compile).collect();
        Ok(Compiled { schemas, parts })
    }
}

/// A JSON Schema. `$ref` works within its document only.
#[derive(Clone)]
pub struct SchemaRef {
    document: Arc<SchemaDocument>,
    pointer: String,
}

impl SchemaRef {
    /// Compiles a schema, of draft 2020-12 unless `$schema` says otherwise.
    ///
    /// # Errors
    /// Why it is no schema, with the place in it.
    pub fn compile(schema: Value) -> Result<Self, String> {
        let schema = SchemaDocument::new(schema, [String::new()]).part("");
        schema.index()?;
        Ok(schema)
    }

    fn index(&self) -> Result<(&Schemas, SchemaIndex), String> {
        let compiled = self.document.compiled()?;
        let missing = || Err(format!("no schema at `{}`", self.pointer));
        let index = compiled.parts.get(&self.pointer).cloned().unwrap_or_else(missing)?;
        Ok((&compiled.schemas, index))
    }

    /// Why it is no schema, if it is none, with the place in its document.
    pub fn problem(&self) -> Option<String> {
        self.index().err()
    }

    /// All violations, each as (JSON pointer into the value, message). To what is no schema nothing conforms.
    pub fn violations(&self, value: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        match self.index() {
            Ok((schemas, index)) => {
                if let Err(error) = schemas.validate(value, index) {
                    collect(&error, &mut found);
                }
            }
            Err(problem) => found.push((String::new(), problem)),
        }
        found
    }
}

impl PartialEq for SchemaRef {
    fn eq(&self, other: &Self) -> bool {
        self.pointer == other.pointer && self.document.json == other.document.json
    }
}

impl fmt::Debug for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SchemaRef").field(&self.document.json).field(&self.pointer).finish()
    }
}

/// Refuses every document but the drafts' own, which the compiler has.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("nothing is read from elsewhere".into())
    }
}

fn wrong(error: &CompileError) -> String {
    format!("not a valid JSON Schema, {}", reason(error))
}

fn reason(error: &CompileError) -> String {
    let CompileError::ValidationError { src, .. } = error else { return format!("{error:#}") };
    let mut found = Vec::new();
    collect(src, &mut found);
    let at = |(place, message): &(String, String)| {
        let place = if place.is_empty() { "its top" } else { place };
        format!("at {place}: {message}")
    };
    found.iter().map(at).collect::<Vec<_>>().join("; ")
}

/// The violations behind an error: its leaves, but for alternatives, of which none alone had to hold.
fn collect(error: &ValidationError<'_, '_>, found: &mut Vec<(String, String)>) {
    let place = error.instance_location.to_string();
    match &error.kind {
        ErrorKind::AnyOf | ErrorKind::OneOf(None) => {
            let mut below = Vec::new();
            error.causes.iter().for_each(|cause| collect(cause, &mut below));
            let alternative = |(at, message): &(String, String)| match at.strip_prefix(&place) {
                Some("") | None => message.clone(),
                Some(deeper) => format!("{message} (at {deeper})"),
            };
            let all: Vec<String> = below.iter().map(alternative).collect();
            found.push((place, format!("no alternative fits: {}", all.join("; "))));
        }
        kind if error.causes.is_empty() => found.push((place, kind.to_string())),
        _ => error.causes.iter().for_each(|cause| collect(cause, found)),
    }
}

fn remote_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Array(items) => items.iter().find_map(remote_reference),
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).filter(|target| !target.starts_with('#'));
            own.or_else(|| map.values().find_map(remote_reference))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violations(schema: Value, value: Value) -> String {
        let found = SchemaRef::compile(schema).expect("is a schema").violations(&value);
        found.iter().map(|(place, message)| format!("{place}: {message}")).collect::<Vec<_>>().join("\n")
    }

    fn refused(schema: Value) -> String {
        SchemaRef::compile(schema).expect_err("is no schema")
    }

    #[test]
    fn references_are_local() {
        let local = json!({"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}});
        assert_eq!(violations(local.clone(), json!({"a": 1.0})), "");
        assert_eq!(violations(local, json!({"a": "x"})), "/a: want integer, but got string");
        assert!(refused(json!({"items": {"$ref": "http://example.com/x"}})).contains("leaves the schema"));
        assert!(
            refused(json!({"$schema": "http://example.com/x"})).contains("nothing is read from elsewhere")
        );
        assert!(refused(json!({"$schema": "file:///etc/passwd"})).contains("nothing is read from elsewhere"));
        insta::assert_snapshot!(refused(json!({"$ref": "#/$defs/none"})), @"not a valid JSON Schema, json-pointer in schema:/#/$defs/none not found");
    }

    #[test]
    fn parts_of_a_document_are_schemas() {
        let defs = json!({"n": {"type": "integer"}, "list": {"items": {"$ref": "#/$defs/n"}}});
        let of = |json: Value, parts: &[&str]| {
            SchemaDocument::new(json, parts.iter().map(|part| (*part).to_owned()))
        };
        let document = of(json!({"$defs": defs, "type": "null"}), &["", "/$defs/list", "/$defs/none"]);
        let list = document.part("/$defs/list");
        assert_eq!(list.violations(&json!([1])), []);
        assert_eq!(list.violations(&json!(["x"])).len(), 1);
        assert_eq!(document.part("").violations(&json!([1])).len(), 1);
        assert!(document.part("/$defs/none").problem().is_some());
        assert_eq!(document.part("/$defs/other").violations(&json!(1)).len(), 1, "is no part");
        let wrong = of(json!({"$defs": {"n": {"type": "integr"}}}), &["/$defs/n"]);
        assert!(wrong.part("/$defs/n").problem().unwrap().contains("at /$defs/n/type"));
    }

    #[test]
    fn what_is_no_schema_is_told_by_its_place() {
        insta::assert_snapshot!(refused(json!({"type": "strng"})), @"not a valid JSON Schema, at /type: no alternative fits: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'; want array, but got string");
        insta::assert_snapshot!(refused(json!({"properties": {"a": {"minimum": "1"}}, "required": 1})), @"not a valid JSON Schema, at /properties/a/minimum: want number, but got string; at /required: want array, but got number");
        insta::assert_snapshot!(refused(json!({"pattern": "a("})), @r"
        not a valid JSON Schema, at /pattern: 'a(' is not valid regex: regex parse error:
            a(
             ^
        error: unclosed group
        ");
    }

    #[test]
    fn all_violations_are_told_each_at_its_place() {
        let schema = json!({
            "type": "object",
            "required": ["a", "b"],
            "properties": {"n": {"minimum": 3}, "t": {"enum": ["x", "y"]}},
            "allOf": [{"properties": {"l": {"items": {"type": "string"}}}}],
            "additionalProperties": {"const": 1},
        });
        let value = json!({"a": 1, "n": 2, "t": "z", "l": ["", 1, 2], "more": 2});
        insta::assert_snapshot!(violations(schema, value), @r"
        : missing properties 'b'
        /n: must be >=3, but got 2
        /t: value must be one of 'x', 'y'
        /l: value must be 1
        /more: value must be 1
        /l/1: want string, but got number
        /l/2: want string, but got number
        ");
    }

    #[test]
    fn alternatives_are_one_violation() {
        let schema = json!({"properties": {"a": {"anyOf": [
            {"type": "null"},
            {"required": ["x"], "properties": {"y": {"oneOf": [{"type": "integer"}, {"minimum": 0}]}}},
        ]}}});
        insta::assert_snapshot!(violations(schema.clone(), json!({"a": {"y": "z"}})), @"/a: no alternative fits: want null, but got object; missing properties 'x'");
        insta::assert_snapshot!(violations(schema.clone(), json!({"a": {"x": 1, "y": 2}})), @"/a: no alternative fits: want null, but got object; oneOf failed, subschemas 0, 1 matched (at /y)");
        assert_eq!(violations(schema, json!({"a": {"x": 1, "y": 2.5}})), "");
    }

    /// Pydantic's schemas, as MCP servers send them: recursion, and references beside other keywords.
    #[test]
    fn recursion_is_followed() {
        let node = json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node", "description": "below"}},
        }});
        let schema = json!({"$defs": {"Node": node}, "$ref": "#/$defs/Node"});
        let tree = json!({"name": "a", "children": [{"name": "b", "children": [{"children": []}]}]});
        insta::assert_snapshot!(violations(schema, tree), @"/children/0/children/0: missing properties 'name'");
    }
}
