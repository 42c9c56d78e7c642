//! `/v1/vector_stores/{id}/files`: files put into a store, cut and embedded; what is there, changed and removed.

use super::Shared;
use super::caller::{self, Caller};
use super::errors::{ApiError, json_response};
use super::json::texts;
use super::pages::Cut;
use super::time::now;
use super::vector_stores::STORE;
use super::{python, vector_types};
use crate::vector::chunk::{self, Chunk, Document};
use crate::vector::{extract, mime, tokens};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kind of document that says how a file is in a store; its id is `store:file`.
const FILE: &str = "vector_store_file";
/// The kind of document that holds a file's chunks.
const CHUNKS: &str = "vector_store_file_chunks";
/// OpenAI's sizes, in tokens, for a file of which nothing is said.
const CHUNK_SIZE: i64 = 800;
const CHUNK_OVERLAP: i64 = 400;

fn key(store: &str, file: &str) -> String {
    format!("{store}:{file}")
}

/// The strategy as it is shown, and its two sizes.
fn strategy(given: Option<&Value>) -> (Value, i64, i64) {
    match given.and_then(|given| given.get("static")) {
        None => (json!({"type": "auto"}), CHUNK_SIZE, CHUNK_OVERLAP),
        Some(sizes) => {
            let size = |name: &str, default| sizes.get(name).and_then(Value::as_i64).unwrap_or(default);
            let (overlap, length) =
                (size("chunk_overlap_tokens", CHUNK_OVERLAP), size("max_chunk_size_tokens", CHUNK_SIZE));
            let shown = json!({
                "type": "static",
                "static": {"chunk_overlap_tokens": overlap, "max_chunk_size_tokens": length},
            });
            (shown, length, overlap)
        }
    }
}

impl Shared {
    /// Puts a file into a store. What goes wrong with the file itself is told in the answer, not as an error.
    pub(crate) async fn attach_file(
        self: &Arc<Self>,
        store: &str,
        file_id: &str,
        attributes: Map<String, Value>,
        chunking: Option<&Value>,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let is_attached = |store: &Value| {
            store["file_ids"].as_array().is_some_and(|ids| ids.iter().any(|id| id == file_id))
        };
        if is_attached(&self.vector_store(store)?) {
            return self.attached(store, file_id);
        }
        let (chunking, length, overlap) = strategy(chunking);
        let created_at = now();
        let mut filename = String::new();
        let cut = self.cut(file_id, &attributes, (length, overlap), &mut filename).await;
        let mut chunks = Vec::new();
        let failure = match cut {
            Ok(cut) if cut.is_empty() => Some("No chunks were generated from the file".to_owned()),
            Ok(cut) => {
                chunks = cut;
                self.insert_chunks(store, &mut chunks, caller).await.err().map(|error| error.to_string())
            }
            Err(cause) => Some(cause),
        };
        let status = if failure.is_none() { "completed" } else { "failed" };
        let mut file = json!({
            "id": file_id,
            "object": "vector_store.file",
            "attributes": attributes,
            "chunking_strategy": chunking,
            "created_at": created_at,
            "last_error": null,
            "status": status,
            "usage_bytes": 0,
            "vector_store_id": store,
            "filename": filename,
        });
        let (key, contents) = (key(store, file_id), chunks.iter().map(Chunk::to_json).collect::<Value>());
        self.documents.put(FILE, &key, &file)?;
        self.documents.put(CHUNKS, &key, &contents)?;
        let count = |store: &mut Value| {
            if let Some(ids) = store["file_ids"].as_array_mut() {
                ids.push(file_id.into());
            }
            add(&mut store["file_counts"], status, 1);
        };
        self.documents.update(STORE, store, count)?;
        // The reason of a failure is not kept, only told.
        if let Some(message) = failure {
            file["last_error"] = json!({"code": "server_error", "message": message});
        }
        Ok(shown(file))
    }

    /// Reads a file and cuts it into chunks without embeddings; says in words what stands against it.
    async fn cut(
        &self,
        file_id: &str,
        attributes: &Map<String, Value>,
        (length, overlap): (i64, i64),
        filename: &mut String,
    ) -> Result<Vec<Chunk>, String> {
        let file = self.file(file_id).map_err(|error| error.to_string())?;
        file["filename"].as_str().unwrap_or_default().clone_into(filename);
        let content = self.file_content(file_id).await.map_err(|error| error.to_string())?;
        let mut metadata = attributes.clone();
        metadata.insert("filename".into(), filename.as_str().into());
        let (id, mime) = (file_id.to_owned(), mime::of_name(filename));
        let work = move || {
            let text = extract::text(&content, mime)?;
            let metadata_tokens = tokens::count(&python::repr(&Value::Object(metadata.clone())));
            let document =
                Document { id: &id, text: &text, metadata: &metadata, metadata_tokens, now: now() };
            chunk::overlapped(&document, length, overlap).map_err(str::to_owned)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn attached(&self, store: &str, file: &str) -> Result<Value, ApiError> {
        let found = self.documents.get(FILE, &key(store, file))?;
        found.map(shown).ok_or_else(|| missing(store, file))
    }

    /// The file of this id in the store, in or with an error that says it is not.
    fn must_have(&self, store: &str, file: &str) -> Result<(), ApiError> {
        let ids = &self.vector_store(store)?["file_ids"];
        match ids.as_array().is_some_and(|ids| ids.iter().any(|id| id == file)) {
            true => Ok(()),
            false => Err(missing(store, file)),
        }
    }

    /// Files of a store by their ids, those that are not there left out.
    pub(crate) fn files_of_store(
        &self,
        store: &str,
        ids: &[&str],
        status: Option<&str>,
    ) -> Result<Vec<Value>, ApiError> {
        let mut files = Vec::new();
        for id in ids {
            let found = self.documents.get(FILE, &key(store, id))?;
            files
                .extend(found.map(shown).filter(|file| status.is_none_or(|status| file["status"] == status)));
        }
        Ok(files)
    }

    /// Forgets what a store knows of a file.
    pub(crate) fn forget_file(&self, store: &str, file: &str) -> Result<(), ApiError> {
        self.documents.remove(FILE, &key(store, file))?;
        self.documents.remove(CHUNKS, &key(store, file))?;
        Ok(())
    }

    fn chunks_of_file(&self, store: &str, file: &str) -> Result<Vec<Chunk>, ApiError> {
        let chunks = self.documents.get(CHUNKS, &key(store, file))?;
        let chunks = chunks.as_ref().and_then(Value::as_array);
        Ok(chunks.into_iter().flatten().map(Chunk::from_json).collect())
    }
}

fn missing(store: &str, file: &str) -> ApiError {
    ApiError::Value(format!("File {file} not found in vector store {store}"))
}

/// The fields of an attached file that are shown.
fn shown(mut file: Value) -> Value {
    if let Some(file) = file.as_object_mut() {
        file.shift_remove("filename");
    }
    file
}

/// Changes a count and the total.
fn add(counts: &mut Value, status: &str, by: i64) {
    for name in [status, "total"] {
        counts[name] = (counts[name].as_i64().unwrap_or_default() + by).into();
    }
}

pub(crate) async fn attach(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(store): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::ATTACH, &headers, body).await?;
    let file = params.get("file_id").and_then(Value::as_str).unwrap_or_default();
    let attributes = params.get("attributes").and_then(Value::as_object).cloned().unwrap_or_default();
    let chunking = params.get("chunking_strategy");
    let file = shared.attach_file(&store, file, attributes, chunking, &caller).await?;
    Ok(json_response(StatusCode::OK, &file))
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(store): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&vector_types::LIST_FILES, query)?;
    let described = shared.vector_store(&store)?;
    let ids: Vec<&str> = texts(&described["file_ids"]).collect();
    let files = shared.files_of_store(&store, &ids, query.get("filter").and_then(Value::as_str))?;
    let limit = query.get("limit").and_then(Value::as_i64).filter(|limit| *limit != 0).unwrap_or(20);
    Ok(Cut::of(files, &query, limit).response_of_whole())
}

pub(crate) async fn retrieve(
    State(shared): State<Arc<Shared>>,
    Path((store, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.must_have(&store, &file)?;
    Ok(json_response(StatusCode::OK, &shared.attached(&store, &file)?))
}

/// A file that is not in the store has no content; that is no error.
pub(crate) async fn content(
    State(shared): State<Arc<Shared>>,
    Path((store, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.vector_store(&store)?;
    let known = shared.documents.get(FILE, &key(&store, &file))?.unwrap_or_default();
    let chunks = shared.chunks_of_file(&store, &file)?;
    let texts = chunks.iter().flat_map(Chunk::texts);
    let content: Vec<Value> = texts.map(|text| json!({"type": "text", "text": text})).collect();
    let body = json!({
        "file_id": file,
        "filename": known.get("filename").and_then(Value::as_str).unwrap_or_default(),
        "attributes": known.get("attributes").cloned().unwrap_or_else(|| json!({})),
        "content": content,
    });
    Ok(json_response(StatusCode::OK, &body))
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    Path((store, file)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut params = caller::body(&vector_types::UPDATE_FILE, &headers, body).await?;
    shared.must_have(&store, &file)?;
    let attributes = params.remove("attributes").unwrap_or_default();
    let change = |file: &mut Value| file["attributes"] = attributes;
    shared.documents.update(FILE, &key(&store, &file), change)?;
    Ok(json_response(StatusCode::OK, &shared.attached(&store, &file)?))
}

pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path((store, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.must_have(&store, &file)?;
    let status = shared.attached(&store, &file)?["status"].as_str().unwrap_or_default().to_owned();
    let chunks = shared.chunks_of_file(&store, &file)?;
    let ids: Vec<String> =
        chunks.iter().filter(|chunk| chunk.document_id().is_some()).map(Chunk::id).collect();
    shared.vectors.index.delete(&store, &ids)?;
    shared.forget_file(&store, &file)?;
    let forget = |store: &mut Value| {
        if let Some(ids) = store["file_ids"].as_array_mut() {
            ids.retain(|id| id != file.as_str());
        }
        add(&mut store["file_counts"], &status, -1);
    };
    shared.documents.update(STORE, &store, forget)?;
    let body = json!({"id": file, "object": "vector_store.file.deleted", "deleted": true});
    Ok(json_response(StatusCode::OK, &body))
}
