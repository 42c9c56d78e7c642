//! What upstream's tests made Llama Stack send, against what this stack sends for the same request.
//!
//! Each recorded body goes in under the provider's id and has to come out at the provider as it was recorded.

use super::mock::{Mock, post};
use super::{Env, RunConfig, Stack};
use axum::Json;
use axum::response::IntoResponse as _;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Recorded {
    file: PathBuf,
    /// `/chat/completions` and the like.
    call: &'static str,
    body: Map<String, Value>,
}

impl Recorded {
    fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }
}

fn recordings(folder: &Path, into: &mut Vec<Recorded>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            recordings(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            into.extend(read(path));
        }
    }
}

fn read(file: PathBuf) -> Option<Recorded> {
    let recorded: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
    let endpoint = recorded.pointer("/request/endpoint")?.as_str()?;
    // Ollama's own `/api/…` is what older versions called.
    let endpoint = endpoint.strip_prefix("/v1")?;
    let mut call =
        ["/chat/completions", "/completions", "/embeddings"].into_iter().find(|call| endpoint == *call)?;
    let mut body = recorded.pointer("/request/body")?.as_object()?.clone();
    if body.contains_key("messages") {
        // An early recorder filed some chats under `/completions`.
        call = "/chat/completions";
    }
    // Upstream records the client's keyword arguments; the client merges this one into the body.
    if let Some(Value::Object(extra)) = body.shift_remove("extra_body") {
        body.extend(extra);
    }
    Some(Recorded { file, call, body })
}

/// A stack with one plain provider that has every recorded model.
async fn stack(mock: &Mock, recorded: &[Recorded]) -> Stack {
    let of =
        |call: &str| recorded.iter().filter(|r| r.call == call).map(Recorded::model).collect::<BTreeSet<_>>();
    let registered: Vec<Value> = of("/embeddings")
        .iter()
        .map(|id| {
            json!({"model_id": id, "provider_id": "p", "model_type": "embedding", "metadata": {"embedding_dimension": 1}})
        })
        .collect();
    let config = json!({
        "version": 2,
        "providers": {"inference": [
            {"provider_id": "p", "provider_type": "remote::openai", "config": {"base_url": mock.url, "api_key": "k"}}]},
        "registered_resources": {"models": registered},
    });
    Stack::start(RunConfig::from_yaml(&config.to_string(), "test", &Env::new()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn recorded_bodies_are_reproduced() {
    let shared = std::env::var("RUNNER_SHARED").unwrap_or_else(|_| "../shared".into());
    let folder = PathBuf::from(shared).join("recordings/llama-stack-0.3.0");
    let mut recorded = Vec::new();
    recordings(&folder, &mut recorded);
    if recorded.is_empty() {
        println!("skipped: no recordings in {} (RUNNER_SHARED)", folder.display());
        return;
    }
    let models: BTreeSet<&str> = recorded.iter().map(Recorded::model).collect();
    let models: Vec<&str> = models.into_iter().collect();
    let mock = Mock::new(&models, |_| Json(json!({"data": [], "usage": {}})).into_response()).await;
    let stack = stack(&mock, &recorded).await;
    let mut wrong = Vec::new();
    for one in &recorded {
        let mut body = one.body.clone();
        body.insert("model".into(), format!("p/{}", one.model()).into());
        let (status, answer) = post(&stack, &format!("/v1{}", one.call), &body.into()).await;
        let sent = mock.take().pop().map(|seen| seen.body);
        if sent.as_ref() != Some(&Value::Object(one.body.clone())) {
            wrong.push(format!("{}: {status} {answer}\n  sent {sent:?}", one.file.display()));
        }
    }
    println!("{} recorded bodies", recorded.len());
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        recorded.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
}
