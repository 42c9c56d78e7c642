//! Asking a provider which models it has.

use super::client::Remote;
use super::errors::ApiError;
use super::remotes::Dialect;
use super::{databricks, ollama, tgi};
use serde_json::{Map, Value, json};

/// A model as its provider lists it.
pub(crate) struct Listed {
    pub(crate) id: String,
    /// Empty for a language model; dimension and context length for an embedding model.
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
        _ => {
            let bearer = format!("Bearer {key}");
            let answer =
                remote.get(&format!("{}/models", remote.base()), &[("authorization", &bearer)]).await?;
            // Together answers with the bare list.
            ids(answer.get("data").unwrap_or(&answer), "id")?
        }
    };
    let mut listed: Vec<Listed> = ids.into_iter().map(|id| with_metadata(remote, id)).collect();
    if remote.remote.dialect == Dialect::LlamaCpp {
        listed.extend(llama_cpp_embedding(remote).await?);
    }
    Ok(listed)
}

/// The texts under `field` in a list of objects.
pub(crate) fn ids(list: &Value, field: &str) -> Result<Vec<String>, String> {
    let list = list.as_array().ok_or("its model list is not a list")?;
    let ids = list.iter().map(|entry| entry.get(field).and_then(Value::as_str).map(str::to_owned));
    ids.collect::<Option<_>>().ok_or_else(|| format!("its model list has an entry without `{field}`"))
}

fn with_metadata(remote: &Remote, id: String) -> Listed {
    let known = remote.remote.embeddings.iter().find(|(name, ..)| *name == id);
    let metadata = match known {
        Some((_, dimension, context)) => embedding((*dimension).into(), (*context).into()),
        None => Map::new(),
    };
    Listed { id, metadata }
}

fn embedding(dimension: Value, context: Value) -> Map<String, Value> {
    [("embedding_dimension".to_owned(), dimension), ("context_length".to_owned(), context)]
        .into_iter()
        .collect()
}

/// llama.cpp embeds with the model it has loaded, whatever name it is given. `embedding_model` in the
/// configuration is the name it gets here; the dimension is what the server says of its model.
async fn llama_cpp_embedding(remote: &Remote) -> Result<Option<Listed>, String> {
    let Some(id) = remote.config.get("embedding_model").and_then(Value::as_str) else { return Ok(None) };
    let answer = remote.get(&format!("{}/models", remote.base()), &[]).await?;
    let meta =
        |field: &str| answer.pointer(&format!("/data/0/meta/{field}")).cloned().filter(|v| !v.is_null());
    let dimension = remote.config.get("embedding_dimension").cloned().or_else(|| meta("n_embd"));
    let dimension = dimension.ok_or("it does not say its embedding dimension; set `embedding_dimension`")?;
    Ok(Some(Listed {
        id: id.to_owned(),
        metadata: embedding(dimension, meta("n_ctx_train").unwrap_or(json!(0))),
    }))
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
