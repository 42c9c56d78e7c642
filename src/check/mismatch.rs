//! How the system under test differs from what was expected, as data, with a plain-text face.

use std::fmt;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};
use serde_json::Value;

/// Longest text of one value in a message, in characters.
const LIMIT: usize = 400;
/// Most lines of a difference that are shown, and most lines for which one is computed.
const SHOWN_LINES: usize = 40;
const DIFFED_LINES: usize = 5000;
/// Unchanged lines that are shown before and after a change.
const AROUND: usize = 2;

/// One expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// What was looked at, as `status` or `$.choices[0].message.content`.
    pub what: String,
    pub expected: String,
    pub actual: String,
    /// What else helps: a difference by lines, the body of a response with the wrong status, a hint.
    pub detail: Option<String>,
}

impl Mismatch {
    pub(super) fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), actual: actual.into(), detail: None }
    }

    pub(super) fn with(mut self, detail: impl Into<Option<String>>) -> Self {
        self.detail = detail.into().or(self.detail);
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "  expected: {}", indent(&self.expected, 12))?;
        write!(f, "  actual:   {}", indent(&self.actual, 12))?;
        match &self.detail {
            Some(detail) => write!(f, "\n    {}", indent(detail.trim_end(), 4)),
            None => Ok(()),
        }
    }
}

fn indent(text: &str, by: usize) -> String {
    text.replace('\n', &format!("\n{:by$}", ""))
}

/// A value as compact JSON, its middle left out when it is long.
pub(super) fn show(value: &Value) -> String {
    shorten(&value.to_string())
}

/// A text with its middle left out when it is long.
pub(super) fn shorten(text: &str) -> String {
    let length = text.chars().count();
    if length <= LIMIT {
        return text.to_owned();
    }
    let (head, tail) = (LIMIT * 3 / 4, LIMIT / 4 - 30);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start} … {} characters … {end}", length - head - tail)
}

/// Where two values differ, when showing both in full would not make it plain.
pub(super) fn difference(expected: &Value, actual: &Value) -> Option<String> {
    let (old, new) = match (expected, actual) {
        (Value::String(old), Value::String(new)) => {
            if !old.contains('\n') && !new.contains('\n') {
                return first_difference(old, new);
            }
            (old.clone(), new.clone())
        }
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            if expected.to_string().len().max(actual.to_string().len()) <= 60 {
                return None;
            }
            (pretty(expected), pretty(actual))
        }
        _ => return None,
    };
    line_difference(&old, &new)
}

fn line_difference(old: &str, new: &str) -> Option<String> {
    if old.lines().count().max(new.lines().count()) > DIFFED_LINES {
        return None;
    }
    let changed = changed_lines(old, new);
    let mut lines = changed.iter().map(|line| shorten(line));
    let mut shown: Vec<_> = lines.by_ref().take(SHOWN_LINES).collect();
    match lines.count() {
        0 => {}
        more => shown.push(format!("… {more} more lines")),
    }
    (!shown.is_empty()).then(|| format!("difference (- expected, + actual):\n{}", shown.join("\n")))
}

/// The lines that go (`-`) and come (`+`), with those around them.
fn changed_lines(old: &str, new: &str) -> Vec<String> {
    let input = InternedInput::new(old, new);
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    diff.postprocess_lines(&input);
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let part = |range: &Range<u32>| range.start as usize..range.end as usize;
    let mut out = Vec::new();
    let mut show = |sign: &str, lines: &[&str]| out.extend(lines.iter().map(|line| format!("{sign}{line}")));
    let mut done = None;
    for hunk in diff.hunks() {
        let (gone, come) = (part(&hunk.before), part(&hunk.after));
        let last_end = done.unwrap_or(0);
        let lead = gone.start.saturating_sub(AROUND).max(last_end);
        if done.is_some() {
            show(" ", &before[last_end..lead.min(last_end + AROUND)]);
        }
        show(" ", &before[lead..gone.start]);
        done = Some(gone.end);
        show("-", &before[gone]);
        show("+", &after[come]);
    }
    if let Some(end) = done {
        show(" ", &before[end..before.len().min(end + AROUND)]);
    }
    out
}

fn first_difference(old: &str, new: &str) -> Option<String> {
    if old.chars().count().max(new.chars().count()) <= 60 {
        return None;
    }
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let near = |text: &str| {
        let from = same.saturating_sub(20);
        let mut part: String = text.chars().skip(from).take(60).collect();
        if from > 0 {
            part.insert(0, '…');
        }
        part
    };
    let (old, new) = (near(old), near(new));
    Some(format!("first difference at character {}:\n- {old}\n+ {new}", same + 1))
}

/// Indented JSON with sorted keys, so that only real differences show.
fn pretty(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    serde_json::to_string_pretty(&sorted).unwrap_or_else(|_| sorted.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn renders_as_plain_text() {
        let mismatch = Mismatch::new("$.a", "1", "a\nb").with("see\nbelow".to_owned());
        assert_eq!(
            mismatch.to_string(),
            "$.a\n  expected: 1\n  actual:   a\n            b\n    see\n    below"
        );
    }

    #[test]
    fn long_values_keep_both_ends() {
        let text = format!("{}{}", "é".repeat(10_000), "END");
        let short = shorten(&text);
        assert!(short.chars().count() <= LIMIT, "{}", short.chars().count());
        assert!(short.starts_with("éé") && short.ends_with("END"), "{short}");
        assert_eq!(shorten("short"), "short");
    }

    fn changed(old: &str, new: &str) -> String {
        changed_lines(&old.replace(' ', "\n"), &new.replace(' ', "\n")).join(",")
    }

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        assert_eq!(changed("a b c", "a b c"), "");
        assert_eq!(changed("", "a b"), "+a,+b");
        assert_eq!(changed("a b c d e f g", "a b c X e f g"), " b, c,-d,+X, e, f");
        assert_eq!(changed("a 1 2 3 b", "A 1 2 3 B"), "-a,+A, 1, 2, 3,-b,+B");
        assert_eq!(changed("a 1 2 3 4 b", "A 1 2 3 4 B"), "-a,+A, 1, 2, 3, 4,-b,+B");
        assert_eq!(changed("a 1 2 3 4 5 b", "A 1 2 3 4 5 B"), "-a,+A, 1, 2, 4, 5,-b,+B");
        assert_eq!(changed("a b", "b"), "-a, b");
    }

    #[test]
    fn differences_are_shown_for_long_values_only() {
        assert_eq!(difference(&json!("a"), &json!("b")), None);
        assert_eq!(difference(&json!({"a": 1}), &json!({"a": 2})), None);
        assert_eq!(difference(&json!("a"), &json!(["b"])), None);
        let (old, new) = (json!(format!("{}x{}", "a".repeat(70), "b")), json!("a".repeat(70)));
        assert_eq!(
            difference(&old, &new).unwrap(),
            "first difference at character 71:\n- …aaaaaaaaaaaaaaaaaaaaxb\n+ …aaaaaaaaaaaaaaaaaaaa"
        );
        let old = json!({"role": "assistant", "content": "the same text", "tool": {"name": "a", "id": 1}});
        let new = json!({"tool": {"id": 2, "name": "a"}, "content": "the same text", "role": "assistant"});
        assert_eq!(
            difference(&old, &new).unwrap(),
            "difference (- expected, + actual):\n   \"role\": \"assistant\",\n   \"tool\": {\n-    \"id\": 1,\n+    \"id\": 2,\n     \"name\": \"a\"\n   }"
        );
        assert_eq!(
            difference(&json!("one\ntwo\n"), &json!("one\n2\n")).unwrap(),
            "difference (- expected, + actual):\n one\n-two\n+2"
        );
    }
}
