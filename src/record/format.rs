//! Our file format for a recording: one JSON file per answer, readable with `jq`.
//!
//! ```text
//! request   method url endpoint provider model headers body            (or body_text, body_base64)
//! response  status headers is_streaming wait_ms body|body_text|body_base64|chunks cut
//! meta      format tool recorded_at setup trials normaliser
//! ```
//!
//! A JSON body is stored as JSON only when writing it again gives the same bytes; otherwise as exact text, otherwise as
//! base64. `meta.trials` says whose answer this is: for each trial, which of its answers to this request (counted from
//! 1); `id: null` stands for requests that no trial could be named for.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::{WireBody, WireRequest};
use super::normalise::endpoint;
use super::problem::ProblemKind;
use super::recording::{Answer, AnswerBody, AnswerChunk, FORMAT, Meta, RecordedRequest, Recording, path_of};

#[derive(Serialize, Deserialize)]
struct File {
    request: FileRequest,
    response: FileResponse,
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct FileRequest {
    method: String,
    url: String,
    endpoint: String,
    provider: String,
    model: String,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(flatten)]
    body: FileBody,
}

#[derive(Serialize, Deserialize)]
struct FileResponse {
    status: u16,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    is_streaming: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_ms: Option<f64>,
    #[serde(flatten)]
    body: FileBody,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunks: Option<Vec<FileChunk>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
}

/// Bytes in the most readable of three forms that keeps them exactly.
#[derive(Default, Serialize, Deserialize)]
struct FileBody {
    /// `null` in a file is the JSON value; an absent member is an empty body.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_layout: Option<Layout>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct FileChunk {
    gap_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// How a JSON body was laid out; compact without a final newline unless given.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Layout {
    Compact,
    CompactNewline,
    Pretty,
    PrettyNewline,
}

impl Layout {
    const ALL: [Self; 4] = [Self::Compact, Self::CompactNewline, Self::Pretty, Self::PrettyNewline];

    fn write(self, value: &Value) -> String {
        match self {
            Self::Compact => value.to_string(),
            Self::CompactNewline => format!("{value}\n"),
            Self::Pretty => format!("{value:#}"),
            Self::PrettyNewline => format!("{value:#}\n"),
        }
    }
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl FileBody {
    fn exact(bytes: &Bytes) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self { body_base64: Some(BASE64.encode(bytes)), ..Self::default() };
        };
        if let Ok(value) = serde_json::from_str::<Value>(text)
            && let Some(layout) = Layout::ALL.into_iter().find(|layout| layout.write(&value) == text)
        {
            let body_layout = Some(layout).filter(|layout| *layout != Layout::Compact);
            return Self { body: Some(value), body_layout, ..Self::default() };
        }
        Self { body_text: Some(text.to_owned()), ..Self::default() }
    }

    fn bytes(self) -> Result<Bytes, String> {
        match (self.body, self.body_text, self.body_base64) {
            (Some(value), None, None) => Ok(self.body_layout.unwrap_or(Layout::Compact).write(&value).into()),
            (None, Some(text), None) => Ok(text.into()),
            (None, None, Some(encoded)) => decode_base64("body_base64", &encoded),
            (None, None, None) => Ok(Bytes::new()),
            _ => Err("more than one of `body`, `body_text` and `body_base64`".to_owned()),
        }
    }
}

fn decode_base64(name: &str, encoded: &str) -> Result<Bytes, String> {
    BASE64.decode(encoded).map(Bytes::from).map_err(|error| format!("`{name}` is not base64: {error}"))
}

fn header_map(headers: &[(String, String)]) -> serde_json::Map<String, Value> {
    headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
}

fn header_list(headers: serde_json::Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect()
}

impl Recording {
    /// The file's text: pretty-printed, newline at the end.
    pub fn to_json(&self) -> String {
        let request = &self.request;
        let body = match &request.wire.body {
            WireBody::Empty => FileBody::default(),
            WireBody::Json(value) => FileBody { body: Some(value.clone()), ..FileBody::default() },
            WireBody::Raw(bytes) => FileBody::exact(bytes),
        };
        let (body_out, chunks) = match &self.answer.body {
            AnswerBody::Whole(bytes) => (FileBody::exact(bytes), None),
            AnswerBody::Chunks(chunks) => {
                (FileBody::default(), Some(chunks.iter().map(FileChunk::from).collect()))
            }
        };
        let file = File {
            request: FileRequest {
                method: request.wire.method.clone(),
                url: request.url.clone(),
                endpoint: endpoint(&request.wire.path),
                provider: request.wire.provider.clone(),
                model: request.wire.model().to_owned(),
                headers: header_map(&request.headers),
                body,
            },
            response: FileResponse {
                status: self.answer.status,
                headers: header_map(&self.answer.headers),
                is_streaming: self.answer.is_streaming(),
                wait_ms: Some(milliseconds(self.answer.wait)).filter(|wait| *wait > 0.0),
                body: body_out,
                chunks,
                cut: self.answer.cut.clone(),
            },
            meta: self.meta.clone(),
        };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file of our format.
    ///
    /// # Errors
    /// [`ProblemKind::UnknownFormat`] for another version, [`ProblemKind::NotARecording`] for another shape.
    pub fn from_value(value: Value) -> Result<Self, ProblemKind> {
        let format = &value["meta"]["format"];
        if format.as_u64() != Some(u64::from(FORMAT)) {
            return Err(ProblemKind::UnknownFormat { found: format.to_string() });
        }
        let not = |message: String| ProblemKind::NotARecording { message };
        let file: File = serde_json::from_value(value).map_err(|error| not(error.to_string()))?;
        let body = match file.request.body {
            FileBody { body: Some(value), .. } => WireBody::Json(value),
            other => match other.bytes().map_err(not)? {
                empty if empty.is_empty() => WireBody::Empty,
                bytes => WireBody::Raw(bytes),
            },
        };
        let answer_body = match file.response.chunks {
            Some(chunks) => AnswerBody::Chunks(
                chunks.into_iter().map(AnswerChunk::try_from).collect::<Result<_, _>>().map_err(not)?,
            ),
            None => AnswerBody::Whole(file.response.body.bytes().map_err(not)?),
        };
        Ok(Self {
            request: RecordedRequest {
                wire: WireRequest {
                    provider: file.request.provider,
                    method: file.request.method,
                    path: path_of(&file.request.url).to_owned(),
                    body,
                },
                url: file.request.url,
                headers: header_list(file.request.headers),
            },
            answer: Answer {
                status: file.response.status,
                headers: header_list(file.response.headers),
                wait: duration("wait_ms", file.response.wait_ms.unwrap_or(0.0)).map_err(not)?,
                body: answer_body,
                cut: file.response.cut,
            },
            meta: file.meta,
        })
    }
}

/// Microseconds are more than any clock across a socket can tell.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn duration(name: &str, milliseconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(milliseconds / 1e3)
        .map_err(|_| format!("`{name}` is {milliseconds}, not a time"))
}

impl From<&AnswerChunk> for FileChunk {
    fn from(chunk: &AnswerChunk) -> Self {
        let gap_ms = milliseconds(chunk.gap);
        match std::str::from_utf8(&chunk.bytes) {
            Ok(text) => Self { gap_ms, text: Some(text.to_owned()), base64: None },
            Err(_) => Self { gap_ms, text: None, base64: Some(BASE64.encode(&chunk.bytes)) },
        }
    }
}

impl TryFrom<FileChunk> for AnswerChunk {
    type Error = String;

    fn try_from(chunk: FileChunk) -> Result<Self, String> {
        let gap = duration("gap_ms", chunk.gap_ms)?;
        let bytes = match (chunk.text, chunk.base64) {
            (Some(text), None) => text.into(),
            (None, Some(encoded)) => decode_base64("base64", &encoded)?,
            _ => return Err("a chunk needs either `text` or `base64`".to_owned()),
        };
        Ok(Self { gap, bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::record::recording::Owner;

    fn recording(request_body: WireBody, body: AnswerBody) -> Recording {
        let path = "/v1/chat/completions?beta=1".to_owned();
        Recording {
            request: RecordedRequest {
                wire: WireRequest {
                    provider: "vllm".into(),
                    method: "POST".into(),
                    path: path.clone(),
                    body: request_body,
                },
                url: format!("http://localhost:8000{path}"),
                headers: vec![("content-type".into(), "application/json".into())],
            },
            answer: Answer {
                status: 429,
                headers: vec![("retry-after".into(), "1".into())],
                wait: Duration::ZERO,
                body,
                cut: Some("connection reset".into()),
            },
            meta: Meta {
                trials: vec![Owner { id: Some("a::b".into()), answers: vec![1, 3] }],
                ..Meta::now(Some("vllm".into()))
            },
        }
    }

    fn round_trip(recording: &Recording) -> Recording {
        Recording::from_value(serde_json::from_str(&recording.to_json()).unwrap()).unwrap()
    }

    fn stored(body: &'static str) -> Value {
        let whole = AnswerBody::Whole(Bytes::from_static(body.as_bytes()));
        serde_json::from_str(&recording(WireBody::Empty, whole).to_json()).unwrap()
    }

    #[test]
    fn a_json_answer_is_stored_as_json_when_its_bytes_can_be_had_back() {
        for body in ["{\"a\":[1,2.5,null]}", "{\"a\":1}\n", "{\n  \"a\": 1\n}", "{\n  \"a\": 1\n}\n"] {
            assert!(stored(body)["response"]["body"].is_object(), "{body:?}");
        }
        for body in ["{\"a\": 1}", "{\"a\":1,\"a\":2}", "{\"a\":1.50}", "{\"a\":\"\\u00e9\"}", "plain"] {
            assert_eq!(stored(body)["response"]["body_text"], body);
        }
        assert_eq!(stored("null")["response"]["body"], Value::Null);
        assert!(stored("null")["response"].as_object().unwrap().contains_key("body"));
        assert!(!stored("")["response"].as_object().unwrap().contains_key("body"));
    }

    #[test]
    fn the_file_has_the_members_that_readers_rely_on() {
        let file = stored("{}");
        let members =
            |part: &str| file[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(members("request"), "method url endpoint provider model headers");
        assert_eq!(members("response"), "status headers is_streaming body cut");
        assert_eq!(members("meta"), "format tool recorded_at setup trials normaliser");
        assert_eq!(file["request"]["endpoint"], "/v1/chat/completions");
        assert!(file["meta"]["recorded_at"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn another_format_version_is_named() {
        let mut file: Value = stored("{}");
        file["meta"]["format"] = json!(2);
        let found = "2".to_owned();
        assert_eq!(Recording::from_value(file).unwrap_err(), ProblemKind::UnknownFormat { found });
    }

    #[test]
    fn a_wrong_shape_says_what_is_missing() {
        let mut file: Value = stored("{}");
        file["response"].as_object_mut().unwrap().remove("status");
        let ProblemKind::NotARecording { message } = Recording::from_value(file).unwrap_err() else {
            panic!()
        };
        assert!(message.contains("status"), "{message}");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(body in prop::collection::vec(any::<u8>(), 0..40), text in ".{0,20}",
                               gaps in prop::collection::vec(0u64..5_000_000, 0..6)) {
            let raw = if body.is_empty() { WireBody::Empty } else { WireBody::decode(None, body.clone().into()) };
            let mut whole = recording(raw, AnswerBody::Whole(body.clone().into()));
            whole.answer.wait = gaps.iter().copied().map(Duration::from_micros).sum();
            prop_assert_eq!(round_trip(&whole), whole);
            let chunks = gaps.iter().map(|micros| AnswerChunk {
                gap: Duration::from_micros(*micros),
                bytes: if micros % 2 == 0 { text.clone().into() } else { body.clone().into() },
            });
            let stream = recording(WireBody::Json(json!({"model": text})), AnswerBody::Chunks(chunks.collect()));
            prop_assert_eq!(round_trip(&stream), stream);
        }
    }
}
