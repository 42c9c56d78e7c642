//! From located nodes to typed documents, collecting every mistake on the way.

use std::time::Duration;

use serde_json::{Value, json};

use super::record::Fields;
use super::shape::{Definitions, Shape};
use crate::source::{Located, Node, NodeValue, Problem, Problems};

/// A type that can be read from a node. `None` means that at least one problem was pushed.
pub trait Decode: Sized {
    /// What the user should have written, as in "expected …".
    const EXPECTED: &'static str;

    /// Whether the rest of a list can be looked at when an element of it could not be read. Not where later
    /// elements refer to earlier ones: every reference to the missing one would be reported as well.
    const ELEMENTS_STAND_ALONE: bool = true;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// The JSON Schema of what [`Decode::decode`] takes, as far as JSON Schema can say it.
    fn describe(definitions: &mut Definitions) -> Shape;

    /// The value of a key that is not there; `None` when the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

/// "expected X, found Y", pointing at the node.
pub(crate) fn wrong_kind<T: Decode>(node: &Node) -> Problem {
    node.problem(format!("expected {}, found {}", T::EXPECTED, node.kind()))
}

impl Decode for Node {
    const EXPECTED: &'static str = "a value";
    fn decode(node: &Node, _: &mut Problems) -> Option<Self> {
        Some(node.clone())
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({})
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "text";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Text(text) => Some(text.clone()),
            NodeValue::Number(_) | NodeValue::Bool(_) => {
                let written = &node.span.file.text[node.span.start..node.span.end];
                problems.push(wrong_kind::<Self>(node).help(format!("write it in quotes: \"{written}\"")));
                None
            }
            _ => {
                problems.push(wrong_kind::<Self>(node));
                None
            }
        }
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "string"})
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "true or false";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Bool(value) => Some(*value),
            _ => {
                problems.push(wrong_kind::<Self>(node));
                None
            }
        }
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "boolean"})
    }
}

impl Decode for u64 {
    const EXPECTED: &'static str = "a whole number";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let number = match &node.value {
            NodeValue::Number(number) => number.as_u64(),
            _ => None,
        };
        if number.is_none() {
            problems.push(wrong_kind::<Self>(node));
        }
        number
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "integer", "minimum": 0})
    }
}

/// A number that is not below zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount(pub f64);

impl Decode for Amount {
    const EXPECTED: &'static str = "a number from 0 on";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let number = match &node.value {
            NodeValue::Number(number) => number.as_f64().filter(|number| *number >= 0.0),
            _ => None,
        };
        if number.is_none() {
            problems.push(wrong_kind::<Self>(node));
        }
        number.map(Self)
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "number", "minimum": 0})
    }
}

impl Decode for Duration {
    const EXPECTED: &'static str = "a duration such as 250ms, 2s or 1m";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let duration = match &node.value {
            NodeValue::Text(text) => parse_duration(text),
            _ => None,
        };
        if duration.is_none() {
            problems.push(wrong_kind::<Self>(node));
        }
        duration
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "string", "pattern": r"^[0-9]*\.?[0-9]+\.?(ms|s|m|h)$"})
    }
}

/// `250ms`, `2s`, `1.5m`: a number and a unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

impl<T: Decode> Decode for Located<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(|value| Located::new(value, node.span.clone()))
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        T::describe(definitions)
    }
}

impl<T: Decode> Decode for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        T::describe(definitions)
    }
}

/// A list; a single value stands for a list of one.
impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let NodeValue::List(items) = &node.value else {
            return T::decode(node, problems).map(|one| vec![one]);
        };
        let decoded: Vec<Option<T>> = items.iter().map(|item| T::decode(item, problems)).collect();
        if T::ELEMENTS_STAND_ALONE {
            return Some(decoded.into_iter().flatten().collect());
        }
        decoded.into_iter().collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        let one = T::describe(definitions);
        json!({"anyOf": [{"type": "array", "items": one}, one]})
    }
}

/// A mapping from free names to values, in the order written.
#[derive(Debug, Clone)]
pub struct Table<T>(pub Vec<(Located<String>, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }
    pub fn iter(&self) -> impl Iterator<Item = &(Located<String>, T)> {
        self.0.iter()
    }
}

impl<T: Decode> Decode for Table<T> {
    const EXPECTED: &'static str = "a mapping";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::any(node, problems)?;
        let pairs: Vec<Option<_>> = fields
            .pairs()
            .iter()
            .map(|(key, value)| T::decode(value, problems).map(|value| (key.clone(), value)))
            .collect();
        pairs.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        json!({"type": "object", "additionalProperties": T::describe(definitions)})
    }
}

/// A scalar as text: what a flag or an environment variable would hold. Numbers and booleans are taken as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl Decode for Scalar {
    const EXPECTED: &'static str = "text or a number";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.to_json() {
            Value::String(text) => Some(Self(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Self(value.to_string())),
            _ => {
                problems.push(wrong_kind::<Self>(node));
                None
            }
        }
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": ["string", "number", "boolean"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::record::record;
    use crate::source::SourceFile;

    record! {
        #[expect(dead_code, reason = "only what decoding reports is looked at")]
        struct Sample {
            name: String,
            when as "if": Option<String>,
            wait: Option<Duration>,
            list: Vec<u64>,
            price: Table<Amount>,
        }
    }

    fn check(text: &str, want: &[&str]) {
        let node = Node::parse(&SourceFile::inline("t.yaml", text)).expect("parses");
        let mut problems = Problems::default();
        let decoded = Sample::decode(&node, &mut problems);
        let got: Vec<String> = problems
            .iter()
            .map(|p| {
                let (line, column) = p.span.as_ref().expect("has a place").line_column();
                let help = p.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
                format!("{line}:{column} {}{help}", p.message)
            })
            .collect();
        assert_eq!(got, want);
        if want.is_empty() {
            assert!(decoded.is_some());
        }
    }

    #[test]
    fn a_good_document_has_no_problems() {
        check("name: a\nif: b\nwait: 250ms\nlist: [1, 2]\n", &[]);
        check("name: a\nlist: 1\nprice: {x: 0.15, y: 2}\n", &[]);
        check("name: a\nprice: {x: -1}\n", &["2:12 expected a number from 0 on, found a number"]);
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        check(
            "nam: a\nif: 1\nwait: soon\nlist: [1, x, -2]\nif: b\n",
            &[
                "5:1 the key `if` is written twice",
                "1:1 unknown key `nam` (did you mean `name`?)",
                "1:1 missing key `name` (text)",
                "2:5 expected text, found a number (write it in quotes: \"1\")",
                "3:7 expected a duration such as 250ms, 2s or 1m, found text",
                "4:11 expected a whole number, found text",
                "4:14 expected a whole number, found a number",
            ],
        );
    }
}
