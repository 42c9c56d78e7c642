//! `/v1/vector_stores/{id}/file_batches`: several files put into a store in the background.

use super::Shared;
use super::caller::{self, Caller};
use super::errors::{ApiError, json_response};
use super::json::texts;
use super::pages::Cut;
use super::time::now;
use super::vector_types;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// The kind of document that describes a batch.
const BATCH: &str = "vector_store_file_batch";
/// Seconds after which a batch is forgotten.
const LIFETIME: i64 = 7 * 24 * 60 * 60;
/// How many files are worked on at once, and after how many the counts are brought up to date.
const AT_ONCE: usize = 3;
const ROUND: usize = 10;

impl Shared {
    fn file_batch(&self, store: &str, id: &str) -> Result<Value, ApiError> {
        self.vector_store(store)?;
        let batch = self.documents.get(BATCH, id)?;
        let batch = batch.ok_or_else(|| ApiError::Value(format!("File batch {id} not found")))?;
        if batch["expires_at"].as_i64().is_some_and(|at| now() > at) {
            return Err(ApiError::Value(format!("File batch {id} has expired after 7 days from creation")));
        }
        if batch["vector_store_id"] != store {
            return Err(ApiError::Value(format!("File batch {id} does not belong to vector store {store}")));
        }
        Ok(batch)
    }

    /// Works on a batch until it is done or cancelled.
    async fn process_batch(self: Arc<Self>, batch: Value, caller: Caller) -> Result<(), ApiError> {
        let text = |name: &str| batch[name].as_str().unwrap_or_default();
        let (id, store) = (text("id"), text("vector_store_id"));
        let attributes = batch["attributes"].as_object().cloned().unwrap_or_default();
        let chunking = batch.get("chunking_strategy");
        let ids: Vec<&str> = texts(&batch["file_ids"]).collect();
        for round in ids.chunks(ROUND) {
            let attach = |file: &&str| {
                let (shared, caller, attributes, file) =
                    (&self, &caller, attributes.clone(), (*file).to_owned());
                async move {
                    let attached = shared.attach_file(store, &file, attributes, chunking, caller).await;
                    attached.is_ok_and(|file| file["status"] == "completed")
                }
            };
            let done: Vec<bool> = stream::iter(round.iter().map(attach)).buffered(AT_ONCE).collect().await;
            let count = |batch: &mut Value| {
                for done in done {
                    let counts = &mut batch["file_counts"];
                    for (name, by) in [(if done { "completed" } else { "failed" }, 1), ("in_progress", -1)] {
                        counts[name] = (counts[name].as_i64().unwrap_or_default() + by).into();
                    }
                }
            };
            self.documents.update(BATCH, id, count)?;
        }
        let finish = |batch: &mut Value| {
            let count = |name: &str| batch["file_counts"][name].as_i64().unwrap_or_default();
            // A part that went well is enough.
            let status = if count("failed") > 0 && count("completed") == 0 { "failed" } else { "completed" };
            if batch["status"] == "in_progress" {
                batch["status"] = status.into();
            }
        };
        self.documents.update(BATCH, id, finish)?;
        self.vectors.batches.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }
}

/// The fields of a batch that are shown.
fn shown(batch: &Value) -> Value {
    let fields = ["id", "object", "created_at", "vector_store_id", "status", "file_counts"];
    let shown = fields.into_iter().map(|name| (name.to_owned(), batch[name].clone()));
    shown.collect::<Map<_, _>>().into()
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(store): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::CREATE_BATCH, &headers, body).await?;
    shared.vector_store(&store)?;
    let count = params["file_ids"].as_array().map_or(0, Vec::len);
    let id = format!("batch_{}", uuid::Uuid::new_v4());
    let created_at = now();
    let batch = json!({
        "id": id,
        "object": "vector_store.file_batch",
        "created_at": created_at,
        "vector_store_id": store,
        "status": "in_progress",
        "file_counts": {"completed": 0, "cancelled": 0, "failed": 0, "in_progress": count, "total": count},
        "file_ids": params["file_ids"],
        "attributes": params["attributes"],
        "chunking_strategy": params["chunking_strategy"],
        "expires_at": created_at + LIFETIME,
    });
    shared.documents.put(BATCH, &id, &batch)?;
    let answer = json_response(StatusCode::OK, &shown(&batch));
    let mut batches = shared.vectors.batches.lock().unwrap_or_else(PoisonError::into_inner);
    let (worker, batch_id) = (Arc::clone(&shared), id.clone());
    let work = async move {
        if let Err(error) = Arc::clone(&worker).process_batch(batch, caller).await {
            worker.warn("vector_io", format!("file batch {batch_id}: {error}"));
        }
    };
    batches.insert(id, tokio::spawn(work).abort_handle());
    drop(batches);
    Ok(answer)
}

pub(crate) async fn retrieve(
    State(shared): State<Arc<Shared>>,
    Path((store, batch)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shown(&shared.file_batch(&store, &batch)?)))
}

pub(crate) async fn files(
    State(shared): State<Arc<Shared>>,
    Path((store, batch)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&vector_types::LIST_BATCH, query)?;
    let batch = shared.file_batch(&store, &batch)?;
    let ids: Vec<&str> = texts(&batch["file_ids"]).collect();
    let status = query.get("filter").and_then(Value::as_str).filter(|status| !status.is_empty());
    let limit = query.get("limit").and_then(Value::as_i64).filter(|limit| *limit != 0).unwrap_or(20).min(100);
    Ok(Cut::of(shared.files_of_store(&store, &ids, status)?, &query, limit).response())
}

pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path((store, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.file_batch(&store, &id)?;
    let task = shared.vectors.batches.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    let cancel = |batch: &mut Value| match batch["status"].as_str() {
        Some("in_progress") => {
            batch["status"] = "cancelled".into();
            Ok(())
        }
        other => Err(format!("Cannot cancel batch {id} with status {}", other.unwrap_or_default())),
    };
    let cancelled = shared.documents.update(BATCH, &id, cancel)?;
    if let Some(Err(cause)) = cancelled {
        return Err(ApiError::Value(cause));
    }
    if let Some(task) = task {
        task.abort();
    }
    Ok(json_response(StatusCode::OK, &shown(&shared.file_batch(&store, &id)?)))
}
