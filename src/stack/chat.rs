//! `POST /v1/chat/completions`, and the same for the other APIs of this stack.

use super::Shared;
use super::assemble::Assembler;
use super::caller::{self, Caller};
use super::client::Remote;
use super::errors::{ApiError, json_response};
use super::events::truthy;
use super::fields;
use super::models::{Model, ModelKind};
use super::outbound::{self, CHAT_ORDER};
use super::relay::{self, Opened};
use super::remotes::Dialect;
use super::request_types::{self, TOOL, TOOL_CHOICE};
use super::shapes::{CHAT_CHUNK, CHAT_COMPLETION, shaped};
use super::{images, vllm};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const PATH: &str = "/chat/completions";

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&request_types::CHAT, &headers, body).await?;
    if params.get("stream").is_some_and(truthy) {
        return Ok(relay::respond(async move { open(&shared, &caller, params).await }));
    }
    Ok(json_response(StatusCode::OK, &answer(&shared, &caller, params).await?))
}

/// Calls a model for another API: what `POST /v1/chat/completions` answers to these parameters, stored likewise.
pub(crate) async fn complete(
    shared: &Arc<Shared>,
    caller: &Caller,
    params: &Value,
) -> Result<Value, ApiError> {
    answer(shared, caller, fields::checked(&request_types::CHAT, params)?).await
}

/// As [`complete`], event by event: [`Opened::next`] yields the chunks. The parameters must say `"stream": true`.
/// Dropping the result closes the provider's stream.
pub(crate) async fn stream(
    shared: &Arc<Shared>,
    caller: &Caller,
    params: Map<String, Value>,
) -> Result<Opened, ApiError> {
    open(shared, caller, fields::checked(&request_types::CHAT, &params.into())?).await
}

async fn answer(
    shared: &Arc<Shared>,
    caller: &Caller,
    params: Map<String, Value>,
) -> Result<Value, ApiError> {
    let prepared = prepare(shared, params).await?;
    let answer = prepared.remote.post(PATH, &prepared.body, caller).await?;
    let mut answer = outbound::with_id(prepared.remote, shaped(&CHAT_COMPLETION, answer));
    empty_tool_calls_to_null(&mut answer);
    shared.store_completion(&answer, &prepared.messages);
    Ok(answer)
}

async fn open(shared: &Arc<Shared>, caller: &Caller, params: Map<String, Value>) -> Result<Opened, ApiError> {
    let prepared = prepare(shared, params).await?;
    let events = prepared.remote.stream(PATH, &prepared.body, caller).await?;
    let id = outbound::fresh_id(prepared.remote);
    let assembler = Assembler::new(Arc::clone(shared), prepared.model.identifier, prepared.messages);
    Ok(Opened { events, shape: &CHAT_CHUNK, id, assembler: Some(assembler) })
}

struct Prepared<'a> {
    model: Model,
    remote: &'a Remote,
    body: Value,
    /// As they are stored.
    messages: Value,
}

async fn prepare(shared: &Shared, mut params: Map<String, Value>) -> Result<Prepared<'_>, ApiError> {
    let id = params.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (model, remote) = shared.model(&id, ModelKind::Llm)?;
    check_tools(&mut params)?;
    match remote.remote.dialect {
        Dialect::Vllm => vllm::adjust(remote, &mut params),
        Dialect::Runpod => {
            let asked = |name: &str| params.get(name).is_some_and(truthy);
            if asked("stream") && !asked("stream_options") {
                params.insert("stream_options".into(), json!({"include_usage": true}));
            }
        }
        _ => {}
    }
    if remote.remote.dialect.inlines_images()
        && let Some(messages) = params.get_mut("messages")
    {
        images::inline(&remote.http, messages, !shared.offline).await?;
    }
    let body = outbound::body(&request_types::CHAT, CHAT_ORDER, &params, &model.provider_resource_id);
    let messages = params.remove("messages").unwrap_or_default();
    Ok(Prepared { model, remote, body, messages })
}

/// What upstream checks with the OpenAI client's types, and the one choice it takes away from the model.
fn check_tools(params: &mut Map<String, Value>) -> Result<(), ApiError> {
    let given = |name: &str| params.get(name).filter(|value| !value.is_null());
    if let Some(choice) = given("tool_choice").filter(|choice| truthy(choice)) {
        fields::check(&TOOL_CHOICE, choice, &[]).map_err(ApiError::Issues)?;
        if given("tools").is_none() {
            return Err(ApiError::Value(
                "'tool_choice' is only allowed when 'tools' is also provided".into(),
            ));
        }
    }
    for tool in given("tools").and_then(Value::as_array).into_iter().flatten() {
        fields::check(&TOOL, tool, &[]).map_err(ApiError::Issues)?;
    }
    if given("tool_choice").is_some_and(|choice| choice == "none") && given("tools").is_some() {
        params.insert("tool_choice".into(), Value::Null);
        params.insert("tools".into(), Value::Null);
    }
    Ok(())
}

/// Some providers send an empty list where OpenAI sends nothing.
fn empty_tool_calls_to_null(answer: &mut Value) {
    for choice in answer.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(calls) = choice.pointer_mut("/message/tool_calls")
            && calls.as_array().is_some_and(Vec::is_empty)
        {
            *calls = Value::Null;
        }
    }
}
