//! `POST /v1/completions`.

use super::Shared;
use super::caller::{self, Caller};
use super::client::Remote;
use super::errors::{ApiError, json_response};
use super::events::truthy;
use super::models::ModelKind;
use super::outbound::{self, COMPLETION_ORDER};
use super::relay::{self, Opened};
use super::remotes::Call;
use super::shapes::{COMPLETION, shaped};
use super::{fields, request_types};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};
use std::sync::Arc;

const PATH: &str = "/completions";

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&request_types::COMPLETION, &headers, body).await?;
    if params.get("stream").is_some_and(truthy) {
        return Ok(relay::respond(stream(shared, caller, params)));
    }
    Ok(json_response(StatusCode::OK, &answer(&shared, &caller, &params).await?))
}

/// Calls a model for another API: what `POST /v1/completions` answers to these parameters.
pub(crate) async fn complete(shared: &Shared, caller: &Caller, params: &Value) -> Result<Value, ApiError> {
    answer(shared, caller, &fields::checked(&request_types::COMPLETION, params)?).await
}

async fn answer(shared: &Shared, caller: &Caller, params: &Map<String, Value>) -> Result<Value, ApiError> {
    let (remote, body) = prepare(shared, params)?;
    let answer = remote.post(PATH, &body, caller).await?;
    Ok(outbound::with_id(remote, shaped(&COMPLETION, answer)))
}

async fn stream(shared: Arc<Shared>, caller: Caller, params: Map<String, Value>) -> Result<Opened, ApiError> {
    let (remote, body) = prepare(&shared, &params)?;
    let events = remote.stream(PATH, &body, &caller).await?;
    Ok(Opened { events, shape: &COMPLETION, id: outbound::fresh_id(remote), assembler: None })
}

fn prepare<'a>(shared: &'a Shared, params: &Map<String, Value>) -> Result<(&'a Remote, Value), ApiError> {
    let id = params.get("model").and_then(Value::as_str).unwrap_or_default();
    let (model, remote) = shared.model(id, ModelKind::Llm)?;
    if remote.remote.lacks.contains(&Call::Completions) {
        return Err(ApiError::NotImplemented(String::new()));
    }
    let body =
        outbound::body(&request_types::COMPLETION, COMPLETION_ORDER, params, &model.provider_resource_id);
    Ok((remote, body))
}
