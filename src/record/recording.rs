//! One recorded exchange, as a value.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::key::{WireRequest, sha256_hex};
use super::normalise;

/// Version of the file format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// This program and its version, as recordings name who wrote them.
pub(crate) const TOOL: &str = concat!("runner ", env!("CARGO_PKG_VERSION"));

/// A request, the answer to it, and where both come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub request: RecordedRequest,
    pub answer: Answer,
    pub meta: Meta,
}

/// The request as it went to the provider, without credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRequest {
    pub wire: WireRequest,
    /// Full address, as `http://localhost:11434/v1/chat/completions`.
    pub url: String,
    pub headers: Vec<(String, String)>,
}

/// What the provider answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// From the request to the end of an answer that is no stream; zero where that is not known.
    pub wait: Duration,
    pub body: AnswerBody,
    /// Set when the connection broke before the end: the reason, as the transport gave it.
    pub cut: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AnswerBody {
    Whole(Bytes),
    Chunks(Vec<AnswerChunk>),
}

/// A piece of a stream as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerChunk {
    /// Time since the chunk before; for the first, since the request was sent.
    pub gap: Duration,
    pub bytes: Bytes,
}

/// Where a recording comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub format: u32,
    /// Program and version that wrote the file.
    pub tool: String,
    /// RFC 3339, UTC.
    pub recorded_at: String,
    #[serde(default)]
    pub setup: Option<String>,
    #[serde(default)]
    pub trials: Vec<Owner>,
    /// The normalisers in force when this was recorded.
    #[serde(default)]
    pub normaliser: String,
}

impl Meta {
    /// For a recording made now.
    pub fn now(setup: Option<String>) -> Self {
        let now = jiff::Timestamp::now();
        Self {
            format: FORMAT,
            tool: TOOL.to_owned(),
            recorded_at: format!("{now:.3}"),
            setup,
            trials: Vec::new(),
            normaliser: normalise::fingerprint(),
        }
    }
}

/// A trial whose requests a recording answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Trial id or upstream test id; `None` for requests that no trial could be named for.
    pub id: Option<String>,
    /// Which of the trial's answers to this request, counted from 1.
    pub answers: Vec<u32>,
}

impl Answer {
    /// All bytes of the body, joined.
    pub fn bytes(&self) -> Bytes {
        match &self.body {
            AnswerBody::Whole(bytes) => bytes.clone(),
            AnswerBody::Chunks(chunks) => {
                chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect::<Vec<_>>().into()
            }
        }
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Equal for answers that a client cannot tell apart but by their timing.
    pub(crate) fn fingerprint(&self) -> String {
        let head = format!(
            "{}\n{}\n{}\n",
            self.status,
            self.header("content-type").unwrap_or_default(),
            self.cut.is_some()
        );
        sha256_hex(&[head.as_bytes(), &self.bytes()].concat())
    }

    pub fn is_streaming(&self) -> bool {
        matches!(self.body, AnswerBody::Chunks(_))
    }
}

/// Path and query of a full address; `/` when it has none.
pub(crate) fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}
