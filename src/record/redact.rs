//! What never reaches a recording: headers are default-deny; secrets are masked wherever and however they are written.
//!
//! Masked are the values of secret-looking variables and what looks like a key (see [`crate::secret`]), in paths,
//! headers and bodies; URL parameters and JSON members that are credentials by name; host names of private endpoints.
//! What cannot be masked without breaking it, or cannot be looked into, blocks the write: see [`Blocked`].
//!
//! A request is masked before its key is computed, so recording and replay agree on the key wherever the secret is
//! known. Where replay does not know it, [`super::masked`] lets a mask stand for any word.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::chunks;
use super::hosts::HostRules;
use super::key::{WireBody, WireRequest};
use super::opaque::{Inside, inside, refused_upload};
use super::recording::{Answer, AnswerBody, Recording, path_of};
use super::split_text::{mask_spread, payloads};
use crate::secret::{Edit, Finder, Hidden, ROUNDS, apply_edits};

/// What stands where a secret stood.
pub(crate) const MASK: &str = "<secret>";

/// Request headers that a recording may keep.
const REQUEST_HEADERS: [&str; 6] =
    ["accept", "content-encoding", "content-type", "openai-beta", "anthropic-version", "anthropic-beta"];

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

/// URL parameters and JSON members that are credentials, whatever their values look like; lower case, `-` as `_`.
const CREDENTIALS: [&str; 22] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "authorization",
    "client_secret",
    "key",
    "openai_api_key",
    "password",
    "private_key",
    "proxy_authorization",
    "refresh_token",
    "secret",
    "secret_access_key",
    "session_token",
    "sig",
    "signature",
    "token",
    "x_amz_credential",
    "x_amz_security_token",
    "x_amz_signature",
    "x_api_key",
];

/// Members of these names are common in harmless JSON too, so only URL parameters of the name are credentials.
const ONLY_IN_ADDRESSES: [&str; 5] = ["key", "secret", "sig", "signature", "token"];

/// Whether a request header may be stored; everything not listed may not. `name` is lower-case.
pub(crate) fn keeps_request_header(name: &str) -> bool {
    REQUEST_HEADERS.contains(&name)
}

/// Whether a response header may be stored and replayed. `name` is lower-case.
pub(crate) fn keeps_response_header(name: &str) -> bool {
    RESPONSE_HEADERS.contains(&name) || name.starts_with("x-ratelimit-")
}

/// Why an exchange may not be written: it holds, or may hold, a secret that cannot be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// As `the response body`.
    place: &'static str,
    why: String,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.why)
    }
}

const REQUEST: &str = "the request body";
const RESPONSE: &str = "the response body";

fn hidden(place: &'static str) -> impl FnOnce(Hidden) -> Blocked {
    move |Hidden| Blocked {
        place,
        why: "holds a secret inside binary data, which cannot be masked".to_owned(),
    }
}

/// Replaces secrets wherever they appear.
#[derive(Debug, Clone, Default)]
pub struct Scrubber {
    finder: Arc<Finder>,
    hosts: Arc<HostRules>,
}

impl Scrubber {
    /// Knows these values, what keys look like, and the private hosts that are known by rule.
    pub fn new(secrets: Vec<String>) -> Self {
        Self { finder: Arc::new(Finder::new(&secrets)), hosts: Arc::default() }
    }

    /// Also masks hosts that match one of these globs, as `*.corp.example`.
    pub fn with_hosts(mut self, globs: &[String]) -> Self {
        self.hosts = Arc::new(HostRules::new(globs));
        self
    }

    /// Masks only what any recorder masks, whatever secrets it knows.
    pub(crate) fn rules(&self) -> Self {
        Self { finder: Arc::default(), hosts: Arc::clone(&self.hosts) }
    }

    /// `text` without secrets; in an address, parameters that are credentials by name go too.
    pub fn text(&self, text: &str) -> String {
        let masked = self.finder.text(text, MASK);
        match self.hosts.edits(masked.as_bytes()) {
            edits if edits.is_empty() => masked,
            edits => String::from_utf8_lossy(&apply_edits(masked.as_bytes(), &edits)).into_owned(),
        }
    }

    fn path(&self, path: &str) -> String {
        let masked = self.text(path);
        let Some((path, query)) = masked.split_once('?') else { return masked };
        let parameter = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if is_credential(name) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        };
        format!("{path}?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&"))
    }

    /// Masks every text in a JSON value, and members that are credentials by name.
    pub(crate) fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let masked = self.text(text);
                if masked != *text {
                    *text = masked;
                }
            }
            // A password may be all digits.
            Value::Number(number) if self.finder.finds(number.to_string().as_bytes()) => *value = MASK.into(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(members) => {
                if members.keys().any(|key| self.text(key) != *key) {
                    *members =
                        std::mem::take(members).into_iter().map(|(key, v)| (self.text(&key), v)).collect();
                }
                for (name, member) in members {
                    match member {
                        Value::String(text) if is_credential_member(name) => *text = credential(text),
                        _ => self.json(member),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Masks everything of `recording` that goes to disk.
    ///
    /// # Errors
    /// [`Blocked`] when something in it cannot be masked; it must not be written then.
    pub fn recording(&self, recording: &mut Recording) -> Result<(), Blocked> {
        let Recording { request, answer, .. } = recording;
        let header = |headers: &[(String, String)], name: &str| {
            headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        if let WireBody::Raw(bytes) = &request.wire.body {
            let encoding = header(&request.headers, "content-encoding");
            self.refuse(bytes, encoding.as_deref(), REQUEST)?;
            // The random boundary was replaced by this word when the request came.
            if let Some(why) = refused_upload(bytes, "boundary", &self.finder) {
                return Err(Blocked { place: REQUEST, why: format!("is an upload, and {why}") });
            }
        }
        let origin =
            request.url[..request.url.len() - path_of(&request.url).len().min(request.url.len())].to_owned();
        // An upstream address may be spelt otherwise than the path on the wire; each is masked as it is.
        let written = self.path(path_of(&request.url));
        self.try_request(&mut request.wire)?;
        request.url = self.text(&origin) + &written;
        for (_, value) in request.headers.iter_mut().chain(&mut answer.headers) {
            *value = self.text(value);
        }
        answer.cut = answer.cut.take().map(|reason| self.text(&reason));
        self.refuse(&answer.bytes(), answer.header("content-encoding"), RESPONSE)?;
        self.answer(answer).map_err(hidden(RESPONSE))
    }

    /// Masks a request before its key is computed. What cannot be masked stays; it is refused when it is to be written.
    pub(crate) fn request(&self, request: &mut WireRequest) {
        let _ = self.try_request(request);
    }

    fn try_request(&self, request: &mut WireRequest) -> Result<(), Blocked> {
        request.path = self.path(&request.path);
        match &mut request.body {
            WireBody::Json(value) => self.json(value),
            WireBody::Raw(bytes) => {
                if let Some(masked) = self.bytes(bytes).map_err(hidden(REQUEST))? {
                    *bytes = masked.into();
                }
            }
            WireBody::Empty => {}
        }
        Ok(())
    }

    /// Refuses bodies that cannot be looked into, and packed or binary ones that hold a secret.
    fn refuse(&self, body: &[u8], encoding: Option<&str>, place: &'static str) -> Result<(), Blocked> {
        let blocked = |why: String| Err(Blocked { place, why });
        match inside(body, encoding) {
            Inside::Sealed(how) => blocked(format!("is {how}, so it cannot be searched for secrets")),
            Inside::Unpacked(bytes) if self.holds(&bytes) => {
                blocked("is compressed and holds a secret".to_owned())
            }
            Inside::Plain if std::str::from_utf8(body).is_err() && !is_upload(body) && self.holds(body) => {
                blocked("is binary and holds a secret, which cannot be masked".to_owned())
            }
            Inside::Plain | Inside::Unpacked(_) => Ok(()),
        }
    }

    /// `bytes` without secrets and still JSON when they were; `None` when nothing is to be masked.
    fn bytes(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Hidden> {
        let mut out = self.finder.masked(bytes, MASK)?;
        let edits = self.hosts.edits(out.as_deref().unwrap_or(bytes));
        if !edits.is_empty() {
            out = Some(apply_edits(out.as_deref().unwrap_or(bytes), &edits));
        }
        let Ok(before) = serde_json::from_slice::<Value>(bytes) else { return Ok(out) };
        let current = out.as_deref().unwrap_or(bytes);
        // The mask is text, so it breaks the JSON where it stands for a number.
        let mut value = serde_json::from_slice(current).unwrap_or(before);
        let unmasked = value.clone();
        self.json(&mut value);
        let is_json = serde_json::from_slice::<Value>(current).is_ok();
        Ok(if value == unmasked && is_json { out } else { Some(value.to_string().into_bytes()) })
    }

    pub(crate) fn answer(&self, answer: &mut Answer) -> Result<(), Hidden> {
        match &mut answer.body {
            AnswerBody::Whole(bytes) => {
                if std::str::from_utf8(bytes).is_ok()
                    && let Some(masked) = self.bytes(bytes)?
                {
                    *bytes = masked.into();
                }
            }
            AnswerBody::Chunks(parts) => {
                for _ in 0..ROUNDS {
                    let joined = chunks::joined(parts);
                    let edits = self.stream_edits(&joined)?;
                    if edits.is_empty() {
                        return Ok(());
                    }
                    chunks::apply(parts, &edits);
                }
                return Err(Hidden);
            }
        }
        Ok(())
    }

    /// What to replace in the bytes of a stream.
    fn stream_edits(&self, body: &Bytes) -> Result<Vec<Edit>, Hidden> {
        let edits = self.finder.edits(body, MASK)?;
        if !edits.is_empty() {
            return Ok(edits);
        }
        let edits = self.hosts.edits(body);
        if !edits.is_empty() {
            return Ok(edits);
        }
        let before = payloads(body);
        let mut after = payloads(body);
        after.iter_mut().for_each(|payload| self.json(&mut payload.value));
        mask_spread(&mut after, &self.finder, MASK)?;
        let changed = before.into_iter().zip(after).filter(|(old, new)| old.value != new.value);
        Ok(changed
            .map(|(_, new)| Edit { range: new.range, with: format!(" {}", new.value).into_bytes() })
            .collect())
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.finder.finds(bytes) || !self.hosts.edits(bytes).is_empty()
    }

    /// Whether a text holds a secret; also the last check before a file is written.
    pub(crate) fn finds_in(&self, text: &str) -> bool {
        self.holds(text.as_bytes())
    }
}

fn is_upload(body: &[u8]) -> bool {
    body.starts_with(b"--boundary")
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    CREDENTIALS.contains(&name.as_str())
}

fn is_credential_member(name: &str) -> bool {
    is_credential(name) && !ONLY_IN_ADDRESSES.contains(&name.to_ascii_lowercase().as_str())
}

/// A credential's value masked, but for the scheme before it.
fn credential(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme @ ("Bearer" | "bearer" | "Basic" | "basic"), _)) => format!("{scheme} {MASK}"),
        _ => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::record::recording::AnswerChunk;

    fn scrubber() -> Scrubber {
        Scrubber::new(vec![
            "s3cr3t-value".into(),
            "s3cr3t-value-long".into(),
            "fake".into(),
            "90210777".into(),
        ])
    }

    fn chunked(parts: &[&'static str]) -> Answer {
        let chunk = |text: &&'static str| AnswerChunk {
            gap: Duration::ZERO,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        Answer {
            status: 200,
            headers: vec![],
            wait: Duration::ZERO,
            body: AnswerBody::Chunks(parts.iter().map(chunk).collect()),
            cut: None,
        }
    }

    fn scrubbed(mut answer: Answer) -> Vec<String> {
        scrubber().answer(&mut answer).unwrap();
        let AnswerBody::Chunks(chunks) = answer.body else { panic!("still chunks") };
        chunks.iter().map(|chunk| std::str::from_utf8(&chunk.bytes).unwrap().to_owned()).collect()
    }

    #[test]
    fn short_values_are_no_secrets_and_long_ones_go_whole() {
        assert_eq!(scrubber().text("fake s3cr3t-value-long s3cr3t-value"), "fake <secret> <secret>");
    }

    #[test]
    fn json_keys_values_numbers_and_credentials_are_scrubbed() {
        let mut value = json!({
            "a": ["x s3cr3t-value y", 90210777], "s3cr3t-value": {"b": 1}, "token": "word",
            "headers": {"Authorization": "Bearer x", "X-API-Key": "y"}, "password": {"type": "string"},
        });
        scrubber().json(&mut value);
        let expected = json!({
            "a": ["x <secret> y", "<secret>"], "<secret>": {"b": 1}, "token": "word",
            "headers": {"Authorization": "Bearer <secret>", "X-API-Key": "<secret>"}, "password": {"type": "string"},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn masked_json_is_still_json() {
        let masked =
            |text: &str| String::from_utf8(scrubber().bytes(text.as_bytes()).unwrap().unwrap()).unwrap();
        assert_eq!(masked("{ \"a\": \"s3cr3t-value\" }"), "{ \"a\": \"<secret>\" }", "the layout stays");
        assert_eq!(masked("{\"a\": 90210777}"), r#"{"a":"<secret>"}"#);
        assert_eq!(scrubber().bytes(b"{\"a\": 1}"), Ok(None));
    }

    #[test]
    fn parameters_of_an_address_go_by_their_names() {
        assert_eq!(
            scrubber().path("/v1/x?key=1&a=2&API-Key=&sig=%41"),
            "/v1/x?key=<secret>&a=2&API-Key=<secret>&sig=<secret>"
        );
        assert_eq!(scrubber().path("/v1/s3cr3t%2Dvalue/x"), "/v1/<secret>/x");
    }

    #[test]
    fn a_secret_spread_over_chunks_is_found() {
        assert_eq!(scrubbed(chunked(&["a s3c", "r3t-", "value b", "c"])), ["a <secret> b", "c"]);
    }

    #[test]
    fn a_secret_spread_over_events_is_found() {
        let events =
            ["data: {\"delta\":\"s3cr3t\"}\n\n", "data: {\"delta\":\"-value.\"}\n\n", "data: [DONE]\n\n"];
        let expected =
            ["data: {\"delta\":\"<secret>\"}\n\n", "data: {\"delta\":\".\"}\n\n", "data: [DONE]\n\n"];
        assert_eq!(scrubbed(chunked(&events)), expected);
    }

    #[test]
    fn what_cannot_be_masked_blocks() {
        let refused = |body: &[u8], encoding| {
            let found = scrubber().refuse(body, encoding, RESPONSE);
            found.map_or_else(|blocked| blocked.to_string(), |()| "fine".to_owned())
        };
        assert_eq!(
            refused(b"\xff s3cr3t-value", None),
            "the response body is binary and holds a secret, which cannot be masked"
        );
        assert_eq!(
            refused(b"?", Some("br")),
            "the response body is compressed with br, so it cannot be searched for secrets"
        );
        assert_eq!(refused(b"\xff\xfe harmless", None), "fine");
    }

    #[test]
    fn credentials_are_no_header_to_keep() {
        for name in ["authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key", "set-cookie"] {
            assert!(!keeps_request_header(name) && !keeps_response_header(name), "{name}");
        }
        assert!(keeps_response_header("content-type") && keeps_response_header("x-ratelimit-limit-requests"));
    }
}
