//! Local MCP servers for the stack under test to use as tools: named tool sets, a bearer token, both transports, and
//! a log of what they received. The official SDK (rmcp) speaks the protocol; the older HTTP+SSE transport, which it
//! no longer serves, is [`sse`].
//!
//! And the client that the in-process stack calls such servers with: [`list_tools`] and [`call_tool`].

mod client;
mod client_error;
mod client_sse;
mod log;
mod server;
mod sse;
mod tools;

pub use client::{Headers, ToolDef, ToolResult, call_tool, list_tools};
pub use client_error::ClientError;
pub use log::Log;
pub use server::{Server, ServerSpec, Transport};
pub use tools::ToolSet;
