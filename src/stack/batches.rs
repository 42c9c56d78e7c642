//! `/v1/batches`: creating, looking up, listing, cancelling.

use super::batch_input::ENDPOINTS;
use super::caller::{self, Caller};
use super::config_provider::Provider;
use super::errors::{ApiError, json_response};
use super::evaluation_types::{BATCHES_QUERY, CREATE_BATCH};
use super::json::text;
use super::routes::PREFIXES;
use super::{Shared, batch_run, pages, python, time};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// The kind of a batch in the store.
const KIND: &str = "batch";
const DEFAULT_LIMIT: i64 = 20;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for prefix in PREFIXES {
        router = router
            .route(&format!("{prefix}/batches"), get(list).post(create))
            .route(&format!("{prefix}/batches/{{batch_id}}"), get(find))
            .route(&format!("{prefix}/batches/{{batch_id}}/cancel"), post(cancel));
    }
    router
}

pub(crate) const LISTED: &[(&str, &str)] = &[
    ("POST", "/v1/batches/{batch_id}/cancel"),
    ("POST", "/v1/openai/v1/batches/{batch_id}/cancel"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/openai/v1/batches"),
    ("GET", "/v1/batches"),
    ("GET", "/v1/openai/v1/batches"),
    ("GET", "/v1/batches/{batch_id}"),
    ("GET", "/v1/openai/v1/batches/{batch_id}"),
];

/// The batches that are worked on.
pub(crate) struct Batches {
    /// How many batches run at a time; the others wait.
    pub(crate) slots: Semaphore,
    /// How many requests of one batch run at a time.
    pub(crate) requests: usize,
    /// Tells a running batch to stop.
    stops: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Batches {
    /// Takes the limits from the provider's configuration.
    pub(crate) fn new(providers: &[Provider]) -> Self {
        let config = providers.iter().find(|provider| provider.api == "batches").map(|found| &found.config);
        let limit = |name: &str, default: usize| {
            let given = config.and_then(|config| config.get(name)).and_then(Value::as_u64);
            given.and_then(|given| usize::try_from(given).ok()).filter(|given| *given > 0).unwrap_or(default)
        };
        Self {
            slots: Semaphore::new(limit("max_concurrent_batches", 1)),
            requests: limit("max_concurrent_requests_per_batch", 10),
            stops: Mutex::default(),
        }
    }

    fn stops<T>(&self, act: impl FnOnce(&mut HashMap<String, Arc<Notify>>) -> T) -> T {
        act(&mut self.stops.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn finished(&self, id: &str) {
        self.stops(|stops| stops.remove(id));
    }
}

async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&CREATE_BATCH, &headers, body).await?;
    let given = |name: &str| params.get(name).and_then(Value::as_str);
    let endpoint = given("endpoint").unwrap_or_default();
    if !ENDPOINTS.contains(&endpoint) {
        return Err(ApiError::Value(format!(
            "Invalid endpoint: {endpoint}. Supported values: {}. Code: invalid_value. Param: endpoint",
            ENDPOINTS.join(", ")
        )));
    }
    let key = given("idempotency_key");
    let digits = match key {
        Some(key) => Sha256::digest(key).iter().take(12).map(|byte| format!("{byte:02x}")).collect(),
        None => uuid::Uuid::new_v4().simple().to_string()[..16].to_owned(),
    };
    let id = format!("batch_{digits}");
    let batch = json!({
        "id": id,
        "completion_window": "24h",
        "created_at": time::now(),
        "endpoint": endpoint,
        "input_file_id": params.get("input_file_id"),
        "object": KIND,
        "status": "validating",
        "cancelled_at": null,
        "cancelling_at": null,
        "completed_at": null,
        "error_file_id": null,
        "errors": null,
        "expired_at": null,
        "expires_at": null,
        "failed_at": null,
        "finalizing_at": null,
        "in_progress_at": null,
        "metadata": params.get("metadata"),
        "model": null,
        "output_file_id": null,
        "request_counts": null,
        "usage": null,
    });
    if !shared.documents.add(KIND, &id, &batch)? {
        return same_again(&shared.batch(&id)?, &batch, key.unwrap_or_default());
    }
    let stop = Arc::new(Notify::new());
    shared.batches.stops(|stops| stops.insert(id.clone(), Arc::clone(&stop)));
    tokio::spawn(batch_run::run(Arc::clone(&shared), caller, id, stop));
    Ok(json_response(StatusCode::OK, &batch))
}

/// The batch that an idempotency key already stands for, if it was asked for in the same way.
fn same_again(stored: &Value, asked: &Value, key: &str) -> Result<Response, ApiError> {
    let same = |name: &&str| stored.get(name) == asked.get(name);
    if ["input_file_id", "endpoint", "completion_window", "metadata"].iter().all(same) {
        return Ok(json_response(StatusCode::OK, stored));
    }
    Err(ApiError::Conflict(format!(
        "Idempotency key '{key}' was previously used with different parameters. Either use a new idempotency key or \
         ensure all parameters match the original request."
    )))
}

async fn find(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.batch(&id)?))
}

async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&BATCHES_QUERY, query)?;
    let mut batches = shared.documents.list(KIND)?;
    batches.sort_by_cached_key(|batch| {
        (Reverse(batch.get("created_at").and_then(Value::as_i64)), text(batch, "id").to_owned())
    });
    let after = query.get("after").and_then(Value::as_str).filter(|after| !after.is_empty());
    let seen = after.and_then(|after| batches.iter().position(|batch| text(batch, "id") == after));
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let start = seen.map_or(0, |at| count(at + 1));
    let end = start.saturating_add(query.get("limit").and_then(Value::as_i64).unwrap_or(DEFAULT_LIMIT));
    let page = &batches[python::slice(start, end, batches.len())];
    Ok(pages::list(page, end < count(batches.len())))
}

async fn cancel(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let changed = shared.documents.update(KIND, &id, |batch| match text(batch, "status") {
        "cancelled" | "cancelling" => Ok(false),
        status @ ("completed" | "failed" | "expired") => {
            Err(ApiError::Conflict(format!("Cannot cancel batch '{id}' with status '{status}'")))
        }
        _ => {
            batch["status"] = "cancelling".into();
            batch["cancelling_at"] = time::now().into();
            Ok(true)
        }
    })?;
    if changed.ok_or_else(|| not_found(&id))?? {
        let stop = shared.batches.stops(|stops| stops.get(&id).cloned());
        if let Some(stop) = stop {
            // One permit is kept, should the batch not be waiting yet.
            stop.notify_one();
        }
    }
    Ok(json_response(StatusCode::OK, &shared.batch(&id)?))
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found("Batch", id, "batches.list()")
}

impl Shared {
    pub(crate) fn batch(&self, id: &str) -> Result<Value, ApiError> {
        self.documents.get(KIND, id)?.ok_or_else(|| not_found(id))
    }

    /// Changes fields of a batch. One that is being cancelled changes only to being cancelled.
    pub(crate) fn update_batch(&self, id: &str, changes: &Value) {
        let updated = self.documents.update(KIND, id, |batch| {
            if text(batch, "status") == "cancelling" && text(changes, "status") != "cancelled" {
                return;
            }
            for (name, value) in changes.as_object().into_iter().flatten() {
                batch[name.as_str()] = value.clone();
            }
        });
        if let Err(error) = updated {
            self.warn("batches", format!("{id} was not updated: {error}"));
        }
    }
}
