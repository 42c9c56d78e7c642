//! What there is to check: the answer of one step, and what the stack sent to its provider meanwhile.

use std::sync::OnceLock;

use base64::Engine as _;
use serde_json::Value;

use super::assemble::assemble;
use super::mismatch::{Mismatch, shorten};
use super::path::Path;
use crate::http::Response;
use crate::http::sse::{Decoded, Framing, decode};

/// A request that the stack under test made to its provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRequestSeen {
    pub method: String,
    /// Path, with the query if there was one.
    pub path: String,
    /// Name of the provider, as `ollama`.
    pub provider: String,
    /// The body as JSON; `null` when there is none, or it is something else.
    pub body: Value,
}

/// What was seen. Decodes what is asked for, once.
#[derive(Debug)]
pub struct Seen<'a> {
    response: Option<&'a Response>,
    pub(super) provider_requests: &'a [ProviderRequestSeen],
    /// Requests to local MCP servers, by the server's name.
    mcp_requests: &'a [(String, Vec<Value>)],
    json: OnceLock<Result<Value, Mismatch>>,
    decoded: OnceLock<Decoded>,
    events: OnceLock<Result<Value, Mismatch>>,
    assembled: OnceLock<Result<Value, Mismatch>>,
}

impl<'a> Seen<'a> {
    /// `response` is absent for steps that send nothing.
    pub fn new(response: Option<&'a Response>, provider_requests: &'a [ProviderRequestSeen]) -> Self {
        Self {
            response,
            provider_requests,
            mcp_requests: &[],
            json: OnceLock::new(),
            decoded: OnceLock::new(),
            events: OnceLock::new(),
            assembled: OnceLock::new(),
        }
    }

    /// With what local MCP servers received, by their names.
    #[must_use]
    pub fn with_mcp(self, mcp_requests: &'a [(String, Vec<Value>)]) -> Self {
        Self { mcp_requests, ..self }
    }

    /// Requests of a method, or calls of a tool, to one MCP server.
    pub(super) fn mcp_calls(&self, server: &str, method: &str, tool: Option<&str>) -> Vec<Value> {
        let requests = self.mcp_requests.iter().filter(|(name, _)| name == server).flat_map(|(_, all)| all);
        requests
            .filter(|request| request["method"] == method && tool.is_none_or(|tool| request["tool"] == tool))
            .cloned()
            .collect()
    }

    /// The response.
    pub fn response(&self) -> Result<&'a Response, Mismatch> {
        self.response.ok_or_else(|| Mismatch::new("response", "a response", "this step sends no request"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<&Value, Mismatch> {
        let parse = || {
            let response = self.response()?;
            serde_json::from_slice(&response.body).map_err(|error| {
                let hint = if Framing::of(response).is_some() {
                    "the response is a stream: `events`, `joined` and `assembled` look into it".to_owned()
                } else {
                    error.to_string()
                };
                Mismatch::new("body", "JSON", self.summary()).with(hint)
            })
        };
        self.json.get_or_init(parse).as_ref().map_err(Clone::clone)
    }

    /// The body as text.
    pub fn text(&self) -> Result<&'a str, Mismatch> {
        let body = &self.response()?.body;
        std::str::from_utf8(body).map_err(|_| {
            let actual = format!("{} bytes that are no text", body.len());
            Mismatch::new("body", "UTF-8 text", actual)
                .with("`body_base64` compares bodies that are no text".to_owned())
        })
    }

    /// The body's bytes as base64 text.
    pub fn base64(&self) -> Result<String, Mismatch> {
        Ok(base64::engine::general_purpose::STANDARD.encode(&self.response()?.body))
    }

    /// A header as text; repeated ones joined with `, `.
    pub fn header(&self, name: &str) -> Result<Option<String>, Mismatch> {
        let values = self.response()?.headers.get_all(name);
        let values: Vec<_> =
            values.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        Ok((!values.is_empty()).then(|| values.join(", ")))
    }

    /// The stream's events as they came, before any interpretation.
    pub fn decoded(&self) -> Result<&Decoded, Mismatch> {
        let response = self.response()?;
        Ok(self.decoded.get_or_init(|| decode(response)))
    }

    /// The list of the stream's events as JSON, without `[DONE]`.
    pub fn events(&self) -> Result<&Value, Mismatch> {
        let decode = || {
            let decoded = self.decoded()?;
            if let Some(fault) = &decoded.fault {
                let mismatch =
                    Mismatch::new("stream", "a stream that can be read to its end", fault.to_string());
                return Err(mismatch.with(format!("received {}", self.summary())));
            }
            let events = decoded.events.iter().filter(|event| !event.is_done()).enumerate();
            let parsed = events.map(|(index, event)| {
                serde_json::from_str::<Value>(&event.data).map_err(|error| {
                    Mismatch::new(format!("events[{index}]"), "JSON", shorten(&event.data))
                        .with(error.to_string())
                })
            });
            parsed.collect()
        };
        self.events.get_or_init(decode).as_ref().map_err(Clone::clone)
    }

    /// The stream put together into the object that the call returns without streaming.
    pub fn assembled(&self) -> Result<&Value, Mismatch> {
        let put_together = || {
            let events = self.events()?.as_array().map(Vec::as_slice).unwrap_or_default();
            assemble(events).map_err(|problem| {
                let actual = format!("events: {}, the last: {}", events.len(), last(events));
                Mismatch::new("assembled", "a stream that forms one object", actual).with(problem)
            })
        };
        self.assembled.get_or_init(put_together).as_ref().map_err(Clone::clone)
    }

    /// The strings found at `at` in every event, concatenated; `None` when there is none.
    pub fn joined(&self, at: &Path) -> Result<Option<String>, Mismatch> {
        let mut joined = None;
        for (index, event) in self.events()?.as_array().into_iter().flatten().enumerate() {
            for (place, node) in at.find_located(event, &format!("events[{index}]")) {
                match node {
                    Value::Null => {}
                    Value::String(text) => joined.get_or_insert_with(String::new).push_str(text),
                    other => {
                        let mismatch = Mismatch::new(place, "strings to join", shorten(&other.to_string()));
                        return Err(mismatch);
                    }
                }
            }
        }
        Ok(joined)
    }

    /// Status, media type and the beginning of the body, for messages.
    pub(super) fn summary(&self) -> String {
        let Some(response) = self.response else { return "nothing".to_owned() };
        let (status, kind) = (response.status.as_u16(), response.media_type());
        let kind = if kind.is_empty() { "no content-type".to_owned() } else { kind };
        match std::str::from_utf8(&response.body) {
            Ok("") => format!("status {status}, {kind}, an empty body"),
            Ok(text) => format!("status {status}, {kind}: {}", shorten(text.trim_end())),
            Err(_) => format!("status {status}, {kind}, {} bytes", response.body.len()),
        }
    }
}

fn last(events: &[Value]) -> String {
    events.last().map_or_else(|| "none".to_owned(), |event| shorten(&event.to_string()))
}
