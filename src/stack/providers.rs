//! `/v1/providers`.

use super::Shared;
use super::config_provider::{Provider, ProviderKind};
use super::errors::{ApiError, json_response};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let providers: Vec<Value> = shared.providers.iter().map(to_json).collect();
    json_response(StatusCode::OK, &json!({"data": providers}))
}

/// The first provider of this id, of whatever API.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    match shared.providers.iter().find(|provider| provider.provider_id == id) {
        Some(provider) => Ok(json_response(StatusCode::OK, &to_json(provider))),
        None => Err(ApiError::Value(format!("Provider {id} not found"))),
    }
}

fn to_json(provider: &Provider) -> Value {
    let mut config = redacted(&provider.config);
    if let ProviderKind::Remote { remote, address } = &provider.kind
        && let Some(shown) = config.get_mut(remote.address_key)
    {
        *shown = address.as_str().into();
    }
    json!({
        "api": provider.api,
        "provider_id": provider.provider_id,
        "provider_type": provider.provider_type,
        "config": config,
        // Llama Stack 0.3.0 says this of every provider, those with a health check included.
        "health": {"status": "Not Implemented", "message": "Provider does not implement health check"},
    })
}

fn redacted(config: &Map<String, Value>) -> Map<String, Value> {
    let secret = |name: &str| {
        let name = name.to_lowercase();
        ["api_key", "api_token", "password", "secret"].iter().any(|word| name.contains(word))
    };
    let shown = |(name, value): (&String, &Value)| {
        let value = match value {
            _ if secret(name) => "********".into(),
            Value::Object(map) => redacted(map).into(),
            value => value.clone(),
        };
        (name.clone(), value)
    };
    config.iter().map(shown).collect()
}
