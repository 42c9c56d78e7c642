//! `/v1/health`, `/v1/version`, `/v1/inspect/routes`.

use super::Shared;
use super::errors::json_response;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// The Llama Stack this behaves like.
pub(crate) const VERSION: &str = "0.3.0";

pub(crate) async fn health() -> Response {
    json_response(StatusCode::OK, &json!({"status": "OK"}))
}

pub(crate) async fn version() -> Response {
    json_response(StatusCode::OK, &json!({"version": VERSION}))
}

/// The routes of the APIs that are served, in Llama Stack's order. As there, routing tables (`/v1/models`) are
/// not listed: no provider belongs to them.
pub(crate) async fn routes(State(shared): State<Arc<Shared>>) -> Response {
    let inference = if shared.serves("inference") { INFERENCE } else { &[] };
    let types: Vec<&str> =
        shared.providers_of("inference").map(|provider| provider.provider_type.as_str()).collect();
    let listed = |routes: &[(&str, &str)], types: &[&str]| -> Vec<Value> {
        let routes = routes.iter();
        routes
            .map(|(method, route)| json!({"route": route, "method": method, "provider_types": types}))
            .collect()
    };
    let data = [listed(PROVIDERS, &[]), listed(inference, &types), listed(INSPECT, &[])].concat();
    json_response(StatusCode::OK, &json!({"data": data}))
}

const PROVIDERS: &[(&str, &str)] = &[("GET", "/v1/providers/{provider_id}"), ("GET", "/v1/providers")];

const INFERENCE: &[(&str, &str)] = &[
    ("GET", "/v1/chat/completions/{completion_id}"),
    ("GET", "/v1/openai/v1/chat/completions/{completion_id}"),
    ("GET", "/v1/chat/completions"),
    ("GET", "/v1/openai/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/openai/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/openai/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/openai/v1/embeddings"),
    ("POST", "/v1alpha/inference/rerank"),
];

const INSPECT: &[(&str, &str)] =
    &[("GET", "/v1/health"), ("GET", "/v1/inspect/routes"), ("GET", "/v1/version")];
