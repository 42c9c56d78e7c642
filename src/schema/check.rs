//! Checks and keeps as written, decoded into the types of [`crate::check`] with nodes as expected values.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};

use super::decode::Decode;
use super::matcher::choice;
use super::record::{forms, record, tagged, word};
use super::shape::{Definitions, Shape, one_key};
use crate::check::{
    Between, Check, ErrorIs, Keep, Name, Path, PathCheck, ProviderCall, Range, StatusCodes, StatusIs,
    StreamFormat, StreamIs, Terminal, Which,
};
use crate::source::{Located, Node, NodeValue, Problems};

/// A check whose expected values are still nodes.
pub type PlainCheck = Check<Node>;

/// What is kept: something of the answer, or a computed value.
#[derive(Debug, Clone)]
pub enum PlainKeep {
    Take(Keep),
    Value(Node),
    /// A file of the project.
    File(Located<String>, FileForm),
}

/// How a file's bytes become a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileForm {
    /// UTF-8 text.
    Text,
    Base64,
    /// `data:image/png;base64,…`, the type told by the file's extension.
    DataUrl,
}

forms! {
    /// What each check takes.
    trait Checks for PlainCheck, PlainCheck::NAMES; {
        "status": StatusIs<Node> => Check::Status,
        "header": HeaderCheck => |written| Check::Header { name: written.name, check: written.check },
        "body": PathCheck<Node> => Check::Body,
        "body_base64": PathCheck<Node> => Check::BodyBase64,
        "json": PathCheck<Node> => Check::Json,
        "events": PathCheck<Node> => Check::Events,
        "assembled": PathCheck<Node> => Check::Assembled,
        "joined": PathCheck<Node> => Check::Joined,
        "value": ValueCheck => |written| Check::Value { of: written.of, check: written.check },
        "error": ErrorIs<Node> => Check::Error,
        "stream": StreamIs<Node> => |stream| Check::Stream(Box::new(stream)),
        "provider_request": RequestCheck => |written| Check::ProviderRequest {
            call: ProviderCall { provider: written.provider, endpoint: written.endpoint },
            which: written.which.unwrap_or_default(),
            check: written.check,
        },
        "provider_calls": CallsCheck => |written| Check::ProviderCalls {
            call: ProviderCall { provider: written.provider, endpoint: written.endpoint },
            count: written.count,
        },
        "mcp_calls": McpCalls => |written| Check::McpCalls {
            server: written.0.server,
            method: written.0.method.map_or_else(|| "tools/call".to_owned(), |method| method.value),
            tool: written.0.tool,
            check: written.0.check,
        },
        "assert": Condition => |condition| Check::Assert(condition.0),
    }
}

impl Decode for PlainCheck {
    const EXPECTED: &'static str = "a check such as `status: 200`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (key, value) = tagged(node, "check", <Self as Checks>::FORMS, problems)?;
        Self::form(key, value, problems)
    }

    fn describe(definitions: &mut Definitions) -> Shape {
        definitions.refer::<Self>("Check", |definitions| one_key(Self::shapes(definitions)))
    }
}

record! {
    /// A response header as text; an absent header is a missing node.
    pub struct HeaderCheck {
        /// The header's name.
        name: String,
        [flatten check: PathCheck<Node>]
    }
}

record! {
    /// A kept or computed value.
    pub struct ValueCheck {
        /// The value: usually a template such as `${{ kept }}`.
        of: Node,
        [flatten check: PathCheck<Node>]
    }
}

record! {
    /// What the stack sent to its provider.
    pub struct RequestCheck {
        /// Only requests to this provider, as `ollama`.
        provider: Option<String>,
        /// Only requests whose path ends so, as `/chat/completions`.
        endpoint: Option<String>,
        /// Which of these requests: `every` (default), `some`, `last`, or a number from 1.
        which: Option<Which>,
        [flatten check: PathCheck<Node>]
    }
}

record! {
    /// How many requests the stack sent to its provider.
    pub struct CallsCheck {
        /// Only requests to this provider, as `ollama`.
        provider: Option<String>,
        /// Only requests whose path ends so, as `/chat/completions`.
        endpoint: Option<String>,
        count: Range<Node>,
    }
}

record! {
    /// What an MCP server that the case uses received.
    pub struct McpFields {
        /// The fixture that is the server.
        server: String,
        /// The JSON-RPC method; `tools/call` unless written otherwise.
        method: Option<Located<String>>,
        /// Only calls of this tool.
        tool: Option<String>,
        [flatten check: PathCheck<Node>]
    }
}

/// Fields that go together.
struct McpCalls(McpFields);

impl Decode for McpCalls {
    const EXPECTED: &'static str = "a mapping with `server`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = McpFields::decode(node, problems)?;
        if let (Some(method), Some(_)) = (&fields.method, &fields.tool) {
            problems
                .push(method.problem("a `tool` is called by `tools/call`; `method` is for other requests"));
        }
        Some(Self(fields))
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        McpFields::describe(definitions)
    }
}

/// An expression needs no `${{ }}`; with them added it is an ordinary template.
struct Condition(Node);

impl Decode for Condition {
    const EXPECTED: &'static str = "an expression";
    fn decode(node: &Node, _: &mut Problems) -> Option<Self> {
        Some(Self(match &node.value {
            NodeValue::Text(text) if !text.contains("${{") => {
                Node { value: NodeValue::Text(format!("${{{{ {text} }}}}")), span: node.span.clone() }
            }
            _ => node.clone(),
        }))
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": ["string", "boolean"]})
    }
}

impl Decode for StatusIs<Node> {
    const EXPECTED: &'static str = "a status such as 404 or 4xx";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if matches!(&node.value, NodeValue::Text(text) if text.contains("${{")) {
            return Some(Self::Computed(node.clone()));
        }
        StatusCodes::from_value(&node.to_json())
            .map_err(|message| problems.push(node.problem(message)))
            .map(Self::OneOf)
            .ok()
    }
    fn describe(_: &mut Definitions) -> Shape {
        let one = json!({"anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 599},
            {"type": "string", "pattern": r"^\s*([1-5][0-9][0-9]|[1-5](xx|XX))\s*$|\$\{\{"},
        ]});
        json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

impl Decode for Which {
    const EXPECTED: &'static str = "every, some, last or a number from 1";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let nth =
            |n: &serde_json::Number| n.as_u64().and_then(|n| NonZeroUsize::new(usize::try_from(n).ok()?));
        let found = match node.to_json() {
            Value::String(text) => match text.as_str() {
                "every" => Some(Self::Every),
                "some" => Some(Self::Some),
                "last" => Some(Self::Last),
                _ => None,
            },
            Value::Number(number) => nth(&number).map(Self::Nth),
            _ => None,
        };
        if found.is_none() {
            problems.push(node.problem(format!("`which` is {}", Self::EXPECTED)));
        }
        found
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"anyOf": [{"enum": ["every", "some", "last"]}, {"type": "integer", "minimum": 1}]})
    }
}

record! {
    /// An error response of any shape.
    pub struct ErrorFields {
        /// Any status from 400 when absent.
        status: Option<StatusIs<Node>>,
        /// Matchers for the error's message.
        message: Option<super::matcher::Group>,
        /// The error comes as an event of a stream whose status is 2xx, not as a status.
        in_stream: Option<bool>,
    }
}

impl Decode for ErrorIs<Node> {
    const EXPECTED: &'static str = "`any`, or a mapping";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if matches!(&node.value, NodeValue::Text(text) if text == "any") {
            return Some(Self::default());
        }
        ErrorFields::decode(node, problems).map(|written| Self {
            status: written.status,
            message: written.message.map(|group| group.0).unwrap_or_default(),
            in_stream: written.in_stream.unwrap_or(false),
        })
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        json!({"anyOf": [{"const": "any"}, ErrorFields::describe(definitions)]})
    }
}

choice!(StreamFormat: "a format of streams");

record! {
    /// The course of a stream: well-formed events, nothing after the end, and what is said here.
    pub struct StreamFields {
        /// How the body is framed.
        format: Option<StreamFormat>,
        /// The closing data, as `[DONE]`; or `none`; or matchers that one event satisfies, the last.
        terminal: Option<Terminal<Node>>,
        /// How many events there are at least, a closing `[DONE]` not counted.
        min_events: Option<Node>,
        /// How many events there are at most, a closing `[DONE]` not counted.
        max_events: Option<Node>,
        /// Where an event has its name; when absent the `event:` field, else `$.type`, else Llama Stack's own place.
        name_at: Option<Path>,
        /// Name of the first event.
        first: Option<Node>,
        /// Name of the last event, a closing `[DONE]` not counted.
        last: Option<Node>,
        /// Names of which each occurs after the one before it; others may come between.
        in_order: Vec<Node>,
        between: Vec<Order3>,
        /// Whether an event may carry a top-level `error`.
        allow_error: Option<bool>,
        /// Time from the request to the first event.
        first_within: Option<Duration>,
        /// The longest silence between two events.
        largest_gap: Option<Duration>,
    }
}

record! {
    /// Every event of a name comes after the first `after` and before the last `before`.
    pub struct Order3 {
        event: Node,
        after: Option<Node>,
        before: Option<Node>,
    }
}

impl Decode for StreamIs<Node> {
    const EXPECTED: &'static str = "a mapping";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let between =
            |order: Order3| Between { event: order.event, after: order.after, before: order.before };
        StreamFields::decode(node, problems).map(|written| Self {
            format: written.format,
            terminal: written.terminal,
            events: Range { min: written.min_events, max: written.max_events },
            name_at: written.name_at,
            first: written.first,
            last: written.last,
            in_order: written.in_order,
            between: written.between.into_iter().map(between).collect(),
            allow_error: written.allow_error.unwrap_or(false),
            first_within: written.first_within,
            largest_gap: written.largest_gap,
        })
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        StreamFields::describe(definitions)
    }
}

impl Decode for Terminal<Node> {
    const EXPECTED: &'static str = "closing data, `none`, or a mapping";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Text(text) if text == "none" => Some(Self::None),
            NodeValue::Text(_) => Some(Self::Data(node.clone())),
            _ => PathCheck::decode(node, problems).map(Self::Event),
        }
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        json!({"anyOf": [{"type": "string"}, PathCheck::<Node>::describe(definitions)]})
    }
}

/// What a keep may name, and what it is.
const KEEPS: &[Name] = &[
    ("json", "what a path finds in the JSON answer"),
    ("events", "what a path finds in the list of a stream's events"),
    ("assembled", "what a path finds in the stream put together"),
    ("joined", "the strings found at a path in every event, concatenated"),
    ("header", "a response header, by name"),
    ("body", "the body as text"),
    ("body_base64", "the body's bytes as base64 text"),
    ("status", "the status code"),
    ("value", "a computed value"),
    ("file", "a file of the project, as text"),
    ("file_base64", "a file of the project, its bytes as base64 text"),
    ("data_url", "a file of the project as a data URL, the type told by its extension"),
];

forms! {
    /// What each thing to keep takes.
    trait Keeps for PlainKeep, KEEPS; {
        "json": Path => |path| PlainKeep::Take(Keep::Json(path)),
        "events": Path => |path| PlainKeep::Take(Keep::Events(path)),
        "assembled": Path => |path| PlainKeep::Take(Keep::Assembled(path)),
        "joined": Path => |path| PlainKeep::Take(Keep::Joined(path)),
        "header": String => |name| PlainKeep::Take(Keep::Header(name)),
        "body": Node => |_| PlainKeep::Take(Keep::Body),
        "body_base64": Node => |_| PlainKeep::Take(Keep::BodyBase64),
        "status": Node => |_| PlainKeep::Take(Keep::Status),
        "value": Node => PlainKeep::Value,
        "file": Located<String> => |path| PlainKeep::File(path, FileForm::Text),
        "file_base64": Located<String> => |path| PlainKeep::File(path, FileForm::Base64),
        "data_url": Located<String> => |path| PlainKeep::File(path, FileForm::DataUrl),
    }
}

impl Decode for PlainKeep {
    const EXPECTED: &'static str = "a path such as `$.id`, or a mapping such as `header: location`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let NodeValue::Text(text) = &node.value {
            return if text.contains("${{") {
                Some(Self::Value(node.clone()))
            } else {
                Path::decode(node, problems).map(|path| Self::Take(Keep::Json(path)))
            };
        }
        let (key, value) = tagged(node, "thing to keep", <Self as Keeps>::FORMS, problems)?;
        Self::form(key, value, problems)
    }

    fn describe(definitions: &mut Definitions) -> Shape {
        definitions.refer::<Self>("Keep", |definitions| {
            let text = json!({"type": "string", "pattern": r"^\$|\$\{\{"});
            json!({"anyOf": [text, one_key(Self::shapes(definitions))]})
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Matcher;
    use crate::schema::matcher::Matchers;

    #[test]
    fn every_check_and_matcher_can_be_written_and_is_explained() {
        let names = |table: &[Name]| table.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(<PlainCheck as Checks>::FORMS, names(PlainCheck::NAMES));
        assert_eq!(<Matcher<Node> as Matchers>::FORMS, names(Matcher::<Node>::NAMES));
        assert_eq!(<PlainKeep as Keeps>::FORMS, names(KEEPS));
    }
}
