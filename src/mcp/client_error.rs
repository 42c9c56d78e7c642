//! Why a server's tools could not be listed or called.

use std::error::Error;
use std::fmt;

use reqwest::StatusCode;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpError;

/// Why there is no answer from an MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// The address is none that can be called.
    Address(String),
    /// The server wants other credentials: HTTP 401.
    Unauthorized,
    /// No connection could be made.
    Unreachable(String),
    TimedOut,
    /// The connection broke, or the answer was none that a client can use, or the server refused.
    Failed(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(cause) => write!(f, "the address cannot be used: {cause}"),
            Self::Unauthorized => f.write_str("the server wants credentials: HTTP 401 Unauthorized"),
            Self::Unreachable(cause) => write!(f, "no connection: {cause}"),
            Self::TimedOut => f.write_str("the server did not answer in time"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl Error for ClientError {}

impl ClientError {
    pub(super) fn from_initialize(error: ClientInitializeError) -> Self {
        match &error {
            ClientInitializeError::TransportError { error, .. } => Self::from_transport(error.error.as_ref()),
            ClientInitializeError::JsonRpcError(refusal) => Self::refused(&refusal.message),
            _ => Self::Failed(error.to_string()),
        }
    }

    pub(super) fn from_service(error: ServiceError) -> Self {
        match &error {
            ServiceError::McpError(refusal) => Self::refused(&refusal.message),
            ServiceError::TransportSend(error) => Self::from_transport(error.error.as_ref()),
            _ => Self::Failed(error.to_string()),
        }
    }

    /// What an HTTP status other than success means.
    pub(super) fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            status => Self::Failed(format!("the server answers with HTTP {status}")),
        }
    }

    pub(super) fn from_http(error: &reqwest::Error) -> Self {
        // Without the address: it may hold a key.
        let sources = std::iter::successors(error.source(), |&inner| inner.source());
        let causes: Vec<String> = sources.map(ToString::to_string).collect();
        match error.status() {
            Some(status) => Self::from_status(status),
            None if error.is_timeout() => Self::TimedOut,
            None if error.is_connect() => Self::Unreachable(causes.join(": ")),
            None => Self::Failed(format!("the connection broke: {}", causes.join(": "))),
        }
    }

    fn refused(message: &str) -> Self {
        Self::Failed(format!("the server refuses: {message}"))
    }

    fn from_transport(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        if let Some(error) = error.downcast_ref::<Self>() {
            return error.clone();
        }
        match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            Some(StreamableHttpError::AuthRequired(_)) => Self::Unauthorized,
            // Without a `WWW-Authenticate` the SDK keeps the status in its text alone.
            Some(StreamableHttpError::UnexpectedServerResponse(text)) if text.starts_with("HTTP 401") => {
                Self::Unauthorized
            }
            Some(StreamableHttpError::Client(error)) => Self::from_http(error),
            _ => Self::Failed(error.to_string()),
        }
    }
}
