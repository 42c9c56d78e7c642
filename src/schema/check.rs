//! Checks and keeps as written, decoded into the types of [`crate::check`] with nodes as expected values.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::Value;

use super::decode::{Decode, Fields};
use super::step::tagged;
use crate::check::{
    Between, Check, ErrorIs, JsonType, Keep, Matcher, Name, Order, Parse, Path, PathCheck, Pattern,
    ProviderCall, Range, SchemaRef, StatusCodes, StatusIs, StreamFormat, StreamIs, Terminal, Which,
};
use crate::source::nearest::suggestion;
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

/// The keys of a path check beside its matchers.
const PATH_KEYS: [&str; 3] = ["at", "parse", "if_present"];

fn names(table: &[Name]) -> impl Iterator<Item = &'static str> {
    table.iter().map(|(name, _)| *name)
}

impl Decode for PlainCheck {
    const EXPECTED: &'static str = "a check such as `status: 200`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let known: Vec<&str> = names(Self::NAMES).collect();
        let (key, value) = tagged(node, "check", &known, problems)?;
        Some(match key.as_str() {
            "status" => Self::Status(status(value, problems)?),
            "header" => {
                let (fields, check) = path_check(value, &["name"], problems)?;
                Self::Header { name: fields.take("name", problems)?, check }
            }
            "body" => Self::Body(path_check(value, &[], problems)?.1),
            "body_base64" => Self::BodyBase64(path_check(value, &[], problems)?.1),
            "json" => Self::Json(path_check(value, &[], problems)?.1),
            "events" => Self::Events(path_check(value, &[], problems)?.1),
            "assembled" => Self::Assembled(path_check(value, &[], problems)?.1),
            "joined" => Self::Joined(path_check(value, &[], problems)?.1),
            "value" => {
                let (fields, check) = path_check(value, &["of"], problems)?;
                Self::Value { of: fields.take("of", problems)?, check }
            }
            "error" => Self::Error(error(value, problems)?),
            "stream" => Self::Stream(Box::new(stream(value, problems)?)),
            "provider_request" => {
                let (fields, check) = path_check(value, &["provider", "endpoint", "which"], problems)?;
                let which = fields.get("which").map_or(Some(Which::Every), |node| which(node, problems))?;
                Self::ProviderRequest { call: call(&fields, problems)?, which, check }
            }
            "provider_calls" => {
                let fields = Fields::of(value, &["provider", "endpoint", "count"], problems)?;
                Self::ProviderCalls { call: call(&fields, problems)?, count: fields.take("count", problems)? }
            }
            "mcp_calls" => {
                let (fields, check) = path_check(value, &["server", "method", "tool"], problems)?;
                let tool = fields.take::<Option<String>>("tool", problems)?;
                let method = fields.take::<Option<Located<String>>>("method", problems)?;
                if let (Some(method), Some(_)) = (&method, &tool) {
                    problems.push(
                        method.problem("a `tool` is called by `tools/call`; `method` is for other requests"),
                    );
                }
                let method = method.map_or_else(|| "tools/call".to_owned(), |method| method.value);
                Self::McpCalls { server: fields.take("server", problems)?, method, tool, check }
            }
            _ => Self::Assert(condition(value)),
        })
    }
}

/// An expression needs no `${{ }}`; with them added it is an ordinary template.
fn condition(node: &Node) -> Node {
    match &node.value {
        NodeValue::Text(text) if !text.contains("${{") => {
            Node { value: NodeValue::Text(format!("${{{{ {text} }}}}")), span: node.span.clone() }
        }
        _ => node.clone(),
    }
}

fn call(fields: &Fields<'_>, problems: &mut Problems) -> Option<ProviderCall> {
    Some(ProviderCall {
        provider: fields.take("provider", problems)?,
        endpoint: fields.take("endpoint", problems)?,
    })
}

fn status(node: &Node, problems: &mut Problems) -> Option<StatusIs<Node>> {
    if matches!(&node.value, NodeValue::Text(text) if text.contains("${{")) {
        return Some(StatusIs::Computed(node.clone()));
    }
    match StatusCodes::from_value(&node.to_json()) {
        Ok(codes) => Some(StatusIs::OneOf(codes)),
        Err(message) => {
            problems.push(node.problem(message));
            None
        }
    }
}

fn which(node: &Node, problems: &mut Problems) -> Option<Which> {
    let found = match node.to_json() {
        Value::String(text) => match text.as_str() {
            "every" => Some(Which::Every),
            "some" => Some(Which::Some),
            "last" => Some(Which::Last),
            _ => None,
        },
        Value::Number(n) => {
            n.as_u64().and_then(|n| usize::try_from(n).ok()).and_then(NonZeroUsize::new).map(Which::Nth)
        }
        _ => None,
    };
    if found.is_none() {
        problems.push(node.problem("`which` is every, some, last or a number from 1"));
    }
    found
}

fn error(node: &Node, problems: &mut Problems) -> Option<ErrorIs<Node>> {
    if matches!(&node.value, NodeValue::Text(text) if text == "any") {
        return Some(ErrorIs::default());
    }
    let fields = Fields::of(node, &["status", "message", "in_stream"], problems)?;
    let status = fields.get("status").map(|node| status(node, problems));
    let message = fields.get("message").map_or(Some(Vec::new()), |node| group(node, problems));
    let in_stream = fields.take::<Option<bool>>("in_stream", problems)?;
    Some(ErrorIs {
        status: match status {
            Some(status) => Some(status?),
            None => None,
        },
        message: message?,
        in_stream: in_stream.unwrap_or(false),
    })
}

const STREAM_KEYS: [&str; 12] = [
    "format",
    "terminal",
    "min_events",
    "max_events",
    "name_at",
    "first",
    "last",
    "in_order",
    "between",
    "allow_error",
    "first_within",
    "largest_gap",
];

fn stream(node: &Node, problems: &mut Problems) -> Option<StreamIs<Node>> {
    let fields = Fields::of(node, &STREAM_KEYS, problems)?;
    let format = fields.get("format").map(|n| choice(n, StreamFormat::ALL, StreamFormat::name, problems));
    let terminal = fields.get("terminal").map(|n| terminal(n, problems));
    let name_at = fields.get("name_at").map(|n| path(n, problems));
    let between = fields.take::<Vec<Order3>>("between", problems)?;
    Some(StreamIs {
        format: flip(format)?,
        terminal: flip(terminal)?,
        events: Range {
            min: fields.take("min_events", problems)?,
            max: fields.take("max_events", problems)?,
        },
        name_at: flip(name_at)?,
        first: fields.take("first", problems)?,
        last: fields.take("last", problems)?,
        in_order: fields.take("in_order", problems)?,
        between: between.into_iter().map(|order| order.0).collect(),
        allow_error: fields.take::<Option<bool>>("allow_error", problems)?.unwrap_or(false),
        first_within: fields.take::<Option<Duration>>("first_within", problems)?,
        largest_gap: fields.take::<Option<Duration>>("largest_gap", problems)?,
    })
}

/// A key that is absent is fine; one that is there must have decoded.
fn flip<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(decoded) => decoded.map(Some),
    }
}

fn terminal(node: &Node, problems: &mut Problems) -> Option<Terminal<Node>> {
    match &node.value {
        NodeValue::Text(text) if text == "none" => Some(Terminal::None),
        NodeValue::Text(_) => Some(Terminal::Data(node.clone())),
        _ => path_check(node, &[], problems).map(|(_, check)| Terminal::Event(check)),
    }
}

struct Order3(Between<Node>);

impl Decode for Order3 {
    const EXPECTED: &'static str = "a mapping with `event`, and `after` or `before`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::of(node, &["event", "after", "before"], problems)?;
        Some(Self(Between {
            event: fields.take("event", problems)?,
            after: fields.take("after", problems)?,
            before: fields.take("before", problems)?,
        }))
    }
}

/// A mapping of `at`, `parse`, `if_present`, the caller's own keys and matchers.
fn path_check<'n>(
    node: &'n Node,
    own: &[&'static str],
    problems: &mut Problems,
) -> Option<(Fields<'n>, PathCheck<Node>)> {
    let known: Vec<&str> =
        own.iter().copied().chain(PATH_KEYS).chain(names(Matcher::<Node>::NAMES)).collect();
    let fields = Fields::of(node, &known, problems)?;
    let at = fields.get("at").map_or(Some(Path::root()), |node| path(node, problems));
    let parse = fields.get("parse").map(|node| choice(node, Parse::ALL, Parse::name, problems));
    let if_present = fields.take::<Option<bool>>("if_present", problems);
    let matchers = matchers(&fields, problems);
    let check = PathCheck {
        at: at?,
        parse: flip(parse)?,
        if_present: if_present?.unwrap_or(false),
        matchers: matchers?,
    };
    Some((fields, check))
}

fn path(node: &Node, problems: &mut Problems) -> Option<Path> {
    let text = String::decode(node, problems)?;
    Path::parse(&text).map_err(|error| problems.push(node.problem(error.to_string()))).ok()
}

/// One of a closed set of names.
fn choice<C: Copy>(
    node: &Node,
    all: &[C],
    name: fn(C) -> &'static str,
    problems: &mut Problems,
) -> Option<C> {
    let text = String::decode(node, problems)?;
    let found = all.iter().copied().find(|candidate| name(*candidate) == text);
    if found.is_none() {
        let known: Vec<&str> = all.iter().map(|candidate| name(*candidate)).collect();
        problems.push(node.problem(format!("unknown word `{text}`")).help(suggestion(&text, &known)));
    }
    found
}

fn matchers(fields: &Fields<'_>, problems: &mut Problems) -> Option<Vec<Matcher<Node>>> {
    let is_matcher = |key: &str| names(Matcher::<Node>::NAMES).any(|name| name == key);
    let found: Vec<_> = fields
        .pairs()
        .iter()
        .filter(|(key, _)| is_matcher(key))
        .map(|(key, value)| matcher(key, value, problems))
        .collect();
    found.into_iter().collect()
}

/// A mapping of matchers alone.
fn group(node: &Node, problems: &mut Problems) -> Option<Vec<Matcher<Node>>> {
    let known: Vec<&str> = names(Matcher::<Node>::NAMES).collect();
    let fields = Fields::of(node, &known, problems)?;
    matchers(&fields, problems)
}

fn matcher(name: &str, node: &Node, problems: &mut Problems) -> Option<Matcher<Node>> {
    let value = || node.clone();
    Some(match name {
        "equals" => Matcher::Equals(value()),
        "not_equals" => Matcher::NotEquals(value()),
        "one_of" => Matcher::OneOf(value()),
        "type" => Matcher::Type(types(node, problems)?),
        "length" => Matcher::Length(Range::decode(node, problems)?),
        "count" => Matcher::Count(Range::decode(node, problems)?),
        "min" => Matcher::Min(value()),
        "max" => Matcher::Max(value()),
        "above" => Matcher::Above(value()),
        "below" => Matcher::Below(value()),
        "starts_with" => Matcher::StartsWith(value()),
        "ends_with" => Matcher::EndsWith(value()),
        "contains" => Matcher::Contains(value()),
        "contains_any" => Matcher::ContainsAny(value()),
        "contains_none" => Matcher::ContainsNone(value()),
        "contains_folded" => Matcher::ContainsFolded(value()),
        "contains_any_folded" => Matcher::ContainsAnyFolded(value()),
        "contains_none_folded" => Matcher::ContainsNoneFolded(value()),
        "matches" => Matcher::Matches(pattern(node, problems)?),
        "exists" => Matcher::Exists(bool::decode(node, problems)?),
        "includes" => Matcher::Includes(value()),
        "set_equals" => Matcher::SetEquals(value()),
        "disjoint_from" => Matcher::DisjointFrom(value()),
        "unique" => Matcher::Unique(bool::decode(node, problems)?),
        "sorted" => Matcher::Sorted(choice(node, Order::ALL, Order::name, problems)?),
        "keys" => Matcher::Keys(value()),
        "each" => Matcher::Each(group(node, problems)?),
        "some" => Matcher::Some(group(node, problems)?),
        "any" => Matcher::Any(group(node, problems)?),
        "none" => Matcher::None(group(node, problems)?),
        "as_list" => Matcher::AsList(group(node, problems)?),
        "parts" => Matcher::At(parts(node, problems)?),
        "schema" => Matcher::Schema(schema(node, problems)?),
        "not" => Matcher::Not(group(node, problems)?),
        _ => {
            Matcher::Either(Vec::<Group>::decode(node, problems)?.into_iter().map(|group| group.0).collect())
        }
    })
}

struct Group(Vec<Matcher<Node>>);

impl Decode for Group {
    const EXPECTED: &'static str = "a mapping of matchers";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        group(node, problems).map(Self)
    }
}

struct PathPart(PathCheck<Node>);

impl Decode for PathPart {
    const EXPECTED: &'static str = "a mapping with `at` and matchers";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        path_check(node, &[], problems).map(|(_, check)| Self(check))
    }
}

fn parts(node: &Node, problems: &mut Problems) -> Option<Vec<PathCheck<Node>>> {
    Vec::<PathPart>::decode(node, problems).map(|parts| parts.into_iter().map(|part| part.0).collect())
}

fn types(node: &Node, problems: &mut Problems) -> Option<Vec<JsonType>> {
    let items = match &node.value {
        NodeValue::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let decoded: Vec<Option<JsonType>> = items
        .iter()
        .map(|item| match item.value {
            // YAML's bare `null` is the type's name here.
            NodeValue::Null => Some(JsonType::Null),
            _ => choice(item, JsonType::ALL, JsonType::name, problems),
        })
        .collect();
    decoded.into_iter().collect()
}

fn pattern(node: &Node, problems: &mut Problems) -> Option<Pattern> {
    let text = String::decode(node, problems)?;
    Pattern::parse(&text)
        .map_err(|error| {
            // The last line says what is wrong; those before it draw where, as the problem itself does.
            let what = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            problems.push(node.problem(format!("bad regular expression `{text}`: {what}")));
        })
        .ok()
}

fn schema(node: &Node, problems: &mut Problems) -> Option<SchemaRef> {
    let written = match &node.value {
        NodeValue::Text(reference) => super::schema_file::read(reference, node, problems)?,
        _ => node.to_json(),
    };
    SchemaRef::compile(written).map_err(|error| problems.push(node.problem(error))).ok()
}

/// A number, a template, or `{min, max}`.
impl Decode for Range<Node> {
    const EXPECTED: &'static str = "a number, or a mapping with `min` and `max`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Map(_) => {
                let fields = Fields::of(node, &["min", "max"], problems)?;
                Some(Self { min: fields.take("min", problems)?, max: fields.take("max", problems)? })
            }
            NodeValue::Number(_) | NodeValue::Text(_) => Some(Self::exact(node.clone())),
            _ => {
                problems.push(super::decode::wrong_kind::<Self>(node));
                None
            }
        }
    }
}

impl Decode for PlainKeep {
    const EXPECTED: &'static str = "a path such as `$.id`, or a mapping such as `header: location`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let NodeValue::Text(text) = &node.value {
            return if text.contains("${{") {
                Some(Self::Value(node.clone()))
            } else {
                path(node, problems).map(|path| Self::Take(Keep::Json(path)))
            };
        }
        let known = [
            "json",
            "events",
            "assembled",
            "joined",
            "header",
            "body",
            "body_base64",
            "status",
            "value",
            "file",
            "file_base64",
            "data_url",
        ];
        let (key, value) = tagged(node, "thing to keep", &known, problems)?;
        Some(match key.as_str() {
            "json" => Self::Take(Keep::Json(path(value, problems)?)),
            "events" => Self::Take(Keep::Events(path(value, problems)?)),
            "assembled" => Self::Take(Keep::Assembled(path(value, problems)?)),
            "joined" => Self::Take(Keep::Joined(path(value, problems)?)),
            "header" => Self::Take(Keep::Header(String::decode(value, problems)?)),
            "body" => Self::Take(Keep::Body),
            "body_base64" => Self::Take(Keep::BodyBase64),
            "file" => Self::File(Located::decode(value, problems)?, FileForm::Text),
            "file_base64" => Self::File(Located::decode(value, problems)?, FileForm::Base64),
            "data_url" => Self::File(Located::decode(value, problems)?, FileForm::DataUrl),
            "status" => Self::Take(Keep::Status),
            _ => Self::Value(value.clone()),
        })
    }
}
