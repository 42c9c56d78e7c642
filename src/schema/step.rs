//! A step: one exchange, what is expected of it, what is kept from it.

use std::time::Duration;

use super::check::{PlainCheck, PlainKeep};
use serde_json::json;

use super::decode::{Decode, Table};
use super::record::{Entries, Fields, forms, mapping_of, record, tagged, words};
use super::shape::{Definitions, Mapping, Shape, one_key};
use crate::check::Name;
use crate::source::{Located, Node, NodeValue, Problems};

/// The keys of a step that name a method.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// One step of a case. Without a method it only checks and keeps values.
#[derive(Debug, Clone)]
pub struct Step {
    pub options: StepOptions,
}

/// `post: /v1/…`
#[derive(Debug, Clone)]
pub struct Action {
    pub method: Located<String>,
    pub path: Located<String>,
}

record! {
    /// All that may stand in a step.
    pub struct StepOptions {
        name: Option<String>,
        query: Table<Node>,
        headers: Table<Node>,
        body: Option<Body>,
        timeout: Option<Duration>,
        /// Hangs up after this many events of a streamed answer.
        abort_after_events: Option<Located<u64>>,
        /// Repeats the step for every item of a list: one name, and the list.
        for_each: Table<Node>,
        /// Steps that belong together: for each item of `for_each`, or again and again under `repeat`.
        steps: Vec<Step>,
        repeat: Option<Repeat>,
        /// The step runs only when this expression holds; under `for_each`, only for items for which it does.
        when as "if": Option<Located<String>>,
        poll: Option<Poll>,
        expect: Vec<Located<PlainCheck>>,
        keep: Table<Located<PlainKeep>>,
        [flatten action: Option<Action>]
    }
}

record! {
    /// Runs the step's `steps` again as long as an expression holds after them.
    pub struct Repeat {
        again_while as "while": Located<String>,
        /// More rounds than this are a failure.
        at_most: Located<u64>,
    }
}

record! {
    /// Repeats the exchange until all its expectations hold.
    pub struct Poll {
        /// First pause between two tries; it grows by half each time up to ten times its value.
        every: Option<Duration>,
        within: Duration,
        /// Checks that end the polling at once as a failure.
        unless: Vec<Located<PlainCheck>>,
        /// What running out of time means.
        timeout_is: Option<Located<PollTimeout>>,
    }
}

words! {
    /// What happens when polling runs out of time.
    pub enum PollTimeout ("fail or skip") {
        Fail = "fail",
        Skip = "skip",
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Body {
    Json(Node),
    /// A list, each element on a line of its own.
    Jsonl(Node),
    Text(Node),
    Multipart(Vec<(Located<String>, Part)>),
}

/// One part of a multipart body.
#[derive(Debug, Clone)]
pub enum Part {
    Field(Node),
    File(Box<FilePart>),
}

record! {
    /// A file to upload: its name, and its bytes as text, as JSON Lines or from a file of the project.
    pub struct FilePart {
        filename: Node,
        content_type: Option<String>,
        text: Option<Node>,
        jsonl: Option<Node>,
        path: Option<Located<String>>,
    }
}

/// A method as the key, a path as its value; at most one of them.
impl Entries for Option<Action> {
    fn keys() -> &'static [&'static str] {
        &METHODS
    }
    fn take(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let mut methods = fields.pairs().iter().filter(|(key, _)| METHODS.contains(&key.as_str()));
        let Some((method, path)) = methods.next() else { return Some(None) };
        if let Some((second, _)) = methods.next() {
            let problem = second.problem("a step makes one request");
            problems.push(problem.label("a second method").other(&method.span, "first here"));
        }
        let path = Located::<String>::decode(path, problems)?;
        Some(Some(Action { method: method.clone(), path }))
    }
    fn describe_keys(mapping: &mut Mapping, definitions: &mut Definitions) {
        for method in METHODS {
            let docs = "The path that is asked for, a template; the stack's address is put before it.";
            mapping.shape(method, docs, String::describe(definitions));
        }
    }
}

impl Decode for Step {
    const EXPECTED: &'static str = "a step such as `- get: /v1/models`";
    const ELEMENTS_STAND_ALONE: bool = false;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let options = StepOptions::decode(node, problems)?;
        if options.action.is_some() && !options.steps.is_empty() {
            let problem = node.problem("a step with `steps` makes no request of its own");
            problems.push(problem.help("move the request into `steps`"));
        }
        if let (Some(repeat), true) = (&options.repeat, options.steps.is_empty()) {
            problems.push(repeat.again_while.problem("`repeat` needs `steps` beside it"));
        }
        if options.action.is_none() && (options.body.is_some() || options.poll.is_some()) {
            let problem = node.problem("a step with a body or `poll` needs a method");
            problems.push(problem.help("write one of get, post, put, patch, delete with a path"));
        }
        Some(Self { options })
    }

    fn describe(definitions: &mut Definitions) -> Shape {
        definitions.refer::<Self>("Step", |definitions| {
            let docs = "One exchange, what is expected of it, and what is kept from it.";
            mapping_of::<StepOptions>(docs, definitions)
        })
    }
}

/// The kinds of bodies.
const BODIES: &[Name] = &[
    ("json", "any value; templates in it are filled"),
    ("jsonl", "a list, each element on a line of its own"),
    ("text", "text as it is"),
    ("multipart", "parts by name, each text or a file"),
];

forms! {
    /// What each kind of body takes.
    trait Bodies for Body, BODIES; {
        "json": Node => Body::Json,
        "jsonl": Node => Body::Jsonl,
        "text": Node => Body::Text,
        "multipart": Table<Part> => |parts| Body::Multipart(parts.0),
    }
}

impl Decode for Body {
    const EXPECTED: &'static str = "a body such as `json: {…}`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (key, value) = tagged(node, "body", <Self as Bodies>::FORMS, problems)?;
        Self::form(key, value, problems)
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        definitions.refer::<Self>("Body", |definitions| one_key(Self::shapes(definitions)))
    }
}

impl Decode for Part {
    const EXPECTED: &'static str = "text, or a mapping with `filename`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if !matches!(node.value, NodeValue::Map(_)) {
            return Some(Self::Field(node.clone()));
        }
        let file = FilePart::decode(node, problems)?;
        let sources = [file.text.is_some(), file.jsonl.is_some(), file.path.is_some()];
        if sources.iter().filter(|given| **given).count() != 1 {
            problems.push(node.problem("a file to upload needs exactly one of `text`, `jsonl`, `path`"));
        }
        Some(Self::File(Box::new(file)))
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        json!({"anyOf": [{"type": ["string", "number", "boolean", "null", "array"]}, <FilePart as Decode>::describe(definitions)]})
    }
}
