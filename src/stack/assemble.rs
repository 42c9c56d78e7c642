//! Putting a streamed chat completion together, so that it can be stored.

use super::json::list;
use super::{Shared, time};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Gathers the events of one chat completion. Storing happens when it is dropped: at the end of the stream, after
/// a failure, and when the client went away.
pub(crate) struct Assembler {
    shared: Arc<Shared>,
    /// The model as the client knows it.
    model: String,
    messages: Value,
    id: Option<String>,
    created: Option<i64>,
    choices: IndexMap<i64, Choice>,
}

struct Choice {
    content: String,
    calls: IndexMap<i64, Call>,
    finish_reason: String,
    logprobs: Vec<Value>,
}

#[derive(Default)]
struct Call {
    id: Option<String>,
    kind: Option<String>,
    name: String,
    arguments: String,
}

impl Default for Choice {
    fn default() -> Self {
        let (content, calls, logprobs) = Default::default();
        Self { content, calls, logprobs, finish_reason: "stop".into() }
    }
}

impl Assembler {
    pub(crate) fn new(shared: Arc<Shared>, model: String, messages: Value) -> Self {
        Self { shared, model, messages, id: None, created: None, choices: IndexMap::new() }
    }

    /// Takes in one event.
    pub(crate) fn add(&mut self, event: &Value) {
        if self.id.is_none() {
            self.id = text(event, "id").map(str::to_owned);
        }
        if self.created.is_none() {
            self.created = event.get("created").and_then(Value::as_i64).filter(|created| *created != 0);
        }
        for choice in list(event, "choices") {
            let index = choice.get("index").and_then(Value::as_i64).unwrap_or_default();
            self.choices.entry(index).or_default().add(choice);
        }
    }

    fn completion(&self) -> Option<Value> {
        Some(json!({
            "id": self.id.as_ref()?,
            "choices": self.choices.iter().map(|(index, choice)| choice.to_json(*index)).collect::<Vec<_>>(),
            "created": self.created.unwrap_or_else(time::now),
            "model": self.model,
        }))
    }
}

impl Drop for Assembler {
    fn drop(&mut self) {
        if let Some(completion) = self.completion() {
            self.shared.store_completion(&completion, &self.messages);
        }
    }
}

impl Choice {
    fn add(&mut self, choice: &Value) {
        let delta = choice.get("delta").unwrap_or(&Value::Null);
        self.content += text(delta, "content").unwrap_or_default();
        for call in list(delta, "tool_calls") {
            let index = call.get("index").and_then(Value::as_i64).unwrap_or_default();
            self.calls.entry(index).or_default().add(call);
        }
        if let Some(reason) = text(choice, "finish_reason") {
            reason.clone_into(&mut self.finish_reason);
        }
        let logprobs = choice.get("logprobs").unwrap_or(&Value::Null);
        self.logprobs.extend(list(logprobs, "content").cloned());
    }

    fn to_json(&self, index: i64) -> Value {
        // A call that never got an id is not stored.
        let calls: Vec<Value> = self.calls.values().filter_map(Call::to_json).collect();
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        message.insert(
            "content".into(),
            if self.content.is_empty() { Value::Null } else { json!(self.content) },
        );
        message.insert("tool_calls".into(), if calls.is_empty() { Value::Null } else { calls.into() });
        let logprobs = match self.logprobs.as_slice() {
            [] => Value::Null,
            content => json!({"content": content}),
        };
        json!({"message": message, "finish_reason": self.finish_reason, "index": index, "logprobs": logprobs})
    }
}

impl Call {
    fn add(&mut self, call: &Value) {
        let update = |to: &mut Option<String>, from: Option<&str>| {
            if let Some(from) = from {
                *to = Some(from.to_owned());
            }
        };
        update(&mut self.id, text(call, "id"));
        update(&mut self.kind, text(call, "type"));
        if let Some(function) = call.get("function") {
            self.name += text(function, "name").unwrap_or_default();
            self.arguments += text(function, "arguments").unwrap_or_default();
        }
    }

    fn to_json(&self) -> Option<Value> {
        Some(json!({
            "id": self.id.as_ref()?,
            "type": self.kind.as_deref().unwrap_or("function"),
            "function": {"name": self.name, "arguments": self.arguments},
        }))
    }
}

/// A text that is there and not empty.
fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}
