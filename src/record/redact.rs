//! What never reaches a recording: headers are default-deny, given secret values are replaced.

use bytes::Bytes;
use serde_json::Value;

use super::key::replace;
use super::recording::{Answer, AnswerBody, AnswerChunk, Recording};

/// What stands where a secret stood.
const MASK: &str = "<secret>";

/// Values shorter than this would mask ordinary words (a dummy key such as `fake`), so they are not scrubbed.
const SHORTEST_SECRET: usize = 6;

/// Request headers that a recording may keep.
const REQUEST_HEADERS: [&str; 5] =
    ["accept", "content-type", "openai-beta", "anthropic-version", "anthropic-beta"];

/// Response headers that a recording may keep.
const RESPONSE_HEADERS: [&str; 11] = [
    "cache-control",
    "content-encoding",
    "content-type",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-request-id",
    "x-should-retry",
];

/// Whether a request header may be stored; everything not listed may not. `name` is lower-case.
pub(crate) fn keeps_request_header(name: &str) -> bool {
    REQUEST_HEADERS.contains(&name)
}

/// Whether a response header may be stored and replayed. `name` is lower-case.
pub(crate) fn keeps_response_header(name: &str) -> bool {
    RESPONSE_HEADERS.contains(&name) || name.starts_with("x-ratelimit-")
}

/// Replaces secret values wherever they appear.
#[derive(Clone, Default)]
pub struct Scrubber {
    secrets: Vec<String>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scrubber({} values)", self.secrets.len())
    }
}

impl Scrubber {
    /// Longer values first, so that one that contains another goes as a whole.
    pub fn new(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// `text` without secrets.
    pub fn text(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }

    pub(crate) fn bytes(&self, bytes: Bytes) -> Bytes {
        self.secrets.iter().fold(bytes, |bytes, secret| {
            if contains(&bytes, secret.as_bytes()) {
                replace(&bytes, secret.as_bytes(), MASK.as_bytes()).into()
            } else {
                bytes
            }
        })
    }

    pub(crate) fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.finds_in(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(members) => {
                if members.keys().any(|key| self.finds_in(key)) {
                    *members =
                        std::mem::take(members).into_iter().map(|(key, v)| (self.text(&key), v)).collect();
                }
                members.values_mut().for_each(|member| self.json(member));
            }
            _ => {}
        }
    }

    /// Scrubs everything of `recording` that goes to disk.
    pub fn recording(&self, recording: &mut Recording) {
        if self.secrets.is_empty() {
            return;
        }
        recording.request.url = self.text(&recording.request.url);
        self.request(&mut recording.request.wire);
        for (_, value) in recording.request.headers.iter_mut().chain(&mut recording.answer.headers) {
            *value = self.text(value);
        }
        self.answer(&mut recording.answer);
    }

    /// Scrubs a request before its key is computed, so that recording and replay agree on the key.
    pub(crate) fn request(&self, request: &mut super::key::WireRequest) {
        use super::key::WireBody;
        request.path = self.text(&request.path);
        match &mut request.body {
            WireBody::Json(value) => self.json(value),
            WireBody::Raw(bytes) => *bytes = self.bytes(std::mem::take(bytes)),
            WireBody::Empty => {}
        }
    }

    fn answer(&self, answer: &mut Answer) {
        match &mut answer.body {
            AnswerBody::Whole(bytes) => *bytes = self.bytes(std::mem::take(bytes)),
            AnswerBody::Chunks(chunks) => {
                for secret in &self.secrets {
                    join_split(chunks, secret.as_bytes());
                }
                for chunk in chunks {
                    chunk.bytes = self.bytes(std::mem::take(&mut chunk.bytes));
                }
            }
        }
    }

    /// Whether a text holds a secret; also the last check before a file is written.
    pub(crate) fn finds_in(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret))
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Joins the chunks over which a secret is spread, since it can only be replaced in one piece.
fn join_split(chunks: &mut Vec<AnswerChunk>, secret: &[u8]) {
    let joined: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = joined[from..].windows(secret.len()).position(|window| window == secret) {
        found.push((from + at, from + at + secret.len()));
        from += at + secret.len();
    }
    if found.is_empty() {
        return;
    }
    let mut offset = 0;
    let mut out: Vec<AnswerChunk> = Vec::with_capacity(chunks.len());
    for chunk in chunks.drain(..) {
        let inside = found.iter().any(|(start, end)| *start < offset && offset < *end);
        offset += chunk.bytes.len();
        match out.last_mut() {
            Some(last) if inside => last.bytes = [&last.bytes[..], &chunk.bytes[..]].concat().into(),
            _ => out.push(chunk),
        }
    }
    *chunks = out;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn scrubber() -> Scrubber {
        Scrubber::new(vec!["s3cr3t-value".into(), "s3cr3t-value-long".into(), "fake".into()])
    }

    #[test]
    fn short_values_are_no_secrets_and_long_ones_go_whole() {
        assert_eq!(scrubber().text("fake s3cr3t-value-long s3cr3t-value"), "fake <secret> <secret>");
    }

    #[test]
    fn json_keys_and_values_are_scrubbed() {
        let mut value = json!({"a": ["x s3cr3t-value y"], "s3cr3t-value": {"b": 1}});
        scrubber().json(&mut value);
        assert_eq!(value, json!({"a": ["x <secret> y"], "<secret>": {"b": 1}}));
    }

    #[test]
    fn a_secret_spread_over_chunks_is_found() {
        let chunk = |text: &'static str| AnswerChunk {
            gap: Duration::ZERO,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let mut answer = Answer {
            status: 200,
            headers: vec![],
            wait: Duration::ZERO,
            body: AnswerBody::Chunks(vec![chunk("a s3c"), chunk("r3t-"), chunk("value b"), chunk("c")]),
            cut: None,
        };
        scrubber().answer(&mut answer);
        let AnswerBody::Chunks(chunks) = answer.body else { panic!("still chunks") };
        let texts: Vec<_> = chunks.iter().map(|c| std::str::from_utf8(&c.bytes).unwrap()).collect();
        assert_eq!(texts, ["a <secret> b", "c"]);
    }

    #[test]
    fn credentials_are_no_header_to_keep() {
        for name in ["authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key", "set-cookie"] {
            assert!(!keeps_request_header(name) && !keeps_response_header(name), "{name}");
        }
        assert!(keeps_response_header("content-type") && keeps_response_header("x-ratelimit-limit-requests"));
    }
}
