//! Llama Stack's own messages, from before OpenAI's, and their content: a text, a part, or a list of parts.

use super::errors::ApiError;
use super::fields::{Extra, Model, Ty, body, fixed, optional, part, required};
use serde_json::Value;

/// `URL`
pub(crate) static URL: Model = body(&[required("uri", Ty::Str)], Extra::Drop);
static URL_OR_DATA: Model = body(&[optional("url", Ty::Model(&URL)), optional("data", Ty::Str)], Extra::Drop);
static IMAGE: Model =
    body(&[fixed("type", &["image"]), required("image", Ty::Model(&URL_OR_DATA))], Extra::Drop);
static TEXT: Model = body(&[fixed("type", &["text"]), required("text", Ty::Str)], Extra::Drop);
/// A part of content.
pub(crate) const PART: Ty = Ty::Tagged { by: "type", of: &[("image", &IMAGE), ("text", &TEXT)] };

/// `InterleavedContent`
pub(crate) const CONTENT: Ty = Ty::Union(&[
    ("str", &Ty::Str),
    ("tagged-union[ImageContentItem,TextContentItem]", &PART),
    ("list[tagged-union[ImageContentItem,TextContentItem]]", &Ty::List { of: &PART, min: 0 }),
]);

/// A message of the user's.
pub(crate) static USER_MESSAGE: Model = part(
    "UserMessage",
    &[fixed("role", &["user"]), required("content", CONTENT), optional("context", CONTENT)],
);
/// What a tool answered.
pub(crate) static TOOL_MESSAGE: Model = part(
    "ToolResponseMessage",
    &[fixed("role", &["tool"]), required("call_id", Ty::Str), required("content", CONTENT)],
);

/// Content as one text: parts joined by `separator`, placeholders for what is no text. Takes OpenAI's parts, too.
pub(crate) fn as_text(content: &Value, separator: &str) -> Result<String, ApiError> {
    match content {
        Value::Null => Ok(String::new()),
        Value::Array(parts) => {
            Ok(parts.iter().map(part_text).collect::<Result<Vec<_>, _>>()?.join(separator))
        }
        content => Ok(part_text(content)?.to_owned()),
    }
}

fn part_text(part: &Value) -> Result<&str, ApiError> {
    match (part, part["type"].as_str()) {
        (Value::String(text), _) => Ok(text),
        (_, Some("text")) => Ok(part["text"].as_str().unwrap_or_default()),
        (_, Some("image" | "image_url")) => Ok("<image>"),
        (_, Some("file")) => Ok("<file>"),
        (_, kind) => Err(ApiError::Value(format!("Unsupported content type: {}", kind.unwrap_or("none")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_becomes_text() {
        let text = |content: Value| as_text(&content, " ");
        assert_eq!(text(json!("a")), Ok("a".into()));
        assert_eq!(text(Value::Null), Ok(String::new()));
        assert_eq!(text(json!({"type": "text", "text": "a"})), Ok("a".into()));
        let parts = json!([
            {"type": "text", "text": "a"}, {"type": "image", "image": {}}, {"type": "image_url", "image_url": {}},
            {"type": "file", "file": {}}, "b"
        ]);
        assert_eq!(text(parts), Ok("a <image> <image> <file> b".into()));
        assert_eq!(
            text(json!([{"type": "sound"}])),
            Err(ApiError::Value("Unsupported content type: sound".into()))
        );
    }
}
