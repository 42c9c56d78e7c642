//! `/v1/health`, `/v1/version`, `/v1/inspect/routes`.

use super::Shared;
use super::errors::json_response;
use super::routes::SERVED;
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

/// The routes of the APIs that are served.
pub(crate) async fn routes(State(shared): State<Arc<Shared>>) -> Response {
    let listed = |routes: &[(&str, &str)], types: &[&str]| -> Vec<Value> {
        let routes = routes.iter();
        routes
            .map(|(method, route)| json!({"route": route, "method": method, "provider_types": types}))
            .collect()
    };
    let mut data = listed(PROVIDERS, &[]);
    for served in SERVED.iter().filter(|served| shared.is_configured(served.api)) {
        let types: Vec<&str> =
            shared.providers_of(served.api).map(|provider| provider.provider_type.as_str()).collect();
        data.extend(listed(served.listed, &types));
    }
    data.extend(listed(INSPECT, &[]));
    json_response(StatusCode::OK, &json!({"data": data}))
}

const PROVIDERS: &[(&str, &str)] = &[("GET", "/v1/providers/{provider_id}"), ("GET", "/v1/providers")];

const INSPECT: &[(&str, &str)] =
    &[("GET", "/v1/health"), ("GET", "/v1/inspect/routes"), ("GET", "/v1/version")];
