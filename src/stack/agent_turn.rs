//! One turn of an agent: shields, the model and tools in steps, until there is an answer or the client is to act.

use super::agent_stream::{Answer, Answered, call_delta};
use super::agent_tools::{self, Tools};
use super::agents::moment;
use super::caller::Caller;
use super::errors::ApiError;
use super::json::text;
use super::{Shared, agent_messages, chat};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Whose turn it is.
pub(crate) struct Place {
    pub(crate) agent: String,
    pub(crate) session: String,
}

/// How a turn goes on.
pub(crate) enum Continuation {
    /// From a checked request.
    New(Map<String, Value>),
    /// With what the client's tools answered.
    Resumed { turn: String, responses: Value },
}

/// A turn under way.
struct Turn {
    shared: Arc<Shared>,
    caller: Caller,
    place: Place,
    id: String,
    config: Value,
    tools: Tools,
    steps: Vec<Value>,
    events: mpsc::Sender<Value>,
}

/// Runs a turn and sends its events.
pub(crate) async fn run(
    shared: Arc<Shared>,
    caller: Caller,
    place: Place,
    continuation: Continuation,
    events: mpsc::Sender<Value>,
) -> Result<(), ApiError> {
    let config = shared.agent_config(&place.agent)?;
    let for_turn = match &continuation {
        Continuation::New(params) => params.get("toolgroups").and_then(Value::as_array).cloned(),
        Continuation::Resumed { .. } => None,
    };
    let tools = Tools::of(&shared, &caller, &config, &for_turn.unwrap_or_default()).await?;
    let turns = shared.turns(&place.agent, &place.session)?;
    let mut messages = agent_messages::of_turns(text(&config, "instructions"), &turns);
    let mut turn = Turn { shared, caller, place, id: String::new(), config, tools, steps: vec![], events };
    let (input, started_at) = match continuation {
        Continuation::New(params) => {
            turn.id = Uuid::new_v4().to_string();
            let mut input = params["messages"].as_array().cloned().unwrap_or_default();
            let documents = params["documents"].as_array().map(Vec::as_slice).unwrap_or_default();
            agent_messages::attach(&mut input, documents)?;
            messages.extend(input.iter().cloned());
            (Value::from(input), moment())
        }
        Continuation::Resumed { turn: id, responses } => {
            let Some(last) = turns.last() else {
                return Err(ApiError::Value("No turns found for session".into()));
            };
            turn.id = id;
            turn.steps = last["steps"].as_array().cloned().unwrap_or_default();
            for response in responses.as_array().into_iter().flatten() {
                messages.push(json!({
                    "role": "tool", "call_id": response["call_id"], "content": response["content"]}));
            }
            turn.resumed(&responses).await?;
            (last["input_messages"].clone(), text(last, "started_at").to_owned())
        }
    };
    let output = turn.output(messages).await?;
    let awaiting = output["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    let done = json!({
        "turn_id": turn.id,
        "session_id": turn.place.session,
        "input_messages": input,
        "steps": turn.steps,
        "output_message": output,
        "output_attachments": [],
        "started_at": started_at,
        "completed_at": moment(),
    });
    turn.shared.put_turn(&turn.place.agent, &turn.place.session, &done)?;
    let kind = if awaiting { "turn_awaiting_input" } else { "turn_complete" };
    turn.send(json!({"event_type": kind, "turn": done})).await;
    Ok(())
}

/// The kind of document that holds a turn's state between its requests.
fn state_of(place: &Place) -> String {
    format!("agent_turn_state/{}/{}", place.agent, place.session)
}

fn completion(content: &str, stop_reason: &str, calls: &[Value]) -> Value {
    json!({"role": "assistant", "content": content, "stop_reason": stop_reason, "tool_calls": calls})
}

/// What the model's answer leads to.
enum Next {
    /// The turn's output.
    Output(Value),
    /// The model is called again.
    Again,
}

impl Turn {
    /// Sends an event. When nobody listens any more, the turn is dropped with its receiver.
    async fn send(&self, payload: Value) {
        let _ = self.events.send(json!({"event": {"payload": payload}})).await;
    }

    async fn start(&self, kind: &str, metadata: Value) -> String {
        let id = Uuid::new_v4().to_string();
        self.send(
            json!({"event_type": "step_start", "step_type": kind, "step_id": id, "metadata": metadata}),
        )
        .await;
        id
    }

    async fn progress(&self, kind: &str, step: &str, delta: Value) {
        self.send(json!({"event_type": "step_progress", "step_type": kind, "step_id": step, "delta": delta}))
            .await;
    }

    /// Ends a step with its own fields.
    async fn complete(&mut self, kind: &str, step: &str, started_at: &str, fields: Value) {
        let mut details = json!({
            "turn_id": self.id,
            "step_id": step,
            "started_at": started_at,
            "completed_at": moment(),
            "step_type": kind,
        });
        if let (Some(details), Value::Object(fields)) = (details.as_object_mut(), fields) {
            details.extend(fields);
        }
        self.steps.push(details.clone());
        self.send(json!({
            "event_type": "step_complete", "step_type": kind, "step_id": step, "step_details": details}))
            .await;
    }

    /// Ends the step that waited for the client.
    async fn resumed(&mut self, responses: &Value) -> Result<(), ApiError> {
        let state = self.shared.documents.get(&state_of(&self.place), &self.id)?.unwrap_or_default();
        let waiting = state.get("waiting").filter(|waiting| !waiting.is_null());
        let (step, started_at, calls) = match waiting {
            Some(waiting) => (
                text(waiting, "step_id").to_owned(),
                text(waiting, "started_at").to_owned(),
                waiting["tool_calls"].clone(),
            ),
            None => (Uuid::new_v4().to_string(), moment(), json!([])),
        };
        let fields = json!({"tool_calls": calls, "tool_responses": responses});
        self.complete("tool_execution", &step, &started_at, fields).await;
        Ok(())
    }

    /// The turn's last message.
    async fn output(&mut self, mut messages: Vec<Value>) -> Result<Value, ApiError> {
        if let Some(refusal) = self.shields("input_shields", "user-input", &messages).await? {
            return Ok(refusal);
        }
        let mut iterations = self.iterations()?;
        let output = loop {
            let answered = self.infer(&messages).await?;
            iterations += 1;
            self.keep("iterations", iterations.into())?;
            if let Next::Output(output) = self.act(answered, iterations, &mut messages).await? {
                break output;
            }
        };
        messages.push(output.clone());
        let refusal = self.shields("output_shields", "assistant-output", &messages).await?;
        Ok(refusal.unwrap_or(output))
    }

    fn iterations(&self) -> Result<i64, ApiError> {
        let state = self.shared.documents.get(&state_of(&self.place), &self.id)?;
        Ok(state.and_then(|state| state.get("iterations")?.as_i64()).unwrap_or_default())
    }

    /// Keeps a part of the turn's state for the request that resumes it.
    fn keep(&self, name: &str, value: Value) -> Result<(), ApiError> {
        let documents = &self.shared.documents;
        let mut state = documents.get(&state_of(&self.place), &self.id)?.unwrap_or_else(|| json!({}));
        state[name] = value;
        Ok(documents.put(&state_of(&self.place), &self.id, &state)?)
    }

    /// Asks shields about the messages; the message in place of an answer when one of them refuses.
    async fn shields(
        &mut self,
        which: &str,
        touchpoint: &str,
        messages: &[Value],
    ) -> Result<Option<Value>, ApiError> {
        let shields = self.config[which].as_array().cloned().unwrap_or_default();
        if shields.is_empty() {
            return Ok(None);
        }
        let started_at = moment();
        let step = self.start("shield_call", json!({"touchpoint": touchpoint})).await;
        let asked = shields
            .iter()
            .filter_map(Value::as_str)
            .map(|shield| self.shared.run_shield(shield, messages, &self.caller));
        let mut violation = Value::Null;
        for answer in futures_util::future::join_all(asked).await {
            let found = answer?["violation"].take();
            if violation.is_null() && text(&found, "violation_level") == "error" {
                violation = found;
            }
        }
        let refusal =
            (!violation.is_null()).then(|| completion(text(&violation, "user_message"), "end_of_turn", &[]));
        self.complete("shield_call", &step, &started_at, json!({"violation": violation})).await;
        Ok(refusal)
    }

    /// Calls the model once.
    async fn infer(&mut self, messages: &[Value]) -> Result<Answered, ApiError> {
        let started_at = moment();
        let step = self.start("inference", json!({})).await;
        let params = agent_messages::chat_request(&self.config, messages, self.tools.offered())?;
        let mut chunks = chat::stream(&self.shared, &self.caller, params).await?;
        let mut answer = Answer::default();
        while let Some(chunk) = chunks.next().await {
            for delta in answer.chunk(&chunk?) {
                self.progress("inference", &step, delta).await;
            }
        }
        let (deltas, answered) = answer.finish();
        for delta in deltas {
            self.progress("inference", &step, delta).await;
        }
        let message = completion(&answered.content, answered.stop_reason, &answered.calls);
        self.complete("inference", &step, &started_at, json!({"model_response": message})).await;
        Ok(answered)
    }

    /// Does what the answer asks for.
    async fn act(
        &mut self,
        answered: Answered,
        iterations: i64,
        messages: &mut Vec<Value>,
    ) -> Result<Next, ApiError> {
        let Answered { content, calls, stop_reason } = answered;
        let output = |stop_reason| Ok(Next::Output(completion(&content, stop_reason, &calls)));
        if iterations >= self.config["max_infer_iters"].as_i64().unwrap_or(10) {
            return output("end_of_turn");
        }
        if stop_reason == "out_of_tokens" || (calls.is_empty() && stop_reason == "end_of_turn") {
            return output(stop_reason);
        }
        messages.push(completion(&content, stop_reason, &calls));
        let (of_client, own): (Vec<Value>, Vec<Value>) =
            calls.into_iter().partition(|call| self.tools.is_clients(text(call, "tool_name")));
        let mut last_step = None;
        for call in own {
            last_step = Some(self.call(&call, messages).await?);
        }
        if of_client.is_empty() {
            return Ok(Next::Again);
        }
        // Upstream's step goes by the id of the step before.
        let step = last_step.or_else(|| self.steps.last().map(|step| text(step, "step_id").to_owned()));
        let waiting = json!({"step_id": step, "tool_calls": of_client, "started_at": moment()});
        self.keep("waiting", waiting)?;
        Ok(Next::Output(completion(&content, "end_of_message", &of_client)))
    }

    /// Has a tool of the stack's answer; the step's id.
    async fn call(&mut self, call: &Value, messages: &mut Vec<Value>) -> Result<String, ApiError> {
        let kind = "tool_execution";
        let step = self.start(kind, json!({})).await;
        self.progress(kind, &step, call_delta(call.clone(), "in_progress")).await;
        let started_at = moment();
        let result =
            agent_tools::invoke(&self.shared, &self.caller, &self.tools, &self.place.session, call).await?;
        let (id, name) = (text(call, "call_id"), text(call, "tool_name"));
        if result["content"].is_null() {
            return Err(ApiError::Value(format!(
                "Tool call result (id: {id}, name: {name}) does not have any content"
            )));
        }
        messages.push(json!({"role": "tool", "call_id": id, "content": result["content"]}));
        let response = json!({
            "call_id": id, "tool_name": name, "content": result["content"], "metadata": result["metadata"]});
        let fields = json!({"tool_calls": [call], "tool_responses": [response]});
        self.complete(kind, &step, &started_at, fields).await;
        Ok(step)
    }
}
