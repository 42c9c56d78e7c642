//! What a step keeps of an answer for later steps.

use serde_json::Value;

use super::mismatch::Mismatch;
use super::path::Path;
use super::seen::Seen;

/// Where a kept value comes from. A singular path gives the value it finds, any other path the list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    Json(Path),
    Events(Path),
    Assembled(Path),
    /// The concatenated string, as for [`Check::Joined`](super::Check::Joined).
    Joined(Path),
    Header(String),
    /// The body as text.
    Body,
    /// The body's bytes as base64 text.
    BodyBase64,
    /// The status as a number.
    Status,
}

/// Takes a value out of what was seen.
pub fn take(keep: &Keep, seen: &Seen<'_>) -> Result<Value, Mismatch> {
    match keep {
        Keep::Json(path) => take_at(path, seen.json()?, "$"),
        Keep::Events(path) => take_at(path, seen.events()?, "events"),
        Keep::Assembled(path) => take_at(path, seen.assembled()?, "assembled"),
        Keep::Joined(path) => {
            let nothing = || Mismatch::new(format!("joined {path}"), "text to keep", "nothing found");
            seen.joined(path)?.map(Value::String).ok_or_else(nothing)
        }
        Keep::Header(name) => {
            let nothing = || Mismatch::new(format!("header {name}"), "a header to keep", "no such header");
            seen.header(name)?.map(Value::String).ok_or_else(nothing)
        }
        Keep::Body => seen.text().map(Value::from),
        Keep::BodyBase64 => seen.base64().map(Value::String),
        Keep::Status => Ok(Value::from(seen.response()?.status.as_u16())),
    }
}

fn take_at(path: &Path, document: &Value, base: &str) -> Result<Value, Mismatch> {
    let found = path.find(document);
    if !path.is_singular() {
        return Ok(found.into_iter().cloned().collect());
    }
    found.first().map(|value| (*value).clone()).ok_or_else(|| {
        Mismatch::new(path.below(base), "a value to keep", "nothing found")
            .with(path.where_it_ends(document, base))
    })
}
