//! `/v1/vector-io/insert`, `/v1/vector-io/query` and the search in a vector store: what the index is asked.

use super::Shared;
use super::caller::{self, Caller};
use super::content::as_text;
use super::errors::{ApiError, Issue, json_response, with_cause};
use super::files::unstored;
use super::vector_stores::Registered;
use super::{routes, vector_batches, vector_files, vector_stores, vector_types};
use crate::vector::chunk::Chunk;
use crate::vector::filter;
use crate::vector::fusion::Ranker;
use crate::vector::index::{Bounds, Flavour, Found};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How many chunks are found when nothing is said, and how many results.
const CHUNKS: i64 = 3;
const RESULTS: i64 = 10;
/// Chunks looked at for each result, since filters drop some.
const CHUNKS_PER_RESULT: i64 = 5;

/// What a query looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Vector,
    Keyword,
    Hybrid,
}

impl Mode {
    /// The mode of this name; anything else but the other two is a search for vectors.
    pub(crate) fn of(name: Option<&str>) -> Self {
        match name {
            Some("keyword") => Self::Keyword,
            Some("hybrid") => Self::Hybrid,
            _ => Self::Vector,
        }
    }
}

/// How a store is queried.
pub(crate) struct QueryOptions {
    pub(crate) mode: Mode,
    pub(crate) bounds: Bounds,
    pub(crate) ranker: Ranker,
}

impl QueryOptions {
    /// As `params` of `/v1/vector-io/query` say.
    fn from_params(params: Option<&Value>) -> Self {
        let field = |name: &str| params.and_then(|params| params.get(name));
        let ranker = field("ranker").filter(|ranker| !ranker.is_null());
        let param = |path: &str| ranker.and_then(|ranker| ranker.pointer(path)).and_then(Value::as_f64);
        let ranker = match ranker.and_then(|ranker| ranker.get("strategy")).and_then(Value::as_str) {
            Some("weighted") => Ranker::Weighted { alpha: param("/params/weights/0").unwrap_or(0.5) },
            _ => Ranker::Rrf { impact_factor: param("/params/k").unwrap_or(60.0) },
        };
        Self {
            mode: Mode::of(field("mode").and_then(Value::as_str)),
            bounds: Bounds {
                most: field("max_chunks").and_then(Value::as_i64).unwrap_or(CHUNKS),
                score_threshold: field("score_threshold").and_then(Value::as_f64).unwrap_or_default(),
            },
            ranker,
        }
    }
}

/// How a store is searched.
#[derive(Debug, Default)]
pub(crate) struct SearchOptions {
    /// A comparison, `and` or `or`, over the chunks' attributes.
    pub(crate) filters: Option<Value>,
    /// 10 when absent or 0.
    pub(crate) max_num_results: Option<i64>,
    pub(crate) score_threshold: Option<f64>,
    /// `vector`, `keyword` or `hybrid`; `vector` when absent.
    pub(crate) search_mode: Option<String>,
}

/// A chunk that a search found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    pub(crate) file_id: String,
    pub(crate) filename: String,
    pub(crate) score: f64,
    pub(crate) attributes: Map<String, Value>,
    pub(crate) content: Vec<String>,
}

impl Hit {
    fn new(found: Found) -> Result<Self, ApiError> {
        let content = found.chunk.texts().into_iter().map(str::to_owned).collect();
        let text = |name: &str| {
            found.chunk.metadata.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (file_id, filename) = (text("document_id"), text("filename"));
        let mut attributes = found.chunk.metadata;
        for (name, value) in &mut attributes {
            match value {
                Value::String(_) | Value::Bool(_) => {}
                // Upstream's type has no integers.
                Value::Number(number) => *value = number.as_f64().into(),
                _ => return Err(unstored(format!("attribute `{name}` is neither text, number nor boolean"))),
            }
        }
        Ok(Self { file_id, filename, score: found.score, attributes, content })
    }

    pub(crate) fn to_json(&self) -> Value {
        let content: Vec<Value> =
            self.content.iter().map(|text| json!({"type": "text", "text": text})).collect();
        json!({
            "file_id": self.file_id,
            "filename": self.filename,
            "score": self.score,
            "attributes": self.attributes,
            "content": content,
        })
    }
}

/// Scores as JSON; one that is infinite fails the answer, as upstream's writer does.
pub(crate) fn finite(mut scores: impl Iterator<Item = f64>) -> Result<(), ApiError> {
    match scores.all(f64::is_finite) {
        true => Ok(()),
        false => Err(ApiError::NotJson("inf")),
    }
}

impl Shared {
    /// Puts chunks into a store; those without an embedding get one from the store's model.
    pub(crate) async fn insert_chunks(
        &self,
        store: &str,
        chunks: &mut [Chunk],
        caller: &Caller,
    ) -> Result<(), ApiError> {
        let store = self.registered_store(store)?;
        if chunks.is_empty() && store.flavour == Flavour::Faiss {
            let expected = store.dimension;
            return Err(ApiError::Value(format!("Embedding dimension mismatch. Expected {expected}, got 0")));
        }
        let mut texts = Vec::new();
        for (i, chunk) in chunks.iter_mut().enumerate() {
            match &chunk.embedding {
                Some(embedding) if embedding.len() != store.dimension => {
                    return Err(ApiError::Value(format!(
                        "Embedding at index {i} has dimension {}, expected {}",
                        embedding.len(),
                        store.dimension
                    )));
                }
                Some(_) => {}
                None => {
                    if chunk.backend.is_object() {
                        chunk.backend["chunk_embedding_model"] = store.embedding_model.as_str().into();
                        chunk.backend["chunk_embedding_dimension"] = store.dimension.into();
                    }
                    texts.push(text_only(chunk, texts.len())?);
                }
            }
        }
        if !texts.is_empty() {
            let mut embeddings = self.embed(caller, &store.embedding_model, texts).await?.into_iter();
            for chunk in chunks.iter_mut().filter(|chunk| chunk.embedding.is_none()) {
                chunk.embedding = embeddings.next().map(|vector| vector.into_iter().map(f64::from).collect());
            }
        }
        if store.flavour == Flavour::SqliteVec && !chunks.iter().all(|chunk| chunk.content.is_string()) {
            return Err(ApiError::Internal("inline::sqlite-vec only supports text chunks".into()));
        }
        self.vectors.index.add(&store.id, store.flavour, chunks).map_err(unstored)
    }

    /// The chunks of a store that fit a query, best first.
    pub(crate) async fn query_chunks(
        &self,
        store: &str,
        query: &str,
        options: &QueryOptions,
        caller: &Caller,
    ) -> Result<Vec<Found>, ApiError> {
        let store = self.registered_store(store)?;
        let lacks = |what: &str| {
            ApiError::NotImplemented(format!(
                "{what} search is not supported - underlying DB FAISS does not support this search mode"
            ))
        };
        let index = &self.vectors.index;
        let faiss = store.flavour == Flavour::Faiss;
        match options.mode {
            Mode::Keyword if faiss => Err(lacks("Keyword")),
            Mode::Keyword => index.by_words(&store.id, query, options.bounds).map_err(unstored),
            Mode::Vector | Mode::Hybrid => {
                let vector = self.query_vector(&store, query, caller).await?;
                match options.mode {
                    Mode::Hybrid if faiss => Err(lacks("Hybrid")),
                    Mode::Hybrid => index
                        .by_both(&store.id, &vector, query, options.bounds, options.ranker)
                        .map_err(unstored),
                    _ => index.by_vector(&store.id, store.flavour, &vector, options.bounds).map_err(unstored),
                }
            }
        }
    }

    async fn query_vector(
        &self,
        store: &Registered,
        query: &str,
        caller: &Caller,
    ) -> Result<Vec<f64>, ApiError> {
        let vectors = self.embed(caller, &store.embedding_model, vec![query.to_owned()]).await?;
        Ok(vectors.into_iter().flatten().map(f64::from).collect())
    }

    /// What a search in a store finds, best first. As in Llama Stack, a search that fails finds nothing.
    ///
    /// # Errors
    /// When there is no such store or search mode.
    pub(crate) async fn search_vector_store(
        &self,
        store: &str,
        query: &str,
        options: &SearchOptions,
        caller: &Caller,
    ) -> Result<Vec<Hit>, ApiError> {
        Ok(self.search(store, query, options, caller).await?.unwrap_or_default())
    }

    /// A search with its failure, which upstream hides.
    async fn search(
        &self,
        store: &str,
        query: &str,
        options: &SearchOptions,
        caller: &Caller,
    ) -> Result<Result<Vec<Hit>, ApiError>, ApiError> {
        self.vector_store(store)?;
        let mode = match options.search_mode.as_deref() {
            mode @ (None | Some("vector" | "keyword" | "hybrid")) => Mode::of(mode),
            Some(other) => {
                return Err(ApiError::Value(format!(
                    "search_mode must be one of {{'hybrid', 'keyword', 'vector'}}, got {other}"
                )));
            }
        };
        let most = options.max_num_results.filter(|most| *most != 0).unwrap_or(RESULTS);
        let query_options = QueryOptions {
            mode,
            bounds: Bounds {
                most: most.saturating_mul(CHUNKS_PER_RESULT),
                score_threshold: options.score_threshold.unwrap_or_default(),
            },
            ranker: Ranker::default(),
        };
        let found = match self.query_chunks(store, query, &query_options, caller).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let mut hits = Vec::new();
        for found in found {
            let passes = match &options.filters {
                Some(filters) => filter::passes(&found.chunk.metadata, filters),
                None => Ok(true),
            };
            match passes
                .map_err(ApiError::Value)
                .and_then(|passes| passes.then(|| Hit::new(found)).transpose())
            {
                Ok(hit) => hits.extend(hit),
                Err(error) => return Ok(Err(error)),
            }
            if i64::try_from(hits.len()).is_ok_and(|count| count >= most) {
                break;
            }
        }
        Ok(Ok(hits))
    }
}

/// The text of a chunk that is to be embedded; other content cannot be.
fn text_only(chunk: &Chunk, at: usize) -> Result<String, ApiError> {
    chunk.content.as_str().map(str::to_owned).ok_or_else(|| {
        let issue = |loc: &[Value]| Issue::new(loc, "Input should be a valid string", "string_type");
        ApiError::Issues(vec![
            issue(&["input".into(), "str".into()]),
            issue(&["input".into(), "list[str]".into(), at.into()]),
        ])
    })
}

async fn insert(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::INSERT, &headers, body).await?;
    let store = params["vector_db_id"].as_str().unwrap_or_default();
    let mut chunks: Vec<Chunk> =
        params["chunks"].as_array().into_iter().flatten().map(Chunk::from_json).collect();
    shared.insert_chunks(store, &mut chunks, &caller).await?;
    Ok(json_response(StatusCode::OK, &Value::Null))
}

async fn query(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::QUERY, &headers, body).await?;
    let store = params["vector_db_id"].as_str().unwrap_or_default();
    let options = QueryOptions::from_params(params.get("params"));
    let found = shared.query_chunks(store, &as_text(&params["query"], " ")?, &options, &caller).await?;
    finite(found.iter().map(|found| found.score))?;
    let chunks: Vec<Value> = found.iter().map(|found| found.chunk.to_json()).collect();
    let scores: Vec<f64> = found.iter().map(|found| found.score).collect();
    Ok(json_response(StatusCode::OK, &json!({"chunks": chunks, "scores": scores})))
}

async fn search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(store): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::SEARCH, &headers, body).await?;
    let options = SearchOptions {
        filters: params.get("filters").filter(|filters| !filters.is_null()).cloned(),
        max_num_results: params.get("max_num_results").and_then(Value::as_i64),
        score_threshold: params["ranking_options"].get("score_threshold").and_then(Value::as_f64),
        search_mode: Some(params["search_mode"].as_str().unwrap_or("None").to_owned()),
    };
    let query = as_text(&params["query"], " ")?;
    let found = shared.search(&store, &query, &options, &caller).await?;
    let hits = found.as_deref().unwrap_or_default();
    finite(hits.iter().map(|hit| hit.score))?;
    let body = json!({
        "object": "vector_store.search_results.page",
        "search_query": query,
        "data": hits.iter().map(Hit::to_json).collect::<Vec<_>>(),
        "has_more": false,
        "next_page": null,
    });
    // Why nothing was found upstream writes to its log only.
    let cause = found.err().map_or_else(String::new, |error| error.to_string());
    Ok(with_cause(json_response(StatusCode::OK, &body), &cause))
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let mut router =
        Router::new().route("/v1/vector-io/insert", post(insert)).route("/v1/vector-io/query", post(query));
    for prefix in routes::PREFIXES {
        let stores = format!("{prefix}/vector_stores");
        let store = format!("{stores}/{{vector_store_id}}");
        let (file, batch) =
            (format!("{store}/files/{{file_id}}"), format!("{store}/file_batches/{{batch_id}}"));
        router = router
            .route(&stores, get(vector_stores::list).post(vector_stores::create))
            .route(
                &store,
                get(vector_stores::retrieve).post(vector_stores::update).delete(vector_stores::remove),
            )
            .route(&format!("{store}/search"), post(search))
            .route(&format!("{store}/files"), get(vector_files::list).post(vector_files::attach))
            .route(&file, get(vector_files::retrieve).post(vector_files::update).delete(vector_files::remove))
            .route(&format!("{file}/content"), get(vector_files::content))
            .route(&format!("{store}/file_batches"), post(vector_batches::create))
            .route(&batch, get(vector_batches::retrieve))
            .route(&format!("{batch}/files"), get(vector_batches::files))
            .route(&format!("{batch}/cancel"), post(vector_batches::cancel));
    }
    router
}

pub(crate) const LISTED: &[(&str, &str)] = &[
    ("POST", "/v1/vector-io/insert"),
    ("POST", "/v1/vector_stores/{vector_store_id}/files"),
    ("POST", "/v1/openai/v1/vector_stores/{vector_store_id}/files"),
    ("POST", "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel"),
    ("POST", "/v1/openai/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel"),
    ("POST", "/v1/vector_stores"),
    ("POST", "/v1/openai/v1/vector_stores"),
    ("POST", "/v1/openai/v1/vector_stores/{vector_store_id}/file_batches"),
    ("POST", "/v1/vector_stores/{vector_store_id}/file_batches"),
    ("DELETE", "/v1/vector_stores/{vector_store_id}"),
    ("DELETE", "/v1/openai/v1/vector_stores/{vector_store_id}"),
    ("DELETE", "/v1/vector_stores/{vector_store_id}/files/{file_id}"),
    ("DELETE", "/v1/openai/v1/vector_stores/{vector_store_id}/files/{file_id}"),
    ("GET", "/v1/vector_stores/{vector_store_id}/files"),
    ("GET", "/v1/openai/v1/vector_stores/{vector_store_id}/files"),
    ("GET", "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files"),
    ("GET", "/v1/openai/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files"),
    ("GET", "/v1/vector_stores"),
    ("GET", "/v1/openai/v1/vector_stores"),
    ("GET", "/v1/vector_stores/{vector_store_id}"),
    ("GET", "/v1/openai/v1/vector_stores/{vector_store_id}"),
    ("GET", "/v1/vector_stores/{vector_store_id}/files/{file_id}"),
    ("GET", "/v1/openai/v1/vector_stores/{vector_store_id}/files/{file_id}"),
    ("GET", "/v1/openai/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}"),
    ("GET", "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}"),
    ("GET", "/v1/vector_stores/{vector_store_id}/files/{file_id}/content"),
    ("GET", "/v1/openai/v1/vector_stores/{vector_store_id}/files/{file_id}/content"),
    ("POST", "/v1/vector_stores/{vector_store_id}/search"),
    ("POST", "/v1/openai/v1/vector_stores/{vector_store_id}/search"),
    ("POST", "/v1/vector_stores/{vector_store_id}"),
    ("POST", "/v1/openai/v1/vector_stores/{vector_store_id}"),
    ("POST", "/v1/vector_stores/{vector_store_id}/files/{file_id}"),
    ("POST", "/v1/openai/v1/vector_stores/{vector_store_id}/files/{file_id}"),
    ("POST", "/v1/vector-io/query"),
];
