//! What identifies a provider request: provider, method, path with query, body.

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::canonical::{self, Style};

/// A request as the provider would see it, without headers: all that takes part in matching.
#[derive(Debug, Clone, PartialEq)]
pub struct WireRequest {
    /// Name of the provider, as `ollama`.
    pub provider: String,
    /// Upper-case.
    pub method: String,
    /// Path at the provider's host, query included, as `/v1/chat/completions`.
    pub path: String,
    pub body: WireBody,
}

/// What stands in the place of a multipart body's random boundary.
pub(crate) const BOUNDARY: &str = "boundary";

/// A request body, decoded as far as matching needs it.
#[derive(Debug, Clone, PartialEq)]
pub enum WireBody {
    Empty,
    Json(Value),
    /// Not JSON (a multipart upload, say), or JSON that `serde_json` refuses: matched byte by byte.
    Raw(Bytes),
}

impl WireBody {
    /// Decodes `body`; for a multipart `content_type` the random boundary is replaced by a fixed word.
    pub fn decode(content_type: Option<&str>, body: Bytes) -> Self {
        if body.is_empty() {
            return Self::Empty;
        }
        if let Ok(value) = serde_json::from_slice(&body) {
            return Self::Json(value);
        }
        match content_type.and_then(multipart_boundary) {
            Some(boundary) => {
                let delimiter = format!("--{boundary}");
                let fixed = format!("--{BOUNDARY}");
                Self::Raw(replace(&body, delimiter.as_bytes(), fixed.as_bytes()).into())
            }
            None => Self::Raw(body),
        }
    }

    /// The JSON value, if the body is one.
    pub fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Empty | Self::Raw(_) => None,
        }
    }
}

impl WireRequest {
    /// The path without its query.
    pub fn path_only(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The `model` member of a JSON body; empty when there is none.
    pub fn model(&self) -> &str {
        self.body.json().and_then(|body| body.get("model")).and_then(Value::as_str).unwrap_or_default()
    }

    /// The exact key.
    pub fn key(&self) -> Key {
        let body = match &self.body {
            WireBody::Empty => Value::Null,
            WireBody::Json(value) => json!({ "json": value }),
            WireBody::Raw(bytes) => json!({ "sha256": sha256_hex(bytes) }),
        };
        let text = canonical::to_string(
            &json!({"provider": self.provider, "method": self.method, "path": self.path, "body": body}),
            Style::Compact,
        );
        Key(sha256_hex(text.as_bytes()))
    }
}

/// SHA-256 over a request's canonical text, 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// The first twelve digits, which name files.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hex SHA-256 of `bytes`.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The boundary that a multipart `content-type` names; names of types and parameters know no letter case.
pub(crate) fn multipart_boundary(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    let is_multipart =
        media_type.trim().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    value.filter(|value| is_multipart && !value.is_empty())
}

/// `haystack` with every `needle` replaced; `needle` is not empty.
pub(crate) fn replace(haystack: &[u8], needle: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(haystack.len());
    let mut rest = haystack;
    while let Some(at) = rest.windows(needle.len()).position(|window| window == needle) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + needle.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, body: &'static str) -> WireRequest {
        WireRequest {
            provider: "ollama".into(),
            method: "POST".into(),
            path: path.into(),
            body: WireBody::decode(Some("application/json"), Bytes::from_static(body.as_bytes())),
        }
    }

    #[test]
    fn spacing_and_member_order_do_not_change_the_key() {
        let a = request("/v1/chat/completions", r#"{"model":"m","n":1}"#);
        let b = request("/v1/chat/completions", "{ \"n\": 1,\n \"model\": \"m\" }");
        assert_eq!(a.key(), b.key());
        assert_eq!(a.key().short().len(), 12);
    }

    #[test]
    fn everything_in_a_request_changes_the_key() {
        let base = request("/v1/models", r#"{"n":1}"#);
        let mut others = vec![
            request("/v1/models?limit=2", r#"{"n":1}"#),
            request("/v1/models", r#"{"n":1.0}"#),
            request("/v1/models", r#"{"n":"1"}"#),
            request("/v1/models", ""),
            request("/v1/models", "null"),
            request("/v1/models", "not json"),
        ];
        others.push(WireRequest { provider: "vllm".into(), ..base.clone() });
        others.push(WireRequest { method: "PUT".into(), ..base.clone() });
        let mut keys: Vec<_> = others.iter().map(WireRequest::key).chain([base.key()]).collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn a_multipart_boundary_is_not_part_of_the_key() {
        let upload = |boundary: &str| {
            let body = format!("--{boundary}\r\n\r\nhello\r\n--{boundary}--\r\n");
            let content_type = format!("multipart/form-data; boundary={boundary}");
            WireBody::decode(Some(&content_type), body.into())
        };
        assert_eq!(upload("abc"), upload("a-longer-one"));
    }

    #[test]
    fn a_boundary_is_found_however_it_is_written() {
        let cases = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data", None),
            ("text/plain; boundary=abc", None),
        ];
        for (content_type, boundary) in cases {
            assert_eq!(multipart_boundary(content_type), boundary, "{content_type}");
        }
    }
}
