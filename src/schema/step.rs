//! A step: one exchange, what is expected of it, what is kept from it.

use std::time::Duration;

use super::check::{PlainCheck, PlainKeep};
use super::decode::{Decode, Fields, Table, record, wrong_kind};
use crate::source::nearest::suggestion;
use crate::source::{Located, Node, NodeValue, Problems, Span};

/// The keys of a step that name a method.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// One step of a case. Without a method it only checks and keeps values.
#[derive(Debug, Clone)]
pub struct Step {
    pub span: Span,
    pub action: Option<Action>,
    pub options: StepOptions,
}

/// `post: /v1/…`
#[derive(Debug, Clone)]
pub struct Action {
    pub method: Located<String>,
    pub path: Located<String>,
}

record! {
    /// What may stand beside the method.
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

/// What happens when polling runs out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollTimeout {
    Fail,
    Skip,
}

impl Decode for PollTimeout {
    const EXPECTED: &'static str = "fail or skip";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Text(text) if text == "fail" => Some(Self::Fail),
            NodeValue::Text(text) if text == "skip" => Some(Self::Skip),
            _ => {
                problems.push(wrong_kind::<Self>(node));
                None
            }
        }
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

impl Decode for Step {
    const EXPECTED: &'static str = "a step such as `- get: /v1/models`";
    const ELEMENTS_STAND_ALONE: bool = false;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let known: Vec<&str> = METHODS.iter().chain(StepOptions::KEYS).copied().collect();
        let fields = Fields::of(node, &known, problems)?;
        let methods: Vec<&(Located<String>, Node)> =
            fields.pairs().iter().filter(|(key, _)| METHODS.contains(&key.as_str())).collect();
        if let [first, second, ..] = methods[..] {
            let problem = second.0.problem("a step makes one request");
            problems.push(problem.label("a second method").other(&first.0.span, "first here"));
        }
        let action = match methods.first() {
            Some((method, path)) => {
                Some(Action { method: method.clone(), path: Located::<String>::decode(path, problems)? })
            }
            None => None,
        };
        let rest: Vec<_> = fields
            .pairs()
            .iter()
            .filter(|(key, _)| StepOptions::KEYS.contains(&key.as_str()))
            .cloned()
            .collect();
        let rest = Node { value: NodeValue::Map(rest), span: node.span.clone() };
        let options = StepOptions::decode(&rest, problems)?;
        if action.is_some() && !options.steps.is_empty() {
            let problem = node.problem("a step with `steps` makes no request of its own");
            problems.push(problem.help("move the request into `steps`"));
        }
        if let (Some(repeat), true) = (&options.repeat, options.steps.is_empty()) {
            problems.push(repeat.again_while.problem("`repeat` needs `steps` beside it"));
        }
        if action.is_none() && (options.body.is_some() || options.poll.is_some()) {
            let problem = node.problem("a step with a body or `poll` needs a method");
            problems.push(problem.help("write one of get, post, put, patch, delete with a path"));
        }
        Some(Self { span: node.span.clone(), action, options })
    }
}

/// The single pair of an externally tagged value such as `json: {…}`.
pub(crate) fn tagged<'a>(
    node: &'a Node,
    what: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Option<(&'a Located<String>, &'a Node)> {
    let fields = Fields::any(node, problems)?;
    match fields.pairs() {
        [(key, value)] if known.contains(&key.as_str()) => Some((key, value)),
        [(key, _)] => {
            problems
                .push(key.problem(format!("unknown {what} `{}`", key.value)).help(suggestion(key, known)));
            None
        }
        pairs => {
            let problem = node.problem(format!("{what}: expected one key, found {}", pairs.len()));
            problems.push(problem.help(format!("write one of: {}", known.join(", "))));
            None
        }
    }
}

impl Decode for Body {
    const EXPECTED: &'static str = "a body such as `json: {…}`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (key, value) = tagged(node, "body", &["json", "jsonl", "text", "multipart"], problems)?;
        match key.as_str() {
            "json" => Some(Self::Json(value.clone())),
            "jsonl" => Some(Self::Jsonl(value.clone())),
            "text" => Some(Self::Text(value.clone())),
            _ => Table::<Part>::decode(value, problems).map(|table| Self::Multipart(table.0)),
        }
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
}
