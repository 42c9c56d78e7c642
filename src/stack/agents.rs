//! `/v1alpha/agents`, and the older `/v1/agents`: agents, their sessions and turns.

use super::agent_turn::{self, Continuation};
use super::agent_types::{CREATE, RESUME, SESSION, TURN};
use super::caller::{self, Caller};
use super::errors::{ApiError, json_response};
use super::events::truthy;
use super::json::text;
use super::pages::{self, POSITION_QUERY};
use super::{Shared, relay, responses};
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{self, get, post};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// With the Responses API, which is a part of this one.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    ["/v1alpha", "/v1"].iter().fold(responses::routes(), |router, prefix| {
        let agents = format!("{prefix}/agents");
        let session = format!("{agents}/{{agent_id}}/session");
        let turn = format!("{session}/{{session_id}}/turn");
        router
            .route(&agents, get(list).post(create))
            .route(&format!("{agents}/{{agent_id}}"), get(get_agent).delete(delete))
            .route(&format!("{agents}/{{agent_id}}/sessions"), get(list_sessions))
            .route(&session, post(create_session))
            .route(&format!("{session}/{{session_id}}"), get(get_session).delete(delete_session))
            .route(&turn, post(create_turn))
            .route(&format!("{turn}/{{turn_id}}"), get(get_turn))
            .route(&format!("{turn}/{{turn_id}}/resume"), post(resume_turn))
            .route(&format!("{turn}/{{turn_id}}/step/{{step_id}}"), routing::get(get_step))
    })
}

/// As `/v1/inspect/routes` lists them.
pub(crate) const LISTED: &[(&str, &str)] = &[
    ("POST", "/v1alpha/agents"),
    ("POST", "/v1/agents"),
    ("POST", "/v1alpha/agents/{agent_id}/session"),
    ("POST", "/v1/agents/{agent_id}/session"),
    ("POST", "/v1alpha/agents/{agent_id}/session/{session_id}/turn"),
    ("POST", "/v1/agents/{agent_id}/session/{session_id}/turn"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/openai/v1/responses"),
    ("DELETE", "/v1alpha/agents/{agent_id}"),
    ("DELETE", "/v1/agents/{agent_id}"),
    ("DELETE", "/v1alpha/agents/{agent_id}/session/{session_id}"),
    ("DELETE", "/v1/agents/{agent_id}/session/{session_id}"),
    ("DELETE", "/v1/responses/{response_id}"),
    ("DELETE", "/v1/openai/v1/responses/{response_id}"),
    ("GET", "/v1alpha/agents/{agent_id}"),
    ("GET", "/v1/agents/{agent_id}"),
    ("GET", "/v1alpha/agents/{agent_id}/session/{session_id}"),
    ("GET", "/v1/agents/{agent_id}/session/{session_id}"),
    ("GET", "/v1alpha/agents/{agent_id}/session/{session_id}/turn/{turn_id}/step/{step_id}"),
    ("GET", "/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}/step/{step_id}"),
    ("GET", "/v1alpha/agents/{agent_id}/session/{session_id}/turn/{turn_id}"),
    ("GET", "/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}"),
    ("GET", "/v1/responses/{response_id}"),
    ("GET", "/v1/openai/v1/responses/{response_id}"),
    ("GET", "/v1alpha/agents/{agent_id}/sessions"),
    ("GET", "/v1/agents/{agent_id}/sessions"),
    ("GET", "/v1alpha/agents"),
    ("GET", "/v1/agents"),
    ("GET", "/v1/responses/{response_id}/input_items"),
    ("GET", "/v1/openai/v1/responses/{response_id}/input_items"),
    ("GET", "/v1/responses"),
    ("GET", "/v1/openai/v1/responses"),
    ("POST", "/v1alpha/agents/{agent_id}/session/{session_id}/turn/{turn_id}/resume"),
    ("POST", "/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}/resume"),
];

const AGENT: &str = "agent";

fn sessions_of(agent: &str) -> String {
    format!("agent_session/{agent}")
}

fn turns_of(agent: &str, session: &str) -> String {
    format!("agent_turn/{agent}/{session}")
}

/// The present moment as upstream writes it.
pub(crate) fn moment() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

impl Shared {
    fn agent(&self, id: &str) -> Result<Value, ApiError> {
        let found = self.documents.get(AGENT, id)?;
        found.ok_or_else(|| ApiError::Value(format!("Could not find agent info for {id}")))
    }

    /// An agent's configuration.
    pub(crate) fn agent_config(&self, id: &str) -> Result<Value, ApiError> {
        Ok(self.agent(id)?["agent_config"].take())
    }

    fn session(&self, agent: &str, id: &str) -> Result<Value, ApiError> {
        let found = self.documents.get(&sessions_of(agent), id)?;
        found.ok_or_else(|| ApiError::Value(format!("Session '{id}' not found or access denied.")))
    }

    /// The turns of a session, by the time they began.
    pub(crate) fn turns(&self, agent: &str, session: &str) -> Result<Vec<Value>, ApiError> {
        self.session(agent, session)?;
        let mut turns = self.documents.list(&turns_of(agent, session))?;
        turns.sort_by_key(|turn| text(turn, "started_at").to_owned());
        Ok(turns)
    }

    pub(crate) fn put_turn(&self, agent: &str, session: &str, turn: &Value) -> Result<(), ApiError> {
        Ok(self.documents.put(&turns_of(agent, session), text(turn, "turn_id"), turn)?)
    }

    /// A turn; null when there is none.
    fn turn(&self, agent: &str, session: &str, id: &str) -> Result<Value, ApiError> {
        self.agent(agent)?;
        self.session(agent, session)?;
        Ok(self.documents.get(&turns_of(agent, session), id)?.unwrap_or_default())
    }

    fn remove_session(&self, agent: &str, id: &str) -> Result<(), ApiError> {
        for turn in self.turns(agent, id)? {
            self.documents.remove(&turns_of(agent, id), text(&turn, "turn_id"))?;
        }
        self.documents.remove(&sessions_of(agent), id)?;
        Ok(())
    }
}

/// Fills in the objects that are there by default, before the configuration is checked.
fn with_defaults(mut params: Map<String, Value>) -> Map<String, Value> {
    if let Some(config) = params.get_mut("agent_config").and_then(Value::as_object_mut) {
        let sampling = config.entry("sampling_params").or_insert_with(|| json!({}));
        if let Some(sampling) = sampling.as_object_mut() {
            let strategy = sampling.entry("strategy").or_insert_with(|| json!({"type": "greedy"}));
            if text(strategy, "type") == "top_p"
                && let Some(strategy) = strategy.as_object_mut()
            {
                strategy.entry("top_p").or_insert(0.95.into());
            }
        }
        if config.get("tool_config").is_none_or(Value::is_null) {
            let mut tool_config = Map::new();
            for name in ["tool_choice", "tool_prompt_format"] {
                let given = config.get(name).filter(|value| !value.is_null());
                tool_config.extend(given.map(|value| (name.to_owned(), value.clone())));
            }
            config.insert("tool_config".into(), tool_config.into());
        }
    }
    params
}

async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut params = caller::completed_body(&CREATE, &headers, body, with_defaults).await?;
    let config = params.remove("agent_config").unwrap_or_default();
    let id = Uuid::new_v4().to_string();
    let agent = json!({"agent_id": id, "agent_config": config, "created_at": moment()});
    shared.documents.put(AGENT, &id, &agent)?;
    Ok(json_response(StatusCode::OK, &json!({"agent_id": id})))
}

async fn get_agent(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.agent(&id)?))
}

async fn list(
    State(shared): State<Arc<Shared>>,
    path: MatchedPath,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let mut agents = shared.documents.list(AGENT)?;
    agents.sort_by_key(|agent| text(agent, "agent_id").to_owned());
    Ok(pages::at_positions(agents, &caller::query(&POSITION_QUERY, query)?, path.as_str()))
}

async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    shared.agent(&id)?;
    for session in shared.documents.list(&sessions_of(&id))? {
        shared.remove_session(&id, text(&session, "session_id"))?;
    }
    shared.documents.remove(AGENT, &id)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list_sessions(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    path: MatchedPath,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    shared.agent(&id)?;
    let mut sessions = shared.documents.list(&sessions_of(&id))?;
    sessions.sort_by_key(|session| text(session, "session_id").to_owned());
    Ok(pages::at_positions(sessions, &caller::query(&POSITION_QUERY, query)?, path.as_str()))
}

async fn create_session(
    State(shared): State<Arc<Shared>>,
    Path(agent): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&SESSION, &headers, body).await?;
    shared.agent(&agent)?;
    let id = Uuid::new_v4().to_string();
    let session = json!({
        "session_id": id, "session_name": params["session_name"], "turns": [], "started_at": moment()});
    shared.documents.put(&sessions_of(&agent), &id, &session)?;
    Ok(json_response(StatusCode::OK, &json!({"session_id": id})))
}

async fn get_session(
    State(shared): State<Arc<Shared>>,
    Path((agent, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.agent(&agent)?;
    let mut session = shared.session(&agent, &id)?;
    session["turns"] = shared.turns(&agent, &id)?.into();
    Ok(json_response(StatusCode::OK, &session))
}

async fn delete_session(
    State(shared): State<Arc<Shared>>,
    Path((agent, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    shared.agent(&agent)?;
    shared.remove_session(&agent, &id)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

const AT_ONCE: &str = "Non-streaming agent turns not yet implemented";

async fn create_turn(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((agent, session)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&TURN, &headers, body).await?;
    if !params.get("stream").is_some_and(truthy) {
        return Err(ApiError::NotImplemented(AT_ONCE.into()));
    }
    let place = agent_turn::Place { agent, session };
    Ok(relay::written(|events| agent_turn::run(shared, caller, place, Continuation::New(params), events)))
}

async fn resume_turn(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((agent, session, turn)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut params = caller::body(&RESUME, &headers, body).await?;
    if !params.get("stream").is_some_and(truthy) {
        return Err(ApiError::NotImplemented(AT_ONCE.into()));
    }
    let responses = params.remove("tool_responses").unwrap_or_default();
    let place = agent_turn::Place { agent, session };
    let resumed = Continuation::Resumed { turn, responses };
    Ok(relay::written(|events| agent_turn::run(shared, caller, place, resumed, events)))
}

async fn get_turn(
    State(shared): State<Arc<Shared>>,
    Path((agent, session, id)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.turn(&agent, &session, &id)?))
}

async fn get_step(
    State(shared): State<Arc<Shared>>,
    Path((agent, session, turn, id)): Path<(String, String, String, String)>,
) -> Result<Response, ApiError> {
    let turn = shared.turn(&agent, &session, &turn)?;
    if turn.is_null() {
        return Err(ApiError::Internal("there is no such turn".into()));
    }
    let steps = turn["steps"].as_array().into_iter().flatten();
    match steps.into_iter().find(|step| text(step, "step_id") == id) {
        Some(step) => Ok(json_response(StatusCode::OK, &json!({"step": step}))),
        None => Err(ApiError::Value(format!("Provided step_id {id} could not be found"))),
    }
}
