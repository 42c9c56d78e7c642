//! The client: lists a server's tools and calls one of them. Each is a session of its own, over streamable HTTP or,
//! for servers that have only that, over the older HTTP+SSE.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rmcp::model::{CallToolRequestParams, JsonObject, PaginatedRequestParams};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Map, Value};

use super::client_error::ClientError;
use super::client_sse::SseTransport;

const CONNECT: Duration = Duration::from_secs(5);
/// How long a handshake may take on each transport; the Python SDK's limit for a request.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a server may work on a request; the Python SDK's limit for a stream's silence.
const ANSWER: Duration = Duration::from_secs(300);
/// A larger message is an error.
pub(super) const MESSAGE_LIMIT: usize = 16 << 20;
/// A server that lists on and on is stopped here.
const MOST_PAGES: usize = 100;

/// A tool as its server lists it; the schemas are exactly what the server sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDef {
    pub name: String,
    pub description: Option<String>,
    pub input_schema: Value,
    pub output_schema: Option<Value>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The content blocks as the server sent them, each with its `type`.
    pub content: Vec<Value>,
    /// The tool ran and says that it failed.
    pub is_error: bool,
}

/// Headers for a server, by name.
pub type Headers = Map<String, Value>;

type Session = RunningService<RoleClient, ()>;

/// The tools of the server at `endpoint`.
///
/// # Errors
/// See [`ClientError`].
pub async fn list_tools(endpoint: &str, headers: &Headers) -> Result<Vec<ToolDef>, ClientError> {
    let session = open(endpoint, headers).await?;
    let listed = within(ANSWER, all_tools(&session)).await;
    close(session).await;
    listed
}

/// Calls a tool of the server at `endpoint`. A tool that fails is a result, too.
///
/// # Errors
/// See [`ClientError`].
pub async fn call_tool(
    endpoint: &str,
    headers: &Headers,
    name: &str,
    arguments: JsonObject,
) -> Result<ToolResult, ClientError> {
    let session = open(endpoint, headers).await?;
    let request = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
    let called = within(ANSWER, async {
        let result = session.call_tool(request).await.map_err(ClientError::from_service)?;
        let content = result.content.iter().map(serde_json::to_value).collect::<Result<_, _>>();
        let content = content.map_err(|error| ClientError::Failed(error.to_string()))?;
        Ok(ToolResult { content, is_error: result.is_error.unwrap_or(false) })
    })
    .await;
    close(session).await;
    called
}

async fn all_tools(session: &Session) -> Result<Vec<ToolDef>, ClientError> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let from = PaginatedRequestParams::default().with_cursor(cursor);
        let page = session.list_tools(Some(from)).await.map_err(ClientError::from_service)?;
        tools.extend(page.tools.into_iter().map(|tool| ToolDef {
            name: tool.name.into_owned(),
            description: tool.description.map(Into::into),
            input_schema: Value::Object(tool.input_schema.as_ref().clone()),
            output_schema: tool.output_schema.map(|schema| Value::Object(schema.as_ref().clone())),
        }));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    Err(ClientError::Failed(format!("the server lists its tools on more than {MOST_PAGES} pages")))
}

/// Opens a session: streamable HTTP first, then HTTP+SSE. A server that wants other credentials is not asked twice.
async fn open(endpoint: &str, headers: &Headers) -> Result<Session, ClientError> {
    let url = Url::parse(endpoint).map_err(|error| ClientError::Address(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ClientError::Address("it is not an HTTP(S) address".to_owned()));
    }
    let headers = header_map(headers)?;
    let http = http()?;
    match within(HANDSHAKE, streamable(http, &url, &headers)).await {
        Ok(session) => Ok(session),
        Err(ClientError::Unauthorized) => Err(ClientError::Unauthorized),
        Err(_) => within(HANDSHAKE, sse(http, &url, &headers)).await,
    }
}

async fn streamable(http: &reqwest::Client, url: &Url, headers: &HeaderMap) -> Result<Session, ClientError> {
    let custom = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str()).custom_headers(custom);
    config.max_sse_event_size = MESSAGE_LIMIT;
    config.max_json_response_size = MESSAGE_LIMIT;
    let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
    rmcp::serve_client((), transport).await.map_err(ClientError::from_initialize)
}

async fn sse(http: &reqwest::Client, url: &Url, headers: &HeaderMap) -> Result<Session, ClientError> {
    let transport = SseTransport::open(http.clone(), url, headers.clone()).await?;
    rmcp::serve_client((), transport).await.map_err(ClientError::from_initialize)
}

/// Tells the server that the session is over, where the transport can.
async fn close(session: Session) {
    // What was asked for is there already; a server that does not take the farewell changes nothing.
    let _ = session.cancel().await;
}

async fn within<T>(
    limit: Duration,
    act: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(limit, act).await.unwrap_or(Err(ClientError::TimedOut))
}

fn header_map(headers: &Headers) -> Result<HeaderMap, ClientError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        // The value may be a secret; the message names the header only.
        let refused = || ClientError::Failed(format!("`{name}` cannot be sent as a header"));
        let value = value.as_str().ok_or_else(refused)?;
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        map.insert(header, HeaderValue::from_str(value).map_err(|_| refused())?);
    }
    Ok(map)
}

/// One client for all sessions; only setting up TLS takes time. Connections are not kept: each belongs to the
/// runtime that opened it.
fn http() -> Result<&'static reqwest::Client, ClientError> {
    static HTTP: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let client = HTTP.get_or_init(|| {
        crate::http::tls::builder()
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .redirect(Policy::custom(|attempt| {
                let same =
                    attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
                // Elsewhere the caller's credentials have no business.
                if same && attempt.previous().len() < 10 { attempt.follow() } else { attempt.stop() }
            }))
            .user_agent(concat!("stack-runner/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())
    });
    client.as_ref().map_err(|cause| ClientError::Failed(format!("TLS cannot be set up: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::super::{Server, ServerSpec, ToolSet, Transport};
    use super::*;
    use serde_json::json;

    const BOTH: [Transport; 2] = [Transport::StreamableHttp, Transport::Sse];

    async fn start(tools: ToolSet, transport: Transport, token: Option<&str>) -> Server {
        let token = token.map(str::to_owned);
        Server::start(ServerSpec { tools, transport, token }).await.expect("starts")
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("{value} is no object") };
        map
    }

    #[tokio::test]
    async fn schemas_come_as_they_are_listed() {
        let written: Value = serde_json::from_str(include_str!("tool_sets.json")).expect("is JSON");
        for transport in BOTH {
            for (tools, set) in [(ToolSet::Schemas, "schemas"), (ToolSet::Outputs, "outputs")] {
                let server = start(tools, transport, None).await;
                let listed = list_tools(&server.url, &Headers::new()).await.expect("lists");
                let shown: Vec<Value> = listed
                    .iter()
                    .map(|tool| json!([tool.name, tool.description, tool.input_schema, tool.output_schema]))
                    .collect();
                let wanted: Vec<Value> = written[set]
                    .as_array()
                    .expect("is a list")
                    .iter()
                    .map(|tool| {
                        json!([tool["name"], tool["description"], tool["inputSchema"], tool["outputSchema"]])
                    })
                    .collect();
                // As text: the order of the fields counts.
                assert_eq!(json!(shown).to_string(), json!(wanted).to_string(), "{transport:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_tool_answers_and_a_failing_one_says_so() {
        for transport in BOTH {
            let server = start(ToolSet::Schemas, transport, None).await;
            let call = |contact: Value| {
                let arguments = object(json!({"contact_info": contact}));
                async {
                    call_tool(&server.url, &Headers::new(), "flexible_contact", arguments)
                        .await
                        .expect("answers")
                }
            };
            let answer = call(json!("a@example.com")).await;
            assert_eq!(answer.content[0]["type"], "text", "{transport:?}");
            assert!(!answer.is_error);
            assert!(call(json!(7)).await.is_error);
        }
    }

    #[tokio::test]
    async fn a_token_is_needed_and_passed_on() {
        let token = object(json!({"Authorization": "Bearer right"}));
        for transport in BOTH {
            let server = start(ToolSet::Default, transport, Some("right")).await;
            assert_eq!(list_tools(&server.url, &Headers::new()).await, Err(ClientError::Unauthorized));
            let wrong = object(json!({"Authorization": "Bearer wrong"}));
            assert_eq!(list_tools(&server.url, &wrong).await, Err(ClientError::Unauthorized));
            assert_eq!(list_tools(&server.url, &token).await.expect("lists").len(), 2, "{transport:?}");
        }
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        let server = start(ToolSet::Default, Transport::StreamableHttp, None).await;
        let nowhere = server.url.replace("/mcp", "/nowhere");
        let failure = list_tools(&nowhere, &Headers::new()).await.expect_err("is not there");
        assert_eq!(failure, ClientError::Failed("the server answers with HTTP 404 Not Found".into()));
        let unknown =
            call_tool(&server.url, &Headers::new(), "none", Map::new()).await.expect_err("is unknown");
        assert_eq!(unknown, ClientError::Failed("the server refuses: Unknown tool: none".into()));
        let gone = server.url.clone();
        drop(server);
        while reqwest::get(&gone).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let failure = list_tools(&gone, &Headers::new()).await.expect_err("is gone");
        assert!(matches!(failure, ClientError::Unreachable(_)), "{failure:?}");
        let junk = list_tools("not a url", &Headers::new()).await.expect_err("is no address");
        assert_eq!(junk.to_string(), "the address cannot be used: relative URL without a base");
        let ftp = list_tools("ftp://127.0.0.1/x", &Headers::new()).await.expect_err("is no address");
        assert_eq!(ftp.to_string(), "the address cannot be used: it is not an HTTP(S) address");
        let header = list_tools(&gone, &object(json!({"a b": "secret"}))).await.expect_err("is no header");
        assert_eq!(header.to_string(), "`a b` cannot be sent as a header");
    }
}
