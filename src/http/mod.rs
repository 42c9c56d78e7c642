//! HTTP as plain values: what is sent, what came back, and when each chunk of it came.

pub mod client;
pub mod curl;
pub mod multipart;
pub mod ndjson;
pub mod sse;
pub mod tls;

use std::time::Duration;

use bytes::Bytes;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// One request as it goes to the stack under test.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// Path with query, as `/v1/models?limit=2`; the transport adds the base address.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// All chunks, joined.
    pub body: Bytes,
    /// Where each chunk ends in `body`, and when it came.
    pub chunks: Vec<Chunk>,
    pub end: BodyEnd,
    /// From sending the request to the last byte.
    pub took: Duration,
}

/// A piece of a body as the transport delivered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Offset in [`Response::body`] just past this chunk.
    pub end: usize,
    /// Time since the request was sent.
    pub at: Duration,
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    Complete,
    /// The connection broke before the end; the reason as the transport gave it.
    Cut(String),
    /// It was closed here after as many events as were wanted; what came after the last of them is dropped.
    Aborted,
}

impl Response {
    /// The `content-type` without parameters, lower-case; empty when absent.
    pub fn media_type(&self) -> String {
        let value = self.headers.get(::http::header::CONTENT_TYPE);
        let text = value.and_then(|v| v.to_str().ok()).unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}
