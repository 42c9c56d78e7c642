//! A model's chunks as an agent's progress: Llama Stack's own events, from before OpenAI's.

use super::json::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One answer of the model, gathered from its chunks.
#[derive(Default)]
pub(crate) struct Answer {
    content: String,
    calls: BTreeMap<i64, Buffered>,
    stop_reason: Option<&'static str>,
}

#[derive(Default)]
struct Buffered {
    id: Value,
    name: String,
    arguments: String,
}

/// An answer that is complete.
pub(crate) struct Answered {
    pub(crate) content: String,
    pub(crate) calls: Vec<Value>,
    pub(crate) stop_reason: &'static str,
}

impl Answer {
    /// Takes in a chunk and gives out the deltas it makes.
    pub(crate) fn chunk(&mut self, chunk: &Value) -> Vec<Value> {
        let choice = chunk.pointer("/choices/0").unwrap_or(&Value::Null);
        let delta = choice.get("delta").unwrap_or(&Value::Null);
        let mut deltas = Vec::new();
        // A chunk without a reason counts as the end of the turn, which a later chunk may correct.
        self.stop_reason = Some(match text(choice, "finish_reason") {
            "length" => "out_of_tokens",
            "tool_calls" => "end_of_message",
            _ => "end_of_turn",
        });
        let content = text(delta, "content");
        if !content.is_empty() {
            self.content.push_str(content);
            deltas.push(json!({"type": "text", "text": content}));
        }
        for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let index = call.get("index").and_then(Value::as_i64).unwrap_or_default();
            let buffered = self.calls.entry(index).or_insert_with(|| Buffered {
                id: call.get("id").cloned().unwrap_or_default(),
                ..Buffered::default()
            });
            let Some(function) = call.get("function").filter(|function| function.is_object()) else {
                continue;
            };
            let (name, arguments) = (text(function, "name"), text(function, "arguments"));
            let mut piece = String::new();
            if !name.is_empty() {
                name.clone_into(&mut buffered.name);
                piece = format!("{name}(");
            }
            if !arguments.is_empty() {
                buffered.arguments.push_str(arguments);
                arguments.clone_into(&mut piece);
            }
            deltas.push(call_delta(piece.into(), "in_progress"));
        }
        deltas
    }

    /// The deltas at the end, and the answer. Content beside calls is dropped: it may repeat them.
    pub(crate) fn finish(self) -> (Vec<Value>, Answered) {
        let (mut deltas, mut calls) = (Vec::new(), Vec::new());
        for call in self.calls.into_values().filter(|call| !call.name.is_empty()) {
            deltas.push(call_delta(")".into(), "in_progress"));
            let call = json!({"call_id": call.id, "tool_name": call.name, "arguments": call.arguments});
            deltas.push(call_delta(call.clone(), "succeeded"));
            calls.push(call);
        }
        let content = if calls.is_empty() { self.content } else { String::new() };
        (deltas, Answered { content, calls, stop_reason: self.stop_reason.unwrap_or("end_of_turn") })
    }
}

/// A call of a tool as a delta: a piece of its text, or all of it.
#[expect(clippy::needless_pass_by_value, reason = "the call goes into the delta")]
pub(crate) fn call_delta(call: Value, status: &str) -> Value {
    json!({"type": "tool_call", "tool_call": call, "parse_status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(chunks: &[Value]) -> (Vec<Value>, Answered) {
        let mut answer = Answer::default();
        let mut deltas: Vec<Value> = chunks.iter().flat_map(|chunk| answer.chunk(chunk)).collect();
        let (last, answered) = answer.finish();
        deltas.extend(last);
        (deltas, answered)
    }

    fn chunk(delta: Value, reason: Option<&str>) -> Value {
        json!({"choices": [{"delta": delta, "finish_reason": reason}]})
    }

    #[test]
    fn text_comes_in_pieces() {
        let (deltas, answered) = answered(&[
            chunk(json!({"content": "a"}), None),
            chunk(json!({"content": "b"}), None),
            chunk(json!({"content": ""}), Some("length")),
        ]);
        assert_eq!(deltas, [json!({"type": "text", "text": "a"}), json!({"type": "text", "text": "b"})]);
        assert_eq!((answered.content.as_str(), answered.stop_reason), ("ab", "out_of_tokens"));
    }

    #[test]
    fn a_call_is_spelt_and_then_whole() {
        let call = |function: Value| json!({"tool_calls": [{"index": 0, "id": "c", "function": function}]});
        let (deltas, answered) = answered(&[
            chunk(call(json!({"name": "f", "arguments": ""})), None),
            chunk(call(json!({"arguments": "{}"})), Some("tool_calls")),
        ]);
        let whole = json!({"call_id": "c", "tool_name": "f", "arguments": "{}"});
        let pieces: Vec<Value> = deltas.iter().map(|delta| delta["tool_call"].clone()).collect();
        assert_eq!(pieces, [json!("f("), json!("{}"), json!(")"), whole.clone()]);
        assert_eq!((answered.calls, answered.stop_reason), (vec![whole], "end_of_message"));
    }
}
