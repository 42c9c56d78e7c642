//! What an MCP server received, in order, as JSON that checks can look into.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

/// More requests than this are not kept: a stack that calls tools without end must not take the machine's memory.
const MOST: usize = 10_000;

/// The requests of one server. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Value>>>);

impl Log {
    /// How many requests came so far.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The requests from number `from` on: `method`, `headers`, and what the method takes (`tool` and `arguments`
    /// for `tools/call`, else `params`). Requests without the right token have the method `refused`.
    pub fn since(&self, from: usize) -> Vec<Value> {
        self.entries().get(from..).unwrap_or_default().to_vec()
    }

    /// Forgets the server's own readiness check.
    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    /// Keeps a JSON-RPC request; answers to the server and notifications ask for nothing.
    pub(super) fn request(&self, message: &Value, headers: &HeaderMap) {
        let (Some(method), Some(_)) = (message["method"].as_str(), message.get("id")) else { return };
        let params = &message["params"];
        let entry = match method {
            "tools/call" => {
                json!({"method": method, "tool": params["name"], "arguments": params["arguments"]})
            }
            _ => json!({"method": method, "params": params}),
        };
        self.push(entry, headers);
    }

    pub(super) fn refused(&self, headers: &HeaderMap) {
        self.push(json!({"method": "refused"}), headers);
    }

    fn push(&self, mut entry: Value, headers: &HeaderMap) {
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Map<String, Value> =
            headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value).into())).collect();
        entry["headers"] = headers.into();
        let mut entries = self.entries();
        if entries.len() < MOST {
            entries.push(entry);
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
