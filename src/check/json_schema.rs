//! JSON Schemas, compiled once and held against values. Nothing is fetched, nothing is read.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use boon::{CompileError, Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

/// What a schema's references are relative to while it is compiled.
const PLACE: &str = "schema:/";

/// A compiled JSON Schema. `$ref` works within the schema only.
#[derive(Clone)]
pub struct SchemaRef {
    schema: Arc<Value>,
    compiled: Arc<(Schemas, SchemaIndex)>,
}

impl SchemaRef {
    /// Compiles a schema, of draft 2020-12 unless `$schema` says otherwise.
    ///
    /// # Errors
    /// Why it is no schema, with the place in it.
    pub fn compile(schema: Value) -> Result<Self, String> {
        if let Some(away) = remote_reference(&schema) {
            return Err(format!("`$ref: {away}` leaves the schema; only local ones such as #/$defs/X work"));
        }
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Nowhere));
        let mut schemas = Schemas::new();
        let wrong = |error: &CompileError| format!("not a valid JSON Schema, {}", reason(error));
        compiler.add_resource(PLACE, schema.clone()).map_err(|error| wrong(&error))?;
        let index = compiler.compile(PLACE, &mut schemas).map_err(|error| wrong(&error))?;
        Ok(Self { schema: Arc::new(schema), compiled: Arc::new((schemas, index)) })
    }

    /// The schema as written.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// All violations, each as (JSON pointer into the value, message).
    pub fn violations(&self, value: &Value) -> Vec<(String, String)> {
        let (schemas, index) = &*self.compiled;
        let mut found = Vec::new();
        if let Err(error) = schemas.validate(value, *index) {
            collect(&error, &mut found);
        }
        found
    }
}

impl PartialEq for SchemaRef {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
    }
}

impl fmt::Debug for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SchemaRef").field(&self.schema).finish()
    }
}

/// Refuses every document but the drafts' own, which the compiler has.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("nothing is read from elsewhere".into())
    }
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
