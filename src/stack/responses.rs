//! `/v1/responses`: making responses, and those that were made.

use super::Shared;
use super::caller::{self, Caller};
use super::errors::{ApiError, json_response};
use super::events::truthy;
use super::json::text;
use super::pages::{self, Page, STORED_QUERY};
use super::response_types::{INPUT_ITEMS_QUERY, RESPONSE};
use super::routes::PREFIXES;
use super::time::now;
use super::{relay, responding};
use crate::responses::{Run, Setup, Toolbox, input};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    PREFIXES.iter().fold(Router::new(), |router, prefix| {
        router
            .route(&format!("{prefix}/responses"), routing::get(list).post(create))
            .route(&format!("{prefix}/responses/{{response_id}}"), routing::get(get).delete(delete))
            .route(&format!("{prefix}/responses/{{response_id}}/input_items"), routing::get(input_items))
    })
}

const DEFAULT_PAGE: i64 = 50;
const DEFAULT_ITEMS: i64 = 20;

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&RESPONSE, &headers, body).await?;
    let streamed = params.get("stream").is_some_and(truthy);
    let make = |events| make(shared, caller, params, events);
    if streamed {
        return Ok(relay::written(make));
    }
    Ok(json_response(StatusCode::OK, &last(make).await?))
}

/// The response of the last event.
async fn last<F: Future<Output = Result<(), ApiError>>>(
    make: impl FnOnce(mpsc::Sender<Value>) -> F,
) -> Result<Value, ApiError> {
    let (sender, mut events) = mpsc::channel(relay::AHEAD);
    let taken = async {
        let mut last = None;
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
        last
    };
    let (made, last) = futures_util::future::join(make(sender), taken).await;
    made?;
    let Some(mut event) = last else {
        return Err(ApiError::Value("The response stream never reached a terminal state".into()));
    };
    match text(&event, "type") {
        "response.completed" | "response.incomplete" => Ok(event["response"].take()),
        "response.failed" => {
            let message = event.pointer("/response/error/message").and_then(Value::as_str);
            Err(ApiError::Internal(format!("OpenAI response failed: {}", message.unwrap_or_default())))
        }
        _ => Err(ApiError::Value("The response stream never reached a terminal state".into())),
    }
}

/// Makes a response and sends its events. The last one is sent when the response is stored.
async fn make(
    shared: Arc<Shared>,
    caller: Caller,
    params: Map<String, Value>,
    events: mpsc::Sender<Value>,
) -> Result<(), ApiError> {
    let prepared = shared.prepare(&params)?;
    let guardrails = params.get("guardrails").and_then(Value::as_array).into_iter().flatten();
    let guardrails: Vec<&str> =
        guardrails.map(|guardrail| guardrail.as_str().unwrap_or_else(|| text(guardrail, "type"))).collect();
    let mut run = Run::new(Setup {
        model: params["model"].as_str().unwrap_or_default().to_owned(),
        created_at: now(),
        instructions: params["instructions"].clone(),
        text: match &params["text"] {
            Value::Null => json!({"format": {"type": "text"}}),
            given => given.clone(),
        },
        temperature: params["temperature"].clone(),
        messages: prepared.messages,
        toolbox: prepared.toolbox,
        max_infer_iters: params["max_infer_iters"].as_i64().unwrap_or(10),
        guarded: !guardrails.is_empty(),
        new_id: Box::new(|prefix| format!("{prefix}{}", uuid::Uuid::new_v4())),
    });
    let mut sent = responding::Sent::new(events);
    let last = responding::respond(&shared, &caller, &mut run, &guardrails, &mut sent).await?;
    if matches!(text(&last, "type"), "response.completed" | "response.incomplete") {
        let messages: Vec<&Value> =
            run.messages.iter().filter(|message| text(message, "role") != "system").collect();
        if params.get("store").is_none_or(truthy) {
            shared.store_response(&last["response"], &prepared.input, &messages)?;
        }
        if let Some(conversation) = params["conversation"].as_str() {
            let mut items = as_items(&params["input"]);
            items.append(&mut sent.done);
            shared.add_to_conversation(conversation, &items)?;
            shared.store_conversation_messages(conversation, &messages)?;
        }
    }
    sent.send(last).await;
    Ok(())
}

/// An input as items; a text is a message of the user's.
pub(crate) fn as_items(input: &Value) -> Vec<Value> {
    match input {
        Value::Array(items) => items.clone(),
        input => {
            let content = json!([{"text": input, "type": "input_text"}]);
            vec![json!({"content": content, "role": "user", "type": "message", "id": null, "status": null})]
        }
    }
}

struct Prepared {
    /// What is stored as the input, with that of the responses before.
    input: Value,
    messages: Vec<Value>,
    toolbox: Toolbox,
}

impl Shared {
    /// The chat to begin with: what was said before, the input, the instructions.
    fn prepare(&self, params: &Map<String, Value>) -> Result<Prepared, ApiError> {
        let unusable = |error: input::InputError| match error {
            input::InputError::Item(_) => ApiError::Internal(error.to_string()),
            _ => ApiError::Value(error.to_string()),
        };
        let (input, previous) = (&params["input"], params["previous_response_id"].as_str());
        let conversation = params["conversation"].as_str();
        if let Some(conversation) = conversation {
            if previous.is_some() {
                return Err(ApiError::Value(
                    "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only \
                     providing one of these parameters."
                        .into(),
                ));
            }
            if !conversation.starts_with("conv_") {
                return Err(ApiError::Value(format!(
                    "Invalid conversation ID '{conversation}'. Expected an ID that begins with 'conv_'."
                )));
            }
        }
        let (mut all, mut messages, mut recovered) = (input.clone(), Vec::new(), None);
        if let Some(previous) = previous.filter(|id| !id.is_empty()) {
            let previous = self.stored_response(previous)?;
            let mut items = previous["input"].as_array().cloned().unwrap_or_default();
            items.extend(previous["output"].as_array().cloned().unwrap_or_default());
            match input {
                Value::Array(new) => items.extend(new.iter().cloned()),
                text => items.push(
                    json!({"content": text, "role": "user", "type": "message", "id": null, "status": null}),
                ),
            }
            messages = previous["messages"].as_array().cloned().unwrap_or_default();
            all = items.into();
            recovered = Some(previous);
        } else if let Some(conversation) = conversation {
            let mut items = self.conversation_items(conversation, true)?;
            if !items.is_empty() {
                messages = self.conversation_messages(conversation)?;
                if messages.is_empty() {
                    items.extend(as_items(input));
                    all = items.into();
                }
            }
        }
        // Messages stored before say it all; without them the items have to.
        let to_convert = if messages.is_empty() { &all } else { input };
        let new = input::messages(to_convert, &messages).map_err(unusable)?;
        messages.extend(new);
        if let Some(instructions) = params["instructions"].as_str().filter(|text| !text.is_empty()) {
            messages.insert(0, json!({"role": "system", "content": instructions}));
        }
        let mut toolbox = Toolbox::new(&params["tools"], &all);
        if let Some(previous) = recovered {
            toolbox.recover(&previous);
        }
        Ok(Prepared { input: all, messages, toolbox })
    }
}

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let mut response = shared.stored_response(&id)?;
    if let Some(response) = response.as_object_mut() {
        response.shift_remove("input");
        response.shift_remove("messages");
    }
    Ok(json_response(StatusCode::OK, &response))
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&STORED_QUERY, query)?;
    let (data, has_more) = shared.stored_responses(&Page::of(&query, DEFAULT_PAGE))?;
    Ok(pages::stored(&data, has_more))
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    shared.delete_response(&id)?;
    Ok(json_response(StatusCode::OK, &json!({"id": id, "object": "response", "deleted": true})))
}

pub(crate) async fn input_items(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&INPUT_ITEMS_QUERY, query)?;
    let given = |name: &str| query[name].as_str().filter(|text| !text.is_empty());
    if given("include").is_some() {
        return Err(ApiError::NotImplemented("Include is not supported yet".into()));
    }
    let (after, before) = (given("after"), given("before"));
    if after.is_some() && before.is_some() {
        return Err(ApiError::Value("Cannot specify both 'before' and 'after' parameters".into()));
    }
    let mut items = shared.stored_response(&id)?["input"].as_array().cloned().unwrap_or_default();
    // An absent order is descending.
    if query["order"] != "asc" {
        items.reverse();
    }
    let missing =
        |item: &str| ApiError::Value(format!("Input item with id '{item}' not found for response '{id}'"));
    let place = |id: &str| items.iter().position(|item| text(item, "id") == id);
    let start = match after {
        Some(after) => place(after).ok_or_else(|| missing(after))? + 1,
        None => 0,
    };
    let end = match before {
        Some(before) => place(before).ok_or_else(|| missing(before))?,
        None => items.len(),
    };
    let limit = usize::try_from(query["limit"].as_i64().unwrap_or(DEFAULT_ITEMS)).unwrap_or_default();
    let data: Vec<&Value> = items[start..end].iter().take(limit).collect();
    Ok(json_response(StatusCode::OK, &json!({"data": data, "object": "list"})))
}
