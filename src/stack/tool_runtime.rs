//! `POST /v1/tool-runtime/invoke`, and which provider lists and runs what.

use super::caller::{self, Caller};
use super::config_provider::Provider;
use super::errors::{ApiError, json_response};
use super::fields::{Extra, Model, OBJECT, Ty, body, required};
use super::json::text;
use super::resources::TOOL_GROUP;
use super::web_search::Search;
use super::{Shared, mcp_tools, unserved};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

static INVOKE: Model = body(&[required("tool_name", Ty::Str), required("kwargs", OBJECT)], Extra::Drop);

/// What runs tools here.
enum Runtime {
    Mcp,
    Search(&'static Search),
    Rag,
}

impl Runtime {
    fn of(provider: &Provider) -> Result<Self, ApiError> {
        match provider.provider_type.as_str() {
            "remote::model-context-protocol" => Ok(Self::Mcp),
            "inline::rag-runtime" => Ok(Self::Rag),
            name => Search::find(name).map(Self::Search).ok_or_else(|| unserved::provider(provider)),
        }
    }
}

/// The group in what may be a group and a tool, as in `builtin::rag/knowledge_search`.
pub(crate) fn group_of_pair(name: &str) -> Option<&str> {
    let (group, tool) = name.split_once('/')?;
    (!group.is_empty() && !tool.contains('/')).then_some(group)
}

/// A tool as Llama Stack shows it: the schemas as the tool's server wrote them.
pub(crate) fn definition(
    name: &str,
    description: Option<&str>,
    input_schema: Value,
    output_schema: Value,
    metadata: Value,
) -> Value {
    json!({
        "toolgroup_id": null,
        "name": name,
        "description": description,
        "input_schema": input_schema,
        "output_schema": output_schema,
        "metadata": metadata,
    })
}

/// What an invocation answers.
pub(crate) fn result(content: Value, error_code: Option<u8>, metadata: Value) -> Value {
    json!({"content": content, "error_message": null, "error_code": error_code, "metadata": metadata})
}

pub(crate) async fn invoke(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut params = caller::body(&INVOKE, &headers, body).await?;
    let Some(Value::Object(kwargs)) = params.remove("kwargs") else {
        return Err(ApiError::Internal("checked arguments are no object".into()));
    };
    let name = params.get("tool_name").and_then(Value::as_str).unwrap_or_default();
    Ok(json_response(StatusCode::OK, &shared.invoke_tool(name, kwargs, &caller).await?))
}

impl Shared {
    /// Runs a tool that was listed before. The answer has `content`, `error_message`, `error_code` and `metadata`.
    pub(crate) async fn invoke_tool(
        self: &Arc<Self>,
        name: &str,
        kwargs: Map<String, Value>,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        let key = group_of_pair(name).unwrap_or(name);
        let group = self.tools.find(key).map(|tool| text(&tool, "toolgroup_id").to_owned());
        let (_, provider) = self.served(&TOOL_GROUP, group.as_deref().unwrap_or(key))?;
        match Runtime::of(provider)? {
            Runtime::Mcp => mcp_tools::invoke(self, name, kwargs, caller).await,
            Runtime::Search(search) => search.invoke(provider, &kwargs, caller, self.offline).await,
            Runtime::Rag => self.knowledge_search(&kwargs, caller).await,
        }
    }

    /// The tools that a group's provider lists.
    pub(crate) async fn provider_tools(
        &self,
        group: &Value,
        caller: &Caller,
    ) -> Result<Vec<Value>, ApiError> {
        let provider = self.provider(&TOOL_GROUP, text(group, "provider_id"))?;
        match Runtime::of(provider)? {
            Runtime::Mcp => mcp_tools::list(self, group, caller).await,
            Runtime::Search(search) => Ok(vec![search.definition()]),
            Runtime::Rag => Ok(rag_definitions()),
        }
    }
}

/// As upstream lists them; models are offered the second only.
fn rag_definitions() -> Vec<Value> {
    let query = "The query to search for. Can be a natural language sentence or keywords.";
    let search = "Search for information in a database.";
    let plain =
        |name, description, schema| definition(name, Some(description), schema, Value::Null, Value::Null);
    vec![
        plain("insert_into_memory", "Insert documents into memory", Value::Null),
        plain("knowledge_search", search, query_schema(query)),
    ]
}

/// The schema of a tool that takes a `query`.
pub(crate) fn query_schema(description: &str) -> Value {
    json!({
        "type": "object",
        "properties": {"query": {"type": "string", "description": description}},
        "required": ["query"],
    })
}

#[cfg(test)]
mod tests {
    use super::group_of_pair;

    #[test]
    fn a_pair_is_a_group_and_a_tool() {
        assert_eq!(group_of_pair("builtin::rag/knowledge_search"), Some("builtin::rag"));
        assert_eq!(group_of_pair("knowledge_search"), None);
        assert_eq!(group_of_pair("a/b/c"), None);
    }
}
