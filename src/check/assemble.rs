//! Puts a stream together into the object that the same call returns without streaming.
//!
//! | events | object |
//! |---|---|
//! | OpenAI `chat.completion.chunk` | `chat.completion` |
//! | OpenAI `text_completion` (some servers say `completion.chunk`) | `text_completion` |
//! | OpenAI Responses | the `response` of `response.completed`, `.incomplete` or `.failed` |
//! | Llama Stack agent turns | the `turn` of `turn_complete` or `turn_awaiting_input` |
//! | Ollama `/api/chat`, `/api/generate` | one object with `done: true` |
//!
//! Texts are concatenated, the first non-null value of anything else wins, or the last where a stream
//! corrects itself (`usage`, `finish_reason`). What clients would garble is an error, not repaired.

use serde_json::{Map, Value, json};

use super::assemble_choices::{chat_completion, completion};
use super::error_shape::stream_error;
use super::mismatch::shorten;

/// The object, or why there is none.
pub fn assemble(events: &[Value]) -> Result<Value, String> {
    for (index, event) in events.iter().enumerate() {
        if let Some(message) = stream_error(event) {
            return Err(format!("events[{index}] is an error: {}", shorten(&message)));
        }
    }
    if events.is_empty() {
        return Err("the stream has no events".to_owned());
    }
    // Azure begins with a chunk that names neither its object nor the model: the first that tells counts.
    events.iter().find_map(kind_of).map_or_else(
        || {
            Err("no known kind of stream: neither OpenAI chat completions, completions or Responses, \
                 nor Llama Stack agent turns, nor Ollama chat or generate"
                .to_owned())
        },
        |assemble| assemble(events),
    )
}

type Assemble = fn(&[Value]) -> Result<Value, String>;

fn kind_of(event: &Value) -> Option<Assemble> {
    let object = event.get("object").and_then(Value::as_str).unwrap_or_default();
    if object == "chat.completion.chunk" {
        Some(chat_completion)
    } else if object == "text_completion" || object == "completion.chunk" {
        Some(completion)
    } else if type_of(event).starts_with("response.") {
        Some(response)
    } else if event.pointer("/event/payload/event_type").is_some() {
        Some(turn)
    } else if event.get("done").is_some() && event.get("message").is_some() {
        Some(ollama_chat)
    } else if event.get("done").is_some() && event.get("response").is_some() {
        Some(ollama_generate)
    } else {
        None
    }
}

fn type_of(event: &Value) -> &str {
    event.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn response(events: &[Value]) -> Result<Value, String> {
    let ends = ["response.completed", "response.incomplete", "response.failed"];
    let mut finals = events.iter().filter(|event| ends.contains(&type_of(event)));
    let Some(last) = finals.next() else {
        return Err(format!("there is no {}", ends.join(", ")));
    };
    if let Some(second) = finals.next() {
        return Err(format!("there are both {} and {}", type_of(last), type_of(second)));
    }
    last.get("response").cloned().ok_or_else(|| format!("{} has no `response`", type_of(last)))
}

fn turn(events: &[Value]) -> Result<Value, String> {
    let ended = |event: &&Value| {
        let kind = event.pointer("/event/payload/event_type").and_then(Value::as_str);
        matches!(kind, Some("turn_complete" | "turn_awaiting_input"))
    };
    let turn = events.iter().rfind(ended).and_then(|event| event.pointer("/event/payload/turn"));
    turn.cloned().ok_or_else(|| "there is neither turn_complete nor turn_awaiting_input".to_owned())
}

fn ollama_chat(events: &[Value]) -> Result<Value, String> {
    let mut whole = ollama_end(events)?;
    let mut message = Map::new();
    for part in events.iter().filter_map(|event| event.get("message")?.as_object()) {
        for (key, value) in part {
            match (key.as_str(), value, message.get_mut(key)) {
                (_, Value::Null, _) => {}
                ("content" | "thinking", Value::String(more), Some(Value::String(text))) => {
                    text.push_str(more);
                }
                ("tool_calls", Value::Array(more), Some(Value::Array(calls))) => {
                    calls.extend_from_slice(more);
                }
                (_, _, None) => {
                    message.insert(key.clone(), value.clone());
                }
                _ => {}
            }
        }
    }
    whole.insert("message".to_owned(), Value::Object(message));
    Ok(Value::Object(whole))
}

fn ollama_generate(events: &[Value]) -> Result<Value, String> {
    let mut whole = ollama_end(events)?;
    for key in ["response", "thinking"] {
        let parts: Vec<_> = events.iter().filter_map(|event| event.get(key)?.as_str()).collect();
        if !parts.is_empty() {
            whole.insert(key.to_owned(), json!(parts.concat()));
        }
    }
    Ok(Value::Object(whole))
}

/// Ollama's last object carries everything but the text: `done`, the reason, counts and durations.
fn ollama_end(events: &[Value]) -> Result<Map<String, Value>, String> {
    let done = |event: &Value| event.get("done") == Some(&Value::Bool(true));
    match events.iter().position(done) {
        Some(at) if at + 1 == events.len() => {
            events[at].as_object().cloned().ok_or_else(|| "the last event is no object".to_owned())
        }
        Some(at) => Err(format!("events[{at}] has `done: true` and is not the last")),
        None => Err("there is no event with `done: true`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(events: &[Value], want: Result<Value, &str>) {
        assert_eq!(assemble(events), want.map_err(str::to_owned));
    }

    #[test]
    fn responses_give_their_final_response() {
        let created = json!({"type": "response.created", "response": {"id": "r", "status": "in_progress"}});
        let delta = json!({"type": "response.output_text.delta", "delta": "Hi"});
        let completed = json!({"type": "response.completed", "response": {"id": "r", "status": "completed"}});
        let failed = json!({"type": "response.failed", "response": {"id": "r", "error": {"message": "x"}}});
        let end = [created.clone(), delta.clone(), completed.clone()];
        check(&end, Ok(json!({"id": "r", "status": "completed"})));
        check(&[created.clone(), failed.clone()], Ok(json!({"id": "r", "error": {"message": "x"}})));
        check(
            &[created.clone(), delta],
            Err("there is no response.completed, response.incomplete, response.failed"),
        );
        check(&[created, completed, failed], Err("there are both response.completed and response.failed"));
    }

    #[test]
    fn turns_give_their_final_turn() {
        let event = |payload: Value| json!({"event": {"payload": payload}});
        let start = event(json!({"event_type": "turn_start", "turn_id": "t"}));
        let end = event(json!({"event_type": "turn_complete", "turn": {"turn_id": "t", "steps": []}}));
        check(&[start.clone(), end], Ok(json!({"turn_id": "t", "steps": []})));
        check(&[start], Err("there is neither turn_complete nor turn_awaiting_input"));
    }

    #[test]
    fn ollama_texts_are_joined_and_the_last_object_gives_the_rest() {
        let part = |text: &str| json!({"model": "m", "done": false, "message": {"role": "assistant", "content": text}});
        let call = json!({"model": "m", "done": false, "message": {
            "role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}});
        let end = json!({"model": "m", "done": true, "done_reason": "stop", "eval_count": 3,
            "message": {"role": "assistant", "content": "", "thinking": null}});
        check(
            &[part("So"), part("l"), call.clone(), call, end.clone()],
            Ok(json!({"model": "m", "done": true, "done_reason": "stop", "eval_count": 3, "message": {
            "role": "assistant", "content": "Sol", "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1}}},
                {"function": {"name": "f", "arguments": {"a": 1}}},
            ]}})),
        );
        check(&[part("a")], Err("there is no event with `done: true`"));
        check(&[end, part("a")], Err("events[0] has `done: true` and is not the last"));

        let part =
            |text: &str, done: bool| json!({"model": "m", "response": text, "done": done, "thinking": null});
        let whole = json!({"model": "m", "response": "Sol", "done": true, "thinking": null});
        check(&[part("So", false), part("l", true)], Ok(whole));
    }

    #[test]
    fn other_streams_are_refused_with_the_reason() {
        check(&[], Err("the stream has no events"));
        let chunk = json!({"object": "chat.completion.chunk", "choices": []});
        check(
            &[chunk, json!({"error": {"message": "overloaded"}})],
            Err("events[1] is an error: overloaded"),
        );
        let unknown = assemble(&[json!({"a": 1})]).unwrap_err();
        assert!(unknown.starts_with("no known kind of stream: neither OpenAI"), "{unknown}");
    }

    /// Upstream's recordings hold the chunks of real servers, one list per answer.
    #[test]
    fn recorded_streams_assemble() {
        let shared = std::env::var("RUNNER_SHARED").unwrap_or_else(|_| "../shared".to_owned());
        let root = std::path::Path::new(&shared).join("recordings");
        if !root.is_dir() {
            println!("skipped: there are no recordings in {}", root.display());
            return;
        }
        let (mut folders, mut assembled, mut refused) = (vec![root], 0, Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let Ok(Value::Object(file)) = serde_json::from_str(&text) else { continue };
                let Some(response) = file.get("response") else { continue };
                let Some(Value::Array(chunks)) = response.get("body") else { continue };
                if response["is_streaming"] != true || chunks.is_empty() {
                    continue;
                }
                let events: Vec<_> = chunks.iter().map(|chunk| chunk["__data__"].clone()).collect();
                match assemble(&events) {
                    Ok(whole) => assembled += usize::from(whole.get("model").is_some()),
                    Err(problem) => refused.push(format!("{}: {problem}", path.display())),
                }
            }
        }
        assert!(assembled > 500, "{assembled}");
        assert_eq!(refused, Vec::<String>::new());
    }
}
