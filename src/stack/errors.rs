//! What goes wrong in a request, and how Llama Stack 0.3 words it.
//!
//! Two shapes exist. A body that fails validation before its handler runs gives
//! `{"error": {"detail": {"errors": […]}}}`; whatever the handler raises gives `{"detail": …}`. In a stream,
//! whose status was already sent, the same failure is one event with the status inside its message.

use super::python;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt;

/// One violation of a request's schema: where, what, and pydantic's name for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Issue {
    pub(crate) loc: Vec<Value>,
    pub(crate) msg: String,
    pub(crate) kind: &'static str,
}

impl Issue {
    pub(crate) fn new(loc: &[Value], msg: impl Into<String>, kind: &'static str) -> Self {
        Self { loc: loc.to_vec(), msg: msg.into(), kind }
    }

    fn to_json(&self) -> Value {
        json!({"loc": self.loc, "msg": self.msg, "type": self.kind})
    }
}

/// A request that is not answered with a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiError {
    /// The body or query violates its schema; found before the handler ran.
    Request(Vec<Issue>),
    /// A value violates a schema that the handler applies itself.
    Issues(Vec<Issue>),
    /// A value the handler cannot accept.
    Value(String),
    NotFound(String),
    /// The state of what is asked about does not allow it.
    Conflict(String),
    NotImplemented(String),
    /// A server that the handler had to call wants the caller's credentials.
    Unauthorized(String),
    /// An address the handler had to fetch from (not the provider's) cannot be reached.
    Unreachable(String),
    /// A server that the handler had to call did not answer in time.
    TimedOut(String),
    /// The body says it is a form and is none.
    Form,
    /// The answer has a number that JSON has not.
    NotJson(&'static str),
    /// The body is larger than the stack reads.
    TooLarge,
    /// The provider refused; its status is passed on.
    Provider {
        status: StatusCode,
        message: String,
    },
    /// Anything else. The text stays generic, as upstream's does; the cause goes into a header.
    Internal(String),
}

/// Header that carries what a body hides: the cause of an internal error, and what a list had to leave out. Llama
/// Stack writes it to its log instead.
pub(crate) const CAUSE_HEADER: &str = "x-stack-cause";

impl ApiError {
    /// Nothing of this kind has the id; `list` is the call that shows those that are there.
    pub(crate) fn not_found(kind: &str, id: &str, list: &str) -> Self {
        Self::NotFound(format!("{kind} '{id}' not found. Use '{list}' to list available {kind}s."))
    }

    pub(crate) fn model_not_found(id: &str) -> Self {
        Self::not_found("Model", id, "client.models.list()")
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Request(_) | Self::Issues(_) | Self::Value(_) | Self::Form | Self::NotJson(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Provider { status, .. } => *status,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> Value {
        match self {
            Self::Request(issues) | Self::Issues(issues) => {
                json!({"errors": issues.iter().map(Issue::to_json).collect::<Vec<_>>()})
            }
            Self::Value(text) => format!("Invalid value: {text}").into(),
            Self::NotFound(text) | Self::Conflict(text) | Self::Unreachable(text) => text.as_str().into(),
            Self::NotImplemented(text) => format!("Not implemented: {text}").into(),
            Self::Unauthorized(text) => format!("Authentication required: {text}").into(),
            Self::TimedOut(text) => format!("Operation timed out: {text}").into(),
            Self::Form => "There was an error parsing the body".into(),
            Self::NotJson(number) => {
                format!("Invalid value: Out of range float values are not JSON compliant: {number}").into()
            }
            Self::TooLarge => "Request body is too large".into(),
            Self::Provider { message, .. } => message.as_str().into(),
            Self::Internal(_) => "Internal server error: An unexpected error occurred.".into(),
        }
    }

    /// The failure as an event of a stream that has already begun.
    pub(crate) fn event(&self) -> String {
        let detail = match self.detail() {
            Value::String(text) => text,
            other => python::repr(&other),
        };
        let message = format!("{}: {detail}", self.status().as_u16());
        format!("data: {}\n\n", python::dumps(&json!({"error": {"message": message}})))
    }
}

impl fmt::Display for ApiError {
    /// For messages outside of any request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.detail()) {
            (Self::Internal(cause), _) => f.write_str(cause),
            (Self::Value(text) | Self::NotImplemented(text), _) => f.write_str(text),
            (_, Value::String(text)) => f.write_str(&text),
            (_, detail) => write!(f, "{detail}"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match &self {
            // What fails after the handler has answered has the other shape too.
            Self::Request(_) | Self::NotJson(_) => json!({"error": {"detail": self.detail()}}),
            _ => json!({"detail": self.detail()}),
        };
        let response = json_response(self.status(), &body);
        match &self {
            Self::Internal(cause) => with_cause(response, cause),
            _ => response,
        }
    }
}

/// The response with what its body hides, if anything.
pub(crate) fn with_cause(mut response: Response, cause: &str) -> Response {
    let cause = cause.replace(|c: char| !(' '..='~').contains(&c), " ");
    if let Ok(value) = HeaderValue::from_str(&cause)
        && !cause.is_empty()
    {
        response.headers_mut().insert(CAUSE_HEADER, value);
    }
    response
}

/// A JSON body with its content type.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_errors_carry_their_status() {
        let issue = Issue::new(&["function".into()], "Field required", "missing");
        assert_eq!(
            ApiError::Issues(vec![issue]).event(),
            "data: {\"error\": {\"message\": \"400: {'errors': [{'loc': ['function'], 'msg': 'Field required', \
             'type': 'missing'}]}\"}}\n\n"
        );
        assert_eq!(
            ApiError::model_not_found("x").event(),
            "data: {\"error\": {\"message\": \"404: Model 'x' not found. Use 'client.models.list()' to list \
             available Models.\"}}\n\n"
        );
    }
}
