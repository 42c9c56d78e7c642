//! `/v1/shields`: what is registered to look at messages.

use super::caller;
use super::errors::{ApiError, json_response};
use super::fields::{Extra, Model, OBJECT, Ty, body, optional, required};
use super::json::text;
use super::resources::SHIELD;
use super::{Shared, unserved};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

static REGISTER: Model = body(
    &[
        required("shield_id", Ty::Str),
        optional("provider_shield_id", Ty::Str),
        optional("provider_id", Ty::Str),
        optional("params", OBJECT),
    ],
    Extra::Drop,
);

pub(crate) async fn register(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&REGISTER, &headers, body).await?;
    Ok(json_response(StatusCode::OK, &shared.register_shield(&params)?))
}

impl Shared {
    fn register_shield(&self, params: &Map<String, Value>) -> Result<Value, ApiError> {
        let given = |name: &str| params.get(name).and_then(Value::as_str);
        let shield_id = given("shield_id").unwrap_or_default();
        let provider = self.chosen_provider(&SHIELD, given("provider_id"))?;
        if provider.provider_type != super::safety::LLAMA_GUARD {
            return Err(unserved::provider(provider));
        }
        let shield = json!({
            "identifier": shield_id,
            "provider_resource_id": given("provider_shield_id").unwrap_or(shield_id),
            "provider_id": provider.provider_id,
            "type": "shield",
            "owner": null,
            "source": "via_register_api",
            "params": params.get("params").filter(|params| !params.is_null()).cloned().unwrap_or_else(|| json!({})),
        });
        if text(&shield, "provider_resource_id").is_empty() {
            return Err(ApiError::Value("Llama Guard shield must have a model id".into()));
        }
        self.register_resource(&SHIELD, &shield)?;
        Ok(shield)
    }

    /// The shields of the configuration. One whose provider cannot run here is left out, with a warning.
    pub(crate) fn register_configured_shields(&self) -> Result<(), ApiError> {
        for entry in self.configured.enabled("shields") {
            match self.register_shield(entry) {
                Err(ApiError::NotImplemented(why)) => {
                    let id = entry.get("shield_id").and_then(Value::as_str).unwrap_or_default();
                    self.warn(&format!("shield {id}"), why);
                }
                registered => drop(registered?),
            }
        }
        Ok(())
    }
}
