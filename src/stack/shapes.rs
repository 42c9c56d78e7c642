//! The shapes that OpenAI's Python client gives to a provider's answer, which Llama Stack passes on.
//!
//! Declared fields come first, in declaration order, null where the provider sent nothing; fields the client
//! does not know follow in the order they came. Nothing is validated: a wrong type passes through.

use serde_json::{Map, Value};

/// An object of the client's library: its declared fields in order.
pub(crate) struct Shape(&'static [(&'static str, Part)]);

enum Part {
    Plain,
    One(&'static Shape),
    Many(&'static Shape),
    /// Tool calls: the shape depends on their `type`.
    ToolCalls,
}
use Part::{Many, One, Plain, ToolCalls};

/// Gives `value` the shape; anything but an object is returned as it is.
pub(crate) fn shaped(shape: &Shape, value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    let mut out = Map::with_capacity(map.len() + shape.0.len());
    for (name, part) in shape.0 {
        let value = map.shift_remove(*name).unwrap_or_default();
        out.insert((*name).to_owned(), part_shaped(part, value));
    }
    out.extend(map);
    out.into()
}

fn part_shaped(part: &Part, value: Value) -> Value {
    match (part, value) {
        (One(shape), value) => shaped(shape, value),
        (Many(shape), Value::Array(items)) => items.into_iter().map(|item| shaped(shape, item)).collect(),
        (ToolCalls, Value::Array(items)) => items.into_iter().map(tool_call).collect(),
        (_, value) => value,
    }
}

fn tool_call(value: Value) -> Value {
    let shape = match value.get("type").and_then(Value::as_str) {
        Some("custom") => &CUSTOM_CALL,
        _ => &FUNCTION_CALL,
    };
    shaped(shape, value)
}

static FUNCTION: Shape = Shape(&[("arguments", Plain), ("name", Plain)]);
static FUNCTION_CALL: Shape = Shape(&[("id", Plain), ("function", One(&FUNCTION)), ("type", Plain)]);
static CUSTOM: Shape = Shape(&[("input", Plain), ("name", Plain)]);
static CUSTOM_CALL: Shape = Shape(&[("id", Plain), ("custom", One(&CUSTOM)), ("type", Plain)]);

static TOP_LOGPROB: Shape = Shape(&[("token", Plain), ("bytes", Plain), ("logprob", Plain)]);
static TOKEN_LOGPROB: Shape =
    Shape(&[("token", Plain), ("bytes", Plain), ("logprob", Plain), ("top_logprobs", Many(&TOP_LOGPROB))]);
static LOGPROBS: Shape = Shape(&[("content", Many(&TOKEN_LOGPROB)), ("refusal", Many(&TOKEN_LOGPROB))]);

static COMPLETION_DETAILS: Shape = Shape(&[
    ("accepted_prediction_tokens", Plain),
    ("audio_tokens", Plain),
    ("reasoning_tokens", Plain),
    ("rejected_prediction_tokens", Plain),
]);
static PROMPT_DETAILS: Shape = Shape(&[("audio_tokens", Plain), ("cached_tokens", Plain)]);
static USAGE: Shape = Shape(&[
    ("completion_tokens", Plain),
    ("prompt_tokens", Plain),
    ("total_tokens", Plain),
    ("completion_tokens_details", One(&COMPLETION_DETAILS)),
    ("prompt_tokens_details", One(&PROMPT_DETAILS)),
]);

static CITATION: Shape =
    Shape(&[("end_index", Plain), ("start_index", Plain), ("title", Plain), ("url", Plain)]);
static ANNOTATION: Shape = Shape(&[("type", Plain), ("url_citation", One(&CITATION))]);
static AUDIO: Shape = Shape(&[("id", Plain), ("data", Plain), ("expires_at", Plain), ("transcript", Plain)]);
static MESSAGE: Shape = Shape(&[
    ("content", Plain),
    ("refusal", Plain),
    ("role", Plain),
    ("annotations", Many(&ANNOTATION)),
    ("audio", One(&AUDIO)),
    ("function_call", One(&FUNCTION)),
    ("tool_calls", ToolCalls),
]);
static CHAT_CHOICE: Shape = Shape(&[
    ("finish_reason", Plain),
    ("index", Plain),
    ("logprobs", One(&LOGPROBS)),
    ("message", One(&MESSAGE)),
]);

/// A chat completion that came at once.
pub(crate) static CHAT_COMPLETION: Shape = Shape(&[
    ("id", Plain),
    ("choices", Many(&CHAT_CHOICE)),
    ("created", Plain),
    ("model", Plain),
    ("object", Plain),
    ("service_tier", Plain),
    ("system_fingerprint", Plain),
    ("usage", One(&USAGE)),
]);

static CALL_DELTA: Shape =
    Shape(&[("index", Plain), ("id", Plain), ("function", One(&FUNCTION)), ("type", Plain)]);
static DELTA: Shape = Shape(&[
    ("content", Plain),
    ("function_call", One(&FUNCTION)),
    ("refusal", Plain),
    ("role", Plain),
    ("tool_calls", Many(&CALL_DELTA)),
]);
static CHUNK_CHOICE: Shape = Shape(&[
    ("delta", One(&DELTA)),
    ("finish_reason", Plain),
    ("index", Plain),
    ("logprobs", One(&LOGPROBS)),
]);

/// One event of a streamed chat completion.
pub(crate) static CHAT_CHUNK: Shape = Shape(&[
    ("id", Plain),
    ("choices", Many(&CHUNK_CHOICE)),
    ("created", Plain),
    ("model", Plain),
    ("object", Plain),
    ("service_tier", Plain),
    ("system_fingerprint", Plain),
    ("usage", One(&USAGE)),
]);

static TEXT_LOGPROBS: Shape =
    Shape(&[("text_offset", Plain), ("token_logprobs", Plain), ("tokens", Plain), ("top_logprobs", Plain)]);
static TEXT_CHOICE: Shape =
    Shape(&[("finish_reason", Plain), ("index", Plain), ("logprobs", One(&TEXT_LOGPROBS)), ("text", Plain)]);

/// A text completion, at once or one event of its stream.
pub(crate) static COMPLETION: Shape = Shape(&[
    ("id", Plain),
    ("choices", Many(&TEXT_CHOICE)),
    ("created", Plain),
    ("model", Plain),
    ("object", Plain),
    ("system_fingerprint", Plain),
    ("usage", One(&USAGE)),
]);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn declared_fields_first_then_the_rest() {
        let chunk = json!({"xtra": 1, "id": "c", "choices": [{"index": 0, "delta": {
            "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}], "reasoning": "r"}}]});
        assert_eq!(
            shaped(&CHAT_CHUNK, chunk).to_string(),
            concat!(
                r#"{"id":"c","choices":[{"delta":{"content":null,"function_call":null,"refusal":null,"role":null,"#,
                r#""tool_calls":[{"index":0,"id":null,"function":{"arguments":"{}","name":"f"},"type":null}],"#,
                r#""reasoning":"r"},"finish_reason":null,"index":0,"logprobs":null}],"created":null,"model":null,"#,
                r#""object":null,"service_tier":null,"system_fingerprint":null,"usage":null,"xtra":1}"#
            )
        );
    }
}
