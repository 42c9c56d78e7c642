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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{response, sse};
    use super::*;
    use crate::http::Response;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "calls read better without references")]
    fn check(keep: Keep, response: &Response, want: Result<Value, &str>) {
        let taken = take(&keep, &Seen::new(Some(response), &[]));
        assert_eq!(taken.map_err(|it| it.to_string()), want.map_err(str::to_owned));
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn a_singular_path_gives_the_value_another_the_list() {
        let list = response(200, "application/json", r#"{"data": [{"id": "a"}, {"id": "b"}], "none": null}"#);
        check(Keep::Json(path("$.data[1].id")), &list, Ok(json!("b")));
        check(Keep::Json(path("$.none")), &list, Ok(json!(null)));
        check(Keep::Json(path("$.data[*].id")), &list, Ok(json!(["a", "b"])));
        check(Keep::Json(path("$.data[?@.id == 'c']")), &list, Ok(json!([])));
        check(
            Keep::Json(path("$.data[2].id")),
            &list,
            Err(
                "$.data[2].id\n  expected: a value to keep\n  actual:   nothing found\n    $.data is a list of length 2",
            ),
        );
        check(Keep::Status, &list, Ok(json!(200)));
        check(Keep::Header("content-type".to_owned()), &list, Ok(json!("application/json")));
        check(
            Keep::Header("x".to_owned()),
            &list,
            Err("header x\n  expected: a header to keep\n  actual:   no such header"),
        );
        check(Keep::Body, &response(200, "text/plain", "é"), Ok(json!("é")));
        check(Keep::BodyBase64, &response(200, "text/plain", "é"), Ok(json!("w6k=")));
    }

    #[test]
    fn streams_are_kept_from_too() {
        let stream = sse(&[
            r#"{"message":{"content":"So"},"done":false}"#,
            r#"{"message":{"content":"l"},"done":true}"#,
        ]);
        check(Keep::Events(path("$[0].done")), &stream, Ok(json!(false)));
        check(Keep::Joined(path("$.message.content")), &stream, Ok(json!("Sol")));
        check(Keep::Assembled(path("$.message.content")), &stream, Ok(json!("Sol")));
        check(
            Keep::Joined(path("$.x")),
            &stream,
            Err("joined $.x\n  expected: text to keep\n  actual:   nothing found"),
        );
    }
}
