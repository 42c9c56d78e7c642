//! A response being made: what has been put out, what comes next.

use super::events::{Events, whole};
use super::tools::{Approval, Toolbox};
use super::turn::{Call, Completion, Turn, function_call, message, output_text};
use super::{citations, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Makes an id with this prefix.
pub type NewId = Box<dyn FnMut(&str) -> String + Send>;

/// What a response starts from.
pub struct Setup {
    pub model: String,
    /// Seconds since the epoch.
    pub created_at: i64,
    pub instructions: Value,
    pub text: Value,
    pub temperature: Value,
    /// The chat messages to begin with.
    pub messages: Vec<Value>,
    pub toolbox: Toolbox,
    pub max_infer_iters: i64,
    /// Whether texts are checked before they are sent.
    pub guarded: bool,
    pub new_id: NewId,
}

/// One response. Its methods give out the events to be sent, in order.
pub struct Run {
    pub(super) events: Events,
    pub(super) output: Vec<Value>,
    pub(super) guarded: bool,
    pub(super) new_id: NewId,
    /// The tools and who answers them.
    pub toolbox: Toolbox,
    /// The chat until now: what the next call of the model is given.
    pub messages: Vec<Value>,
    model: String,
    created_at: i64,
    instructions: Value,
    text: Value,
    temperature: Value,
    usage: Option<Usage>,
    citations: BTreeMap<String, String>,
    max_infer_iters: i64,
    iterations: i64,
}

struct Usage {
    input: i64,
    output: i64,
    total: i64,
    input_details: Value,
    output_details: Value,
}

/// What a completion asks for.
#[derive(Debug)]
pub struct Decision {
    pub events: Vec<Value>,
    /// Calls that the stack answers.
    pub own: Vec<Call>,
    /// Calls that the client answers.
    pub functions: Vec<Call>,
    finish_reason: String,
}

/// What a tool of the stack answered.
#[derive(Debug, Default)]
pub struct Outcome {
    /// For the model: chat content, unless there is none.
    pub content: Option<Value>,
    /// For the client, of an MCP tool.
    pub output: Option<String>,
    pub error: Option<String>,
    /// For the client, of a file search.
    pub results: Option<Vec<Value>>,
    pub queries: Vec<String>,
    /// Names of the files that may be cited, by their id.
    pub citations: BTreeMap<String, String>,
}

impl Run {
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut new_id = setup.new_id;
        Self {
            events: Events::new(new_id("resp_")),
            output: Vec::new(),
            guarded: setup.guarded,
            new_id,
            toolbox: setup.toolbox,
            messages: setup.messages,
            model: setup.model,
            created_at: setup.created_at,
            instructions: setup.instructions,
            text: setup.text,
            temperature: setup.temperature,
            usage: None,
            citations: BTreeMap::new(),
            max_infer_iters: setup.max_infer_iters,
            iterations: 0,
        }
    }

    /// The first events.
    pub fn begin(&mut self) -> Vec<Value> {
        let response = self.snapshot("in_progress", Value::Null);
        let created = whole("response.created", response.clone());
        vec![created, self.events.numbered("response.in_progress", json!({"response": response}))]
    }

    /// An MCP server's tools are about to be listed.
    pub fn listing(&mut self) -> Value {
        self.events.numbered("response.mcp_list_tools.in_progress", json!({}))
    }

    /// A server's tools were listed: `tools` with name, description and schema.
    pub fn listed(&mut self, label: &str, tools: &[Value]) -> Vec<Value> {
        let id = (self.new_id)("mcp_list_");
        let item = |tools: &[Value]| json!({"id": id, "type": "mcp_list_tools", "server_label": label, "tools": tools});
        let (empty, full) = (item(&[]), item(tools));
        let at = self.output.len();
        let events = vec![
            self.events.item("response.output_item.added", &empty, at),
            self.events.numbered("response.mcp_list_tools.completed", json!({})),
            self.events.item("response.output_item.done", &full, at),
        ];
        self.output.push(full);
        events
    }

    /// The parameters of the next chat completion.
    #[must_use]
    pub fn chat_request(&self) -> Map<String, Value> {
        let mut params = Map::new();
        params.insert("model".into(), self.model.as_str().into());
        params.insert("messages".into(), self.messages.clone().into());
        let more = [
            ("tools", self.toolbox.offered.clone().map(Value::from)),
            ("temperature", Some(self.temperature.clone()).filter(|temperature| !temperature.is_null())),
            ("response_format", super::input::response_format(&self.text)),
        ];
        params.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        params.insert("stream".into(), true.into());
        params.insert("stream_options".into(), json!({"include_usage": true}));
        params
    }

    /// The model is about to answer.
    pub fn turn(&mut self) -> Turn {
        Turn::new((self.new_id)("msg_"), self.output.len())
    }

    pub(super) fn count_usage(&mut self, usage: &Value) {
        if usage.is_null() {
            return;
        }
        let count = |name: &str| usage.get(name).and_then(Value::as_i64).unwrap_or_default();
        let details = |name: &str, field: &str| match usage.get(name) {
            None | Some(Value::Null) => Value::Null,
            Some(details) => json!({field: details.get(field)}),
        };
        let latest = |new: Value, old: Option<&Value>| match (new, old) {
            (Value::Null, Some(old)) => old.clone(),
            (new, _) => new,
        };
        let (input, output) = (
            details("prompt_tokens_details", "cached_tokens"),
            details("completion_tokens_details", "reasoning_tokens"),
        );
        let before = self.usage.as_ref();
        let sum = |name: &str, before: Option<i64>| before.unwrap_or_default() + count(name);
        self.usage = Some(Usage {
            input: sum("prompt_tokens", before.map(|usage| usage.input)),
            output: sum("completion_tokens", before.map(|usage| usage.output)),
            total: sum("total_tokens", before.map(|usage| usage.total)),
            input_details: latest(input, before.map(|usage| &usage.input_details)),
            output_details: latest(output, before.map(|usage| &usage.output_details)),
        });
    }

    /// Takes in the model's answer and sorts its calls.
    pub fn decide(&mut self, completion: Completion) -> Decision {
        let Completion { message_id, text, calls, finish_reason } = completion;
        self.messages.push(assistant(&text, &calls));
        let mut decision =
            Decision { events: Vec::new(), own: Vec::new(), functions: Vec::new(), finish_reason };
        if calls.is_empty() || !self.toolbox.any() {
            let (text, annotations) = citations::split(&text, &self.citations);
            self.output.push(message(&message_id, vec![output_text(&text, &annotations)], "completed"));
            return decision;
        }
        for call in calls {
            let name = call.name.as_deref().unwrap_or_default();
            if self.toolbox.is_function(name) {
                decision.functions.push(call);
                continue;
            }
            match self.toolbox.approval(name, &call.arguments) {
                Approval::NotNeeded => decision.own.push(call),
                // The model's message goes, once for each such call, as upstream has it.
                Approval::Denied => {
                    self.messages.pop();
                }
                Approval::Needed => {
                    self.messages.pop();
                    let events = self.approval_request(&call);
                    decision.events.extend(events);
                }
            }
        }
        decision
    }

    fn approval_request(&mut self, call: &Call) -> [Value; 2] {
        let name = call.name.as_deref().unwrap_or_default();
        let item = json!({
            "arguments": call.arguments,
            "id": (self.new_id)("approval_"),
            "name": name,
            "server_label": self.toolbox.server(name).map(|server| server.label.as_str()),
            "type": "mcp_approval_request",
        });
        let at = self.output.len();
        self.output.push(item.clone());
        ["response.output_item.added", "response.output_item.done"]
            .map(|kind| self.events.item(kind, &item, at))
    }

    /// A call of the stack's own begins.
    ///
    /// # Errors
    /// When nobody here answers to the name.
    pub fn call_begins(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        let name = call.name.as_deref().unwrap_or_default();
        let at = self.output.len();
        let (item, prefix, stages): (_, _, &[&str]) = match (self.toolbox.server(name), name) {
            (Some(server), _) => {
                (mcp_call(call, &server.label, "", None, None), "mcp_call", &["in_progress"])
            }
            (None, "web_search") => {
                let item = json!({"id": call.item_id, "status": "in_progress", "type": "web_search_call"});
                (item, "web_search_call", &["in_progress", "searching"])
            }
            (None, "knowledge_search") => {
                let item = json!({
                    "id": call.item_id,
                    "queries": [call.arguments],
                    "status": "in_progress",
                    "type": "file_search_call",
                    "results": null,
                });
                (item, "file_search_call", &["in_progress", "searching"])
            }
            _ => {
                self.events.skip();
                return Err(format!("Unsupported tool call: {name}"));
            }
        };
        let mut events = vec![self.events.item("response.output_item.added", &item, at)];
        if call.id.is_some() {
            events.extend(
                stages
                    .iter()
                    .map(|stage| self.events.about(&format!("response.{prefix}.{stage}"), &call.item_id, at)),
            );
        }
        Ok(events)
    }

    /// A call of the stack's own has its outcome. Nothing comes of a call without an id.
    pub fn call_ends(&mut self, call: &Call, outcome: Outcome) -> Vec<Value> {
        let (name, at) = (call.name.as_deref().unwrap_or_default(), self.output.len());
        let Some(id) = &call.id else { return Vec::new() };
        let failed = outcome.error.is_some();
        let status = if failed { "failed" } else { "completed" };
        let (event, item) = match (self.toolbox.server(name), name) {
            (Some(server), _) => {
                let event = self.events.numbered(&format!("response.mcp_call.{status}"), json!({}));
                let (error, output) = (outcome.error.as_deref(), outcome.output.as_deref());
                (event, mcp_call(call, &server.label, &call.arguments, error, output))
            }
            (None, "web_search") => {
                let event = self.events.about("response.web_search_call.completed", &call.item_id, at);
                (event, json!({"id": call.item_id, "status": status, "type": "web_search_call"}))
            }
            _ => {
                let event = self.events.about("response.file_search_call.completed", &call.item_id, at);
                let item = json!({
                    "id": call.item_id,
                    "queries": outcome.queries,
                    "status": status,
                    "type": "file_search_call",
                    "results": outcome.results,
                });
                (event, item)
            }
        };
        self.citations.extend(outcome.citations);
        let done = self.events.item("response.output_item.done", &item, at);
        self.output.push(item);
        let text = || outcome.error.unwrap_or_else(|| "Tool execution failed".to_owned()).into();
        let content = outcome.content.unwrap_or_else(text);
        self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
        vec![event, done]
    }

    /// Hands the calls of the client over, and says whether the model is to be called again. `None`: it is.
    pub fn next(&mut self, decision: &Decision) -> (Vec<Value>, Option<Value>) {
        let mut events = Vec::new();
        for call in &decision.functions {
            let item = function_call(call, &call.arguments, "completed");
            events.push(self.events.item("response.output_item.done", &item, self.output.len()));
            self.output.push(item);
        }
        let mut incomplete = decision.finish_reason == "length";
        if decision.functions.is_empty() && !decision.own.is_empty() {
            self.iterations += 1;
            if self.iterations < self.max_infer_iters {
                return (events, None);
            }
            incomplete = true;
        }
        let last = if incomplete {
            let response = self.snapshot("incomplete", Value::Null);
            self.events.numbered("response.incomplete", json!({"response": response}))
        } else {
            whole("response.completed", self.snapshot("completed", Value::Null))
        };
        (events, Some(last))
    }

    /// The last event when the model or a tool cannot be asked.
    pub fn failed(&mut self, message: &str) -> Value {
        let response = self.snapshot("failed", json!({"code": "internal_error", "message": message}));
        self.events.numbered("response.failed", json!({"response": response}))
    }

    /// The last event when a guardrail refuses a text. Nothing of the response remains but the refusal.
    pub fn refused(&mut self, violation: &str) -> Value {
        self.messages.clear();
        let refusal = json!({"type": "refusal", "refusal": violation});
        let item = json!({
            "content": [refusal], "role": "assistant", "type": "message", "id": null, "status": null});
        let mut response = self.snapshot("completed", Value::Null);
        let bare = json!({
            "output": [item],
            "text": {"format": {"type": "text"}},
            "tools": null,
            "usage": null,
            "instructions": null,
        });
        if let (Some(response), Value::Object(bare)) = (response.as_object_mut(), bare) {
            response.extend(bare);
        }
        whole("response.completed", response)
    }

    fn snapshot(&self, status: &str, error: Value) -> Value {
        let usage = self.usage.as_ref().map(|usage| {
            json!({
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "total_tokens": usage.total,
                "input_tokens_details": usage.input_details,
                "output_tokens_details": usage.output_details,
            })
        });
        json!({
            "created_at": self.created_at,
            "error": error,
            "id": self.events.response_id,
            "model": self.model,
            "object": "response",
            "output": self.output,
            "parallel_tool_calls": false,
            "previous_response_id": null,
            "status": status,
            "temperature": null,
            "text": self.text,
            "top_p": null,
            "tools": self.toolbox.shown(),
            "truncation": null,
            "usage": usage,
            "instructions": self.instructions,
        })
    }
}

fn assistant(content: &str, calls: &[Call]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"index": call.index, "id": call.id, "type": "function", "function": function})
        })
        .collect();
    let calls = if calls.is_empty() { Value::Null } else { calls.into() };
    json!({"role": "assistant", "content": content, "tool_calls": calls})
}

fn mcp_call(call: &Call, label: &str, arguments: &str, error: Option<&str>, output: Option<&str>) -> Value {
    json!({
        "id": call.item_id,
        "type": "mcp_call",
        "arguments": arguments,
        "name": call.name,
        "server_label": label,
        "error": error,
        "output": output,
    })
}

/// Joins the parts of a content for a client that gets text.
#[must_use]
pub fn joined(content: &Value) -> String {
    match content {
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match part {
                Value::String(text) => text.as_str(),
                part if part.get("text").is_some() => text(part, "text"),
                _ => "<image>",
            });
            texts.collect::<Vec<_>>().join(" ")
        }
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}
