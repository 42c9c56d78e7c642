//! OpenAI's chunks: per choice, and within a choice per tool call.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// `chat.completion.chunk`s to one `chat.completion`.
pub(super) fn chat_completion(events: &[Value]) -> Result<Value, String> {
    let mut choices: BTreeMap<u64, Choice> = BTreeMap::new();
    for (index, choice, at) in choices_of(events) {
        choices
            .entry(index)
            .or_default()
            .add_chat(choice)
            .map_err(|problem| format!("events[{at}], choice {index}: {problem}"))?;
    }
    let choices = choices.into_iter().map(|(index, choice)| choice.into_chat(index)).collect();
    Ok(whole(events, "chat.completion", choices))
}

/// `text_completion` chunks to one `text_completion`.
pub(super) fn completion(events: &[Value]) -> Result<Value, String> {
    let mut choices: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    for (index, choice, _) in choices_of(events) {
        let whole = choices.entry(index).or_default();
        for (key, value) in choice {
            match key.as_str() {
                "text" => append(whole, key, value),
                "logprobs" => append_lists(whole, key, value),
                _ => replace(whole, key, value),
            }
        }
    }
    let finish = |(index, mut choice): (u64, Map<String, Value>)| {
        // Some servers repeat the text as a chat delta.
        choice.shift_remove("delta");
        choice.insert("index".to_owned(), json!(index));
        choice.entry("text").or_insert(json!(""));
        choice.entry("finish_reason").or_insert(Value::Null);
        Value::Object(choice)
    };
    let choices = choices.into_iter().map(finish).collect();
    Ok(whole(events, "text_completion", choices))
}

/// Every choice of every chunk with its index and the chunk's place. Chunks without choices carry usage.
fn choices_of(events: &[Value]) -> impl Iterator<Item = (u64, &Map<String, Value>, usize)> {
    events.iter().enumerate().flat_map(|(at, event)| {
        let choices = event.get("choices").and_then(Value::as_array).into_iter().flatten();
        choices.filter_map(move |choice| {
            let choice = choice.as_object()?;
            Some((choice.get("index").and_then(Value::as_u64).unwrap_or(0), choice, at))
        })
    })
}

/// The chunks' other fields around the choices.
fn whole(events: &[Value], object: &str, choices: Vec<Value>) -> Value {
    let mut whole = Map::new();
    for (key, value) in events.iter().filter_map(Value::as_object).flatten() {
        match key.as_str() {
            "object" => {
                whole.insert(key.clone(), json!(object));
            }
            // Keeps the place; the choices are filled in below.
            "choices" => {
                whole.entry(key.clone()).or_insert(Value::Null);
            }
            // Azure's first chunk says 0.
            "usage" | "created" => replace(&mut whole, key, value),
            _ => first(&mut whole, key, value),
        }
    }
    whole.insert("choices".to_owned(), Value::Array(choices));
    Value::Object(whole)
}

#[derive(Default)]
struct Choice {
    message: Map<String, Value>,
    tool_calls: BTreeMap<u64, Map<String, Value>>,
    /// `finish_reason`, `logprobs`, and whatever a server adds.
    rest: Map<String, Value>,
}

impl Choice {
    fn add_chat(&mut self, choice: &Map<String, Value>) -> Result<(), String> {
        for (key, value) in choice {
            match (key.as_str(), value) {
                ("delta", Value::Object(delta)) => self.add_delta(delta)?,
                ("delta" | "index", _) => {}
                ("logprobs", _) => append_lists(&mut self.rest, key, value),
                _ => replace(&mut self.rest, key, value),
            }
        }
        Ok(())
    }

    /// Unknown texts are concatenated too: servers name reasoning in several ways.
    fn add_delta(&mut self, delta: &Map<String, Value>) -> Result<(), String> {
        for (key, value) in delta {
            match (key.as_str(), value) {
                ("tool_calls", Value::Array(calls)) => {
                    for call in calls {
                        self.add_tool_call(call)?;
                    }
                }
                ("tool_calls", _) => {}
                ("function_call", Value::Object(part)) => {
                    let call = self.message.entry(key.clone()).or_insert_with(|| json!({}));
                    if let Value::Object(call) = call {
                        add_function(call, part)?;
                    }
                }
                ("role", _) => first(&mut self.message, key, value),
                (_, Value::String(_)) => append(&mut self.message, key, value),
                _ => first(&mut self.message, key, value),
            }
        }
        Ok(())
    }

    fn add_tool_call(&mut self, part: &Value) -> Result<(), String> {
        let Some(part) = part.as_object() else {
            return Err(format!("a tool call is no object: {part}"));
        };
        let index = match part.get("index").and_then(Value::as_u64) {
            Some(index) => index,
            None => self.index_by_id(part.get("id")),
        };
        let call = self.tool_calls.entry(index).or_default();
        for (key, value) in part {
            match (key.as_str(), value) {
                ("index", _) => {}
                ("function", Value::Object(part)) => {
                    let function = call.entry(key.clone()).or_insert_with(|| json!({}));
                    if let Value::Object(function) = function {
                        add_function(function, part).map_err(|it| format!("tool call {index}: {it}"))?;
                    }
                }
                ("id" | "type", _) => {
                    once(call, key, value).map_err(|it| format!("tool call {index}: {it}"))?;
                }
                _ => first(call, key, value),
            }
        }
        Ok(())
    }

    /// Some servers send whole tool calls without an index: each new id is a new call, no id the last one.
    fn index_by_id(&self, id: Option<&Value>) -> u64 {
        let last = self.tool_calls.last_key_value().map(|(index, _)| *index);
        match id.filter(|id| !id.is_null()) {
            None => last.unwrap_or(0),
            Some(id) => {
                let known = self.tool_calls.iter().find(|(_, call)| call.get("id") == Some(id));
                known.map(|(index, _)| *index).or(last.map(|last| last + 1)).unwrap_or(0)
            }
        }
    }

    fn into_chat(mut self, index: u64) -> Value {
        let mut message = Map::new();
        message.insert("role".to_owned(), self.message.shift_remove("role").unwrap_or(json!("assistant")));
        message.insert("content".to_owned(), self.message.shift_remove("content").unwrap_or(Value::Null));
        message.append(&mut self.message);
        if !self.tool_calls.is_empty() {
            let calls = self.tool_calls.into_values().map(Value::Object).collect();
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        let mut choice = Map::new();
        choice.insert("index".to_owned(), json!(index));
        choice.insert("message".to_owned(), Value::Object(message));
        choice.insert("finish_reason".to_owned(), Value::Null);
        choice.append(&mut self.rest);
        Value::Object(choice)
    }
}

fn add_function(function: &mut Map<String, Value>, part: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in part {
        match key.as_str() {
            "arguments" => append(function, key, value),
            "name" => once(function, key, value)?,
            _ => first(function, key, value),
        }
    }
    Ok(())
}

/// A value that may be repeated but not changed; null and empty texts do not count. Two tool calls under
/// one index would show here.
fn once(map: &mut Map<String, Value>, key: &str, value: &Value) -> Result<(), String> {
    if value.is_null() || value.as_str() == Some("") {
        return Ok(());
    }
    match map.get(key) {
        Some(known) if known != value => Err(format!("its {key} was {known} and becomes {value}")),
        Some(_) => Ok(()),
        None => {
            map.insert(key.to_owned(), value.clone());
            Ok(())
        }
    }
}

/// The first value that says something wins: neither null nor an empty text.
fn first(map: &mut Map<String, Value>, key: &str, value: &Value) {
    if map.get(key).is_none_or(|known| known.is_null() || known == "") && !value.is_null() {
        map.insert(key.to_owned(), value.clone());
    }
}

/// The last non-null value wins.
fn replace(map: &mut Map<String, Value>, key: &str, value: &Value) {
    if !value.is_null() {
        map.insert(key.to_owned(), value.clone());
    }
}

/// Texts are concatenated.
fn append(map: &mut Map<String, Value>, key: &str, value: &Value) {
    match (map.get_mut(key), value) {
        (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
        (Some(_), _) => {}
        (None, value) => first(map, key, value),
    }
}

/// The lists of an object, as `logprobs.content`, are concatenated.
fn append_lists(map: &mut Map<String, Value>, key: &str, value: &Value) {
    let (Some(Value::Object(whole)), Value::Object(part)) = (map.get_mut(key), value) else {
        return first(map, key, value);
    };
    for (key, value) in part {
        match (whole.get_mut(key), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend_from_slice(more),
            _ => first(whole, key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::assemble::assemble;
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "calls read better without references")]
    fn chunk(choices: Value) -> Value {
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices,
            "usage": null, "system_fingerprint": "fp"})
    }

    #[expect(clippy::needless_pass_by_value, reason = "calls read better without references")]
    fn delta(index: u64, delta: Value) -> Value {
        chunk(json!([{"index": index, "delta": delta, "finish_reason": null, "logprobs": null}]))
    }

    fn finish(index: u64, reason: &str) -> Value {
        chunk(json!([{"index": index, "delta": {}, "finish_reason": reason}]))
    }

    #[test]
    fn choices_are_assembled_apart_and_usage_comes_from_where_it_is() {
        let mut usage = chunk(json!([]));
        usage["usage"] = json!({"total_tokens": 9});
        let events = [
            delta(1, json!({"role": "assistant", "content": "", "refusal": null})),
            delta(0, json!({"role": "assistant", "content": "So", "tool_calls": null})),
            delta(1, json!({"content": "Lu"})),
            delta(0, json!({"content": "l"})),
            delta(1, json!({"content": "na"})),
            finish(1, "length"),
            finish(0, "stop"),
            usage,
        ];
        let want = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Sol"}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "Luna"}, "finish_reason": "length"},
        ], "usage": {"total_tokens": 9}, "system_fingerprint": "fp"});
        assert_eq!(assemble(&events), Ok(want));
    }

    #[test]
    fn a_first_chunk_that_says_nothing_does_no_harm() {
        let filter = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []});
        let assembled = assemble(&[filter, delta(0, json!({"content": "a"})), finish(0, "stop")]).unwrap();
        assert_eq!(
            (&assembled["id"], &assembled["model"], &assembled["created"]),
            (&json!("c1"), &json!("m"), &json!(7))
        );
        assert_eq!(assembled["object"], "chat.completion");
    }

    #[test]
    fn tool_calls_are_assembled_by_index() {
        let part = |index: u64, call: Value| {
            let mut call = call;
            call["index"] = json!(index);
            delta(0, json!({"role": null, "content": null, "tool_calls": [call]}))
        };
        let events = [
            part(0, json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}})),
            part(0, json!({"function": {"arguments": "{\"x\":"}})),
            part(1, json!({"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}})),
            part(0, json!({"id": "", "type": "function", "function": {"name": "f", "arguments": "1}"}})),
            finish(0, "tool_calls"),
        ];
        let message = &assemble(&events).unwrap()["choices"][0]["message"];
        let want = json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]});
        assert_eq!(message, &want);

        let clash = [events[0].clone(), part(0, json!({"id": "z", "function": {"name": "h"}}))];
        assert_eq!(
            assemble(&clash),
            Err(r#"events[1], choice 0: tool call 0: its id was "a" and becomes "z""#.to_owned())
        );
    }

    #[test]
    fn tool_calls_without_an_index_are_told_apart_by_id() {
        let calls = json!([{"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "function": {"name": "g", "arguments": "{"}}]);
        let events = [
            delta(0, json!({"tool_calls": calls})),
            delta(0, json!({"tool_calls": [{"function": {"arguments": "}"}}]})),
        ];
        let assembled = assemble(&events).unwrap();
        let names = assembled["choices"][0]["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(names[1]["function"], json!({"name": "g", "arguments": "{}"}));
    }

    #[test]
    fn reasoning_refusals_and_logprobs_are_concatenated() {
        let token = |text: &str| json!({"token": text, "logprob": -0.5});
        let mut events = [
            delta(0, json!({"role": "assistant", "reasoning_content": "I ", "refusal": "no"})),
            delta(
                0,
                json!({"reasoning_content": "think", "refusal": "pe", "function_call": {"name": "f", "arguments": "{"}}),
            ),
            delta(0, json!({"function_call": {"arguments": "}"}})),
        ];
        events[0]["choices"][0]["logprobs"] = json!({"content": [token("a")], "refusal": null});
        events[1]["choices"][0]["logprobs"] = json!({"content": [token("b")], "refusal": [token("c")]});
        let choice = &assemble(&events).unwrap()["choices"][0];
        assert_eq!(
            choice,
            &json!({"index": 0, "message": {"role": "assistant", "content": null, "reasoning_content": "I think",
                "refusal": "nope", "function_call": {"name": "f", "arguments": "{}"}}, "finish_reason": null,
                "logprobs": {"content": [token("a"), token("b")], "refusal": [token("c")]}})
        );
    }

    #[test]
    fn completions_are_assembled() {
        let chunk = |text: &str, reason: Value, logprobs: Value| {
            json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [
                {"index": 0, "text": text, "finish_reason": reason, "logprobs": logprobs}]})
        };
        let probability =
            |token: &str| json!({"tokens": [token], "token_logprobs": [-1.0], "text_offset": null});
        let events = [
            chunk("Ro", Value::Null, probability("Ro")),
            chunk("ses", Value::Null, probability("ses")),
            chunk("", json!("stop"), Value::Null),
        ];
        let want = json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "text": "Roses", "finish_reason": "stop", "logprobs":
                {"tokens": ["Ro", "ses"], "token_logprobs": [-1.0, -1.0], "text_offset": null}}]});
        assert_eq!(assemble(&events), Ok(want));
    }
}
