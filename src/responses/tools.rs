//! The tools of a response: what the model may call, and who answers.

use super::text;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// An MCP server as a request names it.
#[derive(Debug, Clone, PartialEq)]
pub struct McpServer {
    pub label: String,
    pub url: String,
    pub headers: Map<String, Value>,
    require_approval: Value,
}

impl McpServer {
    /// Reads an `mcp` tool of a request.
    #[must_use]
    pub fn read(tool: &Value) -> Self {
        Self {
            label: text(tool, "server_label").to_owned(),
            url: text(tool, "server_url").to_owned(),
            headers: tool.get("headers").and_then(Value::as_object).cloned().unwrap_or_default(),
            require_approval: tool.get("require_approval").cloned().unwrap_or_default(),
        }
    }

    /// Only `never` lets a call through: Llama Stack 0.3.0 does not look into a filter.
    fn wants_approval(&self) -> bool {
        self.require_approval != "never"
    }
}

/// The tools of one response.
#[derive(Debug, Default)]
pub struct Toolbox {
    /// As the request has them.
    requested: Vec<Value>,
    /// Those that are still to be looked up.
    pub pending: Vec<Value>,
    /// `mcp_list_tools` items of the previous response that still hold.
    pub reusable: Vec<Value>,
    /// What the model is told; nothing when there are no tools.
    pub(super) offered: Option<Vec<Value>>,
    servers: IndexMap<String, McpServer>,
    approval_requests: Vec<Value>,
    approval_responses: Vec<Value>,
}

impl Toolbox {
    /// The tools of a request whose input may answer requests for approval.
    #[must_use]
    pub fn new(tools: &Value, input: &Value) -> Self {
        let requested = tools.as_array().cloned().unwrap_or_default();
        let of_type = |kind: &str| -> Vec<Value> {
            let items = input.as_array().into_iter().flatten();
            items.filter(|item| text(item, "type") == kind).cloned().collect()
        };
        Self {
            pending: requested.clone(),
            requested,
            approval_requests: of_type("mcp_approval_request"),
            approval_responses: of_type("mcp_approval_response"),
            ..Self::default()
        }
    }

    /// Takes over what the previous response listed of the same servers with the same restriction.
    pub fn recover(&mut self, previous: &Value) {
        let listed = previous.get("tools").and_then(Value::as_array);
        let Some(listed) = listed.filter(|listed| !listed.is_empty()) else { return };
        let same = |tool: &Value| {
            text(tool, "type") == "mcp"
                && listed
                    .iter()
                    .rev()
                    .filter(|old| text(old, "type") == "mcp")
                    .find(|old| text(old, "server_label") == text(tool, "server_label"))
                    .is_some_and(|old| old.get("allowed_tools") == tool.get("allowed_tools"))
        };
        let (matched, pending): (Vec<_>, Vec<_>) = self.requested.iter().cloned().partition(same);
        self.pending = pending;
        let output = previous.get("output").and_then(Value::as_array).into_iter().flatten();
        for listing in output.filter(|item| text(item, "type") == "mcp_list_tools") {
            let label = text(listing, "server_label");
            let Some(tool) = matched.iter().rev().find(|tool| text(tool, "server_label") == label) else {
                continue;
            };
            for listed in listing.get("tools").and_then(Value::as_array).into_iter().flatten() {
                self.servers.insert(text(listed, "name").to_owned(), McpServer::read(tool));
            }
            self.reusable.push(listing.clone());
        }
    }

    /// Lets the model call a tool.
    pub fn offer(&mut self, chat_tool: Value) {
        self.offered.get_or_insert_default().push(chat_tool);
    }

    /// Lets the model call a tool of an MCP server. False when the name is taken.
    #[must_use]
    pub fn offer_mcp(&mut self, name: &str, chat_tool: Value, server: &McpServer) -> bool {
        self.offer(chat_tool);
        self.servers.insert(name.to_owned(), server.clone()).is_none()
    }

    /// The server that has a tool of this name.
    #[must_use]
    pub fn server(&self, tool: &str) -> Option<&McpServer> {
        self.servers.get(tool)
    }

    /// The first tool of a type, as requested.
    #[must_use]
    pub fn requested(&self, kind: &str) -> Option<&Value> {
        self.requested.iter().find(|tool| text(tool, "type") == kind)
    }

    pub(super) fn any(&self) -> bool {
        !self.requested.is_empty()
    }

    /// Whether the client answers calls of this tool.
    pub(super) fn is_function(&self, name: &str) -> bool {
        self.requested.iter().any(|tool| text(tool, "type") == "function" && text(tool, "name") == name)
    }

    /// What is known of a call's approval.
    pub(super) fn approval(&self, name: &str, arguments: &str) -> Approval {
        if !self.server(name).is_some_and(McpServer::wants_approval) {
            return Approval::NotNeeded;
        }
        let mut requests = self.approval_requests.iter();
        let request =
            requests.find(|request| text(request, "name") == name && text(request, "arguments") == arguments);
        let answer = request.and_then(|request| {
            let mut answers = self.approval_responses.iter().rev();
            answers.find(|answer| text(answer, "approval_request_id") == text(request, "id"))
        });
        match answer.and_then(|answer| answer.get("approve")?.as_bool()) {
            Some(true) => Approval::NotNeeded,
            Some(false) => Approval::Denied,
            None => Approval::Needed,
        }
    }

    /// The tools as a response shows them: an MCP server without its address and headers.
    pub(super) fn shown(&self) -> Vec<Value> {
        let shown = self.requested.iter().map(|tool| match text(tool, "type") {
            "mcp" => json!({
                "type": "mcp",
                "server_label": tool["server_label"],
                "allowed_tools": tool["allowed_tools"],
            }),
            _ => tool.clone(),
        });
        shown.collect()
    }
}

/// Whether a call may be made.
#[derive(Debug, PartialEq)]
pub(super) enum Approval {
    NotNeeded,
    Needed,
    Denied,
}

/// Whether an `mcp` tool's `allowed_tools` lets the model see a tool of this name. An empty list allows all.
#[must_use]
pub fn allowed(mcp_tool: &Value, name: &str) -> bool {
    let allowed = mcp_tool.get("allowed_tools");
    let names = allowed.and_then(|allowed| allowed.get("tool_names").unwrap_or(allowed).as_array());
    names.is_none_or(|names| names.is_empty() || names.iter().any(|allowed| allowed == name))
}

/// A tool as a chat completion names it. The schema is passed on untouched: `$ref`, `$defs` and all.
#[must_use]
pub fn chat_tool(name: &str, description: Option<&str>, input_schema: Option<&Value>) -> Value {
    let mut function = Map::new();
    function.insert("name".into(), name.into());
    if let Some(description) = description.filter(|description| !description.is_empty()) {
        function.insert("description".into(), description.into());
    }
    if let Some(schema) =
        input_schema.filter(|schema| schema.as_object().is_some_and(|schema| !schema.is_empty()))
    {
        function.insert("parameters".into(), schema.clone());
    }
    json!({"type": "function", "function": function})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mcp(more: Value) -> Value {
        let mut tool = json!({"type": "mcp", "server_label": "l", "server_url": "http://127.0.0.1/mcp"});
        tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tool
    }

    #[test]
    fn allowed_tools_restrict() {
        let cases = [
            (json!({"allowed_tools": null}), true),
            (json!({"allowed_tools": []}), true),
            (json!({"allowed_tools": ["b"]}), false),
            (json!({"allowed_tools": {"tool_names": ["a"]}}), true),
            (json!({"allowed_tools": {"tool_names": ["b"]}}), false),
        ];
        for (more, expected) in cases {
            assert_eq!(allowed(&mcp(more.clone()), "a"), expected, "{more}");
        }
    }

    #[test]
    fn approval_is_asked_for_once() {
        let approval = |require: Value, input: Value| {
            let tool = mcp(json!({"require_approval": require}));
            let mut toolbox = Toolbox::new(&json!([tool]), &input);
            assert!(toolbox.offer_mcp("f", json!({}), &McpServer::read(&tool)));
            toolbox.approval("f", "{}")
        };
        let request = json!({"type": "mcp_approval_request", "id": "r", "name": "f", "arguments": "{}"});
        let answer = |approve: bool| json!({"type": "mcp_approval_response", "approval_request_id": "r", "approve": approve});
        assert_eq!(approval(json!("never"), json!([])), Approval::NotNeeded);
        assert_eq!(approval(json!("always"), json!("text")), Approval::Needed);
        assert_eq!(approval(json!({"never": ["f"]}), json!([])), Approval::Needed);
        assert_eq!(approval(json!("always"), json!([request, answer(true)])), Approval::NotNeeded);
        assert_eq!(approval(json!("always"), json!([request, answer(false)])), Approval::Denied);
    }

    #[test]
    fn a_listing_is_reused_for_the_same_restriction() {
        let previous = json!({
            "tools": [{"type": "mcp", "server_label": "l", "allowed_tools": null}],
            "output": [{"type": "mcp_list_tools", "server_label": "l", "tools": [{"name": "f"}]}]});
        let recovered = |tool: Value| {
            let mut toolbox = Toolbox::new(&json!([tool]), &json!([]));
            toolbox.recover(&previous);
            (toolbox.pending.len(), toolbox.reusable.len(), toolbox.server("f").is_some())
        };
        assert_eq!(recovered(mcp(json!({"allowed_tools": null}))), (0, 1, true));
        assert_eq!(recovered(mcp(json!({"allowed_tools": ["f"]}))), (1, 0, false));
    }
}
