//! Working on a batch in the background: its requests go to the models as any others do, a bounded number at a
//! time, with the headers of the request that created it.

use super::batch_input::{self, BatchRequest, CHAT, COMPLETIONS};
use super::caller::Caller;
use super::errors::{ApiError, Issue};
use super::json::text;
use super::{Shared, chat, completions, fields, python, request_types, time};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

/// What the files of a batch are for.
const PURPOSE: &str = "batch";

/// Runs a batch to its end, or until it is told to stop; requests under way are dropped then.
pub(crate) async fn run(shared: Arc<Shared>, caller: Caller, id: String, stop: Arc<Notify>) {
    let work = async {
        // The semaphore is never closed.
        let _slot = shared.batches.slots.acquire().await;
        work(&shared, &caller, &id).await
    };
    let changes = tokio::select! {
        biased;
        () = stop.notified() => json!({"status": "cancelled", "cancelled_at": time::now()}),
        done = work => match done {
            Ok(changes) => changes,
            Err(error) => failed(vec![batch_input::error("internal_error", None, error.to_string(), None)]),
        },
    };
    shared.update_batch(&id, &changes);
    shared.batches.finished(&id);
    // The end of the work and the wish to stop may have come together: then the wish was recorded first.
    if shared.batch(&id).is_ok_and(|batch| text(&batch, "status") == "cancelling") {
        shared.update_batch(&id, &json!({"status": "cancelled", "cancelled_at": time::now()}));
    }
}

fn failed(errors: Vec<Value>) -> Value {
    json!({"status": "failed", "failed_at": time::now(), "errors": {"data": errors, "object": null}})
}

/// The last change of the batch: completed or failed.
async fn work(shared: &Arc<Shared>, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    let batch = shared.batch(id)?;
    let requests = match input(shared, &batch).await? {
        Ok(requests) => requests,
        Err(errors) => return Ok(failed(errors)),
    };
    let total = requests.len();
    let counts =
        |completed: usize, failed: usize| json!({"completed": completed, "failed": failed, "total": total});
    shared.update_batch(id, &json!({"status": "in_progress", "request_counts": counts(0, 0)}));
    let (mut answers, mut errors) = (Vec::new(), Vec::new());
    for chunk in requests.chunks(shared.batches.requests) {
        let asked = chunk.iter().map(|request| answer(shared, caller, request));
        for (request, result) in chunk.iter().zip(join_all(asked).await) {
            let request_id = format!("batch_req_{id}_{}", request.line);
            let line = |name: &str, value: Value| json!({"id": request_id, "custom_id": request.custom_id, name: value});
            match result {
                // As in Llama Stack, the body is JSON inside a text.
                Ok(body) => answers.push(line(
                    "response",
                    json!({"status_code": 200, "request_id": request_id, "body": body.to_string()}),
                )),
                Err(message) => {
                    errors.push(line("error", json!({"type": "request_failed", "message": message})));
                }
            }
        }
        shared.update_batch(id, &json!({"request_counts": counts(answers.len(), errors.len())}));
    }
    match write(shared, id, &answers, &errors).await {
        Ok(()) => Ok(json!({"status": "completed", "completed_at": time::now()})),
        Err(error) => Ok(failed(vec![batch_input::error("output_failed", None, error.to_string(), None)])),
    }
}

/// The requests of the input file, or what is wrong with it.
async fn input(shared: &Shared, batch: &Value) -> Result<Result<Vec<BatchRequest>, Vec<Value>>, ApiError> {
    let file = text(batch, "input_file_id");
    if shared.file(file).is_err() {
        let message = format!("Cannot find file {file}.");
        return Ok(Err(vec![batch_input::error("invalid_request", None, message, Some("input_file_id"))]));
    }
    let content = shared.file_content(file).await?;
    let content = std::str::from_utf8(&content).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(batch_input::read(content, text(batch, "endpoint"), |model| shared.models.get(model).is_ok()))
}

async fn write(shared: &Shared, id: &str, answers: &[Value], errors: &[Value]) -> Result<(), ApiError> {
    for (field, name, lines) in [("output_file_id", "success", answers), ("error_file_id", "error", errors)] {
        let lines: Vec<String> = lines.iter().map(python::dumps).collect();
        let filename = format!("{id}_{name}.jsonl");
        let file = shared.create_file(&filename, PURPOSE, lines.join("\n").into(), None).await?;
        shared.update_batch(id, &json!({field: file.get("id")}));
    }
    Ok(())
}

/// What a model answers, or why it does not.
async fn answer(shared: &Arc<Shared>, caller: &Caller, request: &BatchRequest) -> Result<Value, String> {
    let body = Value::Object(request.body.clone());
    let (answer, schema) = match request.url.as_str() {
        CHAT => {
            roles(&request.body)?;
            (chat::complete(shared, caller, &body).await, "OpenAIChatCompletionRequestWithExtraBody")
        }
        COMPLETIONS => {
            (completions::complete(shared, caller, &body).await, "OpenAICompletionRequestWithExtraBody")
        }
        _ => {
            let answer = match fields::checked(&request_types::EMBEDDINGS, &body) {
                Ok(params) => shared.embeddings(caller, params).await,
                Err(error) => Err(error),
            };
            (answer, "OpenAIEmbeddingsRequestWithExtraBody")
        }
    };
    answer.map_err(|error| match error {
        ApiError::Issues(issues) => validation_errors(schema, &issues),
        error => error.to_string(),
    })
}

/// Upstream looks at the roles before anything else.
fn roles(body: &Map<String, Value>) -> Result<(), String> {
    let messages = body.get("messages").and_then(Value::as_array).ok_or("'messages'")?;
    for message in messages {
        let message = message.as_object().ok_or("a message is no object")?;
        let role = message.get("role").unwrap_or(&Value::Null);
        if !["user", "system", "assistant", "tool", "developer"].iter().any(|known| role == known) {
            let role = role.as_str().map_or_else(|| python::repr(role), str::to_owned);
            return Err(format!("Unknown message role: {role}"));
        }
    }
    Ok(())
}

/// Violations as pydantic words them, without the values and the links it adds.
fn validation_errors(schema: &str, issues: &[Issue]) -> String {
    let plural = if issues.len() == 1 { "" } else { "s" };
    let mut text = format!("{} validation error{plural} for {schema}", issues.len());
    for issue in issues {
        let place: Vec<String> = issue
            .loc
            .iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect();
        text += &format!("\n{}\n  {} [type={}]", place.join("."), issue.msg, issue.kind);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_first() {
        let check = |messages: Value| roles(json!({"messages": messages}).as_object().unwrap());
        assert_eq!(check(json!([{"role": "user"}])), Ok(()));
        assert_eq!(check(json!([{"role": "x"}])), Err("Unknown message role: x".into()));
        assert_eq!(check(json!([{}])), Err("Unknown message role: None".into()));
        assert_eq!(check(json!(null)), Err("'messages'".into()));
    }

    #[test]
    fn violations_are_counted() {
        let issue = Issue::new(&["messages".into(), 0.into()], "Field required", "missing");
        assert_eq!(
            validation_errors("Request", &[issue]),
            "1 validation error for Request\nmessages.0\n  Field required [type=missing]"
        );
    }
}
