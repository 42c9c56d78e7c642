//! What a YAML file may look like, as a JSON Schema that editors complete and check with.
//!
//! Nothing here lists keys. Every [`Decode`] type describes itself beside the code that reads it, and the macros that
//! declare mappings, words and tagged values make both from the same list, so that a key which can be written is a
//! key of the schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::decode::Decode;

/// A JSON Schema, or a part of one.
pub type Shape = Value;

/// The shapes that others refer to by name; a mapping may contain itself.
#[derive(Debug, Default)]
pub struct Definitions(BTreeMap<&'static str, (&'static str, Shape)>);

impl Definitions {
    /// A reference to the shape of `T`, described at the first mention.
    pub(crate) fn refer<T>(
        &mut self,
        name: &'static str,
        describe: impl FnOnce(&mut Self) -> Shape,
    ) -> Shape {
        let of = std::any::type_name::<T>();
        match self.0.get(name) {
            Some((known, _)) => debug_assert_eq!(*known, of, "two types are called {name}"),
            None => {
                self.0.insert(name, (of, Value::Null));
                let shape = describe(self);
                self.0.insert(name, (of, shape));
            }
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }
}

/// The schema of a whole file.
pub fn document<T: Decode>(title: &str) -> Shape {
    let mut definitions = Definitions::default();
    let root = T::describe(&mut definitions);
    let definitions: Map<_, _> =
        definitions.0.into_iter().map(|(name, (_, shape))| (name.to_owned(), shape)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": root["$ref"],
        "$defs": definitions,
    })
}

/// A mapping with known keys.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    keys: Map<String, Value>,
    required: Vec<&'static str>,
}

impl Mapping {
    /// A key whose value is a `T`; it may be left out when `T` has a value for that.
    pub(crate) fn key<T: Decode>(&mut self, name: &'static str, docs: &str, definitions: &mut Definitions) {
        if T::absent().is_none() {
            self.required.push(name);
        }
        self.shape(name, docs, T::describe(definitions));
    }

    pub(crate) fn shape(&mut self, name: &str, docs: &str, shape: Shape) {
        self.keys.insert(name.to_owned(), described(shape, docs));
    }

    /// No other key may stand beside these.
    pub(crate) fn closed(self, docs: &str) -> Shape {
        let mut shape = json!({"type": "object", "properties": self.keys, "additionalProperties": false});
        if !self.required.is_empty() {
            shape["required"] = json!(self.required);
        }
        described(shape, docs)
    }
}

/// A mapping with exactly one of these keys.
pub(crate) fn one_key(keys: Vec<(&'static str, &'static str, Shape)>) -> Shape {
    let mut mapping = Mapping::default();
    for (name, docs, shape) in keys {
        mapping.shape(name, docs, shape);
    }
    let mut shape = mapping.closed("");
    shape["minProperties"] = json!(1);
    shape["maxProperties"] = json!(1);
    shape
}

/// A docstring as a schema's description: its lines are those of a source file.
pub(crate) fn described(mut shape: Shape, docs: &str) -> Shape {
    let text = docs.split_whitespace().collect::<Vec<_>>().join(" ");
    if let (Value::Object(shape), false) = (&mut shape, text.is_empty()) {
        shape.insert("description".to_owned(), json!(text));
    }
    shape
}

/// A word of a closed set, with what each means.
pub(crate) fn words<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> Shape {
    let word = |(word, docs)| described(json!({"const": word}), docs);
    json!({"anyOf": words.into_iter().map(word).collect::<Vec<_>>()})
}

/// The text of `#[doc = …]` attributes, where other attributes may stand among them.
macro_rules! docs {
    () => { "" };
    (#[doc = $text:literal] $($rest:tt)*) => { concat!($text, "\n", $crate::schema::shape::docs!($($rest)*)) };
    (#[$($other:tt)*] $($rest:tt)*) => { $crate::schema::shape::docs!($($rest)*) };
}
pub(crate) use docs;
