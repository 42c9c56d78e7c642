//! `remote::model-context-protocol`: the tools of MCP servers.

use super::Shared;
use super::caller::Caller;
use super::errors::ApiError;
use super::json::text;
use super::tool_runtime;
use crate::mcp::{self, ClientError, Headers, ToolDef, ToolResult};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

impl Shared {
    /// The tools of an MCP server.
    pub(crate) async fn list_mcp_tools(
        &self,
        endpoint: &str,
        headers: &Headers,
    ) -> Result<Vec<ToolDef>, ApiError> {
        self.may_call(endpoint)?;
        mcp::list_tools(endpoint, headers).await.map_err(|error| failure(endpoint, error))
    }

    /// Calls a tool of an MCP server; the answer is that of an invocation.
    pub(crate) async fn call_mcp_tool(
        &self,
        endpoint: &str,
        headers: &Headers,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, ApiError> {
        self.may_call(endpoint)?;
        let called = mcp::call_tool(endpoint, headers, name, arguments).await;
        let ToolResult { content, is_error } = called.map_err(|error| failure(endpoint, error))?;
        let content = content.iter().filter_map(|block| content_item(block).transpose());
        let content = content.collect::<Result<Vec<_>, _>>()?;
        Ok(tool_runtime::result(content.into(), Some(u8::from(is_error)), Value::Null))
    }

    /// Servers on this machine are test fixtures, which live while provider traffic is replayed.
    fn may_call(&self, endpoint: &str) -> Result<(), ApiError> {
        if !self.offline || on_this_machine(endpoint) {
            return Ok(());
        }
        let why = "only servers on this machine are called while provider traffic is replayed";
        Err(failure(endpoint, ClientError::Address(why.to_owned())))
    }
}

/// Whether an address names this machine. What cannot be read is for the call itself to refuse.
pub(crate) fn on_this_machine(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else { return true };
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// How Llama Stack words a failure.
fn failure(endpoint: &str, error: ClientError) -> ApiError {
    match error {
        ClientError::Unauthorized => ApiError::Unauthorized(format!(
            "Client error '401 Unauthorized' for url '{endpoint}'\nFor more information check: \
             https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401"
        )),
        ClientError::Unreachable(_) => ApiError::Unreachable(format!(
            "Failed to connect to MCP server at {endpoint}: Connection refused"
        )),
        ClientError::Address(cause) => {
            ApiError::Unreachable(format!("Network error connecting to MCP server at {endpoint}: {cause}"))
        }
        ClientError::TimedOut => ApiError::TimedOut(format!("MCP server at {endpoint} timed out")),
        ClientError::Failed(cause) => ApiError::Internal(format!("MCP server at {endpoint}: {cause}")),
    }
}

pub(crate) async fn list(shared: &Shared, group: &Value, caller: &Caller) -> Result<Vec<Value>, ApiError> {
    let Some(endpoint) = group.pointer("/mcp_endpoint/uri").and_then(Value::as_str) else {
        return Err(ApiError::Value("mcp_endpoint is required".into()));
    };
    let listed = shared.list_mcp_tools(endpoint, &headers_for(endpoint, caller)).await?;
    let definition = |tool: ToolDef| {
        let output = tool.output_schema.unwrap_or_default();
        let metadata = json!({"endpoint": endpoint});
        tool_runtime::definition(&tool.name, tool.description.as_deref(), tool.input_schema, output, metadata)
    };
    Ok(listed.into_iter().map(definition).collect())
}

pub(crate) async fn invoke(
    shared: &Shared,
    name: &str,
    arguments: Map<String, Value>,
    caller: &Caller,
) -> Result<Value, ApiError> {
    let tool = shared.tool(name)?;
    let Some(endpoint) = tool.pointer("/metadata/endpoint").and_then(Value::as_str) else {
        return Err(ApiError::Value(format!("Tool {name} does not have metadata")));
    };
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(ApiError::Value(format!("Endpoint {endpoint} is not a valid HTTP(S) URL")));
    }
    shared.call_mcp_tool(endpoint, &headers_for(endpoint, caller), name, arguments).await
}

/// A content block in Llama Stack's shape; none for a resource, which it leaves out.
fn content_item(block: &Value) -> Result<Option<Value>, ApiError> {
    match text(block, "type") {
        "text" => Ok(Some(json!({"type": "text", "text": block["text"]}))),
        // Upstream means to do this, and fails on its own type.
        "image" => Ok(Some(json!({"type": "image", "image": {"url": null, "data": block["data"]}}))),
        "resource" => Ok(None),
        kind => Err(ApiError::Internal(format!(
            "the tool answered with `{kind}`, which Llama Stack does not know"
        ))),
    }
}

/// The caller's headers for a server, from `mcp_headers` of the provider data: addresses with their headers. An
/// address is the same whatever its scheme and query.
fn headers_for(endpoint: &str, caller: &Caller) -> Headers {
    let mut headers = Headers::new();
    let given = caller.provider_data("mcp_headers").and_then(Value::as_object);
    for (_, values) in given.into_iter().flatten().filter(|(uri, _)| place(uri) == place(endpoint)) {
        let values = values.as_object().into_iter().flatten();
        headers.extend(values.map(|(name, value)| (name.clone(), value.clone())));
    }
    headers
}

/// Host and path of an address.
fn place(uri: &str) -> (&str, &str) {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_to_their_server_alone() {
        let data = json!({"mcp_headers": {
            "https://a:1/mcp?x": {"Authorization": "Bearer 1"}, "http://a:1/other": {"X": "2"}, "http://a:1/mcp": {"Y": "3"}
        }});
        let caller = Caller::with_provider_data(data);
        let sent = json!({"Authorization": "Bearer 1", "Y": "3"});
        assert_eq!(Value::Object(headers_for("http://a:1/mcp", &caller)), sent);
        assert!(headers_for("http://a:2/mcp", &caller).is_empty());
        assert!(headers_for("http://a:1/mcp", &Caller::default()).is_empty());
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for here in ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:2/x", "http://127.3.2.1"] {
            assert!(on_this_machine(here), "{here}");
        }
        for elsewhere in
            ["http://10.0.0.1/x", "https://example.com", "http://0.0.0.0:1", "http://localhost.example.com"]
        {
            assert!(!on_this_machine(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn blocks_take_llama_stacks_shape() {
        assert_eq!(
            content_item(&json!({"type": "text", "text": "a", "annotations": {}})),
            Ok(Some(json!({"type": "text", "text": "a"})))
        );
        assert_eq!(
            content_item(&json!({"type": "image", "data": "QQ==", "mimeType": "image/png"})),
            Ok(Some(json!({"type": "image", "image": {"url": null, "data": "QQ=="}})))
        );
        assert_eq!(content_item(&json!({"type": "resource", "resource": {}})), Ok(None));
        assert!(content_item(&json!({"type": "audio"})).is_err());
    }
}
