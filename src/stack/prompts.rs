//! `/v1/prompts`: prompt templates with their versions.
//!
//! A prompt is one document: its versions in order, and which of them is meant when none is named.

use super::caller;
use super::errors::{ApiError, Issue, json_response};
use super::fields::{Extra, Model, Need, STR_LIST, Ty, absent, body, optional, required};
use super::{Shared, python};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

const KIND: &str = "prompt";

static CREATE: Model = body(&[required("prompt", Ty::Str), optional("variables", STR_LIST)], Extra::Drop);
static UPDATE: Model = body(
    &[
        required("prompt", Ty::Str),
        required("version", Ty::Int),
        optional("variables", STR_LIST),
        absent("set_as_default", Ty::Bool, Need::Absent),
    ],
    Extra::Drop,
);
static SET_DEFAULT: Model = body(&[required("version", Ty::Int)], Extra::Drop);
static VERSION: Model = body(&[optional("version", Ty::Int)], Extra::Drop);

/// The routes. Llama Stack serves prompts whatever the configuration, and lists none of these routes.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/prompts", get(list).post(create))
        .route("/v1/prompts/{prompt_id}", get(retrieve).post(update).delete(remove))
        .route("/v1/prompts/{prompt_id}/versions", get(versions))
        .route("/v1/prompts/{prompt_id}/set-default-version", post(set_default))
}

/// A template and the names of what it leaves open.
struct Template {
    prompt: Value,
    variables: Value,
}

impl Template {
    /// Every variable of the text must be declared.
    fn new(params: &Map<String, Value>) -> Result<Self, ApiError> {
        static VARIABLE: LazyLock<Result<Regex, regex::Error>> =
            LazyLock::new(|| Regex::new(r"\{\{\s*(\w+)\s*\}\}"));
        let variable = VARIABLE.as_ref().map_err(|error| ApiError::Internal(error.to_string()))?;
        let prompt = params.get("prompt").and_then(Value::as_str).unwrap_or_default();
        let variables = params.get("variables").and_then(Value::as_array).cloned().unwrap_or_default();
        let used: BTreeSet<&str> = variable
            .captures_iter(prompt)
            .filter_map(|found| found.get(1))
            .map(|name| name.as_str())
            .collect();
        let undeclared: Vec<Value> = used
            .into_iter()
            .filter(|name| !variables.iter().any(|declared| declared == name))
            .map(Value::from)
            .collect();
        if undeclared.is_empty() {
            return Ok(Self { prompt: prompt.into(), variables: variables.into() });
        }
        let undeclared = python::repr(&undeclared.into());
        let message = format!("Value error, Prompt contains undeclared variables: {undeclared}");
        Err(ApiError::Issues(vec![Issue::new(&[], message, "value_error")]))
    }

    fn into_version(self) -> Value {
        json!({"prompt": self.prompt, "variables": self.variables})
    }
}

/// A version as it is shown. Which one is the default shows in the list of versions alone, as upstream has it.
fn shown(document: &Value, version: i64, is_default: bool) -> Option<Value> {
    let stored = document["versions"].get(usize::try_from(version - 1).ok()?)?;
    Some(json!({
        "prompt": stored["prompt"],
        "version": version,
        "prompt_id": document["prompt_id"],
        "variables": stored["variables"],
        "is_default": is_default,
    }))
}

fn default_of(document: &Value) -> i64 {
    document["default"].as_i64().unwrap_or(1)
}

fn latest_of(document: &Value) -> i64 {
    document["versions"].as_array().map_or(0, |versions| i64::try_from(versions.len()).unwrap_or(i64::MAX))
}

async fn list(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let mut documents = shared.documents.list(KIND)?;
    documents.sort_by(|a, b| b["prompt_id"].as_str().cmp(&a["prompt_id"].as_str()));
    let data: Vec<Value> =
        documents.iter().filter_map(|document| shown(document, default_of(document), false)).collect();
    Ok(json_response(StatusCode::OK, &json!({"data": data})))
}

async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&CREATE, &headers, body).await?;
    let version = Template::new(&params)?.into_version();
    // 48 hexadecimal digits.
    let (a, b) = (uuid::Uuid::new_v4().simple().to_string(), uuid::Uuid::new_v4().simple().to_string());
    let id = format!("pmpt_{a}{}", &b[..16]);
    let document = json!({"prompt_id": id, "default": 1, "versions": [version]});
    shared.documents.put(KIND, &id, &document)?;
    respond(shown(&document, 1, false))
}

async fn retrieve(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&VERSION, query)?;
    let version = query.get("version").and_then(Value::as_i64).filter(|version| *version != 0);
    let missing = || {
        let version = version.map_or_else(|| "default".to_owned(), |version| version.to_string());
        ApiError::Value(format!("Prompt {id}:{version} not found"))
    };
    let document = shared.documents.get(KIND, &id)?.ok_or_else(missing)?;
    let version = version.unwrap_or_else(|| default_of(&document));
    respond(Some(shown(&document, version, false).ok_or_else(missing)?))
}

async fn versions(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let document = shared.documents.get(KIND, &id)?.ok_or_else(|| unknown(&id))?;
    let one = |version| shown(&document, version, version == default_of(&document));
    let data: Vec<Value> = (1..=latest_of(&document)).filter_map(one).collect();
    Ok(json_response(StatusCode::OK, &json!({"data": data})))
}

async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&UPDATE, &headers, body).await?;
    let version = params.get("version").and_then(Value::as_i64).unwrap_or_default();
    if version < 1 {
        return Err(ApiError::Value("Version must be >= 1".into()));
    }
    let set_as_default = params.get("set_as_default") != Some(&Value::Bool(false));
    let updated = shared.documents.update(KIND, &id, |document| {
        let latest = latest_of(document);
        if latest != version {
            return Err(ApiError::Value(format!(
                "'{version}' is not the latest prompt version for prompt_id='{id}'. Use the latest version \
                 '{latest}' in request."
            )));
        }
        let new = Template::new(&params)?.into_version();
        if let Some(versions) = document["versions"].as_array_mut() {
            versions.push(new);
        }
        if set_as_default {
            document["default"] = (version + 1).into();
        }
        Ok(shown(document, version + 1, false))
    })?;
    respond(updated.ok_or_else(|| unknown(&id))??)
}

async fn set_default(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&SET_DEFAULT, &headers, body).await?;
    let version = params.get("version").and_then(Value::as_i64).unwrap_or_default();
    let set = shared.documents.update(KIND, &id, |document| {
        let chosen = shown(document, version, false);
        if chosen.is_some() {
            document["default"] = version.into();
        }
        chosen
    })?;
    let missing = || ApiError::Value(format!("Prompt {id} version {version} not found"));
    respond(Some(set.flatten().ok_or_else(missing)?))
}

async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    if shared.documents.remove(KIND, &id)? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(ApiError::Value(format!("Prompt {id}:default not found")))
}

fn unknown(id: &str) -> ApiError {
    ApiError::Value(format!("Prompt {id} not found"))
}

fn respond(prompt: Option<Value>) -> Result<Response, ApiError> {
    let prompt = prompt.ok_or_else(|| ApiError::Internal("a version that was just stored is gone".into()))?;
    Ok(json_response(StatusCode::OK, &prompt))
}

#[cfg(test)]
mod tests {
    use super::super::mock::{self, send};
    use super::super::{RunConfig, Stack};
    use super::*;

    async fn stack() -> Stack {
        Stack::start(RunConfig::distribution("starter", &BTreeMap::new()).unwrap()).await.unwrap()
    }

    async fn created(stack: &Stack, text: &str) -> String {
        let (_, answer) =
            mock::post(stack, "/v1/prompts", &json!({"prompt": text, "variables": ["x"]})).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["prompt_id"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn versions_are_counted_and_one_is_the_default() {
        let stack = stack().await;
        let id = created(&stack, "one {{ x }}").await;
        assert!(id.strip_prefix("pmpt_").is_some_and(|hex| hex.len() == 48), "{id}");
        let path = format!("/v1/prompts/{id}");
        let one = format!(
            r#"{{"prompt":"one {{{{ x }}}}","version":1,"prompt_id":"{id}","variables":["x"],"is_default":false}}"#
        );
        let two =
            format!(r#"{{"prompt":"two","version":2,"prompt_id":"{id}","variables":[],"is_default":false}}"#);
        assert_eq!(mock::get(&stack, &path).await, (200, one.clone()));
        let update = json!({"prompt": "two", "version": 1});
        assert_eq!(mock::post(&stack, &path, &update).await, (200, two.clone()));
        let stale = format!(
            "Invalid value: '1' is not the latest prompt version for prompt_id='{id}'. Use the latest version '2' in \
             request."
        );
        assert_eq!(mock::post(&stack, &path, &update).await, (400, json!({"detail": stale}).to_string()));
        assert_eq!(mock::get(&stack, &path).await, (200, two.clone()));
        let all = format!(r#"{{"data":[{one},{}]}}"#, two.replace("false", "true"));
        assert_eq!(mock::get(&stack, &format!("{path}/versions")).await, (200, all));
        let first = json!({"version": 1});
        assert_eq!(
            mock::post(&stack, &format!("{path}/set-default-version"), &first).await,
            (200, one.clone())
        );
        assert_eq!(mock::get(&stack, "/v1/prompts").await, (200, format!(r#"{{"data":[{one}]}}"#)));
        assert_eq!(send(&stack, "DELETE", &path, &[], None).await.status(), 204);
        let gone = json!({"detail": format!("Invalid value: Prompt {id}:default not found")}).to_string();
        assert_eq!(mock::get(&stack, &path).await, (400, gone));
    }

    #[tokio::test]
    async fn undeclared_variables_are_named() {
        let stack = stack().await;
        let prompt = json!({"prompt": "{{ b }} {{x}} {{ a}}", "variables": ["x"]});
        assert_eq!(
            mock::post(&stack, "/v1/prompts", &prompt).await,
            (400, r#"{"detail":{"errors":[{"loc":[],"msg":"Value error, Prompt contains undeclared variables: ['a', 'b']","type":"value_error"}]}}"#.into())
        );
    }
}
