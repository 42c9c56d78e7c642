//! Driving a response: calls the model, has tools and guardrails answer, and sends what comes of it.

use super::Shared;
use super::caller::Caller;
use super::chat;
use super::errors::ApiError;
use super::json::text;
use crate::responses::{Completion, Run, joined};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Where events go.
pub(crate) struct Sent {
    events: mpsc::Sender<Value>,
    /// The finished items.
    pub(crate) done: Vec<Value>,
}

impl Sent {
    pub(crate) fn new(events: mpsc::Sender<Value>) -> Self {
        Self { events, done: Vec::new() }
    }

    /// Sends an event. When nobody listens any more, the response is dropped with its receiver.
    pub(crate) async fn send(&mut self, event: Value) {
        if text(&event, "type") == "response.output_item.done" {
            self.done.push(event["item"].clone());
        }
        let _ = self.events.send(event).await;
    }

    pub(crate) async fn all(&mut self, events: impl IntoIterator<Item = Value>) {
        for event in events {
            self.send(event).await;
        }
    }
}

/// Why a response is not finished.
enum Stop {
    /// A guardrail refuses a text.
    Refused(String),
    Failed(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// Makes a response; all events but the last are sent. Errors are those before the model is called.
pub(crate) async fn respond(
    shared: &Arc<Shared>,
    caller: &Caller,
    run: &mut Run,
    guardrails: &[&str],
    sent: &mut Sent,
) -> Result<Value, ApiError> {
    sent.all(run.begin()).await;
    if !guardrails.is_empty() {
        let texts: Vec<String> = run.messages.iter().map(|message| joined(&message["content"])).collect();
        if let Some(violation) = violation(shared, caller, &texts.join(" "), guardrails).await? {
            return Ok(run.refused(&violation));
        }
    }
    super::response_tools::offer(shared, run, sent).await?;
    loop {
        let next = match turn(shared, caller, run, guardrails, sent).await {
            Ok(completion) => act(shared, caller, run, completion, sent).await,
            Err(stop) => Err(stop),
        };
        match next {
            Ok(None) => {}
            Ok(Some(last)) => return Ok(last),
            Err(Stop::Refused(violation)) => return Ok(run.refused(&violation)),
            Err(Stop::Failed(error)) => return Ok(run.failed(&error.to_string())),
        }
    }
}

/// Calls the model once.
async fn turn(
    shared: &Arc<Shared>,
    caller: &Caller,
    run: &mut Run,
    guardrails: &[&str],
    sent: &mut Sent,
) -> Result<Completion, Stop> {
    let mut chunks = chat::stream(shared, caller, run.chat_request()).await?;
    let mut turn = run.turn();
    while let Some(chunk) = chunks.next().await {
        let events = turn.chunk(run, &chunk?);
        sent.all(events.now).await;
        if !guardrails.is_empty()
            && let Some(violation) = violation(shared, caller, turn.text(), guardrails).await?
        {
            return Err(Stop::Refused(violation));
        }
        sent.all(events.checked).await;
    }
    let (events, completion) = turn.finish(run);
    sent.all(events).await;
    Ok(completion)
}

/// Has the calls of a completion answered; the last event, unless the model is to be called again.
async fn act(
    shared: &Arc<Shared>,
    caller: &Caller,
    run: &mut Run,
    completion: Completion,
    sent: &mut Sent,
) -> Result<Option<Value>, Stop> {
    let mut decision = run.decide(completion);
    sent.all(std::mem::take(&mut decision.events)).await;
    for call in &decision.own {
        sent.all(run.call_begins(call).map_err(ApiError::Value)?).await;
        let outcome = super::response_tools::call(shared, caller, &run.toolbox, call).await?;
        sent.all(run.call_ends(call, outcome)).await;
    }
    let (events, last) = run.next(&decision);
    sent.all(events).await;
    Ok(last)
}

/// Asks each guardrail about a text; the message of the first one that refuses it.
async fn violation(
    shared: &Arc<Shared>,
    caller: &Caller,
    text: &str,
    guardrails: &[&str],
) -> Result<Option<String>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    super::response_tools::moderate(shared, caller, text, guardrails).await
}
