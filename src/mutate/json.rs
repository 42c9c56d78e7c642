//! Corruptions of JSON values.

use std::fmt;

use serde_json::{Value, json};

/// Where in a value: keys and indices from its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// What happens at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A key or an element is not there.
    Dropped,
    Null,
    /// A value of another JSON type.
    OtherType,
    /// A string, list or object without content.
    Empty,
    /// A word of a vocabulary, as `stop`, is one that the vocabulary does not have.
    OtherWord,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "dropped",
            Self::Null => "null",
            Self::OtherType => "of another type",
            Self::Empty => "empty",
            Self::OtherWord => "another word",
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}

impl Pointer {
    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

/// Calls `found` with everything that can happen to a value and what is in it. Of a long list the first, the middle
/// and the last element are looked into: the others are like them.
pub(super) fn places(root: &Value, found: &mut dyn FnMut(Pointer, Change)) {
    walk(root, &Pointer::default(), found);
}

fn walk(value: &Value, at: &Pointer, found: &mut dyn FnMut(Pointer, Change)) {
    let mut can = |change| found(at.clone(), change);
    // Null and absent mean the same to most clients, so that losing a null is no corruption.
    if !value.is_null() {
        if !at.0.is_empty() {
            can(Change::Dropped);
        }
        can(Change::Null);
    }
    can(Change::OtherType);
    match value {
        Value::String(text) if !text.is_empty() => {
            can(Change::Empty);
            if is_word(text) {
                can(Change::OtherWord);
            }
        }
        Value::Array(items) => {
            if !items.is_empty() {
                can(Change::Empty);
            }
            for index in ends_and_middle(items.len()) {
                walk(&items[index], &at.then(Step::Index(index)), found);
            }
        }
        Value::Object(entries) => {
            if !entries.is_empty() {
                can(Change::Empty);
            }
            for (key, inner) in entries {
                walk(inner, &at.then(Step::Key(key.clone())), found);
            }
        }
        _ => {}
    }
}

/// First, middle and last index.
pub(super) fn ends_and_middle(count: usize) -> Vec<usize> {
    let mut indices = vec![0, count / 2, count.saturating_sub(1)];
    indices.retain(|index| *index < count);
    indices.dedup();
    indices
}

/// Lower-case words joined by dots, slashes or underscores are an API's vocabulary; prose and ids look otherwise.
fn is_word(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c))
}

/// Makes the change; whether the place is there.
pub(super) fn apply(root: &mut Value, at: &Pointer, change: Change) -> bool {
    let (Change::Dropped, Some((last, before))) = (change, at.0.split_last()) else {
        return follow(root, &at.0).is_some_and(|value| {
            *value = changed(value, change);
            true
        });
    };
    match (follow(root, before), last) {
        (Some(Value::Object(entries)), Step::Key(key)) => entries.shift_remove(key).is_some(),
        (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

fn follow<'v>(root: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn changed(value: &Value, change: Change) -> Value {
    match (change, value) {
        (Change::OtherType, Value::Null) => json!({"x": 7}),
        (Change::OtherType, Value::String(_)) => json!(7),
        (Change::OtherType, _) => json!("x"),
        (Change::Empty, Value::String(_)) => json!(""),
        (Change::Empty, Value::Array(_)) => json!([]),
        (Change::Empty, Value::Object(_)) => json!({}),
        (Change::OtherWord, Value::String(text)) => json!(format!("x{text}")),
        _ => Value::Null,
    }
}
