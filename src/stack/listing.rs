//! Asking a provider which models it has.

use super::client::Remote;
use super::errors::ApiError;
use super::remotes::Dialect;
use super::{databricks, llama_cpp, ollama, tgi};
use serde_json::{Map, Value};

/// A model as its provider lists it.
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) embedding: bool,
    pub(crate) metadata: Map<String, Value>,
}

/// The provider's models; none without a key, since the list cannot be asked for.
///
/// # Errors
/// Why the provider did not answer with a list.
pub(crate) async fn models(remote: &Remote) -> Result<Vec<Listed>, String> {
    let Some(key) = remote.configured_key() else { return Ok(Vec::new()) };
    let ids = match remote.remote.dialect {
        Dialect::Databricks => databricks::model_ids(remote, key).await?,
        Dialect::Tgi => vec![tgi::model_id(remote).await?],
        Dialect::Anthropic => anthropic_ids(remote, key).await?,
        dialect => {
            let bearer = format!("Bearer {key}");
            let answer =
                remote.get(&format!("{}/models", remote.base()), &[("authorization", &bearer)]).await?;
            // Together answers with the bare list.
            let list = answer.get("data").unwrap_or(&answer);
            let ids = ids(list, "id")?;
            if dialect == Dialect::LlamaCpp {
                return Ok(ids
                    .into_iter()
                    .zip(list.as_array().into_iter().flatten())
                    .map(llama_cpp::listed)
                    .collect());
            }
            ids
        }
    };
    Ok(ids.into_iter().map(|id| with_metadata(remote, id)).collect())
}

/// The texts under `field` in a list of objects.
pub(crate) fn ids(list: &Value, field: &str) -> Result<Vec<String>, String> {
    let list = list.as_array().ok_or("its model list is not a list")?;
    let ids = list.iter().map(|entry| entry.get(field).and_then(Value::as_str).map(str::to_owned));
    ids.collect::<Option<_>>().ok_or_else(|| format!("its model list has an entry without `{field}`"))
}

fn with_metadata(remote: &Remote, id: String) -> Listed {
    match remote.remote.embeddings.iter().find(|(name, ..)| *name == id) {
        Some((_, dimension, context)) => {
            Listed { id, embedding: true, metadata: metadata((*dimension).into(), (*context).into()) }
        }
        None => Listed { id, embedding: false, metadata: Map::new() },
    }
}

/// What is said of a model that embeds: the length of its vectors, and of its input in tokens.
pub(crate) fn metadata(dimension: Value, context: Value) -> Map<String, Value> {
    [("embedding_dimension".to_owned(), dimension), ("context_length".to_owned(), context)]
        .into_iter()
        .collect()
}

/// Anthropic pages its list and authenticates in its own way.
async fn anthropic_ids(remote: &Remote, key: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut after = String::new();
    // More pages than models that ever were; ends a server that never says it is done.
    for _ in 0..50 {
        let url = format!("{}/models{after}", remote.base());
        let page = remote.get(&url, &[("x-api-key", key), ("anthropic-version", "2023-06-01")]).await?;
        all.extend(ids(page.get("data").unwrap_or(&Value::Null), "id")?);
        match (page.get("has_more"), page.get("last_id").and_then(Value::as_str)) {
            (Some(Value::Bool(true)), Some(last)) => after = format!("?after_id={last}"),
            _ => break,
        }
    }
    Ok(all)
}

/// The name under which the provider has the model that a user wants to register.
pub(crate) async fn available(remote: &Remote, wanted: String) -> Result<String, ApiError> {
    // vLLM behind a token may answer a mere question with an OAuth flow; llama.cpp has one model by any name.
    let has_token = remote.config.get("api_token").is_some_and(|token| !token.is_null());
    if remote.remote.dialect == Dialect::LlamaCpp || remote.remote.dialect == Dialect::Vllm && has_token {
        return Ok(wanted);
    }
    let listed = models(remote).await.map_err(ApiError::Internal)?;
    let has = |name: &str| listed.iter().any(|model| model.id == name);
    if has(&wanted) {
        return Ok(wanted);
    }
    let names = || listed.iter().map(|model| model.id.as_str());
    Err(ApiError::Value(match remote.remote.dialect {
        Dialect::Ollama => return ollama::available(&wanted, has, &names().collect::<Vec<_>>()),
        Dialect::Vllm => {
            let names: Value = names().map(Value::from).collect();
            format!("Model '{wanted}' not found. Available models: {}", super::python::repr(&names))
        }
        _ => format!("Model {wanted} is not available from provider {}", remote.id),
    }))
}
