//! Responses for tests of this module.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Check, ProviderRequestSeen, Seen, evaluate};
use crate::http::{BodyEnd, Chunk, HeaderMap, HeaderValue, Response, StatusCode};

/// A response that came in one piece.
pub(super) fn response(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(media_type));
    let body = body.into();
    let took = Duration::from_millis(20);
    let chunks = vec![Chunk { end: body.len(), at: took }];
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body,
        chunks,
        end: BodyEnd::Complete,
        took,
    }
}

/// Server-sent events, each in a chunk of its own, 10 ms apart.
pub(super) fn sse(data: &[&str]) -> Response {
    let mut body = String::new();
    let mut chunks = Vec::new();
    for (index, data) in data.iter().enumerate() {
        body = format!("{body}data: {data}\n\n");
        chunks.push(Chunk { end: body.len(), at: Duration::from_millis(10 * (index as u64 + 1)) });
    }
    Response { chunks, ..response(200, "text/event-stream", body) }
}

/// What is printed for a check; empty when it holds.
pub(super) fn verdict(check: &Check<Value>, response: &Response, requests: &[ProviderRequestSeen]) -> String {
    let found = evaluate(check, &Seen::new(Some(response), requests)).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
