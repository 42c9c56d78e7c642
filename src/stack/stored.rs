//! `GET /v1/chat/completions` and `GET /v1/chat/completions/{id}`: what was stored, with the input.

use super::errors::{ApiError, json_response};
use super::fields::{self, Ty};
use super::pages::{self, Page, STORED_QUERY};
use super::request_types::{MESSAGES, STORED_CHOICES};
use super::store::{Store, StoreError, Stored};
use super::{Shared, caller};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many are listed when nothing is said.
const DEFAULT_LIMIT: i64 = 20;

impl Shared {
    /// Stores a completion with what was asked. A failure does not fail the call; it becomes a warning.
    pub(crate) fn store_completion(&self, completion: &Value, messages: &Value) {
        if let Some(store) = &self.store
            && let Err(error) = store.save(completion, messages)
        {
            self.warn("inference_store", format!("a chat completion was not stored: {error}"));
        }
    }

    fn store(&self, what: &str) -> Result<&Store, ApiError> {
        self.store.as_ref().ok_or_else(|| {
            ApiError::NotImplemented(format!("{what} is not supported: inference store is not configured."))
        })
    }
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&STORED_QUERY, query)?;
    let page = Page::of(&query, DEFAULT_LIMIT);
    let (rows, has_more) =
        shared.store("List chat completions")?.list(&page).map_err(|error| match error {
            StoreError::NoSuchCursor(id) => pages::no_such_row(&id, "chat_completions"),
            StoreError::Sqlite(error) => ApiError::Internal(error.to_string()),
        })?;
    let data = rows.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
    Ok(pages::stored(&data, has_more))
}

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = shared.store("Get chat completion")?.get(&id);
    match row.map_err(|error| ApiError::Internal(error.to_string()))? {
        Some(row) => Ok(json_response(StatusCode::OK, &to_json(&row)?)),
        None => Err(ApiError::Value(format!("Chat completion with id {id} not found"))),
    }
}

/// The row as Llama Stack's types show it: fewer fields than the provider sent.
fn to_json(row: &Stored) -> Result<Value, ApiError> {
    let read = |text: &str, ty: &'static Ty| {
        let value: Value =
            serde_json::from_str(text).map_err(|error| ApiError::Internal(error.to_string()))?;
        fields::check(ty, &value, &[]).map_err(ApiError::Issues)
    };
    Ok(json!({
        "id": row.id,
        "choices": read(&row.choices, &STORED_CHOICES)?,
        "object": "chat.completion",
        "created": row.created,
        "model": row.model,
        "usage": null,
        "input_messages": read(&row.input_messages, &MESSAGES)?,
    }))
}
