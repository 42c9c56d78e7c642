//! Responses for tests of this module.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Check, ProviderRequestSeen, Seen, StreamIs, evaluate};
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

/// Events that have a type and nothing else.
pub(super) fn typed(names: &[&str]) -> Response {
    let data: Vec<_> = names.iter().map(|name| json!({"type": name}).to_string()).collect();
    sse(&data.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `want` are the mismatches as `what: expected / actual`, one a line.
#[track_caller]
pub(super) fn check_stream(stream: StreamIs<Value>, response: &Response, want: &[&str]) {
    let seen = Seen::new(Some(response), &[]);
    let found = evaluate(&Check::Stream(Box::new(stream)), &seen).err().unwrap_or_default();
    let found: Vec<_> =
        found.iter().map(|it| format!("{}: {} / {}", it.what, it.expected, it.actual)).collect();
    assert_eq!(found, want);
}
