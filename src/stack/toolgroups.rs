//! `/v1/toolgroups` and `/v1/tools`: groups of tools that users register, and the tools their providers list.
//!
//! The tools of a group are kept from their first listing until the group is unregistered. Upstream keeps them beyond
//! that: a group registered again with another address still had the old tools, and a name that two groups share
//! pointed to the one that was gone.

use super::caller::{self, Caller};
use super::content::URL;
use super::errors::{ApiError, json_response, with_cause};
use super::fields::{Extra, Model, OBJECT, Ty, body, optional, required};
use super::json::text;
use super::resources::TOOL_GROUP;
use super::{Shared, tool_runtime};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

static REGISTER: Model = body(
    &[
        required("toolgroup_id", Ty::Str),
        required("provider_id", Ty::Str),
        optional("mcp_endpoint", Ty::Model(&URL)),
        optional("args", OBJECT),
    ],
    Extra::Drop,
);

/// The tools that were listed, by group; the group listed last comes last.
#[derive(Default)]
pub(crate) struct Tools(Mutex<IndexMap<String, Vec<Value>>>);

impl Tools {
    fn with<T>(&self, act: impl FnOnce(&mut IndexMap<String, Vec<Value>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of(&self, group: &str) -> Option<Vec<Value>> {
        self.with(|groups| groups.get(group).cloned())
    }

    fn keep(&self, group: &str, tools: Vec<Value>) {
        self.with(|groups| groups.insert(group.to_owned(), tools));
    }

    fn forget(&self, group: &str) {
        self.with(|groups| groups.shift_remove(group));
    }

    /// The tool of this name in the group that was listed last.
    pub(crate) fn find(&self, name: &str) -> Option<Value> {
        self.with(|groups| groups.values().rev().flatten().find(|tool| text(tool, "name") == name).cloned())
    }
}

pub(crate) async fn register(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&REGISTER, &headers, body).await?;
    shared.register_tool_group(&params, &caller).await?;
    Ok(json_response(StatusCode::OK, &Value::Null))
}

pub(crate) async fn unregister(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    shared.unregister(&TOOL_GROUP, &id)?;
    shared.tools.forget(&id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v1/tools`
pub(crate) async fn tools(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    list_response(&shared, query.get("toolgroup_id"), &caller).await
}

/// `GET /v1/tool-runtime/list-tools`, the same under another name.
pub(crate) async fn runtime_tools(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    list_response(&shared, query.get("tool_group_id"), &caller).await
}

async fn list_response(
    shared: &Shared,
    group: Option<&String>,
    caller: &Caller,
) -> Result<Response, ApiError> {
    let listed =
        shared.list_tools(group.map(String::as_str).filter(|group| !group.is_empty()), caller).await?;
    let response = json_response(StatusCode::OK, &json!({"data": listed.tools}));
    Ok(with_cause(response, &listed.left_out.join("; ")))
}

/// `GET /v1/tools/{name}`: only tools that were listed before are known, as upstream has it.
pub(crate) async fn tool(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.tool(&name)?))
}

/// Tools, and why those of some groups are not among them.
pub(crate) struct Listed {
    pub(crate) tools: Vec<Value>,
    left_out: Vec<String>,
}

impl Shared {
    pub(crate) fn tool(&self, name: &str) -> Result<Value, ApiError> {
        self.tools.find(name).ok_or_else(|| ApiError::Value(format!("Tool '{name}' not found")))
    }

    async fn register_tool_group(
        &self,
        params: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), ApiError> {
        let given = |name: &str| params.get(name).cloned().unwrap_or_default();
        let group = json!({
            "identifier": given("toolgroup_id"),
            "provider_resource_id": given("toolgroup_id"),
            "provider_id": given("provider_id"),
            "type": "tool_group",
            "owner": null,
            "source": "via_register_api",
            "mcp_endpoint": given("mcp_endpoint"),
            "args": given("args"),
        });
        self.register_resource(&TOOL_GROUP, &group)?;
        // Whether a server can be reached shows when its tools are wanted.
        if group["mcp_endpoint"].is_null() {
            self.tools_of(&group, caller).await?;
        }
        Ok(())
    }

    /// The groups of the configuration.
    pub(crate) async fn register_configured_tool_groups(&self) -> Result<(), ApiError> {
        for entry in self.configured.enabled("tool_groups") {
            self.register_tool_group(entry, &Caller::default()).await?;
        }
        Ok(())
    }

    /// The definitions of a group's tools.
    pub(crate) async fn tool_definitions(
        &self,
        group: &str,
        caller: &Caller,
    ) -> Result<Vec<Value>, ApiError> {
        Ok(self.list_tools(Some(group), caller).await?.tools)
    }

    /// The tools of one group, or of all. A group whose tools cannot be listed is left out, unless it is for want
    /// of credentials, which the caller can do something about.
    async fn list_tools(&self, group: Option<&str>, caller: &Caller) -> Result<Listed, ApiError> {
        let groups = match group {
            Some(group) => {
                vec![self.resource(&TOOL_GROUP, tool_runtime::group_of_pair(group).unwrap_or(group))?]
            }
            None => self.documents.list(TOOL_GROUP.name)?,
        };
        let mut listed = Listed { tools: Vec::new(), left_out: Vec::new() };
        for group in &groups {
            match self.tools_of(group, caller).await {
                Ok(tools) => listed.tools.extend(tools),
                Err(error @ ApiError::Unauthorized(_)) => return Err(error),
                Err(error) => listed.left_out.push(format!("{}: {error}", text(group, "identifier"))),
            }
        }
        Ok(listed)
    }

    async fn tools_of(&self, group: &Value, caller: &Caller) -> Result<Vec<Value>, ApiError> {
        let id = text(group, "identifier");
        if let Some(tools) = self.tools.of(id) {
            return Ok(tools);
        }
        let mut tools = self.provider_tools(group, caller).await?;
        for tool in &mut tools {
            tool["toolgroup_id"] = id.into();
        }
        // Unregistered, and perhaps registered anew, in the meantime: then this list is nobody's.
        if self.find_resource(&TOOL_GROUP, id)?.as_ref() == Some(group) {
            self.tools.keep(id, tools.clone());
        }
        Ok(tools)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_listed_last_wins_and_a_forgotten_one_leaves_the_other() {
        let tools = Tools::default();
        for group in ["a", "b"] {
            tools.keep(group, vec![json!({"name": "greet", "toolgroup_id": group})]);
        }
        let group = |name| tools.find(name).map(|tool| tool["toolgroup_id"].clone());
        assert_eq!(group("greet"), Some("b".into()));
        tools.forget("b");
        assert_eq!(group("greet"), Some("a".into()));
        assert_eq!(group("none"), None);
    }
}
