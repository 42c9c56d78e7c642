//! The structural difference between two JSON values, as paths and short values.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::canonical::{self, Style};

/// Characters of a value that a difference shows.
const SHOWN: usize = 60;

/// One place at which a request and a recording differ. Values are shortened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// As `$.messages[0].content`.
    pub path: String,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    OnlyInRequest { value: String },
    OnlyInRecording { value: String },
    Changed { request: String, recording: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::OnlyInRequest { value } => write!(f, "{}: only in the request: {value}", self.path),
            Change::OnlyInRecording { value } => write!(f, "{}: only in the recording: {value}", self.path),
            Change::Changed { request, recording } => {
                write!(f, "{}: request {request}, recording {recording}", self.path)
            }
        }
    }
}

/// All differences, in the order of the request's members, and how much they weigh together.
#[derive(Debug, Default)]
pub(crate) struct Diff {
    pub(crate) differences: Vec<Difference>,
    /// Roughly the number of characters that differ.
    pub(crate) weight: usize,
}

pub(crate) fn diff(request: &Value, recording: &Value) -> Diff {
    let mut diff = Diff::default();
    walk(&mut diff, "$", request, recording);
    diff
}

fn walk(diff: &mut Diff, path: &str, request: &Value, recording: &Value) {
    match (request, recording) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                let path = member(path, key);
                match b.get(key) {
                    Some(other) => walk(diff, &path, value, other),
                    None => only(diff, path, value, true),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                only(diff, member(path, key), value, false);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for (i, (value, other)) in a.iter().zip(b).enumerate() {
                walk(diff, &format!("{path}[{i}]"), value, other);
            }
            let shared = a.len().min(b.len());
            for (i, value) in a.iter().enumerate().skip(shared) {
                only(diff, format!("{path}[{i}]"), value, true);
            }
            for (i, value) in b.iter().enumerate().skip(shared) {
                only(diff, format!("{path}[{i}]"), value, false);
            }
        }
        (a, b) if a == b => {}
        (Value::String(a), Value::String(b)) => {
            let (from, weight) = first_difference(a, b);
            diff.weight += weight;
            let change = Change::Changed { request: excerpt(a, from), recording: excerpt(b, from) };
            diff.differences.push(Difference { path: path.to_owned(), change });
        }
        (a, b) => {
            let (a, b) = (text(a), text(b));
            diff.weight += a.len().max(b.len());
            let change = Change::Changed { request: shorten(&a), recording: shorten(&b) };
            diff.differences.push(Difference { path: path.to_owned(), change });
        }
    }
}

fn only(diff: &mut Diff, path: String, value: &Value, in_request: bool) {
    let value = text(value);
    diff.weight += value.len() + 1;
    let value = shorten(&value);
    let change = if in_request { Change::OnlyInRequest { value } } else { Change::OnlyInRecording { value } };
    diff.differences.push(Difference { path, change });
}

fn member(path: &str, key: &str) -> String {
    let is_name = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_name { format!("{path}.{key}") } else { format!("{path}[{key:?}]") }
}

fn text(value: &Value) -> String {
    canonical::to_string(value, Style::Compact)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

/// Where two texts begin to differ (in characters), and how many bytes lie between equal beginnings and ends.
fn first_difference(a: &str, b: &str) -> (usize, usize) {
    let prefix = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    let prefix_bytes: usize = a.chars().take(prefix).map(char::len_utf8).sum();
    let (rest_a, rest_b) = (&a.as_bytes()[prefix_bytes..], &b.as_bytes()[prefix_bytes..]);
    let suffix = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    (prefix, rest_a.len().max(rest_b.len()) - suffix + 1)
}

/// A quoted piece of `text` around the character `from`.
fn excerpt(text: &str, from: usize) -> String {
    const BEFORE: usize = 20;
    let start = if from > SHOWN - BEFORE { from - BEFORE } else { 0 };
    let piece: String = text.chars().skip(start).take(SHOWN).collect();
    let cut = text.chars().nth(start + SHOWN).is_some();
    let quoted = format!("{piece:?}");
    let inner = &quoted[1..quoted.len() - 1];
    format!("\"{}{inner}{}\"", if start > 0 { "…" } else { "" }, if cut { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::record::canonical::tests::any_json;

    fn shown(request: &Value, recording: &Value) -> Vec<String> {
        diff(request, recording).differences.iter().map(Difference::to_string).collect()
    }

    #[test]
    fn every_kind_of_difference_has_its_path() {
        let request =
            json!({"model": "m", "messages": [{"content": "hi"}, {"content": "there"}], "n": 1, "x-y": true});
        let recording = json!({"model": "m", "messages": [{"content": "ho"}], "n": "1", "seed": 7});
        assert_eq!(
            shown(&request, &recording),
            [
                "$.messages[0].content: request \"hi\", recording \"ho\"",
                "$.messages[1]: only in the request: {\"content\":\"there\"}",
                "$.n: request 1, recording \"1\"",
                "$[\"x-y\"]: only in the request: true",
                "$.seed: only in the recording: 7",
            ]
        );
        assert!(shown(&request, &request).is_empty());
    }

    #[test]
    fn long_texts_are_shown_where_they_begin_to_differ() {
        let text = |word: &str| json!({"p": format!("{}{word}{}", "a".repeat(200), "z".repeat(200))});
        let shown = shown(&text("ONE"), &text("TWO"));
        assert!(shown[0].contains("aaaONEzz") && shown[0].contains("aaaTWOzz"), "{shown:?}");
        assert!(shown[0].len() < 300);
    }

    proptest! {
        #[test]
        fn there_is_a_difference_exactly_where_values_differ(a in any_json(), b in any_json()) {
            prop_assert!(diff(&a, &a).differences.is_empty());
            let found = diff(&a, &b);
            prop_assert_eq!(found.differences.is_empty(), a == b);
            prop_assert_eq!(found.weight == 0, a == b);
        }
    }

    #[test]
    fn a_small_change_weighs_less_than_a_large_one() {
        let weight = |a: &str, b: &str| diff(&json!(a), &json!(b)).weight;
        assert!(
            weight("the capital of France", "the capital of Spain")
                < weight("the capital of France", "who wrote Faust?")
        );
        assert_eq!(weight("same", "same"), 0);
    }
}
