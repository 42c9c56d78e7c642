//! Fixtures: what cases need before their first step, made when a trial first asks for it and taken down after the last
//! one that uses it. In `fixtures/**/*.yaml` for every case, or in a file of cases for that file.

use std::time::Duration;

use super::decode::Table;
use super::record::{record, words};
use super::step::Step;
use crate::source::{Located, Node};

record! {
    /// One file of fixtures.
    pub struct FixtureFile {
        /// Pieces that the fixtures repeat by YAML anchors; not looked at otherwise.
        anchors: Option<Node>,
        fixtures: Table<Fixture>,
    }
}

record! {
    /// An MCP server, or steps whose kept values the cases use.
    pub struct Fixture {
        description: Option<String>,
        /// How long it lives: a trial unless written otherwise.
        scope: Option<Located<FixtureScope>>,
        /// Other fixtures that this one needs; none that lives shorter.
        uses: Vec<Located<String>>,
        mcp: Option<Mcp>,
        /// For the steps together.
        timeout: Option<Duration>,
        steps: Vec<Step>,
        /// Steps that run after the last use, also when a step of the fixture failed.
        cleanup: Vec<Step>,
    }
}

record! {
    /// An MCP server on a loopback port.
    pub struct Mcp {
        tools: Located<ToolSet>,
        transport: Option<Located<McpTransport>>,
        /// Requests without this bearer token are refused.
        token: Option<Located<String>>,
    }
}

words! {
    /// How long a fixture lives.
    #[derive(Default, PartialOrd, Ord)]
    pub enum FixtureScope ("a fixture's scope") {
        #[default]
        Trial = "trial",
        File = "file",
        Run = "run",
    }
}

words! {
    /// The tools of an MCP server.
    pub enum ToolSet ("a tool set") {
        Default = "default",
        Dependency = "dependency",
        Schemas = "schemas",
        Outputs = "outputs",
    }
}

words! {
    /// How MCP messages travel.
    #[derive(Default)]
    pub enum McpTransport ("an MCP transport") {
        #[default]
        StreamableHttp = "streamable_http",
        Sse = "sse",
    }
}
