//! `/v1/scoring` and `/v1/scoring-functions`.
//!
//! Parameters given with a request count for it alone; in Llama Stack they stay for all later requests.

use super::caller::{self, Caller};
use super::errors::{ApiError, json_response};
use super::evaluation_types::{REGISTER_SCORING_FUNCTION, SCORE, SCORE_BATCH};
use super::json::text;
use super::resources::{self, DATASET, SCORING_FUNCTION};
use super::{Shared, chat};
use crate::scoring::{self, Judge, Row, Unscored};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const JUDGE: &str = "inline::llm-as-judge";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/scoring/score", post(score))
        .route("/v1/scoring/score-batch", post(score_batch))
        .route("/v1/scoring-functions", resources::all(&SCORING_FUNCTION).post(register))
        .route("/v1/scoring-functions/{*scoring_fn_id}", resources::one(&SCORING_FUNCTION).delete(unregister))
}

pub(crate) const LISTED: &[(&str, &str)] =
    &[("POST", "/v1/scoring/score"), ("POST", "/v1/scoring/score-batch")];

async fn unregister(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let function = shared.resource(&SCORING_FUNCTION, &id)?;
    let provider = shared.provider(&SCORING_FUNCTION, text(&function, "provider_id"))?;
    shared.unregister(&SCORING_FUNCTION, &id)?;
    if provider.provider_type != JUDGE {
        // As there, the function is gone nevertheless.
        let cause = format!("{} cannot unregister a scoring function", provider.provider_type);
        return Err(ApiError::Internal(cause));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn register(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&REGISTER_SCORING_FUNCTION, &headers, body).await?;
    let given = |name: &str| params.get(name).and_then(Value::as_str);
    let id = given("scoring_fn_id").unwrap_or_default();
    let provider = shared.chosen_provider(&SCORING_FUNCTION, given("provider_id"))?;
    if provider.provider_type != JUDGE {
        return Err(ApiError::NotImplemented("Register scoring function not implemented yet".into()));
    }
    if scoring::is_built_in(id) || shared.find_resource(&SCORING_FUNCTION, id)?.is_some() {
        let text = format!("Scoring function def with identifier {id} already exists.");
        return Err(ApiError::Value(text));
    }
    let function = json!({
        "identifier": id,
        "provider_resource_id": given("provider_scoring_fn_id").unwrap_or(id),
        "provider_id": provider.provider_id,
        "type": SCORING_FUNCTION.name,
        "owner": null,
        "source": "via_register_api",
        "description": params.get("description"),
        "metadata": {},
        "return_type": params.get("return_type"),
        "params": params.get("params"),
    });
    shared.register_resource(&SCORING_FUNCTION, &function)?;
    Ok(json_response(StatusCode::OK, &Value::Null))
}

async fn score(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&SCORE, &headers, body).await?;
    let rows: Vec<Row> = params.get("input_rows").map(rows).unwrap_or_default();
    let functions = params.get("scoring_functions").and_then(Value::as_object).cloned().unwrap_or_default();
    let results = shared.score(&rows, &functions, &caller).await?;
    Ok(json_response(StatusCode::OK, &json!({"results": results})))
}

/// Llama Stack 0.3.0 looks for a schema that its datasets no longer have, so that every call fails; for want of
/// another authority, so does this.
async fn score_batch(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&SCORE_BATCH, &headers, body).await?;
    let functions = params.get("scoring_functions").and_then(Value::as_object);
    if let Some(function) = functions.and_then(|functions| functions.keys().next()) {
        shared.served(&SCORING_FUNCTION, function)?;
        shared.resource(&DATASET, params.get("dataset_id").and_then(Value::as_str).unwrap_or_default())?;
        return Err(ApiError::Internal("a dataset has no `dataset_schema`, as in Llama Stack 0.3.0".into()));
    }
    if params.get("save_results_dataset") == Some(&Value::Bool(true)) {
        return Err(ApiError::NotImplemented("Save results dataset not implemented yet".into()));
    }
    Ok(json_response(StatusCode::OK, &json!({"dataset_id": null, "results": {}})))
}

/// The objects of a list.
pub(crate) fn rows(list: &Value) -> Vec<Row> {
    list.as_array().into_iter().flatten().filter_map(Value::as_object).cloned().collect()
}

impl From<Unscored> for ApiError {
    fn from(unscored: Unscored) -> Self {
        match unscored {
            Unscored::Unfit(cause) => Self::Internal(cause),
            Unscored::NotImplemented(text) => Self::NotImplemented(text),
        }
    }
}

impl Shared {
    /// Registers what the scoring providers bring along.
    pub(crate) fn add_scoring_functions(&self) -> Result<(), rusqlite::Error> {
        for provider in self.providers_of(SCORING_FUNCTION.api) {
            for function in scoring::definitions(&provider.provider_type, &provider.provider_id) {
                self.documents.put(SCORING_FUNCTION.name, text(&function, "identifier"), &function)?;
            }
        }
        Ok(())
    }

    /// Scores rows with each of these functions, given with its parameters or null.
    pub(crate) async fn score(
        self: &Arc<Self>,
        rows: &[Row],
        functions: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let mut results = Map::new();
        for (name, given) in functions {
            let (function, provider) = self.served(&SCORING_FUNCTION, name)?;
            let params = if given.is_null() { function.get("params").unwrap_or(given) } else { given };
            let scores = if provider.provider_type == JUDGE {
                self.judged(rows, params, caller).await?
            } else {
                let unsupported = || ApiError::Value(format!("Scoring function {name} is not supported."));
                let scorer = scoring::scorer(name)?.ok_or_else(unsupported)?;
                rows.iter().map(|row| scorer(row, params)).collect::<Result<_, _>>()?
            };
            let aggregated = scoring::aggregated(&scores, params)?;
            results.insert(name.clone(), json!({"score_rows": scores, "aggregated_results": aggregated}));
        }
        Ok(results.into())
    }

    /// Asks a model about each row, one after the other.
    async fn judged(
        self: &Arc<Self>,
        rows: &[Row],
        params: &Value,
        caller: &Caller,
    ) -> Result<Vec<Row>, ApiError> {
        let judge = Judge::new(params)?;
        let mut scores = Vec::with_capacity(rows.len());
        for row in rows {
            let prompt = judge.prompt(row)?;
            let request = json!({"model": judge.model, "messages": [{"role": "user", "content": prompt}]});
            let answer = chat::complete(self, caller, &request).await?;
            let content = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
            let content = content.ok_or_else(|| ApiError::Internal("the judge said nothing".into()))?;
            scores.push(scoring::rating(params, content)?);
        }
        Ok(scores)
    }
}
