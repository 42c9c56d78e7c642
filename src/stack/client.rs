//! The OpenAI-compatible client: one provider, its address, its key, its requests.
//!
//! Requests are what OpenAI's Python client sends, in content: a body is compared with recordings by its JSON.
//! Two differences are deliberate. Nothing is retried (the Python client retries twice), so that one call of a
//! case is one exchange; and a caller's W3C `traceparent` is passed on, so that an exchange can be attributed.

use super::caller::Caller;
use super::errors::ApiError;
use super::events::Events;
use super::python;
use super::remotes::{KeyRule, NO_KEY, RemoteType};
use reqwest::StatusCode;
use serde_json::{Map, Value};
use std::time::Duration;

/// The largest answer that is read at once.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long a provider may stay silent; the Python client's limit.
const SILENCE: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(5);

/// A remote provider, ready to be called.
pub(crate) struct Remote {
    pub(crate) id: String,
    pub(crate) remote: &'static RemoteType,
    pub(crate) config: Map<String, Value>,
    /// The address as configured, without a trailing slash.
    pub(crate) address: String,
    pub(crate) http: reqwest::Client,
}

/// The HTTP client all providers share.
///
/// # Errors
/// When TLS cannot be set up on this machine.
pub(crate) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    crate::http::tls::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .user_agent(concat!("stack-runner/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl Remote {
    /// Where OpenAI's paths begin.
    pub(crate) fn base(&self) -> String {
        let suffix = match self.remote.dialect {
            super::remotes::Dialect::Nvidia
                if self.config.get("append_api_version") != Some(&Value::Bool(false)) =>
            {
                "/v1"
            }
            _ => self.remote.suffix,
        };
        format!("{}{suffix}", self.address)
    }

    /// The configured key, or none when the provider cannot be called without the caller's.
    pub(crate) fn configured_key(&self) -> Option<&str> {
        let field = |name: &str| self.config.get(name).and_then(Value::as_str).filter(|key| !key.is_empty());
        match self.remote.key {
            KeyRule::None => Some(NO_KEY),
            KeyRule::Needed(name) => field(name),
            KeyRule::IfSet(name) => Some(field(name).unwrap_or(NO_KEY)),
        }
    }

    /// The key for this caller: their own, when the provider data holds one.
    fn key<'a>(&'a self, caller: &'a Caller) -> Result<&'a str, ApiError> {
        let own = self.remote.data_field.and_then(|field| caller.provider_key(field));
        own.or_else(|| self.configured_key()).ok_or_else(|| {
            let hint = self.remote.data_field.map(|field| {
                format!(
                    " Please provide a valid API key in the provider data header, e.g. \
                     x-llamastack-provider-data: {{\"{field}\": \"<API_KEY>\"}}."
                )
            });
            let message = format!("API key not provided.{}", hint.unwrap_or_default());
            ApiError::Value(message)
        })
    }

    /// Sends a body and reads the whole answer.
    pub(crate) async fn post(&self, path: &str, body: &Value, caller: &Caller) -> Result<Value, ApiError> {
        let response = self.send(path, body, caller).await?;
        let json = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("json"));
        let bytes = read(response).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(value),
            Err(error) if json => Err(ApiError::Value(error.to_string())),
            Err(_) => Err(ApiError::Internal(format!("{}: the provider's answer is not JSON", self.id))),
        }
    }

    /// Sends a body and reads the answer event by event. Dropping the result closes the provider's stream.
    pub(crate) async fn stream(&self, path: &str, body: &Value, caller: &Caller) -> Result<Events, ApiError> {
        Ok(Events::new(self.send(path, body, caller).await?))
    }

    async fn send(&self, path: &str, body: &Value, caller: &Caller) -> Result<reqwest::Response, ApiError> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.base()))
            .header(reqwest::header::ACCEPT, "application/json")
            .bearer_auth(self.key(caller)?)
            .json(body);
        if let Some(traceparent) = &caller.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response = request.send().await.map_err(|error| broken(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(refusal(status, &read(response).await?)),
        }
    }

    /// Reads JSON from the provider outside of any call.
    pub(crate) async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Value, String> {
        let mut request = self.http.get(url).header(reqwest::header::ACCEPT, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.map_err(|error| cause(&error))?;
        let status = response.status();
        let bytes = read(response).await.map_err(|_| "the answer broke off".to_owned())?;
        if !status.is_success() {
            return Err(message(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{url} did not answer with JSON: {error}"))
    }
}

/// Sends a request to a service that is no model provider, and reads the JSON it answers with.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Value, ApiError> {
    let unreachable = |error: &reqwest::Error| {
        if error.is_connect() {
            ApiError::Unreachable("All connection attempts failed".into())
        } else {
            broken(error)
        }
    };
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    let bytes = read(response).await?;
    if !status.is_success() {
        return Err(ApiError::Internal(message(status, &bytes)));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::Internal(format!("the answer is not JSON: {error}")))
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ApiError::Internal(format!(
                "the provider's answer exceeds {MAX_ANSWER_BYTES} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refusal(status: StatusCode, body: &[u8]) -> ApiError {
    ApiError::Provider { status, message: message(status, body) }
}

/// The text the Python client makes of a refusal.
fn message(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match serde_json::from_str::<Value>(text) {
        Ok(json) => format!("Error code: {} - {}", status.as_u16(), python::repr(&json)),
        Err(_) if text.is_empty() => format!("Error code: {}", status.as_u16()),
        Err(_) => text.to_owned(),
    }
}

/// A connection that failed; Llama Stack answers 500 without naming the cause.
pub(crate) fn broken(error: &reqwest::Error) -> ApiError {
    ApiError::Internal(cause(error))
}

/// The error with its sources, without the address: it may hold a key.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let first = if error.is_connect() { "cannot connect" } else { "request failed" };
    let sources = std::iter::successors(std::error::Error::source(error), |inner| inner.source());
    let parts: Vec<String> =
        std::iter::once(first.to_owned()).chain(sources.map(ToString::to_string)).collect();
    parts.join(": ")
}
