//! `/v1/conversations`: items that belong together, kept for those who continue them.
//!
//! As in Llama Stack 0.3, items are listed by the second they were added in; of the query only `order=asc` has an
//! effect, and deleting a conversation that does not exist succeeds.

use super::Shared;
use super::caller;
use super::errors::{ApiError, json_response};
use super::fields;
use super::pages;
use super::response_types::{CONVERSATION, CONVERSATION_ITEMS, CONVERSATION_UPDATE, ITEMS};
use super::time::now;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{self, post};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/conversations", post(create))
        .route("/v1/conversations/{conversation_id}", routing::get(get).post(update).delete(delete))
        .route("/v1/conversations/{conversation_id}/items", routing::get(list_items).post(add_items))
        .route(
            "/v1/conversations/{conversation_id}/items/{item_id}",
            routing::get(get_item).delete(delete_item),
        )
}

/// `/v1/inspect/routes` lists none of them: they have no provider.
pub(crate) const LISTED: &[(&str, &str)] = &[];

const KIND: &str = "conversation";
/// How many items are listed, whatever is asked for.
const MOST_LISTED: usize = 20;

/// 24 random bytes in hexadecimal digits.
fn random_hex() -> String {
    let bits = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|uuid| uuid.simple().to_string());
    bits.concat().chars().take(48).collect()
}

fn items_of(conversation: &str) -> String {
    format!("conversation_item/{conversation}")
}

impl Shared {
    fn conversation(&self, id: &str) -> Result<Value, ApiError> {
        let found = self.documents.get(KIND, id)?;
        found.ok_or_else(|| ApiError::Value(format!("Conversation {id} not found")))
    }

    /// A conversation, for a call that wants its id to look like one.
    fn named_conversation(&self, id: &str) -> Result<Value, ApiError> {
        if id.starts_with("conv_") {
            return self.conversation(id);
        }
        Err(ApiError::Value(format!(
            "Invalid 'conversation_id': '{id}'. Expected an ID that begins with 'conv_'."
        )))
    }

    /// The first items of a conversation in ascending or descending order of their second.
    pub(crate) fn conversation_items(&self, id: &str, ascending: bool) -> Result<Vec<Value>, ApiError> {
        self.conversation(id)?;
        let mut rows = self.documents.list(&items_of(id))?;
        let second = |row: &Value| row["created_at"].as_i64().unwrap_or_default();
        if ascending {
            rows.sort_by_key(second);
        } else {
            rows.sort_by_key(|row| Reverse(second(row)));
        }
        rows.truncate(MOST_LISTED);
        Ok(rows.iter_mut().map(|row| row["item"].take()).collect())
    }

    /// Adds items, checked here, and returns them with their ids.
    pub(crate) fn add_to_conversation(&self, id: &str, items: &[Value]) -> Result<Vec<Value>, ApiError> {
        self.named_conversation(id)?;
        let checked = fields::check(&ITEMS, &items.into(), &[]).map_err(ApiError::Issues)?;
        let mut added = Vec::new();
        // A second apart, so that they stay in order.
        for (created_at, item) in (now()..).zip(checked.as_array().into_iter().flatten()) {
            added.push(self.put_item(id, created_at, item)?);
        }
        Ok(added)
    }

    fn put_item(&self, conversation: &str, created_at: i64, item: &Value) -> Result<Value, ApiError> {
        let mut item = item.clone();
        if item["id"].is_null() {
            let prefix = if item["type"] == "message" { "msg" } else { "item" };
            item["id"] = format!("{prefix}_{}", random_hex()).into();
        }
        let id = item["id"].as_str().unwrap_or_default();
        let row = json!({"created_at": created_at, "item": item});
        self.documents.put(&items_of(conversation), id, &row)?;
        Ok(item)
    }

    fn item(&self, conversation: &str, id: &str) -> Result<Value, ApiError> {
        let row = self.documents.get(&items_of(conversation), id)?;
        row.map(|mut row| row["item"].take())
            .ok_or_else(|| ApiError::Value(format!("Item {id} not found in conversation {conversation}")))
    }
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&CONVERSATION, &headers, body).await?;
    let (id, created_at) = (format!("conv_{}", random_hex()), now());
    let conversation = json!({
        "id": id,
        "object": "conversation",
        "created_at": created_at,
        "metadata": params["metadata"],
        "items": null,
    });
    shared.documents.put(KIND, &id, &conversation)?;
    for item in params["items"].as_array().into_iter().flatten() {
        shared.put_item(&id, created_at, item)?;
    }
    Ok(json_response(StatusCode::OK, &conversation))
}

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.conversation(&id)?))
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&CONVERSATION_UPDATE, &headers, body).await?;
    shared
        .documents
        .update(KIND, &id, |conversation| conversation["metadata"] = params["metadata"].clone())?;
    Ok(json_response(StatusCode::OK, &shared.conversation(&id)?))
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    shared.documents.remove(KIND, &id)?;
    Ok(json_response(StatusCode::OK, &json!({"id": id, "object": "conversation.deleted", "deleted": true})))
}

pub(crate) async fn add_items(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&CONVERSATION_ITEMS, &headers, body).await?;
    let items = params["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(pages::list(&shared.add_to_conversation(&id, items)?, false))
}

pub(crate) async fn list_items(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let ascending = query.get("order").is_some_and(|order| order == "asc");
    Ok(pages::list(&shared.conversation_items(&id, ascending)?, false))
}

pub(crate) async fn get_item(
    State(shared): State<Arc<Shared>>,
    Path((conversation, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.item(&conversation, &id)?))
}

pub(crate) async fn delete_item(
    State(shared): State<Arc<Shared>>,
    Path((conversation, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.named_conversation(&conversation)?;
    shared.item(&conversation, &id)?;
    shared.documents.remove(&items_of(&conversation), &id)?;
    Ok(json_response(
        StatusCode::OK,
        &json!({"id": id, "object": "conversation.item.deleted", "deleted": true}),
    ))
}
