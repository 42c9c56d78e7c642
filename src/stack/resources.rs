//! What users register with a provider under a name: shields, tool groups, datasets, scoring functions, benchmarks.
//!
//! Each is one document; its fields are those of the single object, of which a list leaves some out.

use super::config_provider::Provider;
use super::errors::{ApiError, json_response};
use super::json::text;
use super::{Shared, python};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

/// A kind of registered object.
pub(crate) struct Kind {
    /// Its name, in the store and in messages.
    pub(crate) name: &'static str,
    /// The API whose providers serve it, and that API's name in messages.
    pub(crate) api: &'static str,
    title: &'static str,
    /// Fields of the object that a list of objects does not have.
    unlisted: &'static [&'static str],
}

pub(crate) static SHIELD: Kind =
    Kind { name: "shield", api: "safety", title: "Safety", unlisted: &["owner", "source"] };
pub(crate) static TOOL_GROUP: Kind =
    Kind { name: "tool_group", api: "tool_runtime", title: "ToolGroups", unlisted: &["owner", "source"] };
pub(crate) static DATASET: Kind =
    Kind { name: "dataset", api: "datasetio", title: "DatasetIO", unlisted: &["owner"] };
pub(crate) static SCORING_FUNCTION: Kind =
    Kind { name: "scoring_function", api: "scoring", title: "Scoring", unlisted: &["owner", "source"] };
pub(crate) static BENCHMARK: Kind =
    Kind { name: "benchmark", api: "eval", title: "Eval", unlisted: &["owner", "source"] };

impl Shared {
    pub(crate) fn resource(&self, kind: &Kind, id: &str) -> Result<Option<Value>, ApiError> {
        Ok(self.documents.get(kind.name, id)?)
    }

    /// The list of all objects of a kind, in the order of their registration.
    pub(crate) fn resources(&self, kind: &Kind) -> Result<Response, ApiError> {
        let mut data = self.documents.list(kind.name)?;
        for object in data.iter_mut().filter_map(Value::as_object_mut) {
            object.retain(|name, _| !kind.unlisted.contains(&name.as_str()));
        }
        Ok(json_response(StatusCode::OK, &json!({"data": data})))
    }

    /// Stores an object. The same object again is fine, another one under its name is not.
    pub(crate) fn register_resource(&self, kind: &Kind, object: &Value) -> Result<(), ApiError> {
        self.provider(kind, text(object, "provider_id"))?;
        let id = text(object, "identifier");
        if self.documents.add(kind.name, id, object)?
            || self.documents.get(kind.name, id)?.as_ref() == Some(object)
        {
            return Ok(());
        }
        Err(ApiError::Value(format!(
            "Object of type '{}' and identifier '{id}' already exists. Unregister it first if you want to replace it.",
            kind.name
        )))
    }

    /// The provider of this id that serves a kind.
    pub(crate) fn provider(&self, kind: &Kind, id: &str) -> Result<&Provider, ApiError> {
        self.providers_of(kind.api)
            .find(|provider| provider.provider_id == id)
            .ok_or_else(|| ApiError::Value(format!("Provider `{id}` not found")))
    }

    /// The provider that is meant when none is named: the only one.
    pub(crate) fn only_provider(&self, kind: &Kind) -> Result<String, ApiError> {
        let mut providers = self.providers_of(kind.api);
        match (providers.next(), providers.next()) {
            (Some(only), None) => Ok(only.provider_id.clone()),
            _ => Err(ApiError::Value(
                "No provider specified and multiple providers available. Please specify a provider_id."
                    .into(),
            )),
        }
    }

    /// The object of this name with its provider, for a call that needs both.
    pub(crate) fn served(&self, kind: &Kind, id: &str) -> Result<(Value, &Provider), ApiError> {
        if let Some(object) = self.resource(kind, id)? {
            let provider = self.provider(kind, text(&object, "provider_id"))?;
            return Ok((object, provider));
        }
        let ids: Vec<&str> =
            self.providers_of(kind.api).map(|provider| provider.provider_id.as_str()).collect();
        let by = match ids.as_slice() {
            [only] => format!("provider: `{only}`"),
            _ => format!("any of the providers: {}", ids.join(", ")),
        };
        Err(ApiError::Value(format!(
            "{} `{id}` not served by {by}. Make sure there is an {} provider serving this {}.",
            python::capitalize(kind.name),
            kind.title,
            kind.name
        )))
    }
}
