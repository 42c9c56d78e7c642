//! The Responses API without I/O: what a model is asked, and which events a response consists of.
//!
//! [`input`] makes chat messages of a response's input; [`Run`] is one response being made, a state machine that takes
//! in a model's chunks and the tools' outcomes and gives out events; [`Toolbox`] knows the tools of a response. Whoever
//! drives it calls the model and the tools. Everything is JSON as it travels; facts and orders are Llama Stack 0.3.0's.
//!
//! # Differences from Llama Stack, on purpose
//!
//! - `allowed_tools: {tool_names: […]}` restricts the tools; upstream fails on it.
//! - A failed tool's text is this program's, not that of a Python exception.

mod citations;
mod events;
pub mod input;
mod run;
mod tools;
mod turn;

#[cfg(test)]
mod tests;

pub use run::{Decision, NewId, Outcome, Run, Setup, joined};
pub use tools::{McpServer, Toolbox, allowed, chat_tool};
pub use turn::{Call, Completion, Turn};

use serde_json::Value;

/// A text field; empty when it is absent.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
