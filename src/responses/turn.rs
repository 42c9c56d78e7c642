//! One call of the model within a response: its chunks become events, and at its end a completion.

use super::events::Place;
use super::run::Run;
use super::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Indices of the content parts of a message.
const TEXT: usize = 0;
const REASONING: usize = 1;
const REFUSAL: usize = 2;

/// A call of the model that is being answered.
pub struct Turn {
    message_id: String,
    /// Where the message stands among the response's output.
    at: usize,
    text: String,
    message_began: bool,
    text_began: bool,
    reasoning: Option<String>,
    refusal: Option<String>,
    calls: BTreeMap<i64, Call>,
    finish_reason: String,
}

/// A call of a tool that the model asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The item of the response.
    pub item_id: String,
    pub index: i64,
    /// The model's id of the call.
    pub id: Option<String>,
    pub name: Option<String>,
    pub arguments: String,
}

/// What a call of the model came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    pub message_id: String,
    /// Empty when there are calls.
    pub text: String,
    pub calls: Vec<Call>,
    pub finish_reason: String,
}

/// The events of one chunk.
#[derive(Debug, Default)]
pub struct ChunkEvents {
    pub now: Vec<Value>,
    /// Pieces of text, to be sent once the text until now is found harmless.
    pub checked: Vec<Value>,
}

impl Turn {
    pub(super) fn new(message_id: String, at: usize) -> Self {
        Self {
            message_id,
            at,
            text: String::new(),
            message_began: false,
            text_began: false,
            reasoning: None,
            refusal: None,
            calls: BTreeMap::new(),
            finish_reason: String::new(),
        }
    }

    /// The text until now.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn place(&self, content_index: usize) -> Place<'_> {
        Place { content_index, item_id: &self.message_id, output_index: self.at }
    }

    /// Takes in a chunk. When the response is guarded, pieces of text come back apart.
    pub fn chunk(&mut self, run: &mut Run, chunk: &Value) -> ChunkEvents {
        let mut events = ChunkEvents::default();
        run.count_usage(chunk.get("usage").unwrap_or(&Value::Null));
        for choice in chunk.get("choices").and_then(Value::as_array).into_iter().flatten() {
            let delta = choice.get("delta").unwrap_or(&Value::Null);
            self.text_piece(run, text(delta, "content"), &mut events);
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                reason.clone_into(&mut self.finish_reason);
            }
            self.reasoning_piece(run, text(delta, "reasoning_content"), &mut events);
            self.refusal_piece(run, text(delta, "refusal"), &mut events);
            for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                self.call_piece(run, call, &mut events.now);
            }
        }
        events
    }

    fn text_piece(&mut self, run: &mut Run, piece: &str, events: &mut ChunkEvents) {
        if piece.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.message_began, true) {
            let item = message(&self.message_id, Vec::new(), "in_progress");
            events.now.push(run.events.item("response.output_item.added", &item, self.at));
        }
        if !std::mem::replace(&mut self.text_began, true) {
            let part = text_part("");
            events.now.push(run.events.part("response.content_part.added", &self.place(TEXT), part));
        }
        let event = run.events.content("response.output_text.delta", &self.place(TEXT), "delta", piece);
        events.piece(run.guarded, event);
        self.text.push_str(piece);
    }

    fn reasoning_piece(&mut self, run: &mut Run, piece: &str, events: &mut ChunkEvents) {
        if piece.is_empty() {
            return;
        }
        if self.reasoning.is_none() {
            let part = json!({"type": "reasoning_text", "text": ""});
            let event = run.events.part("response.content_part.added", &self.place(REASONING), part);
            events.piece(run.guarded, event);
        }
        let place = self.place(REASONING);
        let event = run.events.content("response.reasoning_text.delta", &place, "delta", piece);
        events.piece(run.guarded, event);
        self.reasoning.get_or_insert_default().push_str(piece);
    }

    fn refusal_piece(&mut self, run: &mut Run, piece: &str, events: &mut ChunkEvents) {
        if piece.is_empty() {
            return;
        }
        if self.refusal.is_none() {
            let part = json!({"type": "refusal", "refusal": ""});
            events.now.push(run.events.part("response.content_part.added", &self.place(REFUSAL), part));
        }
        let place = self.place(REFUSAL);
        events.now.push(run.events.content("response.refusal.delta", &place, "delta", piece));
        self.refusal.get_or_insert_default().push_str(piece);
    }

    fn call_piece(&mut self, run: &mut Run, piece: &Value, events: &mut Vec<Value>) {
        let index = piece.get("index").and_then(Value::as_i64).unwrap_or_default();
        let function = piece.get("function").unwrap_or(&Value::Null);
        // Only the first piece of a call names its function, and upstream looks no further back than this piece.
        let name = function.get("name").and_then(Value::as_str);
        let of_mcp = name.is_some_and(|name| run.toolbox.server(name).is_some());
        let at = run.output.len();
        let call = match self.calls.entry(index) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let call = Call {
                    item_id: (run.new_id)("fc_"),
                    index,
                    id: piece.get("id").and_then(Value::as_str).map(str::to_owned),
                    name: name.map(str::to_owned),
                    arguments: String::new(),
                };
                if of_mcp || matches!(name, Some("web_search" | "knowledge_search")) {
                    run.events.skip();
                } else {
                    let item = function_call(&call, "", "in_progress");
                    events.push(run.events.item("response.output_item.added", &item, at));
                }
                new.insert(call)
            }
        };
        let arguments = text(function, "arguments");
        if !arguments.is_empty() {
            let kind = arguments_event(of_mcp, "delta");
            events.push(run.events.arguments(&kind, "delta", arguments, &call.item_id, at));
            call.arguments.push_str(arguments);
        }
    }

    /// The events at the end of the model's answer, and the answer.
    pub fn finish(mut self, run: &mut Run) -> (Vec<Value>, Completion) {
        let mut events = Vec::new();
        let at = run.output.len();
        for call in self.calls.values_mut() {
            if call.arguments.is_empty() {
                "{}".clone_into(&mut call.arguments);
            }
            let of_mcp = call.name.as_ref().is_some_and(|name| run.toolbox.server(name).is_some());
            let kind = arguments_event(of_mcp, "done");
            events.push(run.events.arguments(&kind, "arguments", &call.arguments, &call.item_id, at));
        }
        let done = "response.content_part.done";
        if self.text_began {
            events.push(run.events.part(done, &self.place(TEXT), text_part(&self.text)));
        }
        if let Some(reasoning) = &self.reasoning {
            let place = self.place(REASONING);
            events.push(run.events.content("response.reasoning_text.done", &place, "text", reasoning));
            events.push(run.events.part(done, &place, json!({"type": "reasoning_text", "text": reasoning})));
        }
        if let Some(refusal) = &self.refusal {
            let place = self.place(REFUSAL);
            events.push(run.events.content("response.refusal.done", &place, "refusal", refusal));
            events.push(run.events.part(done, &place, json!({"type": "refusal", "refusal": refusal})));
        }
        if !self.calls.is_empty() {
            self.text.clear();
        } else if self.message_began {
            let item = message(&self.message_id, vec![output_text(&self.text, &[])], "completed");
            events.push(run.events.item("response.output_item.done", &item, self.at));
        }
        let completion = Completion {
            message_id: self.message_id,
            text: self.text,
            calls: self.calls.into_values().collect(),
            finish_reason: self.finish_reason,
        };
        (events, completion)
    }
}

impl ChunkEvents {
    fn piece(&mut self, guarded: bool, event: Value) {
        let events = if guarded { &mut self.checked } else { &mut self.now };
        events.push(event);
    }
}

fn arguments_event(of_mcp: bool, stage: &str) -> String {
    match of_mcp {
        true => format!("response.mcp_call.arguments.{stage}"),
        false => format!("response.function_call_arguments.{stage}"),
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": null})
}

pub(super) fn output_text(text: &str, annotations: &[Value]) -> Value {
    json!({"text": text, "type": "output_text", "annotations": annotations})
}

#[expect(clippy::needless_pass_by_value, reason = "the content goes into the message")]
pub(super) fn message(id: &str, content: Vec<Value>, status: &str) -> Value {
    json!({"content": content, "role": "assistant", "type": "message", "id": id, "status": status})
}

pub(super) fn function_call(call: &Call, arguments: &str, status: &str) -> Value {
    json!({
        "call_id": call.id.as_deref().unwrap_or_default(),
        "name": call.name.as_deref().unwrap_or_default(),
        "arguments": arguments,
        "type": "function_call",
        "id": call.item_id,
        "status": status,
    })
}
