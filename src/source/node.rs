//! YAML as a tree in which every node knows where it was written.
//!
//! Decoding goes through this tree instead of straight into structs, because serde stops at the first
//! mistake of a document, and a user wants to see all of them.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Location, Spanned};

use super::{Located, Problem, SourceFile, Span};

/// A YAML node and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: NodeValue,
    pub span: Span,
}

/// What a node holds. Keys keep their order and their duplicates.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Located<String>, Node)>),
}

impl Node {
    /// Parses one document. Syntax errors are a single problem: what follows cannot be trusted.
    pub fn parse(file: &Arc<SourceFile>) -> Result<Self, Problem> {
        let mut options = serde_yaml::options! { strict_booleans: true, with_snippet: false };
        options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
        options.merge_keys = MergeKeyPolicy::Merge;
        match serde_yaml::from_str_with_options::<Spanned<Raw>>(&file.text, options) {
            Ok(raw) => Ok(locate(raw, file)),
            Err(error) => {
                let span = error.location().map(|at| span_of(at, file));
                let whole = error.without_snippet().to_string();
                let message = whole.split(" at line ").next().unwrap_or(&whole).trim().to_owned();
                let problem = Problem::new(format!("not valid YAML: {message}"));
                Err(match span {
                    Some(span) => {
                        problem.at(&span).help("check indentation, quotes and brackets around this place")
                    }
                    None => problem.help(format!("in {}", file.path.display())),
                })
            }
        }
    }

    /// The word a message uses for this node's kind.
    pub fn kind(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Number(_) => "a number",
            NodeValue::Text(_) => "text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
        }
    }

    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(message).at(&self.span)
    }

    /// The plain value without places.
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(b) => Value::Bool(*b),
            NodeValue::Number(n) => Value::Number(n.clone()),
            NodeValue::Text(s) => Value::String(s.clone()),
            NodeValue::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeValue::Map(pairs) => {
                Value::Object(pairs.iter().map(|(key, value)| (key.value.clone(), value.to_json())).collect())
            }
        }
    }
}

/// The tree while serde drives it; `Spanned` gives each node its place.
enum Raw {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn span_of(at: Location, file: &Arc<SourceFile>) -> Span {
    let span = at.span();
    let len = file.text.len();
    let start = match span.byte_offset() {
        Some(offset) => usize::try_from(offset).unwrap_or(len).min(len),
        None => offset_of(at, &file.text),
    };
    let end = start + span.byte_len().map_or(0, |n| usize::try_from(n).unwrap_or(0));
    Span { file: file.clone(), start, end: end.min(len) }
}

/// Syntax errors come with line and column alone.
fn offset_of(at: Location, text: &str) -> usize {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    let line: usize = text.split_inclusive('\n').take(number(at.line())).map(str::len).sum();
    let column = text[line..].chars().take_while(|c| *c != '\n').take(number(at.column()));
    line + column.map(char::len_utf8).sum::<usize>()
}

fn locate(raw: Spanned<Raw>, file: &Arc<SourceFile>) -> Node {
    let span = span_of(raw.defined, file);
    let value = match raw.value {
        Raw::Null => NodeValue::Null,
        Raw::Bool(b) => NodeValue::Bool(b),
        Raw::Number(n) => NodeValue::Number(n),
        Raw::Text(s) => NodeValue::Text(s),
        Raw::List(items) => NodeValue::List(items.into_iter().map(|item| locate(item, file)).collect()),
        Raw::Map(pairs) => NodeValue::Map(
            pairs.into_iter().map(|(key, value)| (key_of(locate(key, file)), locate(value, file))).collect(),
        ),
    };
    Node { value, span }
}

/// Keys are text; a number or boolean as a key is taken as it was written.
fn key_of(node: Node) -> Located<String> {
    let written = node.span.file.text.get(node.span.start..node.span.end).unwrap_or_default().to_owned();
    let text = match node.value {
        NodeValue::Text(text) => text,
        _ => written,
    };
    Located::new(text, node.span)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Number(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Number(v.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Raw, E> {
        serde_json::Number::from_f64(v).map(Raw::Number).ok_or_else(|| E::custom("a number must be finite"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Raw, E> {
        Ok(Raw::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Raw::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(node: &Node, into: &mut Vec<String>) {
        let (line, column) = node.span.line_column();
        into.push(format!("{line}:{column} {}", node.kind()));
        match &node.value {
            NodeValue::List(items) => items.iter().for_each(|item| places(item, into)),
            NodeValue::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                let (line, column) = key.span.line_column();
                into.push(format!("{line}:{column} key {}", key.value));
                places(value, into);
            }),
            _ => {}
        }
    }

    fn check(text: &str, want: &[&str]) {
        let node = Node::parse(&SourceFile::inline("t.yaml", text)).expect("parses");
        let mut got = Vec::new();
        places(&node, &mut got);
        assert_eq!(got, want);
    }

    #[test]
    fn every_node_knows_its_place() {
        check(
            "a: 1\nb:\n  - yes\n  - {c: é, d: null}\n",
            &[
                "1:1 a mapping",
                "1:1 key a",
                "1:4 a number",
                "2:1 key b",
                "3:3 a list",
                "3:5 text",
                "4:5 a mapping",
                "4:6 key c",
                "4:9 text",
                "4:12 key d",
                "4:15 nothing",
            ],
        );
    }

    #[test]
    fn duplicate_keys_are_kept_for_a_problem_each() {
        check("n: 1\nn: 2\n", &["1:1 a mapping", "1:1 key n", "1:4 a number", "2:1 key n", "2:4 a number"]);
    }

    #[test]
    fn a_syntax_error_points_at_its_place() {
        let error = Node::parse(&SourceFile::inline("t.yaml", "a: [1, 2\nb: 3\n")).expect_err("is broken");
        assert!(error.message.starts_with("not valid YAML: "), "{}", error.message);
        assert_eq!(error.span.map(|span| span.line_column()), Some((2, 2)));
    }
}
