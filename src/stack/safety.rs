//! `/v1/safety/run-shield` and `/v1/moderations`.

use super::caller::{self, Caller};
use super::content::{self, CONTENT, TOOL_MESSAGE, USER_MESSAGE};
use super::errors::{ApiError, json_response};
use super::fields::{
    Extra, Model, Need, OBJECT, STR_LIST, Ty, absent, body, fixed, model, optional, required,
};
use super::json::text;
use super::llama_guard::{Guard, Turn};
use super::resources::SHIELD;
use super::{Shared, unserved};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// The provider type that is served here.
pub(crate) const LLAMA_GUARD: &str = "inline::llama-guard";

// Messages as they were before OpenAI's; OpenAI's plain ones fit, too.
static SYSTEM: Model = model("SystemMessage", &[fixed("role", &["system"]), required("content", CONTENT)]);
static TOOL_CALL: Model = model(
    "ToolCall",
    &[required("call_id", Ty::Str), required("tool_name", Ty::Str), required("arguments", Ty::Str)],
);
static ASSISTANT: Model = model(
    "CompletionMessage",
    &[
        fixed("role", &["assistant"]),
        required("content", CONTENT),
        required("stop_reason", Ty::Enum(&["end_of_turn", "end_of_message", "out_of_tokens"])),
        absent("tool_calls", Ty::List { of: &Ty::Model(&TOOL_CALL), min: 0 }, Need::AbsentOrNull),
    ],
);
const MESSAGE: Ty = Ty::Tagged {
    by: "role",
    of: &[("user", &USER_MESSAGE), ("system", &SYSTEM), ("tool", &TOOL_MESSAGE), ("assistant", &ASSISTANT)],
};

static RUN: Model = body(
    &[
        required("shield_id", Ty::Str),
        required("messages", Ty::List { of: &MESSAGE, min: 0 }),
        optional("params", OBJECT),
    ],
    Extra::Drop,
);
static MODERATE: Model = body(
    &[
        required("input", Ty::Union(&[("str", &Ty::Str), ("list[str]", &STR_LIST)])),
        required("model", Ty::Str),
    ],
    Extra::Drop,
);

pub(crate) async fn run(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&RUN, &headers, body).await?;
    let messages = params.get("messages").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let shield_id = params.get("shield_id").and_then(Value::as_str).unwrap_or_default();
    Ok(json_response(StatusCode::OK, &shared.run_shield(shield_id, messages, &caller).await?))
}

pub(crate) async fn moderate(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&MODERATE, &headers, body).await?;
    let texts = match params.get("input") {
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        input => input.and_then(Value::as_str).map(|text| vec![text.to_owned()]).unwrap_or_default(),
    };
    let model = params.get("model").and_then(Value::as_str).unwrap_or_default();
    Ok(json_response(StatusCode::OK, &shared.run_moderation(texts, model, &caller).await?))
}

impl Shared {
    /// What a shield says to messages: an object with the `violation`, which may be null.
    pub(crate) async fn run_shield(
        self: &Arc<Self>,
        shield_id: &str,
        messages: &[Value],
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let (shield, provider) = self.served(&SHIELD, shield_id)?;
        if provider.provider_type != LLAMA_GUARD {
            return Err(unserved::provider(provider));
        }
        let turn = |message: &Value| {
            let text = content::as_text(&message["content"], " ")?;
            Ok(Turn { role: self::text(message, "role").to_owned(), text })
        };
        let turns = messages.iter().map(turn).collect::<Result<Vec<_>, ApiError>>()?;
        let guard = Guard::new(text(&shield, "provider_resource_id"), &provider.config)?;
        Ok(json!({"violation": guard.run(self, caller, turns).await?}))
    }

    /// What the one shield with this model says to texts, in OpenAI's shape.
    pub(crate) async fn run_moderation(
        self: &Arc<Self>,
        texts: Vec<String>,
        model: &str,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let shields = self.documents.list(SHIELD.name)?;
        let mut with_model = shields.iter().filter(|shield| text(shield, "provider_resource_id") == model);
        let shield = match (with_model.next(), with_model.next()) {
            (Some(shield), None) => shield,
            (None, _) => {
                return Err(ApiError::Value(format!(
                    "No shield associated with provider_resource id {model}"
                )));
            }
            (Some(_), Some(_)) => {
                return Err(ApiError::Value(format!(
                    "Multiple shields associated with provider_resource id {model}"
                )));
            }
        };
        let provider = self.provider(&SHIELD, text(shield, "provider_id"))?;
        if provider.provider_type != LLAMA_GUARD {
            return Err(unserved::provider(provider));
        }
        Guard::new(model, &provider.config)?.moderate(self, caller, texts).await
    }
}
