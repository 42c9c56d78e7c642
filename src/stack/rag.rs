//! The RAG tool: documents put into a vector store as files, and looked up as text for a model to read.

use super::Shared;
use super::caller::{self, Caller};
use super::content::as_text;
use super::errors::{ApiError, Issue, json_response, with_cause};
use super::fields;
use super::json::texts;
use super::mcp_tools::on_this_machine;
use super::tool_runtime::result;
use super::vector_io::{Mode, QueryOptions, finite};
use super::{images, rag_template, vector_types};
use crate::vector::fusion::Ranker;
use crate::vector::index::{Bounds, Found};
use crate::vector::mime;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Tokens in a chunk when nothing is said.
const CHUNK_SIZE: i64 = 512;
/// What a chunking strategy may ask for.
const CHUNK_SIZES: std::ops::RangeInclusive<i64> = 100..=4096;
const MAX_CHUNKS: i64 = 5;
const MAX_TOKENS: i64 = 4096;
const TEMPLATE: &str = "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n";

/// What a query found, as text items and what is known of them.
pub(crate) struct Knowledge {
    /// Null when nothing was found.
    pub(crate) content: Value,
    pub(crate) metadata: Map<String, Value>,
}

impl Shared {
    /// Puts documents into a store as files. One that cannot be read or put there is left out; what stood against
    /// it is returned, since upstream only logs it.
    pub(crate) async fn rag_insert(
        self: &Arc<Self>,
        documents: &[Value],
        store: &str,
        chunk_size: i64,
        caller: &Caller,
    ) -> Vec<String> {
        let mut left_out = Vec::new();
        for document in documents {
            let id = document["document_id"].as_str().unwrap_or_default();
            if let Err(error) = self.insert_document(document, id, store, chunk_size, caller).await {
                left_out.push(format!("document {id}: {error}"));
            }
        }
        left_out
    }

    async fn insert_document(
        self: &Arc<Self>,
        document: &Value,
        id: &str,
        store: &str,
        chunk_size: i64,
        caller: &Caller,
    ) -> Result<(), ApiError> {
        let (content, kind) = self.raw(&document["content"]).await?;
        let metadata = document["metadata"].as_object().cloned().unwrap_or_default();
        let filename = match metadata.get("filename").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => format!("{id}{}", mime::extension(&kind).unwrap_or(".txt")),
        };
        let file = self.create_file(&filename, "assistants", content, None).await?;
        if !CHUNK_SIZES.contains(&chunk_size) {
            let (least, most) = CHUNK_SIZES.into_inner();
            return Err(ApiError::Value(format!(
                "chunks of {chunk_size} tokens: {least} to {most} are possible"
            )));
        }
        let sizes = json!({"max_chunk_size_tokens": chunk_size, "chunk_overlap_tokens": chunk_size / 4});
        let chunking = json!({"type": "static", "static": sizes});
        let file_id = file["id"].as_str().unwrap_or_default();
        self.attach_file(store, file_id, metadata, Some(&chunking), caller).await?;
        Ok(())
    }

    /// The bytes of a document and their type.
    async fn raw(&self, content: &Value) -> Result<(Bytes, String), ApiError> {
        let address = content.get("uri").and_then(Value::as_str);
        let text = match address {
            Some(address) => address.to_owned(),
            None => as_text(content, " ")?,
        };
        if text.starts_with("data:") {
            return data_url(&text);
        }
        match address {
            Some(address) if self.offline && !on_this_machine(address) => Err(ApiError::Value(
                "documents are not fetched while provider traffic is replayed; send a data URL".into(),
            )),
            Some(address) => {
                let http = super::client::http_client().map_err(super::files::unstored)?;
                let (bytes, kind) = images::fetch(&http, address).await?;
                Ok((bytes.into(), kind.unwrap_or_else(|| "application/octet-stream".to_owned())))
            }
            None => Ok((text.into(), "text/plain".to_owned())),
        }
    }

    /// Looks content up in stores.
    pub(crate) async fn rag_query(
        self: &Arc<Self>,
        content: &Value,
        stores: &[&str],
        config: &Config,
        caller: &Caller,
    ) -> Result<Knowledge, ApiError> {
        if stores.is_empty() {
            return Err(ApiError::Value(
                "No vector DBs were provided to the knowledge search tool. Please provide at least one vector DB ID."
                    .into(),
            ));
        }
        let query = self.rag_question(content, config, caller).await?;
        let options = QueryOptions {
            mode: config.mode,
            bounds: Bounds { most: config.max_chunks, score_threshold: 0.0 },
            ranker: config.ranker,
        };
        let asked = stores.iter().map(|store| self.query_chunks(store, &query, &options, caller));
        let answers = futures_util::future::try_join_all(asked).await?;
        let found = stores.iter().zip(answers);
        let mut found: Vec<(&str, Found)> =
            found.flat_map(|(store, found)| found.into_iter().map(|found| (*store, found))).collect();
        if found.is_empty() {
            return Ok(Knowledge { content: Value::Null, metadata: Map::new() });
        }
        found.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        finite(found.iter().map(|(_, found)| found.score))?;
        knowledge(&found, content, config)
    }

    /// The question that is looked up: the content itself, or what a model makes of it.
    async fn rag_question(
        self: &Arc<Self>,
        content: &Value,
        config: &Config,
        caller: &Caller,
    ) -> Result<String, ApiError> {
        match &config.generator {
            Generator::Default { separator } => as_text(content, separator),
            Generator::Llm { model, template } => {
                let messages: Vec<String> = match content {
                    Value::Array(items) => {
                        items.iter().map(|item| as_text(item, " ")).collect::<Result<_, _>>()?
                    }
                    one => vec![as_text(one, " ")?],
                };
                let prompt = rag_template::prompt(template, &messages)?;
                let params = json!({"model": model, "messages": [{"role": "user", "content": prompt}], "stream": false});
                let answer = super::chat::complete(self, caller, &params).await?;
                Ok(answer
                    .pointer("/choices/0/message/content")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned())
            }
        }
    }

    /// What the tool `knowledge_search` answers to a call: the query with its stores, as a tool's result.
    pub(crate) async fn knowledge_search(
        self: &Arc<Self>,
        kwargs: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let stores: Vec<&str> = kwargs.get("vector_db_ids").into_iter().flat_map(texts).collect();
        let given =
            kwargs.get("query_config").filter(|config| config.as_object().is_some_and(|map| !map.is_empty()));
        let checked = given
            .map(|config| {
                fields::check(&vector_types::RAG_QUERY_CONFIG, config, &[]).map_err(ApiError::Issues)
            })
            .transpose()?;
        let config = Config::read(checked.as_ref(), &[]).map_err(|issue| ApiError::Issues(vec![issue]))?;
        let query =
            kwargs.get("query").ok_or_else(|| ApiError::Internal("the call has no `query`".into()))?;
        let mut found = self.rag_query(query, &stores, &config, caller).await?;
        found.metadata.insert("citation_files".into(), Value::Null);
        let content = if found.content.is_null() { json!([]) } else { found.content };
        Ok(result(content, None, found.metadata.into()))
    }
}

/// The text a model is given, and what it came from.
fn knowledge(found: &[(&str, Found)], content: &Value, config: &Config) -> Result<Knowledge, ApiError> {
    let shown = &found[..found.len().min(usize::try_from(config.max_chunks).unwrap_or_default())];
    let item = |text: String| json!({"type": "text", "text": text});
    let mut picked = vec![item(format!(
        "knowledge_search tool found {} chunks:\nBEGIN of knowledge_search tool results.\n",
        shown.len()
    ))];
    let mut tokens = 0;
    for (index, (_, found)) in shown.iter().enumerate() {
        let count = |name: &str| found.chunk.metadata.get(name).and_then(Value::as_i64).unwrap_or_default();
        tokens += count("token_count") + count("metadata_token_count");
        if tokens > config.max_tokens {
            break;
        }
        picked.push(item(rag_template::chunk(&config.template, index + 1, &found.chunk)?));
    }
    picked.push(item("END of knowledge_search tool results.\n".into()));
    picked.push(item(format!(
        "The above results were retrieved to help answer the user's query: \"{}\". Use them as supporting \
         information only in answering this query.\n",
        as_text(content, " ")?
    )));
    let most = picked.len();
    let of = |read: fn(&(&str, Found)) -> Value| shown.iter().take(most).map(read).collect::<Value>();
    let metadata = json!({
        "document_ids": of(|(_, found)| found.chunk.document_id().into()),
        "chunks": of(|(_, found)| found.chunk.content.clone()),
        // Upstream cuts the scores to the number of texts, not of chunks.
        "scores": found.iter().take(most).map(|(_, found)| found.score).collect::<Vec<_>>(),
        "vector_db_ids": of(|(store, _)| (*store).into()),
    });
    let metadata = metadata.as_object().cloned().unwrap_or_default();
    Ok(Knowledge { content: picked.into(), metadata })
}

/// How a query is made and its result shown.
pub(crate) struct Config {
    generator: Generator,
    max_tokens: i64,
    max_chunks: i64,
    template: String,
    mode: Mode,
    ranker: Ranker,
}

enum Generator {
    Default { separator: String },
    Llm { model: String, template: String },
}

impl Config {
    /// Reads a configuration that fits its schema; `place` is where it stands in the request.
    ///
    /// # Errors
    /// When the template does not show chunks.
    pub(crate) fn read(config: Option<&Value>, place: &[&str]) -> Result<Self, Issue> {
        let field =
            |path: &str| config.and_then(|config| config.pointer(path)).filter(|value| !value.is_null());
        let text = |path: &str| field(path).and_then(Value::as_str).map(str::to_owned);
        let number = |path: &str, default| field(path).and_then(Value::as_i64).unwrap_or(default);
        let issue = |part: &[&str], msg: &str, kind| {
            let loc: Vec<Value> = place.iter().chain(part).map(|part| Value::from(*part)).collect();
            Issue::new(&loc, msg, kind)
        };
        let template = text("/chunk_template").unwrap_or_else(|| TEMPLATE.to_owned());
        for needed in ["{chunk.content}", "{index}"] {
            if !template.contains(needed) {
                let msg = format!("Value error, chunk_template must contain {needed}");
                return Err(issue(&["chunk_template"], &msg, "value_error"));
            }
        }
        let generator = match text("/query_generator_config/type").as_deref() {
            Some("llm") => Generator::Llm {
                model: text("/query_generator_config/model").unwrap_or_default(),
                template: text("/query_generator_config/template").unwrap_or_default(),
            },
            _ => Generator::Default {
                separator: text("/query_generator_config/separator").unwrap_or_else(|| " ".to_owned()),
            },
        };
        let share = |path: &str| field(path).and_then(Value::as_f64);
        if share("/ranker/impact_factor").is_some_and(|factor| factor <= 0.0) {
            let at = ["ranker", "rrf", "impact_factor"];
            return Err(issue(&at, "Input should be greater than 0", "greater_than"));
        }
        let alpha = ["ranker", "weighted", "alpha"];
        match share("/ranker/alpha") {
            Some(share) if share < 0.0 => {
                return Err(issue(
                    &alpha,
                    "Input should be greater than or equal to 0",
                    "greater_than_equal",
                ));
            }
            Some(share) if share > 1.0 => {
                return Err(issue(&alpha, "Input should be less than or equal to 1", "less_than_equal"));
            }
            _ => {}
        }
        let ranker = match text("/ranker/type").as_deref() {
            Some("weighted") => Ranker::Weighted { alpha: share("/ranker/alpha").unwrap_or(0.5) },
            _ => Ranker::Rrf { impact_factor: share("/ranker/impact_factor").unwrap_or(60.0) },
        };
        Ok(Self {
            generator,
            max_tokens: number("/max_tokens_in_context", MAX_TOKENS),
            max_chunks: number("/max_chunks", MAX_CHUNKS),
            template,
            mode: Mode::of(text("/mode").as_deref()),
            ranker,
        })
    }
}

/// The content of a data URL and its type.
fn data_url(url: &str) -> Result<(Bytes, String), ApiError> {
    use base64::Engine as _;
    let invalid = || ApiError::Value("Invalid Data URL format".into());
    let (head, data) = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')).ok_or_else(invalid)?;
    let kind = head.split(';').next().filter(|kind| !kind.is_empty()).ok_or_else(invalid)?;
    let content = match head.ends_with(";base64") {
        true => base64::engine::general_purpose::STANDARD.decode(data).map_err(|_| invalid())?,
        false => data.as_bytes().to_vec(),
    };
    Ok((content.into(), kind.to_owned()))
}

pub(crate) async fn insert(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::RAG_INSERT, &headers, body).await?;
    let documents = params["documents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let store = params["vector_store_id"].as_str().unwrap_or_default();
    let size = params.get("chunk_size_in_tokens").and_then(Value::as_i64).unwrap_or(CHUNK_SIZE);
    let left_out = shared.rag_insert(documents, store, size, &caller).await;
    Ok(with_cause(json_response(StatusCode::OK, &Value::Null), &left_out.join("; ")))
}

pub(crate) async fn query(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&vector_types::RAG_QUERY, &headers, body).await?;
    let config = params.get("query_config").filter(|config| !config.is_null());
    let config =
        Config::read(config, &["body", "query_config"]).map_err(|issue| ApiError::Request(vec![issue]))?;
    let stores: Vec<&str> = texts(&params["vector_store_ids"]).collect();
    let found = shared.rag_query(&params["content"], &stores, &config, &caller).await?;
    Ok(json_response(StatusCode::OK, &json!({"content": found.content, "metadata": found.metadata})))
}
