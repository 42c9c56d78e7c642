//! One MCP server on a loopback port, ended when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::log::Log;
use super::sse;
use super::tools::ToolSet;

/// Larger messages are refused.
const MESSAGE_LIMIT: usize = 4 << 20;
/// How long a server in this process may take to answer its first request.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How MCP messages travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// One endpoint, `/mcp`.
    #[default]
    StreamableHttp,
    /// The older pair of `/sse` and `/messages/`.
    Sse,
}

/// What to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    pub tools: ToolSet,
    pub transport: Transport,
    /// Requests without `Authorization: Bearer` and this get a 401.
    pub token: Option<String>,
}

/// A server that answers. Dropping it ends it, open streams included.
#[derive(Debug)]
pub struct Server {
    pub url: String,
    /// What it lists.
    pub tools: Value,
    pub log: Log,
    _stop: DropGuard,
}

impl Server {
    /// Starts a server on a free loopback port and returns once it has answered a request.
    ///
    /// # Errors
    /// The system's reason, when there is no port or no answer.
    pub async fn start(spec: ServerSpec) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let tools = spec.tools.definitions()?;
        let stop = CancellationToken::new();
        let (path, router) = match spec.transport {
            Transport::StreamableHttp => ("/mcp", streamable(spec.tools, stop.clone())),
            Transport::Sse => ("/sse", sse::router(spec.tools, stop.clone())),
        };
        let log = Log::default();
        let gate = Gate { expected: spec.token.map(|token| format!("Bearer {token}")), log: log.clone() };
        let router = router.layer(middleware::from_fn_with_state(gate, Gate::pass));
        let until = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(until).await });
        let server = Self { url: format!("http://{address}{path}"), tools, log, _stop: stop.drop_guard() };
        tokio::time::timeout(READY_WITHIN, first_answer(address, path)).await??;
        server.log.clear();
        Ok(server)
    }
}

fn streamable(tools: ToolSet, stop: CancellationToken) -> Router {
    // The default accepts loopback hosts only, so that no web page can reach the server under another name.
    let config = StreamableHttpServerConfig::default()
        .with_cancellation_token(stop)
        .with_max_request_body_bytes(MESSAGE_LIMIT)
        .with_sse_retry(None);
    // An empty first event, for clients that resume streams, is an error to Python's client before 1.20.
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = None;
    let sessions = std::sync::Arc::new(sessions);
    Router::new().route_service("/mcp", StreamableHttpService::new(move || Ok(tools), sessions, config))
}

/// A real request: any status line shows that the server serves.
async fn first_answer(address: SocketAddr, path: &str) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut start = [0; 9];
    connection.read_exact(&mut start).await?;
    if &start == b"HTTP/1.1 " { Ok(()) } else { Err(std::io::Error::other("its answer is not HTTP")) }
}

/// Stands before either transport: asks for the token and keeps what comes.
#[derive(Clone)]
struct Gate {
    expected: Option<String>,
    log: Log,
}

impl Gate {
    async fn pass(State(gate): State<Self>, request: Request, next: Next) -> Response {
        let given = request.headers().get(header::AUTHORIZATION);
        if let Some(expected) = &gate.expected
            && given.is_none_or(|given| given.as_bytes() != expected.as_bytes())
        {
            gate.log.refused(request.headers());
            return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
        }
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MESSAGE_LIMIT).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the message is too large").into_response();
        };
        if let Ok(message) = serde_json::from_slice(&body) {
            gate.log.request(&message, &head.headers);
        }
        next.run(Request::from_parts(head, Body::from(body))).await
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolRequestParams, CallToolResult};
    use rmcp::transport::StreamableHttpClientTransport;
    use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
    use rmcp::{ServiceExt, service::ServiceError};
    use serde_json::{Value, json};

    use super::*;

    async fn start(tools: ToolSet, transport: Transport, token: Option<&str>) -> Server {
        crate::http::tls::install();
        let token = token.map(str::to_owned);
        Server::start(ServerSpec { tools, transport, token }).await.expect("starts")
    }

    fn client(url: &str, token: Option<&str>) -> StreamableHttpClientTransport<reqwest::Client> {
        let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned());
        let config = match token {
            Some(token) => config.auth_header(token),
            None => config,
        };
        StreamableHttpClientTransport::with_client(reqwest::Client::new(), config)
    }

    async fn call(url: &str, tool: &'static str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        let service = ().serve(client(url, None)).await.expect("connects");
        let Value::Object(arguments) = arguments else { panic!("not an object") };
        service.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await
    }

    #[tokio::test]
    async fn the_sdk_s_client_lists_and_calls_and_the_log_tells_it() {
        let server = start(ToolSet::Default, Transport::StreamableHttp, Some("secret")).await;
        let refused = ().serve(client(&server.url, None)).await;
        assert!(refused.is_err(), "no token, no session");
        let service = ().serve(client(&server.url, Some("secret"))).await.expect("connects");
        let tools = service.list_all_tools().await.expect("lists");
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(names, ["greet_everyone", "get_boiling_point"]);
        assert_eq!(json!(tools), server.tools);
        let arguments = json!({"liquid_name": "myawesomeliquid", "celsius": false});
        let Value::Object(arguments) = arguments else { unreachable!() };
        let answer =
            service.call_tool(CallToolRequestParams::new("get_boiling_point").with_arguments(arguments));
        let answer = serde_json::to_value(answer.await.expect("answers")).expect("is JSON");
        assert_eq!(answer["content"], json!([{"type": "text", "text": "-212"}]));
        assert_eq!(answer["structuredContent"], json!({"result": -212}));
        let received = server.log.since(0);
        assert_eq!(received[0]["method"], "refused");
        let called: Vec<&Value> = received.iter().filter(|entry| entry["method"] == "tools/call").collect();
        assert_eq!(called.len(), 1);
        assert_eq!(called[0]["tool"], "get_boiling_point");
        assert_eq!(called[0]["arguments"], json!({"liquid_name": "myawesomeliquid", "celsius": false}));
        assert_eq!(called[0]["headers"]["authorization"], "Bearer secret");
    }

    #[tokio::test]
    async fn arguments_that_the_schema_refuses_and_unknown_tools_are_errors() {
        let server = start(ToolSet::Schemas, Transport::StreamableHttp, None).await;
        let answer =
            call(&server.url, "flexible_contact", json!({"contact_info": 7})).await.expect("answers");
        assert_eq!(answer.is_error, Some(true));
        assert!(call(&server.url, "no_such_tool", json!({})).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone() {
        let server = start(ToolSet::Outputs, Transport::Sse, None).await;
        let url = server.url.clone();
        let mut stream = reqwest::get(&url).await.expect("answers");
        let first = stream.chunk().await.expect("reads").expect("has an event");
        assert!(first.starts_with(b"event: endpoint\ndata: /messages/?session_id="), "{first:?}");
        drop(server);
        // The open stream ends, and then nothing listens any more.
        while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
        while reqwest::get(&url).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
