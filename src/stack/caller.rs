//! What a request carries beside its body: provider data, trace context, the bytes themselves.

use super::errors::{ApiError, Issue};
use super::fields::{self, Model, Need};
use axum::body::{Body, to_bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The largest request body that is read; images travel inside.
pub(crate) const MAX_BODY_BYTES: usize = 128 << 20;

/// The headers that matter to providers.
#[derive(Default, Clone)]
pub(crate) struct Caller {
    provider_data: Map<String, Value>,
    pub(crate) traceparent: Option<HeaderValue>,
}

impl Caller {
    fn from_headers(headers: &HeaderMap) -> Self {
        // A header that is not a JSON object counts as absent, as upstream has it.
        let data = headers.get("x-llamastack-provider-data").map(HeaderValue::as_bytes);
        Self {
            provider_data: data.and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_default(),
            traceparent: headers.get("traceparent").cloned(),
        }
    }

    /// A field of the provider data.
    pub(crate) fn provider_data(&self, field: &str) -> Option<&Value> {
        self.provider_data.get(field)
    }

    #[cfg(test)]
    pub(crate) fn with_provider_data(data: Value) -> Self {
        Self { provider_data: data.as_object().cloned().unwrap_or_default(), traceparent: None }
    }

    /// The caller's own key for a provider.
    pub(crate) fn provider_key(&self, field: &str) -> Option<&str> {
        self.provider_data(field).and_then(Value::as_str).filter(|key| !key.is_empty())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

/// Reads a request's JSON body and checks it.
pub(crate) async fn body(
    model: &'static Model,
    headers: &HeaderMap,
    body: Body,
) -> Result<Map<String, Value>, ApiError> {
    completed_body(model, headers, body, |params| params).await
}

/// As [`body`], with something filled in before the check. A body that needs nothing may be absent.
pub(crate) async fn completed_body(
    model: &'static Model,
    headers: &HeaderMap,
    body: Body,
    complete: fn(Map<String, Value>) -> Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    let issue = |loc: &[Value], msg: &str, kind| ApiError::Request(vec![Issue::new(loc, msg, kind)]);
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| ApiError::TooLarge)?;
    let needs = model.fields.iter().any(|field| field.need == Need::Required);
    if bytes.is_empty() && needs {
        return Err(issue(&["body".into()], "Field required", "missing"));
    }
    let value = if bytes.is_empty() {
        Map::new().into()
    } else if is_json(headers) {
        serde_json::from_slice(&bytes).map_err(|error| {
            issue(&["body".into(), offset(&bytes, &error).into()], "JSON decode error", "json_invalid")
        })?
    } else {
        // Bytes of an undeclared type are not looked into.
        Value::Null
    };
    let value = match value {
        Value::Object(params) => complete(params).into(),
        value => value,
    };
    fields::check_object(model, &value, &["body"]).map_err(ApiError::Request)
}

/// Checks the parameters behind a path's `?`.
pub(crate) fn query(
    model: &'static Model,
    query: BTreeMap<String, String>,
) -> Result<Map<String, Value>, ApiError> {
    let query: Map<String, Value> = query.into_iter().map(|(name, value)| (name, value.into())).collect();
    fields::check_object(model, &query.into(), &["query"]).map_err(ApiError::Request)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence =
        value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Where decoding stopped, in characters from the start.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(|line| line.chars().count())
        .sum();
    before + error.column().saturating_sub(1)
}
