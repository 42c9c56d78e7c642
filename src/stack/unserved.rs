//! Requests nothing here answers: honest about what a real Llama Stack would do.

use super::caller;
use super::config_provider::Provider;
use super::errors::{ApiError, json_response};
use super::routes::SERVED;
use super::{Shared, catalog, request_types};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

/// APIs Llama Stack serves without providers.
const BUILT_IN: &[(&str, &str)] = &[("conversations", "conversations")];

/// 501 for a path of an API that this stack is configured for and does not serve, 404 for all others.
pub(crate) async fn fallback(State(shared): State<Arc<Shared>>, method: Method, uri: Uri) -> Response {
    let served = |api: &&str| SERVED.iter().any(|served| served.api == *api);
    match api_of(uri.path()).filter(|api| shared.is_configured(api) && !served(api)) {
        Some(api) => {
            let path = uri.path();
            let detail = format!(
                "Not implemented: the in-process stack does not serve the {api} API ({method} {path}). A real Llama \
                 Stack does: --stack-config=server:<run.yaml> --stack=llama-stack"
            );
            json_response(StatusCode::NOT_IMPLEMENTED, &json!({"detail": detail}))
        }
        None => json_response(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"})),
    }
}

pub(crate) async fn method_not_allowed() -> Response {
    json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({"detail": "Method Not Allowed"}))
}

/// Llama Stack declares this route; none of the providers served here implements it.
pub(crate) async fn rerank(headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    caller::body(&request_types::RERANK, &headers, body).await?;
    Err(ApiError::NotImplemented("Reranking is not implemented".into()))
}

/// The API a path belongs to.
fn api_of(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/v1").map(|path| path.strip_prefix("/openai/v1").unwrap_or(path))?;
    let path = path.strip_prefix("alpha").or_else(|| path.strip_prefix("beta")).unwrap_or(path);
    let first = path.strip_prefix('/')?.split('/').next()?;
    let built_in = BUILT_IN.iter().find(|(name, _)| *name == first).map(|(_, api)| *api);
    built_in.or_else(|| catalog::APIS.iter().find(|api| api.paths.contains(&first)).map(|api| api.name))
}

/// A provider that is configured and listed, and that nothing here can stand in for.
pub(crate) fn provider(provider: &Provider) -> ApiError {
    let why = match provider.provider_type.as_str() {
        "inline::code-scanner" => "its rules are part of the Python package codeshield",
        "inline::prompt-guard" => "it runs a classifier in Python's transformers",
        _ => "there is nothing here to stand in for it",
    };
    ApiError::NotImplemented(format!(
        "the in-process stack cannot run `{}`, {why}. A real Llama Stack can: --stack-config=server:<run.yaml> \
         --stack=llama-stack",
        provider.provider_type
    ))
}

impl Shared {
    /// Whether a real Llama Stack with this configuration would serve the API.
    pub(crate) fn is_configured(&self, api: &str) -> bool {
        self.serves(api) || BUILT_IN.iter().any(|(_, name)| *name == api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_apis() {
        assert_eq!(api_of("/v1/responses/resp_1"), Some("agents"));
        assert_eq!(api_of("/v1/openai/v1/vector_stores"), Some("vector_io"));
        assert_eq!(api_of("/v1alpha/agents"), Some("agents"));
        assert_eq!(api_of("/v1beta/datasetio/iterrows/x"), Some("datasetio"));
        assert_eq!(api_of("/v1/conversations"), Some("conversations"));
        assert_eq!(api_of("/v1/nope"), None);
        assert_eq!(api_of("/v2/responses"), None);
        assert_eq!(api_of("/"), None);
    }
}
