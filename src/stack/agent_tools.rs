//! The tools of an agent: those of its client and those of tool groups.

use super::Shared;
use super::caller::Caller;
use super::errors::ApiError;
use super::json::text;
use crate::responses::chat_tool;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A group whose tools are taken one by one, though its name begins like those that come whole.
const RAG: &str = "builtin::rag";
/// The tool that models know as Brave's.
const WEB_SEARCH: (&str, &str) = ("web_search", "brave_search");

/// What the model may call in a turn.
#[derive(Default)]
pub(crate) struct Tools {
    offered: Vec<Value>,
    of_client: BTreeSet<String>,
    /// Arguments that overrule the model's, by tool.
    arguments: IndexMap<String, Map<String, Value>>,
}

impl Tools {
    /// The tools of an agent, with the groups of a turn in place of the agent's own.
    pub(crate) async fn of(
        shared: &Arc<Shared>,
        caller: &Caller,
        config: &Value,
        for_turn: &[Value],
    ) -> Result<Self, ApiError> {
        let mut tools = Self::default();
        for tool in config["client_tools"].as_array().into_iter().flatten() {
            tools.of_client.insert(text(tool, "name").to_owned());
            tools.add(text(tool, "name"), tool, Map::new())?;
        }
        let own = config["toolgroups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |group: &Value| group.as_str().unwrap_or_else(|| text(group, "name")).to_owned();
        let mut arguments = BTreeMap::new();
        for group in own.iter().chain(for_turn).filter(|group| group.is_object()) {
            let whole = name(group);
            let id = split(&whole).0.to_owned();
            arguments.insert(id, group["args"].as_object().cloned().unwrap_or_default());
        }
        let mut seen = BTreeSet::new();
        for group in if for_turn.is_empty() { own } else { for_turn } {
            let name = name(group);
            if seen.insert(name.clone()) {
                let arguments = arguments.get(split(&name).0).cloned().unwrap_or_default();
                tools.add_group(shared, caller, &name, &arguments).await?;
            }
        }
        Ok(tools)
    }

    async fn add_group(
        &mut self,
        shared: &Arc<Shared>,
        caller: &Caller,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let (group, wanted) = split(name);
        let listed = shared.tool_definitions(group, caller).await?;
        if listed.is_empty() {
            return Err(ApiError::Value(format!("Toolgroup {group} not found")));
        }
        if let Some(wanted) = wanted
            && !listed.iter().any(|tool| text(tool, "name") == wanted)
        {
            let names: Vec<&str> = listed.iter().map(|tool| text(tool, "name")).collect();
            return Err(ApiError::Value(format!(
                "Tool {wanted} not found in toolgroup {group}. Available tools: {}",
                names.join(", ")
            )));
        }
        for tool in &listed {
            let name = text(tool, "name");
            if group.starts_with("builtin") && group != RAG {
                let known = if name == WEB_SEARCH.0 { WEB_SEARCH.1 } else { name };
                self.add(known, tool, arguments.clone())?;
            } else if wanted.is_none_or(|wanted| wanted == name) {
                self.add(name, tool, arguments.clone())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, tool: &Value, arguments: Map<String, Value>) -> Result<(), ApiError> {
        if self.knows(name) {
            return Err(ApiError::Value(format!("Tool {name} already exists")));
        }
        self.offered.push(chat_tool(name, tool["description"].as_str(), tool.get("input_schema")));
        self.arguments.insert(name.to_owned(), arguments);
        Ok(())
    }

    fn knows(&self, name: &str) -> bool {
        self.arguments.contains_key(name)
    }

    /// As a chat completion names them.
    pub(crate) fn offered(&self) -> &[Value] {
        &self.offered
    }

    /// Whether the client answers calls of this tool.
    pub(crate) fn is_clients(&self, name: &str) -> bool {
        self.of_client.contains(name)
    }
}

/// A group and one of its tools, as in `builtin::rag/knowledge_search`.
fn split(name: &str) -> (&str, Option<&str>) {
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(group), Some(tool), None) => (group, Some(tool)),
        (group, ..) => (group.unwrap_or_default(), None),
    }
}

/// Has a tool of the stack's answer a call of the model's.
pub(crate) async fn invoke(
    shared: &Arc<Shared>,
    caller: &Caller,
    tools: &Tools,
    session: &str,
    call: &Value,
) -> Result<Value, ApiError> {
    let name = text(call, "tool_name");
    if !tools.knows(name) {
        let known: Vec<&str> = tools.arguments.keys().map(String::as_str).collect();
        return Err(ApiError::Value(format!(
            "Tool {name} not found in provided tools, registered tools: {}",
            known.join(", ")
        )));
    }
    let given = text(call, "arguments");
    let arguments: Map<String, Value> = serde_json::from_str(given)
        .map_err(|_| ApiError::Value(format!("Failed to parse arguments for tool call: {given}")))?;
    let mut kwargs = Map::new();
    kwargs.insert("session_id".into(), session.into());
    kwargs.extend(arguments);
    // Upstream looks the overruling arguments up by the name it calls, so that those of the web search are lost.
    let called = if name == WEB_SEARCH.1 { WEB_SEARCH.0 } else { name };
    kwargs.extend(tools.arguments.get(called).cloned().unwrap_or_default());
    shared.invoke_tool(called, kwargs, caller).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_name_one_tool() {
        assert_eq!(split("builtin::rag"), ("builtin::rag", None));
        assert_eq!(split("builtin::rag/knowledge_search"), ("builtin::rag", Some("knowledge_search")));
        assert_eq!(split("a/b/c"), ("a", None));
    }
}
