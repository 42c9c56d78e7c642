//! Local MCP servers for the stack under test to use as tools: named tool sets, a bearer token, both transports, and
//! a log of what they received. The official SDK (rmcp) speaks the protocol; the older HTTP+SSE transport, which it
//! no longer serves, is [`sse`].

mod log;
mod server;
mod sse;
mod tools;

pub use log::Log;
pub use server::{Server, ServerSpec, Transport};
pub use tools::ToolSet;
