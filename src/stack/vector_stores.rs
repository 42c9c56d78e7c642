//! `/v1/vector_stores`: making, listing, changing and removing stores, whichever provider keeps them.

use super::Shared;
use super::caller::{self, Caller};
use super::config::StoreConfig;
use super::errors::{ApiError, json_response};
use super::fields::{self, Ty};
use super::files::unstored;
use super::json::texts;
use super::models::ModelKind;
use super::pages::Cut;
use super::resources::VECTOR_STORE;
use super::time::now;
use super::{python, store, vector_types};
use crate::vector::index::{Flavour, Index, IndexError};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::task::AbortHandle;

/// The kind of document that describes a store.
pub(crate) const STORE: &str = VECTOR_STORE.name;
/// The dimension upstream assumes for a model that only the metadata names.
const DIMENSION: i64 = 768;

/// What vector stores need beside their descriptions.
pub(crate) struct Vectors {
    pub(crate) index: Index,
    /// What works on file batches now.
    pub(crate) batches: Mutex<HashMap<String, AbortHandle>>,
}

impl Vectors {
    /// Opens the index beside the store of completions: a file `vector_io.db` in the same folder, or memory.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, rusqlite::Error> {
        Ok(Self { index: Index::open(|| store::open(config, "vector_io.db"))?, batches: Mutex::default() })
    }
}

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        Self::Internal(format!("the vector index: {error}"))
    }
}

/// What a store was registered with.
pub(crate) struct Registered {
    pub(crate) id: String,
    pub(crate) flavour: Flavour,
    pub(crate) embedding_model: String,
    pub(crate) dimension: usize,
}

impl Shared {
    fn vector_providers(&self) -> Vec<&str> {
        self.providers_of("vector_io").map(|provider| provider.provider_id.as_str()).collect()
    }

    /// The description of a store.
    pub(crate) fn vector_store(&self, id: &str) -> Result<Value, ApiError> {
        self.documents.get(STORE, id)?.ok_or_else(|| self.not_served(&VECTOR_STORE, id))
    }

    /// What a store was registered with.
    pub(crate) fn registered_store(&self, id: &str) -> Result<Registered, ApiError> {
        let store = self.vector_store(id)?;
        let text = |name: &str| store["registered"][name].as_str().unwrap_or_default();
        let flavour = self.flavour(text("provider_id"));
        let dimension = store["registered"]["dimension"].as_u64().and_then(|n| usize::try_from(n).ok());
        Ok(Registered {
            id: id.to_owned(),
            flavour,
            embedding_model: text("embedding_model").to_owned(),
            dimension: dimension.unwrap_or_default(),
        })
    }

    fn flavour(&self, provider_id: &str) -> Flavour {
        match self.provider(&VECTOR_STORE, provider_id).map(|provider| provider.provider_type.as_str()) {
            Ok("inline::sqlite-vec" | "inline::sqlite_vec") => Flavour::SqliteVec,
            _ => Flavour::Faiss,
        }
    }

    /// The provider for a new store of which none was named.
    fn default_vector_provider(&self) -> Result<String, ApiError> {
        let available = self.vector_providers();
        let shown = || python::repr(&available.iter().map(|id| Value::from(*id)).collect());
        match (available.as_slice(), self.configured.vector_stores.get("default_provider_id")) {
            ([], _) => Err(ApiError::Value("No vector_io providers available".into())),
            ([only], _) => Ok((*only).to_owned()),
            (several, Some(Value::String(default))) if several.contains(&default.as_str()) => {
                Ok(default.clone())
            }
            (_, Some(Value::String(default))) if !default.is_empty() => Err(ApiError::Value(format!(
                "Configured default vector store provider '{default}' not found. Available providers: {}",
                shown()
            ))),
            _ => Err(ApiError::Value(format!(
                "Multiple vector_io providers available. Please specify provider_id in extra_body. Available \
                 providers: {}",
                shown()
            ))),
        }
    }

    /// The model for a new store of which none was named.
    fn default_embedding_model(&self) -> Option<String> {
        let model = self.configured.vector_stores.get("default_embedding_model")?;
        Some(format!("{}/{}", model.get("provider_id")?.as_str()?, model.get("model_id")?.as_str()?))
    }

    /// The dimension that a model's metadata states.
    fn embedding_dimension(&self, id: &str) -> Result<Value, ApiError> {
        let model =
            self.models.get(id).ok().filter(|model| self.is(model, ModelKind::Embedding)).ok_or_else(
                || ApiError::Value(format!("Embedding model '{id}' not found or not an embedding model")),
            )?;
        model.metadata("embedding_dimension").cloned().ok_or_else(|| {
            ApiError::Value(format!("Embedding model '{id}' has no embedding_dimension in metadata"))
        })
    }

    /// Makes a store, and puts the named files into it.
    async fn create_vector_store(
        self: &Arc<Self>,
        params: Map<String, Value>,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let given = |name: &str| params.get(name).filter(|value| !value.is_null());
        let text = |name: &str| given(name).and_then(Value::as_str).map(str::to_owned);
        let model = text("embedding_model").or_else(|| self.default_embedding_model());
        let dimension = match (given("embedding_dimension"), &model) {
            (None, Some(model)) => self.embedding_dimension(model)?,
            (given, _) => given.cloned().unwrap_or_default(),
        };
        let provider_id = match text("provider_id") {
            Some(id) => id,
            None => self.default_vector_provider()?,
        };
        let Some(model) = model else { return Err(ApiError::model_not_found("None")) };
        self.must_be(&self.models.get(&model)?, ModelKind::Embedding)?;
        let dimension =
            fields::check(&Ty::Int, &dimension, &["embedding_dimension"]).map_err(ApiError::Issues)?;
        self.provider(&VECTOR_STORE, &provider_id)?;
        let id = format!("vs_{}", uuid::Uuid::new_v4());
        let mut metadata = given("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        // The provider believes the metadata rather than the request.
        let (model, dimension) = match metadata.get("embedding_model").and_then(Value::as_str) {
            Some(named) if !named.is_empty() => (named.to_owned(), metadata_dimension(&metadata)?),
            _ => (model, dimension.as_i64().unwrap_or_default()),
        };
        metadata.insert("provider_id".into(), provider_id.as_str().into());
        metadata.insert("provider_vector_store_id".into(), id.as_str().into());
        let rows = u32::try_from(dimension).map_err(unstored)?;
        self.vectors.index.create(&id, rows)?;
        let created_at = now();
        let value = |name: &str| given(name).cloned().unwrap_or_default();
        let store = json!({
            "id": id,
            "object": "vector_store",
            "created_at": created_at,
            "name": value("name"),
            "usage_bytes": 0,
            "file_counts": {"completed": 0, "cancelled": 0, "failed": 0, "in_progress": 0, "total": 0},
            "status": "completed",
            "expires_after": value("expires_after"),
            "expires_at": null,
            "last_active_at": created_at,
            "metadata": metadata,
            "file_ids": [],
            "registered": {"provider_id": provider_id, "embedding_model": model, "dimension": dimension},
        });
        self.documents.put(STORE, &id, &store)?;
        for file in given("file_ids").into_iter().flat_map(texts) {
            self.attach_file(&id, file, Map::new(), None, caller).await?;
        }
        self.vector_store(&id)
    }

    /// Removes a store with all that is in it.
    fn delete_vector_store(&self, id: &str) -> Result<(), ApiError> {
        let store = self.documents.get(STORE, id)?;
        let store = store.ok_or_else(|| VECTOR_STORE.not_found(id))?;
        for file in texts(&store["file_ids"]) {
            self.forget_file(id, file)?;
        }
        self.vectors.index.remove(id)?;
        self.documents.remove(STORE, id)?;
        Ok(())
    }
}

fn metadata_dimension(metadata: &Map<String, Value>) -> Result<i64, ApiError> {
    match metadata.get("embedding_dimension") {
        None | Some(Value::Null) => Ok(DIMENSION),
        Some(Value::String(text)) if text.is_empty() => Ok(DIMENSION),
        Some(Value::String(text)) => text.trim().parse().map_err(|_| {
            ApiError::Value(format!(
                "invalid literal for int() with base 10: {}",
                python::repr(&text.as_str().into())
            ))
        }),
        Some(other) => Ok(other.as_i64().unwrap_or(DIMENSION)),
    }
}

/// The fields of a store that are shown.
fn shown(mut store: Value) -> Value {
    if let Some(store) = store.as_object_mut() {
        store.shift_remove("file_ids");
        store.shift_remove("registered");
    }
    store
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::CREATE, &headers, body).await?;
    let store = shared.create_vector_store(params, &caller).await?;
    Ok(json_response(StatusCode::OK, &shown(store)))
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&vector_types::LIST, query)?;
    let all = shared.documents.list(STORE)?.into_iter().map(shown).collect();
    let limit = query.get("limit").and_then(Value::as_i64).unwrap_or(20);
    Ok(Cut::of(all, &query, limit).response())
}

pub(crate) async fn retrieve(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shown(shared.vector_store(&id)?)))
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::UPDATE, &headers, body).await?;
    shared.vector_store(&id)?;
    let change = |store: &mut Value| {
        for (name, value) in params.into_iter().filter(|(_, value)| !value.is_null()) {
            store[name] = value;
        }
        store["last_active_at"] = now().into();
    };
    shared.documents.update(STORE, &id, change)?;
    Ok(json_response(StatusCode::OK, &shown(shared.vector_store(&id)?)))
}

pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    shared.delete_vector_store(&id)?;
    let body = json!({"id": id, "object": "vector_store.deleted", "deleted": true});
    Ok(json_response(StatusCode::OK, &body))
}
