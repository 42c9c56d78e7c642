//! What users register with a provider under a name: shields, tool groups, datasets, scoring functions, benchmarks.
//!
//! Each is one document; its fields are those of the single object, of which a list leaves some out. Vector stores
//! have documents of their own and share only how a missing one is worded.

use super::config_provider::Provider;
use super::errors::{ApiError, json_response};
use super::json::text;
use super::{Shared, python};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};
use std::sync::Arc;

/// A kind of registered object.
pub(crate) struct Kind {
    /// Its name, in the store and in messages.
    pub(crate) name: &'static str,
    /// The API whose providers serve it, and that API's name in messages.
    pub(crate) api: &'static str,
    title: &'static str,
    /// Its name where none has the id.
    label: &'static str,
    /// The call that such a message tells to list what is there; without one the id counts as a wrong value.
    lister: Option<&'static str>,
    /// Fields of the object that a list of objects does not have.
    unlisted: &'static [&'static str],
}

pub(crate) static SHIELD: Kind = Kind {
    name: "shield",
    api: "safety",
    title: "Safety",
    label: "Shield",
    lister: None,
    unlisted: &["owner", "source"],
};
pub(crate) static TOOL_GROUP: Kind = Kind {
    name: "tool_group",
    api: "tool_runtime",
    title: "ToolGroups",
    label: "Tool Group",
    lister: Some("client.toolgroups.list()"),
    unlisted: &["owner", "source"],
};
pub(crate) static DATASET: Kind = Kind {
    name: "dataset",
    api: "datasetio",
    title: "DatasetIO",
    label: "Dataset",
    lister: Some("client.datasets.list()"),
    unlisted: &["owner"],
};
pub(crate) static SCORING_FUNCTION: Kind = Kind {
    name: "scoring_function",
    api: "scoring",
    title: "Scoring",
    label: "Scoring function",
    lister: None,
    unlisted: &["owner", "source"],
};
pub(crate) static BENCHMARK: Kind = Kind {
    name: "benchmark",
    api: "eval",
    title: "Eval",
    label: "Benchmark",
    lister: None,
    unlisted: &["owner", "source"],
};
pub(crate) static VECTOR_STORE: Kind = Kind {
    name: "vector_store",
    api: "vector_io",
    title: "VectorIO",
    label: "Vector_store",
    lister: None,
    unlisted: &[],
};

/// `GET` of the list of all objects of a kind.
pub(crate) fn all(kind: &'static Kind) -> MethodRouter<Arc<Shared>> {
    get(move |State(shared): State<Arc<Shared>>| async move { shared.resources(kind) })
}

/// `GET` of one object of a kind.
pub(crate) fn one(kind: &'static Kind) -> MethodRouter<Arc<Shared>> {
    get(move |State(shared): State<Arc<Shared>>, Path(id): Path<String>| async move {
        Ok::<_, ApiError>(json_response(StatusCode::OK, &shared.resource(kind, &id)?))
    })
}

/// `GET` and `DELETE` of one object of a kind.
pub(crate) fn removable(kind: &'static Kind) -> MethodRouter<Arc<Shared>> {
    one(kind).delete(move |State(shared): State<Arc<Shared>>, Path(id): Path<String>| async move {
        shared.unregister(kind, &id)?;
        Ok::<_, ApiError>(StatusCode::NO_CONTENT)
    })
}

impl Kind {
    pub(crate) fn not_found(&self, id: &str) -> ApiError {
        match self.lister {
            Some(list) => ApiError::not_found(self.label, id, list),
            None => ApiError::Value(format!("{} '{id}' not found", self.label)),
        }
    }
}

impl Shared {
    pub(crate) fn find_resource(&self, kind: &Kind, id: &str) -> Result<Option<Value>, ApiError> {
        Ok(self.documents.get(kind.name, id)?)
    }

    /// The object of this name.
    pub(crate) fn resource(&self, kind: &Kind, id: &str) -> Result<Value, ApiError> {
        self.find_resource(kind, id)?.ok_or_else(|| kind.not_found(id))
    }

    /// Forgets an object, which must be there.
    pub(crate) fn unregister(&self, kind: &Kind, id: &str) -> Result<(), ApiError> {
        match self.documents.remove(kind.name, id)? {
            true => Ok(()),
            false => Err(kind.not_found(id)),
        }
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

    /// The provider that a registration names, or the only one.
    pub(crate) fn chosen_provider(&self, kind: &Kind, id: Option<&str>) -> Result<&Provider, ApiError> {
        let mut providers = self.providers_of(kind.api);
        match (id, providers.next(), providers.next()) {
            (Some(id), ..) => self.provider(kind, id),
            (None, Some(only), None) => Ok(only),
            _ => Err(ApiError::Value(
                "No provider specified and multiple providers available. Please specify a provider_id."
                    .into(),
            )),
        }
    }

    /// The object of this name with its provider, for a call that needs both.
    pub(crate) fn served(&self, kind: &Kind, id: &str) -> Result<(Value, &Provider), ApiError> {
        let object = self.find_resource(kind, id)?.ok_or_else(|| self.not_served(kind, id))?;
        let provider = self.provider(kind, text(&object, "provider_id"))?;
        Ok((object, provider))
    }

    /// No provider of a kind has an object of this name.
    pub(crate) fn not_served(&self, kind: &Kind, id: &str) -> ApiError {
        let ids: Vec<&str> =
            self.providers_of(kind.api).map(|provider| provider.provider_id.as_str()).collect();
        let by = match ids.as_slice() {
            [only] => format!("provider: `{only}`"),
            _ => format!("any of the providers: {}", ids.join(", ")),
        };
        ApiError::Value(format!(
            "{} `{id}` not served by {by}. Make sure there is an {} provider serving this {}.",
            python::capitalize(kind.name),
            kind.title,
            kind.name
        ))
    }
}
