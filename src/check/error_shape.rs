//! The message of an error response, whichever of the known shapes it has.

use serde_json::Value;

/// The message in an error body.
///
/// Llama Stack answers `{"detail": …}` from handlers and `{"error": {"detail": {"errors": […]}}}` when a body
/// does not validate; FastAPI `{"detail": [{loc, msg}]}`; OpenAI `{"error": {"message": …}}`; Ollama
/// `{"error": "…"}`; others `{"message": "…"}`. Validation errors become `loc: msg`, joined with `; `.
/// `None` for any other shape.
pub fn error_message(body: &Value) -> Option<String> {
    match body.get("error").filter(|error| !error.is_null()) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(error) => message_in(error),
        None => message_in(body),
    }
}

/// The message of a stream's event that says the stream failed: one with a top-level `error`, or OpenAI's
/// `{"type": "error", "message": …}`.
pub(super) fn stream_error(event: &Value) -> Option<String> {
    let failed = event.get("error").is_some_and(|error| !error.is_null())
        || event.get("type").and_then(Value::as_str) == Some("error");
    failed.then(|| error_message(event).unwrap_or_else(|| event.to_string()))
}

fn message_in(holder: &Value) -> Option<String> {
    if let Some(text) = holder.get("message").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    match holder.get("detail")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(errors) => Some(validation_errors(errors)),
        detail => {
            let errors =
                detail.get("errors").and_then(Value::as_array).map(|errors| validation_errors(errors));
            let nested = || {
                let nested = detail.get("error").unwrap_or(detail);
                nested.as_str().map(str::to_owned).or_else(|| message_in(nested))
            };
            errors.or_else(nested).or_else(|| Some(detail.to_string()))
        }
    }
}

fn validation_errors(errors: &[Value]) -> String {
    let one = |error: &Value| {
        let Some(text) = error.get("msg").or_else(|| error.get("message")).and_then(Value::as_str) else {
            return error.as_str().map_or_else(|| error.to_string(), str::to_owned);
        };
        let place = match error.get("loc") {
            Some(Value::Array(parts)) => {
                let parts =
                    parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
                parts.collect::<Vec<_>>().join(".")
            }
            Some(Value::String(place)) => place.clone(),
            _ => String::new(),
        };
        if place.is_empty() { text.to_owned() } else { format!("{place}: {text}") }
    };
    errors.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_gives_its_message() {
        let validation = json!([
            {"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing"},
            {"loc": [], "msg": "Input should be valid", "type": "x"},
        ]);
        let joined = "body.messages.0.role: Field required; Input should be valid";
        let cases = [
            (json!({"detail": "Model 'x' not found"}), Some("Model 'x' not found")),
            (json!({"detail": {"message": "wrong"}}), Some("wrong")),
            (json!({"detail": {"error": {"message": "deep"}}}), Some("deep")),
            (json!({"detail": {"code": 3}}), Some(r#"{"code":3}"#)),
            (json!({"detail": validation}), Some(joined)),
            (json!({"error": {"detail": {"errors": validation}}}), Some(joined)),
            (json!({"error": {"message": "bad key", "type": "auth"}}), Some("bad key")),
            (json!({"error": "model is required"}), Some("model is required")),
            (json!({"error": null, "message": "plain"}), Some("plain")),
            (json!({"error": {"detail": {"errors": ["text", {"a": 1}]}}}), Some(r#"text; {"a":1}"#)),
            (json!({"other": 1}), None),
            (json!("text"), None),
            (json!({"detail": null}), None),
        ];
        for (body, want) in cases {
            assert_eq!(error_message(&body).as_deref(), want, "{body}");
        }
    }
}
