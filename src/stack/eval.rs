//! `/v1alpha/eval`: benchmarks, and evaluations of a model on their rows.
//!
//! As in Llama Stack 0.3.0, a job has run to its end when it is answered with. Candidates are models; agents are
//! not evaluated here.

use super::caller::{self, Caller};
use super::errors::{ApiError, json_response};
use super::evaluation_types::{EVALUATE_ROWS, REGISTER_BENCHMARK, RUN_EVAL};
use super::json::{text, texts};
use super::resources::{self, BENCHMARK};
use super::{Shared, chat, completions, scoring};
use crate::scoring::Row;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The kind of a finished job's result in the store.
const JOB: &str = "eval_job";
/// The second prefix is the older one.
const PREFIXES: [&str; 2] = ["/v1alpha", "/v1"];

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for prefix in PREFIXES {
        let all = format!("{prefix}/eval/benchmarks");
        let one = format!("{all}/{{benchmark_id}}");
        router = router
            .route(&all, resources::all(&BENCHMARK).post(register))
            .route(&one, resources::removable(&BENCHMARK))
            .route(&format!("{one}/evaluations"), post(evaluate))
            .route(&format!("{one}/jobs"), post(run))
            .route(&format!("{one}/jobs/{{job_id}}"), get(status).delete(cancel))
            .route(&format!("{one}/jobs/{{job_id}}/result"), get(result));
    }
    router
}

pub(crate) const LISTED: &[(&str, &str)] = &[
    ("POST", "/v1alpha/eval/benchmarks/{benchmark_id}/evaluations"),
    ("POST", "/v1/eval/benchmarks/{benchmark_id}/evaluations"),
    ("DELETE", "/v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}"),
    ("DELETE", "/v1/eval/benchmarks/{benchmark_id}/jobs/{job_id}"),
    ("GET", "/v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}/result"),
    ("GET", "/v1/eval/benchmarks/{benchmark_id}/jobs/{job_id}/result"),
    ("GET", "/v1alpha/eval/benchmarks/{benchmark_id}/jobs/{job_id}"),
    ("GET", "/v1/eval/benchmarks/{benchmark_id}/jobs/{job_id}"),
    ("POST", "/v1alpha/eval/benchmarks/{benchmark_id}/jobs"),
    ("POST", "/v1/eval/benchmarks/{benchmark_id}/jobs"),
];

async fn register(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&REGISTER_BENCHMARK, &headers, body).await?;
    let given = |name: &str| params.get(name).and_then(Value::as_str);
    let id = given("benchmark_id").unwrap_or_default();
    let provider = shared.chosen_provider(&BENCHMARK, given("provider_id"))?;
    let benchmark = json!({
        "identifier": id,
        "provider_resource_id": given("provider_benchmark_id").unwrap_or(id),
        "provider_id": provider.provider_id,
        "type": BENCHMARK.name,
        "owner": null,
        "source": "via_register_api",
        "dataset_id": params.get("dataset_id"),
        "scoring_functions": params.get("scoring_functions"),
        "metadata": params.get("metadata").filter(|metadata| !metadata.is_null()).unwrap_or(&json!({})),
    });
    shared.register_resource(&BENCHMARK, &benchmark)?;
    Ok(json_response(StatusCode::OK, &Value::Null))
}

async fn evaluate(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&EVALUATE_ROWS, &headers, body).await?;
    shared.served(&BENCHMARK, &id)?;
    let rows = params.get("input_rows").map(scoring::rows).unwrap_or_default();
    let functions = params.get("scoring_functions").unwrap_or(&Value::Null);
    let config = params.get("benchmark_config").unwrap_or(&Value::Null);
    Ok(json_response(StatusCode::OK, &shared.evaluate(rows, functions, config, &caller).await?))
}

async fn run(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&RUN_EVAL, &headers, body).await?;
    let (benchmark, _) = shared.served(&BENCHMARK, &id)?;
    let config = params.get("benchmark_config").unwrap_or(&Value::Null);
    let mut rows = shared.rows(text(&benchmark, "dataset_id"))?;
    if let Some(count) = config.get("num_examples").and_then(Value::as_u64) {
        rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    }
    let functions = benchmark.get("scoring_functions").unwrap_or(&Value::Null);
    let result = shared.evaluate(rows, functions, config, &caller).await?;
    // Numbered from 0, whatever the benchmark.
    let mut number = shared.documents.list(JOB)?.len();
    while !shared.documents.add(JOB, &number.to_string(), &result)? {
        number += 1;
    }
    Ok(job(&number.to_string()))
}

async fn status(
    State(shared): State<Arc<Shared>>,
    Path((benchmark, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.job(&benchmark, &id)?;
    Ok(job(&id))
}

async fn result(
    State(shared): State<Arc<Shared>>,
    Path((benchmark, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.job(&benchmark, &id)?))
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path((benchmark, _)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.served(&BENCHMARK, &benchmark)?;
    Err(ApiError::NotImplemented("Job cancel is not implemented yet".into()))
}

fn job(id: &str) -> Response {
    json_response(StatusCode::OK, &json!({"job_id": id, "status": "completed"}))
}

impl Shared {
    /// The result of a job.
    fn job(&self, benchmark: &str, id: &str) -> Result<Value, ApiError> {
        self.served(&BENCHMARK, benchmark)?;
        self.documents.get(JOB, id)?.ok_or_else(|| ApiError::Value(format!("Job {id} not found")))
    }

    /// Has the candidate answer every row, and scores its answers.
    async fn evaluate(
        self: &Arc<Self>,
        rows: Vec<Row>,
        functions: &Value,
        config: &Value,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let candidate = config.get("eval_candidate").unwrap_or(&Value::Null);
        if text(candidate, "type") != "model" {
            return Err(ApiError::NotImplemented("the in-process stack does not evaluate agents".into()));
        }
        let mut generations = Vec::with_capacity(rows.len());
        let mut scored = Vec::with_capacity(rows.len());
        for mut row in rows {
            let answer = self.generate(&row, candidate, caller).await?;
            generations.push(json!({"generated_answer": answer}));
            row.insert("generated_answer".into(), answer);
            scored.push(row);
        }
        let names = texts(functions);
        let params = config.get("scoring_params");
        let functions: Map<String, Value> = names
            .map(|name| {
                let given = params.and_then(|params| params.get(name)).cloned();
                (name.to_owned(), given.unwrap_or_default())
            })
            .collect();
        let scores = self.score(&scored, &functions, caller).await?;
        Ok(json!({"generations": generations, "scores": scores}))
    }

    /// What a model answers to a row.
    async fn generate(
        self: &Arc<Self>,
        row: &Row,
        candidate: &Value,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let sampling = candidate.get("sampling_params").unwrap_or(&Value::Null);
        let mut request = Map::new();
        request.insert("model".into(), candidate.get("model").cloned().unwrap_or_default());
        let max_tokens = match sampling.get("max_tokens") {
            Some(Value::Null) => {
                return Err(ApiError::Internal("SamplingParams.max_tokens must be provided".into()));
            }
            given => given.cloned().unwrap_or_else(|| 0.into()),
        };
        request.insert("max_tokens".into(), max_tokens);
        if let Some(prompt) = row.get("completion_input") {
            if let Some(stop) =
                sampling.get("stop").filter(|stop| stop.as_array().is_some_and(|s| !s.is_empty()))
            {
                request.insert("stop".into(), stop.clone());
            }
            request.insert("prompt".into(), json_text(prompt)?);
            let answer = completions::complete(self, caller, &request.into()).await?;
            return Ok(answer.pointer("/choices/0/text").cloned().unwrap_or_default());
        }
        let Some(conversation) = row.get("chat_completion_input") else {
            return Err(ApiError::Value("Invalid input row".into()));
        };
        let conversation = json_text(conversation)?;
        let of = |role: &'static str| {
            let messages = conversation.as_array().into_iter().flatten();
            messages.filter(move |message| text(message, "role") == role).cloned()
        };
        let instruction = candidate.get("system_message").filter(|message| !message.is_null()).cloned();
        let messages: Vec<Value> = instruction.into_iter().chain(of("system")).chain(of("user")).collect();
        request.insert("messages".into(), messages.into());
        let answer = chat::complete(self, caller, &request.into()).await?;
        Ok(answer.pointer("/choices/0/message/content").cloned().unwrap_or_default())
    }
}

/// The JSON that a cell of a row holds as a text.
fn json_text(cell: &Value) -> Result<Value, ApiError> {
    let text = cell.as_str().ok_or_else(|| ApiError::Internal("a conversation is no text".into()))?;
    serde_json::from_str(text).map_err(|error| ApiError::Value(format!("a conversation is no JSON: {error}")))
}
