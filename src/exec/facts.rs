//! What the stack under test says of itself, asked once and only when a rule needs it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use crate::http::client::Transport;
use crate::http::{HeaderMap, Method, Request};

/// Asking takes no longer than this; a stack that does not answer has no facts.
const PATIENCE: Duration = Duration::from_secs(30);

/// Providers, models and routes of a stack; empty for servers that do not list them.
#[derive(Debug, Default)]
pub struct Facts {
    providers: OnceCell<Vec<Provider>>,
    models: OnceCell<Vec<(String, String)>>,
    routes: OnceCell<Vec<(String, String)>>,
    version: OnceCell<Option<String>>,
    /// The ids in other lists, by path; `None` for what is not served.
    lists: Mutex<BTreeMap<String, Option<Vec<String>>>>,
}

#[derive(Debug, Clone)]
struct Provider {
    api: String,
    id: String,
    kind: String,
}

impl Facts {
    /// The provider type that serves a model, as `remote::ollama`.
    pub async fn provider_type_of(&self, model: &str, transport: &Transport) -> Option<&str> {
        let models = self.models.get_or_init(|| async { models(&ask(transport, "/v1/models").await) }).await;
        let (_, provider) = models.iter().find(|(id, _)| id == model)?;
        let providers = self.providers(transport).await;
        providers.iter().find(|p| p.api == "inference" && p.id == *provider).map(|p| p.kind.as_str())
    }

    /// Whether a provider type is configured for an API; `None` when the stack does not list providers.
    pub async fn has_provider(&self, api: &str, kind: &str, transport: &Transport) -> Option<bool> {
        let providers = self.providers(transport).await;
        (!providers.is_empty())
            .then(|| providers.iter().any(|p| p.api == api && (p.kind == kind || p.id == kind)))
    }

    /// How many providers are configured for an API; none when the stack does not list them.
    pub async fn provider_count(&self, api: &str, transport: &Transport) -> usize {
        self.providers(transport).await.iter().filter(|p| p.api == api).count()
    }

    /// Whether a route is served; `None` when the stack does not list routes.
    pub async fn has_route(&self, method: &str, path: &str, transport: &Transport) -> Option<bool> {
        let routes =
            self.routes.get_or_init(|| async { routes(&ask(transport, "/v1/inspect/routes").await) }).await;
        (!routes.is_empty()).then(|| routes.iter().any(|(m, p)| m.eq_ignore_ascii_case(method) && p == path))
    }

    /// What the stack says its version is.
    pub async fn version(&self, transport: &Transport) -> Option<&str> {
        let ask = || async { ask(transport, "/v1/version").await["version"].as_str().map(str::to_owned) };
        self.version.get_or_init(ask).await.as_deref()
    }

    /// Whether the list at a path, as `/v1/shields`, names this; `None` when the stack serves no such list.
    pub async fn lists(&self, path: &str, id: &str, transport: &Transport) -> Option<bool> {
        let mut lists = self.lists.lock().await;
        if !lists.contains_key(path) {
            lists.insert(path.to_owned(), ids(&ask(transport, path).await));
        }
        lists.get(path)?.as_ref().map(|ids| ids.iter().any(|listed| listed == id))
    }

    async fn providers(&self, transport: &Transport) -> &[Provider] {
        self.providers.get_or_init(|| async { providers(&ask(transport, "/v1/providers").await) }).await
    }
}

async fn ask(transport: &Transport, path: &str) -> Value {
    let request = Request {
        method: Method::GET,
        path: path.to_owned(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    match transport.send(&request, PATIENCE).await {
        Ok(answer) if answer.status.is_success() => serde_json::from_slice(&answer.body).unwrap_or_default(),
        _ => Value::Null,
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> &[Value] {
    value["data"].as_array().map_or(&[], Vec::as_slice)
}

fn providers(answer: &Value) -> Vec<Provider> {
    let provider = |p: &Value| Provider {
        api: text(p, "api"),
        id: text(p, "provider_id"),
        kind: text(p, "provider_type"),
    };
    items(answer).iter().map(provider).collect()
}

/// Model id and provider id. Llama Stack 0.3 lists `identifier`; its OpenAI-shaped list has `id`.
fn models(answer: &Value) -> Vec<(String, String)> {
    let pair = |m: &Value| {
        let id = if m["identifier"].is_string() { text(m, "identifier") } else { text(m, "id") };
        let provider = text(m, "provider_id");
        let provider =
            if provider.is_empty() { id.split('/').next().unwrap_or_default().to_owned() } else { provider };
        (id, provider)
    };
    items(answer).iter().map(pair).collect()
}

fn routes(answer: &Value) -> Vec<(String, String)> {
    items(answer).iter().map(|r| (text(r, "method"), text(r, "route"))).collect()
}

/// The ids in a list. Llama Stack's own objects have `identifier`, OpenAI-shaped ones `id`.
fn ids(answer: &Value) -> Option<Vec<String>> {
    answer["data"].as_array()?;
    let id = |item: &Value| {
        if item["identifier"].is_string() { text(item, "identifier") } else { text(item, "id") }
    };
    Some(items(answer).iter().map(id).collect())
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_is_not_served_is_not_an_empty_one() {
        let shields = json!({"data": [{"identifier": "llama-guard", "id": 1}, {"id": "m"}]});
        assert_eq!(ids(&shields), Some(vec!["llama-guard".to_owned(), "m".to_owned()]));
        assert_eq!(ids(&json!({"data": []})), Some(vec![]));
        assert_eq!(ids(&json!({"detail": "Not Found"})), None);
        assert_eq!(ids(&Value::Null), None);
    }

    #[tokio::test]
    async fn providers_are_counted_by_api() {
        let listed = json!({"data": [
            {"api": "vector_io", "provider_id": "faiss", "provider_type": "inline::faiss"},
            {"api": "vector_io", "provider_id": "sqlite-vec", "provider_type": "inline::sqlite-vec"},
            {"api": "files", "provider_id": "local", "provider_type": "inline::localfs"},
        ]});
        let router = Router::new().route("/v1/providers", get(move || async move { Json(listed) }));
        let (facts, stack) = (Facts::default(), Transport::InProcess(router));
        assert_eq!(facts.provider_count("vector_io", &stack).await, 2);
        assert_eq!(facts.provider_count("files", &stack).await, 1);
        assert_eq!(facts.provider_count("safety", &stack).await, 0);
        // A server that lists no providers has none that could be too many.
        assert_eq!(Facts::default().provider_count("files", &Transport::InProcess(Router::new())).await, 0);
    }
}
