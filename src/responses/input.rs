//! A response's input as chat messages.

use super::text;
use serde_json::{Map, Value, json};
use std::fmt;

/// Why an input cannot be put to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputError {
    /// A content part that no chat message can hold, by the name of its class upstream.
    Content(&'static str),
    /// Outputs of calls that nobody made.
    Unpaired(Vec<String>),
    /// An item that is neither a message nor a call.
    Item(String),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(class) => write!(
                f,
                "Llama Stack OpenAI Responses does not yet support content type '<class \
                 'llama_stack.apis.agents.openai_responses.{class}'>' in this context"
            ),
            Self::Unpaired(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
                write!(
                    f,
                    "Received function_call_output(s) with call_id(s) dict_keys([{}]), but no corresponding \
                     function_call",
                    ids.join(", ")
                )
            }
            Self::Item(kind) => write!(f, "an input item of type `{kind}` has no content"),
        }
    }
}

/// The chat messages for an input, a text or a list of items. `previous` are the messages before it: a user's message
/// that only repeats the last one is left out, and outputs may belong to calls made there.
///
/// # Errors
/// See [`InputError`].
pub fn messages(input: &Value, previous: &[Value]) -> Result<Vec<Value>, InputError> {
    let Value::Array(items) = input else {
        return Ok(vec![json!({"role": "user", "content": input})]);
    };
    let mut outputs: Map<String, Value> = items
        .iter()
        .filter(|item| text(item, "type") == "function_call_output")
        .map(|item| (text(item, "call_id").to_owned(), tool_message(text(item, "call_id"), &item["output"])))
        .collect();
    let mut messages = Vec::new();
    for item in items {
        match text(item, "type") {
            // Paired below, or handled by the response itself.
            "function_call_output" | "mcp_list_tools" | "mcp_approval_request" | "mcp_approval_response" => {}
            "function_call" => {
                messages.push(call_message(item, "call_id"));
                messages.extend(outputs.shift_remove(text(item, "call_id")));
            }
            "mcp_call" => {
                messages.push(call_message(item, "id"));
                messages.push(tool_message(text(item, "id"), &item["output"]));
            }
            "message" => messages.extend(message(item, previous)?),
            other => return Err(InputError::Item(other.to_owned())),
        }
    }
    let called = |id: &str| {
        previous.iter().any(|message| {
            let calls = message.get("tool_calls").and_then(Value::as_array);
            calls.into_iter().flatten().any(|call| text(call, "id") == id)
        })
    };
    let (known, unpaired): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|(id, _)| called(id));
    if !unpaired.is_empty() {
        return Err(InputError::Unpaired(unpaired.into_iter().map(|(id, _)| id).collect()));
    }
    messages.extend(known.into_iter().map(|(_, message)| message));
    Ok(messages)
}

fn tool_message(call_id: &str, output: &Value) -> Value {
    json!({"role": "tool", "tool_call_id": call_id, "content": output})
}

fn call_message(item: &Value, id: &str) -> Value {
    let function = json!({"name": item["name"], "arguments": item["arguments"]});
    let call = json!({"index": 0, "id": item[id], "type": "function", "function": function});
    json!({"role": "assistant", "tool_calls": [call]})
}

fn message(item: &Value, previous: &[Value]) -> Result<Option<Value>, InputError> {
    let content = content(&item["content"])?;
    let last_of_user = previous.iter().rev().find(|message| text(message, "role") == "user");
    let repeats = text(item, "role") == "user" && last_of_user.is_some_and(|last| last["content"] == content);
    Ok((!repeats).then(|| json!({"role": item["role"], "content": content})))
}

fn content(content: &Value) -> Result<Value, InputError> {
    let Value::Array(parts) = content else { return Ok(content.clone()) };
    let converted = parts.iter().filter_map(|part| match text(part, "type") {
        "input_text" | "output_text" => Some(Ok(json!({"type": "text", "text": part["text"]}))),
        "input_image" => match text(part, "image_url") {
            "" => None,
            url => {
                let image = json!({"url": url, "detail": part["detail"]});
                Some(Ok(json!({"type": "image_url", "image_url": image})))
            }
        },
        _ => Some(Err(InputError::Content("OpenAIResponseContentPartRefusal"))),
    });
    converted.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// The chat completion's `response_format` for a response's `text`; none for plain text, which is the default.
#[must_use]
pub fn response_format(text_config: &Value) -> Option<Value> {
    let format = text_config.get("format")?;
    match text(format, "type") {
        "json_object" => Some(json!({"type": "json_object"})),
        "json_schema" => {
            let schema = json!({"name": format["name"], "schema": format["schema"]});
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the data of a test reads better")]
    fn converts(input: Value, expected: Value) {
        assert_eq!(Value::from(messages(&input, &[]).unwrap()), expected);
    }

    #[test]
    fn texts_images_and_calls() {
        converts(json!("hi"), json!([{"role": "user", "content": "hi"}]));
        converts(
            json!([{"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "a"}, {"type": "input_image", "detail": "auto", "image_url": "data:x"}]}]),
            json!([{"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:x", "detail": "auto"}}]}]),
        );
        let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
        converts(
            json!([{"type": "function_call_output", "call_id": "c", "output": "1"}, call]),
            json!([
                {"role": "assistant", "tool_calls": [
                    {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "1"}]),
        );
    }

    #[test]
    fn an_output_needs_its_call() {
        let output = json!([{"type": "function_call_output", "call_id": "c", "output": "1"}]);
        let error = messages(&output, &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "Received function_call_output(s) with call_id(s) dict_keys(['c']), but no corresponding function_call"
        );
        let before = [json!({"role": "assistant", "tool_calls": [{"id": "c"}]})];
        let tool = json!({"role": "tool", "tool_call_id": "c", "content": "1"});
        assert_eq!(messages(&output, &before).unwrap(), [tool]);
    }

    #[test]
    fn a_repeated_question_is_left_out() {
        let again = json!([{"type": "message", "role": "user", "content": "q"}]);
        let before = [json!({"role": "user", "content": "q"}), json!({"role": "assistant", "content": "a"})];
        assert_eq!(messages(&again, &before), Ok(vec![]));
    }
}
