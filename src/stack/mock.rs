//! A mock model provider on loopback: answers what a test tells it to and remembers what it was sent.

use super::{Env, RunConfig, Stack};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tower::ServiceExt as _;

/// A request as the provider got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) authorization: String,
    pub(crate) traceparent: Option<String>,
}

type Answer = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;

/// The provider. Serves until its runtime ends.
pub(crate) struct Mock {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Mock {
    /// Lists these models and gives every other request to `answer`; without models, every request.
    pub(crate) async fn new(
        models: &[&str],
        answer: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let listed: Vec<Value> = models.iter().map(|id| json!({"id": id, "object": "model"})).collect();
        let (log, answer): (_, Answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (log, answer, listed) = (Arc::clone(&log), Arc::clone(&answer), listed.clone());
            async move {
                let (parts, body) = request.into_parts();
                let header = |name: &str| {
                    parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
                };
                let (path, authorization) = (parts.uri.path().to_owned(), header("authorization"));
                let traceparent = header("traceparent");
                if path.ends_with("/models") && !listed.is_empty() {
                    return Json(json!({"data": listed})).into_response();
                }
                if path.ends_with("/api/ps") {
                    return Json(json!({"models": []})).into_response();
                }
                let bytes = to_bytes(body, usize::MAX).await.unwrap();
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                let seen = Seen { path, body, traceparent, authorization: authorization.unwrap_or_default() };
                log.lock().unwrap().push(seen.clone());
                answer(&seen)
            }
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What was seen since the last time.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// A stack with Ollama, OpenAI and vLLM, all of them this mock.
    pub(crate) async fn stack(&self) -> Stack {
        let env: Env = [
            ("OLLAMA_URL", format!("{}/ollama", self.url)),
            ("OPENAI_BASE_URL", format!("{}/openai/v1", self.url)),
            ("OPENAI_API_KEY", "configured".to_owned()),
            ("VLLM_URL", format!("{}/vllm/v1", self.url)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        Stack::start(RunConfig::distribution("starter", &env).unwrap()).await.unwrap()
    }
}

/// A stream of these chunks, whatever their boundaries.
pub(crate) fn sse(text: impl Into<String>) -> Response {
    ([("content-type", "text/event-stream")], text.into()).into_response()
}

/// Sends a request to the stack. An absent body makes it what `method` says with nothing inside.
pub(crate) async fn send(
    stack: &Stack,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = match body {
        Some(body) => {
            request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
        }
        None => request.body(Body::empty()).unwrap(),
    };
    stack.router().oneshot(request).await.unwrap()
}

/// Status and body as text.
pub(crate) async fn read(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) async fn post(stack: &Stack, path: &str, body: &Value) -> (u16, String) {
    let (status, text) = read(send(stack, "POST", path, &[], Some(body)).await).await;
    (status.as_u16(), text)
}

pub(crate) async fn get(stack: &Stack, path: &str) -> (u16, String) {
    let (status, text) = read(send(stack, "GET", path, &[], None).await).await;
    (status.as_u16(), text)
}
