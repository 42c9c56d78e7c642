//! `POST /v1/embeddings`.

use super::Shared;
use super::caller::{self, Caller};
use super::client::Remote;
use super::errors::{ApiError, json_response};
use super::models::ModelKind;
use super::outbound::{self, EMBEDDINGS_ORDER};
use super::remotes::{Call, Dialect};
use super::request_types;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&request_types::EMBEDDINGS, &headers, body).await?;
    Ok(json_response(StatusCode::OK, &shared.embeddings(&caller, params).await?))
}

impl Shared {
    /// The vectors of texts, by a model's identifier.
    pub(crate) async fn embed(
        &self,
        caller: &Caller,
        model: &str,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, ApiError> {
        let count = texts.len();
        let Value::Object(params) = json!({"model": model, "input": texts, "encoding_format": "float"})
        else {
            return Err(broken("the request is no object"));
        };
        let answer = self.embeddings(caller, params).await?;
        let data = answer.get("data").and_then(Value::as_array).into_iter().flatten();
        let vectors: Option<Vec<Vec<f32>>> = data
            .map(|item| {
                let numbers = item.get("embedding")?.as_array()?.iter();
                numbers.map(|number| number.as_f64().map(|number| number as f32)).collect()
            })
            .collect();
        match vectors {
            Some(vectors) if vectors.len() == count => Ok(vectors),
            _ => Err(broken(&format!("there are not {count} lists of numbers"))),
        }
    }

    /// The answer to a checked request.
    pub(crate) async fn embeddings(
        &self,
        caller: &Caller,
        mut params: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        let id = params.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(answer) = self.local_embeddings(&id, &params).await? {
            return Ok(answer);
        }
        let (model, remote) = self.model(&id, ModelKind::Embedding)?;
        refuse(remote, &params)?;
        // Without a format the OpenAI client asks for base64, to save space, and decodes it.
        let decode = params.get("encoding_format").is_some_and(Value::is_null);
        if decode {
            params.insert("encoding_format".into(), "base64".into());
        }
        if remote.remote.dialect == Dialect::Together {
            // Its adapter passes nothing on that it does not know.
            params.retain(|name, _| EMBEDDINGS_ORDER.contains(&name.as_str()));
        }
        let body = outbound::body(
            &request_types::EMBEDDINGS,
            EMBEDDINGS_ORDER,
            &params,
            &model.provider_resource_id,
        );
        let answer = remote.post("/embeddings", &body, caller).await?;
        let data = answer.get("data").and_then(Value::as_array).ok_or_else(|| broken("it has no `data`"))?;
        let mut embeddings = Vec::with_capacity(data.len());
        for (index, item) in data.iter().enumerate() {
            let embedding = vector(item.get("embedding").unwrap_or(&Value::Null), decode)?;
            embeddings.push(json!({"object": "embedding", "embedding": embedding, "index": index}));
        }
        Ok(json!({
            "object": "list",
            "data": embeddings,
            "model": model.identifier,
            "usage": usage(remote, &answer)?,
        }))
    }
}

impl Shared {
    /// The answer to a checked request when the model is one that is computed here.
    async fn local_embeddings(
        &self,
        id: &str,
        params: &Map<String, Value>,
    ) -> Result<Option<Value>, ApiError> {
        let model = self.models.get(id)?;
        let Some(provider) = self.sentences.get(&model.provider_id) else { return Ok(None) };
        self.must_be(&model, ModelKind::Embedding)?;
        let texts: Vec<String> = match params.get("input") {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        if texts.is_empty() {
            return Err(ApiError::Value("Empty list not supported".into()));
        }
        let base64 = params.get("encoding_format").is_some_and(|format| format == "base64");
        let shown = |vector: &[f32]| -> Value {
            if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                return STANDARD.encode(bytes).into();
            }
            vector.iter().map(|number| f64::from(*number)).collect()
        };
        let vectors = provider.encode(&model.provider_resource_id, texts).await?;
        let data = vectors.iter().enumerate().map(
            |(index, vector)| json!({"object": "embedding", "embedding": shown(vector), "index": index}),
        );
        Ok(Some(json!({
            "object": "list",
            "data": data.collect::<Vec<_>>(),
            "model": model.identifier,
            // Upstream does not count here.
            "usage": {"prompt_tokens": -1, "total_tokens": -1},
        })))
    }
}

fn refuse(remote: &Remote, params: &Map<String, Value>) -> Result<(), ApiError> {
    if remote.remote.lacks.contains(&Call::Embeddings) {
        return Err(ApiError::NotImplemented(String::new()));
    }
    if remote.remote.dialect == Dialect::Together {
        for name in ["user", "dimensions"] {
            if params.get(name).is_some_and(|value| !value.is_null()) {
                let text = format!("Together's embeddings endpoint does not support {name} param.");
                return Err(ApiError::Value(text));
            }
        }
    }
    Ok(())
}

fn vector(embedding: &Value, decode: bool) -> Result<Value, ApiError> {
    match embedding {
        Value::String(text) if decode => {
            let bytes = STANDARD.decode(text).map_err(|_| broken("an embedding is not base64"))?;
            let floats =
                bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
            Ok(floats.map(|float| Value::from(f64::from(float))).collect())
        }
        Value::String(_) => Ok(embedding.clone()),
        Value::Array(numbers) => numbers
            .iter()
            .map(|number| number.as_f64().map(Value::from))
            .collect::<Option<Vec<_>>>()
            .map_or_else(
                || Err(broken("an embedding has an element that is no number")),
                |numbers| Ok(numbers.into()),
            ),
        _ => Err(broken("an embedding is neither a list nor a text")),
    }
}

/// Gemini never reports usage and Together not always; both are given what upstream puts there.
fn usage(remote: &Remote, answer: &Value) -> Result<Value, ApiError> {
    let count =
        |name: &str| answer.pointer(&format!("/usage/{name}")).filter(|count| !count.is_null()).cloned();
    let missing = match remote.remote.dialect {
        Dialect::Gemini => 0,
        Dialect::Together => -1,
        _ if answer.get("usage").is_none_or(Value::is_null) => return Err(broken("it has no `usage`")),
        _ => 0,
    };
    let count = |name| count(name).unwrap_or_else(|| missing.into());
    Ok(json!({"prompt_tokens": count("prompt_tokens"), "total_tokens": count("total_tokens")}))
}

fn broken(why: &str) -> ApiError {
    ApiError::Internal(format!("the provider's embeddings cannot be read: {why}"))
}
