//! An agent's messages: what was said before, documents that come along, and all of it as a chat completion.

use super::errors::ApiError;
use super::json::{list, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The messages of earlier turns, after the instructions.
pub(crate) fn of_turns(instructions: &str, turns: &[Value]) -> Vec<Value> {
    let mut messages = Vec::new();
    if !instructions.is_empty() {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    messages.extend(turns.iter().flat_map(of_turn));
    messages
}

fn of_turn(turn: &Value) -> Vec<Value> {
    let responses = || list(turn, "steps").flat_map(|step| list(step, "tool_responses"));
    let answered: BTreeSet<&str> = responses().map(|response| text(response, "call_id")).collect();
    // An answer that is part of a step is added with its step.
    let input = list(turn, "input_messages")
        .filter(|message| text(message, "role") != "tool" || !answered.contains(text(message, "call_id")));
    let mut messages: Vec<Value> = input.cloned().collect();
    for step in list(turn, "steps") {
        match text(step, "step_type") {
            "inference" => messages.push(step["model_response"].clone()),
            "tool_execution" => messages.extend(list(step, "tool_responses").map(|response| {
                json!({"role": "tool", "call_id": response["call_id"], "content": response["content"]})
            })),
            _ if !step["violation"].is_null() => messages.push(json!({
                "role": "assistant",
                "content": step["violation"]["user_message"],
                "stop_reason": "end_of_turn",
                "tool_calls": [],
            })),
            _ => {}
        }
    }
    messages
}

/// Adds the texts of documents to the last message.
pub(crate) fn attach(messages: &mut [Value], documents: &[Value]) -> Result<(), ApiError> {
    if documents.is_empty() {
        return Ok(());
    }
    let texts = documents.iter().map(document_text).collect::<Result<Vec<_>, _>>()?;
    let attached = texts.join("\n");
    let Some(last) = messages.last_mut() else {
        return Err(ApiError::Value("documents need a message that they come with".into()));
    };
    let item = json!({"type": "text", "text": attached});
    match &mut last["content"] {
        Value::String(content) => content.push_str(&attached),
        Value::Array(parts) => parts.push(item),
        content => *content = json!([content.take(), item]),
    }
    Ok(())
}

fn document_text(document: &Value) -> Result<&str, ApiError> {
    let mime_type = text(document, "mime_type");
    if !mime_type.starts_with("text/") && !matches!(mime_type, "application/yaml" | "application/json") {
        return Err(ApiError::Value(format!("Unexpected document mime type: {mime_type}")));
    }
    let content = &document["content"];
    match content {
        Value::String(text) => Ok(text),
        content if text(content, "type") == "text" => Ok(text(content, "text")),
        content if content.get("uri").is_some() => Err(ApiError::NotImplemented(
            "the in-process stack does not fetch documents; give the text itself".into(),
        )),
        _ => Err(ApiError::Value("Unexpected document content type".into())),
    }
}

/// The parameters of a chat completion.
pub(crate) fn chat_request(
    config: &Value,
    messages: &[Value],
    tools: &[Value],
) -> Result<Map<String, Value>, ApiError> {
    let messages = messages.iter().map(chat_message).collect::<Result<Vec<_>, _>>()?;
    let sampling = &config["sampling_params"];
    let mut params = Map::new();
    params.insert("model".into(), config["model"].clone());
    params.insert("messages".into(), messages.into());
    if !tools.is_empty() {
        params.insert("tools".into(), tools.into());
        let choice = match text(&config["tool_config"], "tool_choice") {
            "" => Value::Null,
            choice @ ("auto" | "none" | "required") => choice.into(),
            name => json!({"type": "function", "function": {"name": name}}),
        };
        params.insert("tool_choice".into(), choice);
    }
    let more = [
        ("response_format", config.get("response_format")),
        ("temperature", sampling.pointer("/strategy/temperature")),
        ("top_p", sampling.pointer("/strategy/top_p")),
        ("max_tokens", sampling.get("max_tokens")),
    ];
    params.extend(more.into_iter().filter_map(|(name, value)| {
        Some((name.to_owned(), value.filter(|value| !value.is_null())?.clone()))
    }));
    params.insert("stream".into(), true.into());
    Ok(params)
}

fn chat_message(message: &Value) -> Result<Value, ApiError> {
    let content = chat_content(&message["content"])?;
    let mut chat = json!({"role": message["role"], "content": content});
    match text(message, "role") {
        "tool" => chat["tool_call_id"] = message["call_id"].clone(),
        "assistant" => {
            let calls: Vec<Value> = list(message, "tool_calls")
                .map(|call| {
                    let function = json!({"name": call["tool_name"], "arguments": call["arguments"]});
                    json!({"id": call["call_id"], "type": "function", "function": function})
                })
                .collect();
            if !calls.is_empty() {
                chat["tool_calls"] = calls.into();
            }
        }
        _ => {}
    }
    Ok(chat)
}

fn chat_content(content: &Value) -> Result<Value, ApiError> {
    match content {
        Value::String(_) => Ok(content.clone()),
        Value::Array(parts) => parts.iter().map(chat_part).collect::<Result<Vec<_>, _>>().map(Value::Array),
        part => Ok(json!([chat_part(part)?])),
    }
}

fn chat_part(part: &Value) -> Result<Value, ApiError> {
    match text(part, "type") {
        "text" => Ok(json!({"type": "text", "text": part["text"]})),
        "image" => {
            let image = &part["image"];
            let url = match (image.pointer("/url/uri").and_then(Value::as_str), image["data"].as_str()) {
                (Some(uri), _) => uri.to_owned(),
                (None, Some(data)) => format!("data:image/{};base64,{data}", format_of(data)?),
                (None, None) => return Err(ApiError::Value("an image needs `url` or `data`".into())),
            };
            Ok(json!({"type": "image_url", "image_url": {"url": url}}))
        }
        kind => Err(ApiError::Value(format!("Unsupported content type: {kind}"))),
    }
}

/// The format of an image by the first bytes of its Base64, under the name that upstream's library gives it.
fn format_of(data: &str) -> Result<&'static str, ApiError> {
    let known =
        [("iVBORw0KGgo", "PNG"), ("/9j/", "JPEG"), ("R0lGOD", "GIF"), ("UklGR", "WEBP"), ("Qk", "BMP")];
    let found = known.iter().find(|(start, _)| data.starts_with(start));
    found.map(|(_, format)| *format).ok_or_else(|| ApiError::Internal("cannot identify image file".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_turns_are_messages() {
        let turn = json!({
            "input_messages": [{"role": "user", "content": "q"}, {"role": "tool", "call_id": "c", "content": "x"}],
            "steps": [
                {"step_type": "shield_call", "violation": null},
                {"step_type": "inference", "model_response": {"role": "assistant", "content": ""}},
                {"step_type": "tool_execution", "tool_responses": [{"call_id": "c", "tool_name": "f", "content": "x"}]},
                {"step_type": "shield_call", "violation": {"user_message": "no"}}]});
        assert_eq!(
            Value::from(of_turns("i", &[turn])),
            json!([
                {"role": "system", "content": "i"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": ""},
                {"role": "tool", "call_id": "c", "content": "x"},
                {"role": "assistant", "content": "no", "stop_reason": "end_of_turn", "tool_calls": []}])
        );
    }

    #[test]
    fn documents_come_with_the_last_message() {
        let mut messages = [json!({"role": "user", "content": "q"})];
        let document = json!({"content": {"type": "text", "text": "d"}, "mime_type": "text/plain"});
        attach(&mut messages, &[document]).unwrap();
        assert_eq!(messages[0]["content"], "qd");
        let error = attach(&mut messages, &[json!({"content": "d", "mime_type": "image/png"})]);
        assert_eq!(error, Err(ApiError::Value("Unexpected document mime type: image/png".into())));
    }
}
