//! A mock of a model provider (or of a whole stack) on loopback: it answers what a test tells it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) number: usize,
    /// `POST /v1/chat/completions`.
    pub(crate) what: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text of the last message of a chat.
    pub(crate) fn question(&self) -> String {
        let body = self.json();
        let last = body["messages"].as_array().and_then(|messages| messages.last());
        last.and_then(|message| message["content"].as_str()).unwrap_or_default().to_owned()
    }
}

/// Serves until it is dropped, on a thread of its own.
pub(crate) struct Provider {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    /// Gives every request but those for model lists to `answer`; an answer that is pending hangs.
    pub(crate) fn start<F>(answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = asked.clone();
        let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                if method == Method::GET && uri.path().ends_with("/models") {
                    return Json(json!({"object": "list", "data": [{"id": "tiny", "object": "model"}]}))
                        .into_response();
                }
                let asked = {
                    let mut log = log.lock().expect("is not poisoned");
                    let asked = Asked { number: log.len(), what: format!("{method} {uri}"), headers, body };
                    log.push(asked.clone());
                    asked
                };
                answer(asked).await
            }
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.set_nonblocking(true).expect("can be set");
        let address = listener.local_addr().expect("has an address");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("listens");
                // What still hangs is dropped with the runtime.
                tokio::select! {
                    served = axum::serve(listener, app) => served.expect("serves"),
                    _ = stopped => {}
                }
            });
        });
        Self { address, asked, stop: Some(stop), thread: Some(thread) }
    }

    /// Answers chats with the text that `reply` gives.
    pub(crate) fn chat(reply: impl Fn(&Asked) -> String + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |asked| {
            let text = reply(&asked);
            async move { completion(&text) }
        })
    }

    /// Says `Luna` so many times, then `Sol`.
    pub(crate) fn sol_after(wrong: usize) -> Self {
        Self::chat(move |asked| if asked.number < wrong { "Luna".to_owned() } else { "Sol".to_owned() })
    }

    /// Where the stack finds it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("is not poisoned").clone()
    }

    /// What it was asked, as `POST /v1/…` lines.
    pub(crate) fn log(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.what).collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.expect("was started").expect("served without a panic");
        }
    }
}

/// A case that wants the model to say `Sol`.
pub(crate) const SAYS_SOL: &str = r#"
cases:
  - name: says_sol
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "The sun?"}]}}
        expect: [{json: {at: "$.choices[0].message.content", equals: Sol}}]
"#;

/// A chat completion as OpenAI's API has it.
pub(crate) fn completion(text: &str) -> Response {
    let choice =
        json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "tiny", "choices": [choice], "usage": usage});
    (StatusCode::OK, Json(body)).into_response()
}
