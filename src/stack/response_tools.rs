//! The tools of a response: what the model is offered, and what comes of its calls.

use super::Shared;
use super::caller::Caller;
use super::errors::ApiError;
use super::file_search;
use super::json::{text, texts};
use super::resources::SHIELD;
use super::responding::Sent;
use crate::mcp::ToolDef;
use crate::responses::{Call, McpServer, Outcome, Run, Toolbox, allowed, chat_tool, joined};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Offers a response's tools to the model: first those listed before, then the others in the request's order.
pub(crate) async fn offer(shared: &Arc<Shared>, run: &mut Run, sent: &mut Sent) -> Result<(), ApiError> {
    for listing in std::mem::take(&mut run.toolbox.reusable) {
        let tools = listing["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        for tool in tools {
            run.toolbox.offer(described(text(tool, "name"), tool));
        }
        let events = run.listed(text(&listing, "server_label"), tools);
        sent.all(events).await;
    }
    for tool in std::mem::take(&mut run.toolbox.pending) {
        match text(&tool, "type") {
            "function" => run.toolbox.offer(json!({"type": "function", "function": tool})),
            "mcp" => list(shared, run, &tool, sent).await?,
            "file_search" => {
                run.toolbox.offer(described("knowledge_search", &shared.tool("knowledge_search")?));
            }
            _ => run.toolbox.offer(described("web_search", &shared.tool("web_search")?)),
        }
    }
    Ok(())
}

/// A tool that the stack lists, as the model is told of it.
fn described(name: &str, definition: &Value) -> Value {
    chat_tool(name, definition["description"].as_str(), definition.get("input_schema"))
}

async fn list(shared: &Shared, run: &mut Run, tool: &Value, sent: &mut Sent) -> Result<(), ApiError> {
    sent.send(run.listing()).await;
    let server = McpServer::read(tool);
    let listed = shared.list_mcp_tools(&server.url, &server.headers).await?;
    let mut shown = Vec::new();
    for ToolDef { name, description, input_schema, .. } in listed {
        if !allowed(tool, &name) {
            continue;
        }
        let offered = chat_tool(&name, description.as_deref(), Some(&input_schema));
        if !run.toolbox.offer_mcp(&name, offered, &server) {
            let label = &server.label;
            return Err(ApiError::Value(format!("Duplicate tool name {name} found for server {label}")));
        }
        let schema = match input_schema.as_object() {
            Some(schema) if !schema.is_empty() => input_schema,
            _ => json!({"type": "object", "properties": {}, "required": []}),
        };
        shown.push(json!({"input_schema": schema, "name": name, "description": description}));
    }
    sent.all(run.listed(&server.label, &shown)).await;
    Ok(())
}

/// Has a call of the stack's own answered. Only arguments that are no JSON fail the response.
pub(crate) async fn call(
    shared: &Arc<Shared>,
    caller: &Caller,
    toolbox: &Toolbox,
    call: &Call,
) -> Result<Outcome, ApiError> {
    let arguments: Map<String, Value> =
        serde_json::from_str(&call.arguments).map_err(|error| ApiError::Value(error.to_string()))?;
    let name = call.name.as_deref().unwrap_or_default();
    let server = toolbox.server(name);
    if server.is_some() || name != "knowledge_search" {
        let answer = match server {
            Some(server) => shared.call_mcp_tool(&server.url, &server.headers, name, arguments).await,
            None => shared.invoke_tool(name, arguments, caller).await,
        };
        return Ok(answer.map_or_else(failed, |answer| of_tool(&answer)));
    }
    let query = text(&Value::Object(arguments), "query").to_owned();
    let Some(tool) = toolbox.requested("file_search") else {
        return Ok(Outcome { queries: vec![query], ..Outcome::default() });
    };
    let mut hits = Vec::new();
    for store in texts(&tool["vector_store_ids"]) {
        let options = file_search::options(tool);
        // A store that cannot be searched counts as one that holds nothing, as upstream has it.
        hits.extend(shared.search_vector_store(store, &query, &options, caller).await.unwrap_or_default());
    }
    Ok(file_search::outcome(query, &hits))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in for a function of a result")]
fn failed(error: ApiError) -> Outcome {
    Outcome { error: Some(error.to_string()), ..Outcome::default() }
}

/// An invocation's answer, for the model and for the client.
fn of_tool(answer: &Value) -> Outcome {
    let content = &answer["content"];
    let error = match (answer["error_code"].as_i64().unwrap_or_default(), answer["error_message"].as_str()) {
        (0, None | Some("")) => None,
        (code, message) => Some(format!("Error (code {code}): {}", message.unwrap_or("None"))),
    };
    let some = match content {
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        content => content.is_object(),
    };
    Outcome {
        content: some.then(|| chat_content(content)),
        output: (some && error.is_none()).then(|| joined(content)),
        error,
        ..Outcome::default()
    }
}

/// A tool's content as the content of a chat message.
fn chat_content(content: &Value) -> Value {
    let part = |item: &Value| match text(item, "type") {
        "image" => {
            let image = &item["image"];
            let url = match image["data"].as_str() {
                Some(data) => format!("data:image;base64,{data}"),
                None => image.pointer("/url/uri").and_then(Value::as_str).unwrap_or_default().to_owned(),
            };
            json!({"type": "image_url", "image_url": {"url": url, "detail": null}})
        }
        _ => json!({"type": "text", "text": item["text"]}),
    };
    match content {
        Value::Array(items) => items.iter().map(part).collect(),
        Value::Object(_) => json!([part(content)]),
        text => text.clone(),
    }
}

/// Asks each guardrail about a text; the message of the first one that refuses it.
pub(crate) async fn moderate(
    shared: &Arc<Shared>,
    caller: &Caller,
    input: &str,
    guardrails: &[&str],
) -> Result<Option<String>, ApiError> {
    let mut models = Vec::new();
    for guardrail in guardrails {
        let shield = shared
            .find_resource(&SHIELD, guardrail)?
            .ok_or_else(|| ApiError::Value(format!("No shield found with identifier '{guardrail}'")))?;
        models.push(text(&shield, "provider_resource_id").to_owned());
    }
    let asked = models.iter().map(|model| shared.run_moderation(vec![input.to_owned()], model, caller));
    for answer in futures_util::future::join_all(asked).await {
        let answer = answer?;
        let results = answer["results"].as_array().into_iter().flatten();
        if let Some(result) = results.into_iter().find(|result| result["flagged"] == true) {
            return Ok(Some(violation(result)));
        }
    }
    Ok(None)
}

fn violation(result: &Value) -> String {
    let message = text(result, "user_message");
    let mut message =
        if message.is_empty() { "Content blocked by safety guardrails" } else { message }.to_owned();
    let categories = result["categories"].as_object().into_iter().flatten();
    let flagged: Vec<&str> =
        categories.filter(|(_, flagged)| **flagged == true).map(|(name, _)| name.as_str()).collect();
    if !flagged.is_empty() {
        message += &format!(" (flagged for: {})", flagged.join(", "));
    }
    let types: Vec<&str> = result.pointer("/metadata/violation_type").into_iter().flat_map(texts).collect();
    if !types.is_empty() {
        message += &format!(" (violation type: {})", types.join(", "));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_the_model_and_for_the_client() {
        let outcome = of_tool(&json!({
            "content": [{"type": "text", "text": "a"}, {"type": "image", "image": {"url": null, "data": "QQ=="}}],
            "error_code": 0, "error_message": null}));
        assert_eq!(outcome.output.as_deref(), Some("a <image>"));
        assert_eq!(
            outcome.content,
            Some(json!([
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image;base64,QQ==", "detail": null}}]))
        );
        let failed = of_tool(&json!({"content": [{"type": "text", "text": "no"}], "error_code": 1}));
        assert_eq!(failed.error.as_deref(), Some("Error (code 1): None"));
        assert_eq!((failed.output, failed.content), (None, Some(json!([{"type": "text", "text": "no"}]))));
        assert_eq!(of_tool(&json!({"content": []})).content, None);
    }

    #[test]
    fn a_violation_names_its_categories() {
        let result = json!({
            "user_message": "No.", "categories": {"Hate": false, "Crimes": true}, "metadata": {"violation_type": ["S1"]}});
        assert_eq!(violation(&result), "No. (flagged for: Crimes) (violation type: S1)");
        assert_eq!(violation(&json!({})), "Content blocked by safety guardrails");
    }
}
