//! A request written by hand or taken from a run, as `recordings why` takes it: `{provider, method, path, body}`.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::key::{WireBody, WireRequest};

const MEMBERS: [&str; 5] = ["provider", "method", "path", "body", "body_text"];

/// Why a text is no request. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotARequest {
    NotJson {
        line: usize,
        column: usize,
        message: String,
    },
    /// A member is missing, unknown or of the wrong type.
    Shape {
        message: String,
    },
}

impl fmt::Display for NotARequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column, message } => write!(f, "{line}:{column}: not JSON: {message}"),
            Self::Shape { message } => {
                write!(f, " not a request: {message}; it is {{\"provider\", \"method\", \"path\", \"body\"}}")
            }
        }
    }
}

impl std::error::Error for NotARequest {}

/// Reads a request. The method is POST unless given, or GET without a body.
///
/// # Errors
/// See [`NotARequest`].
pub fn read(text: &str) -> Result<WireRequest, NotARequest> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        NotARequest::NotJson { line: error.line(), column: error.column(), message }
    })?;
    of(&value)
}

/// As [`read`], for JSON that is parsed already.
///
/// # Errors
/// [`NotARequest::Shape`].
pub fn of(value: &Value) -> Result<WireRequest, NotARequest> {
    let shape = |message: String| NotARequest::Shape { message };
    let Some(members) = value.as_object() else { return Err(shape("no JSON object".to_owned())) };
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(shape(format!("unknown member `{unknown}`")));
    }
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(shape(format!("`{name}` is no text"))),
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| shape(format!("no `{name}`")));
    let body = match (members.get("body"), text("body_text")?) {
        (Some(_), Some(_)) => return Err(shape("both `body` and `body_text`".to_owned())),
        (Some(Value::Null) | None, None) => WireBody::Empty,
        (Some(value), None) => WireBody::Json(value.clone()),
        (None, Some(text)) => WireBody::decode(None, Bytes::from(text)),
    };
    let path = needed("path")?;
    if !path.starts_with('/') {
        return Err(shape(format!("`path` is {path}, which does not begin with a slash")));
    }
    let method = if body == WireBody::Empty { "GET" } else { "POST" };
    let method = text("method")?.map_or(method.to_owned(), |method| method.to_ascii_uppercase());
    Ok(WireRequest { provider: needed("provider")?, method, path, body })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_read_with_its_defaults() {
        let request = of(&json!({"provider": "p", "path": "/v1/x", "body": {"a": 1}})).unwrap();
        assert_eq!((request.method.as_str(), &request.body), ("POST", &WireBody::Json(json!({"a": 1}))));
        let request = of(&json!({"provider": "p", "path": "/v1/models"})).unwrap();
        assert_eq!((request.method.as_str(), &request.body), ("GET", &WireBody::Empty));
        let request =
            of(&json!({"provider": "p", "path": "/x", "method": "put", "body_text": "a=1"})).unwrap();
        assert_eq!((request.method.as_str(), request.body), ("PUT", WireBody::Raw("a=1".into())));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(error("{\n  \"a\": x}"), "2:8: not JSON: expected value");
        for (text, expected) in [
            ("[]", "no JSON object"),
            (r#"{"path": "/x"}"#, "no `provider`"),
            (r#"{"provider": "p", "path": "x"}"#, "does not begin with a slash"),
            (r#"{"provider": 1, "path": "/x"}"#, "`provider` is no text"),
            (r#"{"provider": "p", "path": "/x", "bodi": 1}"#, "unknown member `bodi`"),
            (r#"{"provider": "p", "path": "/x", "body": 1, "body_text": "x"}"#, "both `body`"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
    }
}
