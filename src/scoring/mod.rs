//! Scoring answers, without I/O: the functions Llama Stack 0.3.0 has, what they say of a row, and how scores of
//! many rows are summed up.
//!
//! Rows and scores are JSON objects, as they come and go. What fails in Python with a `KeyError` or a
//! `TypeError` is an [`Unscored`] here.

mod aggregate;
mod functions;
mod judge;
mod rows;

pub(crate) use aggregate::aggregated;
pub(crate) use functions::{definitions, is_built_in};
pub(crate) use judge::{Judge, rating};
pub(crate) use rows::scorer;

use serde_json::{Map, Value};
use std::fmt;

/// A row of data or of scores.
pub(crate) type Row = Map<String, Value>;

/// Why rows cannot be scored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Unscored {
    /// The rows or parameters do not fit the function: an unexpected error in Llama Stack.
    Unfit(String),
    /// A function that exists there and is not implemented here.
    NotImplemented(String),
}

impl fmt::Display for Unscored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(text) | Self::NotImplemented(text) => f.write_str(text),
        }
    }
}

/// A text of a row.
fn text<'a>(row: &'a Row, name: &str) -> Result<&'a str, Unscored> {
    let value = row.get(name).ok_or_else(|| Unscored::Unfit(format!("a row has no `{name}`")))?;
    value.as_str().ok_or_else(|| Unscored::Unfit(format!("`{name}` of a row is no text")))
}

/// The texts of a list in a function's parameters.
fn texts<'a>(params: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    params.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What the first of these patterns that is found in a text has in its first group.
fn first_group<'a>(patterns: impl Iterator<Item = &'a str>, text: &str) -> Result<Option<String>, Unscored> {
    for pattern in patterns {
        let regex = regex::Regex::new(pattern)
            .map_err(|error| Unscored::Unfit(format!("the pattern `{pattern}` cannot be used: {error}")))?;
        if regex.captures_len() < 2 {
            return Err(Unscored::Unfit(format!("the pattern `{pattern}` has no group")));
        }
        if let Some(found) = regex.captures(text) {
            return Ok(found.get(1).map(|group| group.as_str().to_owned()));
        }
    }
    Ok(None)
}
