//! YAML as a tree in which every node knows where it was written.
//!
//! Decoding goes through this tree instead of straight into structs, because serde stops at the first
//! mistake of a document, and a user wants to see all of them.

use std::sync::Arc;

use serde_json::Value;

use super::{Located, Problem, SourceFile, Span, yaml};

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
        yaml::parse(file)
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
