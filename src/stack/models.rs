//! `/v1/models`: what the providers list, what users register, and finding one of them.

use super::Shared;
use super::caller::{self, Caller};
use super::client::Remote;
use super::config::ModelInput;
use super::errors::{ApiError, json_response};
use super::listing::{self, Listed};
use super::remotes::Dialect;
use super::{python, request_types, time};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// A model that can be called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) identifier: String,
    /// The name the provider knows it by.
    pub(crate) provider_resource_id: String,
    pub(crate) provider_id: String,
    pub(crate) kind: ModelKind,
    metadata: Map<String, Value>,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelKind {
    Llm,
    Embedding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Registered,
    Listed,
}

impl ModelKind {
    fn name(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Embedding => "embedding",
        }
    }
}

impl Model {
    pub(crate) fn listed(provider_id: &str, listed: Listed) -> Self {
        Self {
            identifier: format!("{provider_id}/{}", listed.id),
            provider_resource_id: listed.id,
            provider_id: provider_id.to_owned(),
            kind: if listed.embedding { ModelKind::Embedding } else { ModelKind::Llm },
            metadata: listed.metadata,
            source: Source::Listed,
        }
    }

    /// One thing the model's metadata says.
    pub(crate) fn metadata(&self, name: &str) -> Option<&Value> {
        self.metadata.get(name).filter(|value| !value.is_null())
    }

    /// As an element of the list, which has fewer fields than a single model.
    fn summary(&self) -> Value {
        json!({
            "identifier": self.identifier,
            "provider_resource_id": self.provider_resource_id,
            "provider_id": self.provider_id,
            "type": "model",
            "metadata": self.metadata,
            "model_type": self.kind.name(),
        })
    }

    fn to_json(&self) -> Value {
        let source = match self.source {
            Source::Registered => "via_register_api",
            Source::Listed => "listed_from_provider",
        };
        json!({
            "identifier": self.identifier,
            "provider_resource_id": self.provider_resource_id,
            "provider_id": self.provider_id,
            "type": "model",
            "owner": null,
            "source": source,
            "metadata": self.metadata,
            "model_type": self.kind.name(),
        })
    }
}

/// The models by identifier, in the order they were added.
#[derive(Default)]
pub(crate) struct Models(Mutex<IndexMap<String, Model>>);

impl Models {
    fn with<T>(&self, act: impl FnOnce(&mut IndexMap<String, Model>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a model; one that is there already and differs is a mistake.
    fn add(&self, model: Model) -> Result<Model, ApiError> {
        self.with(|models| match models.get(&model.identifier) {
            Some(other) if *other != model => Err(ApiError::Value(format!(
                "Object of type 'model' and identifier '{}' already exists. Unregister it first if you want to \
                 replace it.",
                model.identifier
            ))),
            _ => {
                models.insert(model.identifier.clone(), model.clone());
                Ok(model)
            }
        })
    }

    /// Adds what a provider lists; models that were registered for the same resource stay.
    pub(crate) fn add_listed(&self, provider_id: &str, listed: Vec<Listed>) {
        self.with(|models| {
            for listed in listed {
                let registered = models
                    .values()
                    .any(|model| model.provider_id == provider_id && model.provider_resource_id == listed.id);
                if !registered {
                    let model = Model::listed(provider_id, listed);
                    models.insert(model.identifier.clone(), model);
                }
            }
        });
    }

    /// The model of this identifier.
    pub(crate) fn get(&self, id: &str) -> Result<Model, ApiError> {
        self.with(|models| models.get(id).cloned()).ok_or_else(|| ApiError::model_not_found(id))
    }

    fn remove(&self, id: &str) -> Result<(), ApiError> {
        match self.with(|models| models.shift_remove(id)) {
            Some(_) => Ok(()),
            None => Err(ApiError::model_not_found(id)),
        }
    }

    fn all(&self) -> Vec<Model> {
        self.with(|models| models.values().cloned().collect())
    }
}

impl Shared {
    /// Whether a model can be called as this kind. llama.cpp's one model does both, whatever it was registered as.
    pub(crate) fn is(&self, model: &Model, wanted: ModelKind) -> bool {
        let remote = self.remotes.get(&model.provider_id);
        model.kind == wanted || remote.is_some_and(|remote| remote.remote.dialect == Dialect::LlamaCpp)
    }

    /// Upstream raises a TypeError for a model of another kind, which its server does not translate.
    pub(crate) fn must_be(&self, model: &Model, wanted: ModelKind) -> Result<(), ApiError> {
        if self.is(model, wanted) {
            return Ok(());
        }
        Err(ApiError::Internal(format!(
            "Model '{}' is of type '{}' rather than the expected type '{}'",
            model.identifier,
            model.kind.name(),
            wanted.name()
        )))
    }

    /// The model and the provider that serves it.
    pub(crate) fn model(&self, id: &str, wanted: ModelKind) -> Result<(Model, &Remote), ApiError> {
        let model = self.models.get(id)?;
        let remote = self.remotes.get(&model.provider_id);
        self.must_be(&model, wanted)?;
        let missing =
            || ApiError::Value(format!("Provider {} not found in the routing table", model.provider_id));
        let remote = remote.ok_or_else(missing)?;
        Ok((model, remote))
    }

    /// Registers a model after asking the provider whether it has it.
    pub(crate) async fn register(&self, input: ModelInput) -> Result<Model, ApiError> {
        if input.embedding && !input.metadata.contains_key("embedding_dimension") {
            return Err(ApiError::Value(
                "Embedding model must have an embedding dimension in its metadata".into(),
            ));
        }
        let resource = input.provider_model_id.unwrap_or(input.model_id);
        let provider_id = input.provider_id;
        let known = self.models.get(&format!("{provider_id}/{resource}")).is_ok();
        let resource = match self.remotes.get(&provider_id) {
            Some(remote) if !known => listing::available(remote, resource).await?,
            Some(_) => resource,
            // Whether it is there shows when it is called.
            None if self.sentences.contains_key(&provider_id) => resource,
            None => return Err(ApiError::Value(format!("Provider `{provider_id}` not found"))),
        };
        self.models.add(Model {
            identifier: format!("{provider_id}/{resource}"),
            provider_resource_id: resource,
            provider_id,
            kind: if input.embedding { ModelKind::Embedding } else { ModelKind::Llm },
            metadata: input.metadata,
            source: Source::Registered,
        })
    }
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let models: Vec<Value> = shared.models.all().iter().map(Model::summary).collect();
    json_response(StatusCode::OK, &json!({"data": models}))
}

/// The list as OpenAI has it.
pub(crate) async fn openai_list(State(shared): State<Arc<Shared>>) -> Response {
    let now = time::now();
    let models = shared.models.all().into_iter().map(
        |model| json!({"id": model.identifier, "object": "model", "created": now, "owned_by": "llama_stack"}),
    );
    json_response(StatusCode::OK, &json!({"data": models.collect::<Vec<_>>()}))
}

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.models.get(&id)?.to_json()))
}

pub(crate) async fn unregister(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    shared.models.remove(&id)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn register(
    State(shared): State<Arc<Shared>>,
    _: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&request_types::REGISTER_MODEL, &headers, body).await?;
    let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_owned);
    let model_id = text("model_id").unwrap_or_default();
    let providers: Vec<&str> =
        shared.providers_of("inference").map(|provider| provider.provider_id.as_str()).collect();
    let provider_id = match (text("provider_id"), providers.as_slice()) {
        (Some(id), _) => id,
        (None, [only]) => (*only).to_owned(),
        (None, _) => {
            let ids = Value::from(providers);
            return Err(ApiError::Value(format!(
                "Please specify a provider_id for model {model_id} since multiple providers are available: \
                 dict_keys({}).\n\nUse the provider_id as a prefix to disambiguate, e.g. 'provider_id/model_id'.",
                python::repr(&ids)
            )));
        }
    };
    let input = ModelInput {
        model_id,
        provider_id,
        provider_model_id: text("provider_model_id").filter(|id| !id.is_empty()),
        metadata: params.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
        embedding: text("model_type").as_deref() == Some("embedding"),
    };
    Ok(json_response(StatusCode::OK, &shared.register(input).await?.to_json()))
}
