//! YAML text into nodes, event by event.
//!
//! Serde stands between most YAML libraries and their users, and has no place for positions: giving every node its own
//! took nine tenths of the time of `--list`. The events of the parser have them already.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

use super::scalar::{self, NotFinite};
use super::{Located, Node, NodeValue, Problem, SourceFile, Span};

/// Lists and mappings within each other, aliases followed. What reads a tree calls itself for every level.
const MOST_LEVELS: usize = 64;

/// Bytes that a file may come to once its aliases are followed.
const MOST_BYTES: usize = 64 << 20;

/// Parses one document. Syntax errors are a single problem: what follows cannot be trusted.
pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Node, Problem> {
    let mut options = granit_parser::options! {};
    options.set_emit_comments(false);
    let mut tree = Tree { file, open: Vec::new(), anchored: HashMap::new(), left: MOST_BYTES, root: None };
    for next in Parser::new_from_str_with_options(&file.text, options) {
        let (event, span) = next.map_err(|error| broken(&error, file))?;
        tree.on(event, &span)?;
    }
    let nothing = || Node { value: NodeValue::Null, span: Span { file: file.clone(), start: 0, end: 0 } };
    Ok(tree.root.unwrap_or_else(nothing))
}

fn broken(error: &ScanError, file: &Arc<SourceFile>) -> Problem {
    let start = error.marker().byte_offset().unwrap_or(file.text.len()).min(file.text.len());
    let span = Span { file: file.clone(), start, end: start };
    match error.kind() {
        ErrorKind::UnknownAnchor => {
            let name: String = file.text[start..]
                .chars()
                .skip(1)
                .take_while(|c| c.is_alphanumeric() || "_-".contains(*c))
                .collect();
            Problem::new(format!("there is no anchor `{name}` before this"))
                .at(&span)
                .help("`&name` before a value gives it an anchor")
        }
        ErrorKind::RecursionLimitExceeded => too_deep(&span),
        _ => Problem::new(format!("not valid YAML: {}", error.info()))
            .at(&span)
            .help("check indentation, quotes and brackets around this place"),
    }
}

/// The document so far.
struct Tree<'f> {
    file: &'f Arc<SourceFile>,
    /// Lists and mappings that have not ended, outermost first.
    open: Vec<Open>,
    anchored: HashMap<usize, Anchored>,
    /// How many bytes the rest may come to.
    left: usize,
    root: Option<Node>,
}

/// A list or mapping that has not ended.
struct Open {
    span: Span,
    anchor: usize,
    /// What was left of the bytes when it began.
    left: usize,
    /// The levels below it.
    levels: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { pairs: Vec<(Located<String>, Node)>, key: Option<Key>, merged: Vec<(Located<String>, Node)> },
}

enum Key {
    Name(Located<String>),
    /// `<<`: its value's entries belong to this mapping, unless it has its own.
    Merge,
}

/// A node that aliases may repeat.
struct Anchored {
    node: Node,
    bytes: usize,
    levels: usize,
}

/// A node as it ends.
struct Done {
    node: Node,
    levels: usize,
    /// Whether it could be a mapping's `<<`.
    is_merge: bool,
}

impl Tree<'_> {
    fn on(&mut self, event: Event<'_>, span: &granit_parser::Span) -> Result<(), Problem> {
        let place = self.place(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Problem::new("a second document begins here")
                    .at(&place)
                    .help("a file holds one document; make another file of it"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                let node = Node { value: scalar_value(text, style, tag.as_deref(), &place)?, span: place };
                let bytes = self.spend(&node)?;
                self.keep(anchor, &node, bytes, 0);
                self.add(Done { node, levels: 0, is_merge })
            }
            Event::SequenceStart(_, anchor, tag) => {
                expect_tag(tag.as_deref(), "seq", &place)?;
                self.begin(place, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                expect_tag(tag.as_deref(), "map", &place)?;
                self.begin(place, anchor, Content::Map { pairs: Vec::new(), key: None, merged: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, &place),
            Event::StreamEnd if self.root.is_none() => {
                self.root = Some(Node { value: NodeValue::Null, span: place });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn place(&self, span: &granit_parser::Span) -> Span {
        let len = self.file.text.len();
        let offset = |marker: &granit_parser::Marker| marker.byte_offset().unwrap_or(len).min(len);
        let start = offset(&span.start);
        Span { file: self.file.clone(), start, end: offset(&span.end).max(start) }
    }

    fn begin(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Problem> {
        if let Some(Open { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(no_key(&span));
        }
        if self.open.len() >= MOST_LEVELS {
            return Err(too_deep(&span));
        }
        self.open.push(Open { span, anchor, left: self.left, levels: 0, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.content {
            Content::List(items) => NodeValue::List(items),
            Content::Map { pairs, merged, .. } => NodeValue::Map(with_merged(pairs, merged)),
        };
        let node = Node { value, span: open.span };
        self.spend(&node)?;
        let levels = open.levels + 1;
        self.keep(open.anchor, &node, open.left - self.left, levels);
        self.add(Done { node, levels, is_merge: false })
    }

    fn alias(&mut self, anchor: usize, place: &Span) -> Result<(), Problem> {
        let Some(anchored) = self.anchored.get(&anchor) else {
            return Err(Problem::new("this alias is a part of what it stands for").at(place));
        };
        if self.open.len() + anchored.levels > MOST_LEVELS {
            return Err(too_deep(place));
        }
        self.left = self.left.checked_sub(anchored.bytes).ok_or_else(|| too_large(place))?;
        let done = Done { node: anchored.node.clone(), levels: anchored.levels, is_merge: false };
        self.add(done)
    }

    /// Takes a node from what is left; the nodes in it have been taken already.
    fn spend(&mut self, node: &Node) -> Result<usize, Problem> {
        let text = if let NodeValue::Text(text) = &node.value { text.len() } else { 0 };
        let bytes = text + size_of::<(Located<String>, Node)>();
        self.left = self.left.checked_sub(bytes).ok_or_else(|| too_large(&node.span))?;
        Ok(bytes)
    }

    fn keep(&mut self, anchor: usize, node: &Node, bytes: usize, levels: usize) {
        if anchor != 0 {
            self.anchored.insert(anchor, Anchored { node: node.clone(), bytes, levels });
        }
    }

    /// A node takes its place: in the list or mapping around it, or as the document.
    fn add(&mut self, done: Done) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(done.node);
            return Ok(());
        };
        open.levels = open.levels.max(done.levels);
        match &mut open.content {
            Content::List(items) => items.push(done.node),
            Content::Map { pairs, key, merged } => match key.take() {
                None if done.is_merge => *key = Some(Key::Merge),
                None => *key = Some(Key::Name(key_of(done.node)?)),
                Some(Key::Name(name)) => pairs.push((name, done.node)),
                Some(Key::Merge) => merge(done.node, merged)?,
            },
        }
        Ok(())
    }
}

/// Own entries, then merged ones whose key does not stand there yet.
fn with_merged(
    mut pairs: Vec<(Located<String>, Node)>,
    merged: Vec<(Located<String>, Node)>,
) -> Vec<(Located<String>, Node)> {
    for (key, node) in merged {
        if !pairs.iter().any(|(known, _)| known.value == key.value) {
            pairs.push((key, node));
        }
    }
    pairs
}

/// The value of `<<`: a mapping, or a list of them.
fn merge(node: Node, into: &mut Vec<(Located<String>, Node)>) -> Result<(), Problem> {
    match node.value {
        NodeValue::Map(pairs) => into.extend(pairs),
        NodeValue::List(items) => items.into_iter().try_for_each(|item| merge(item, into))?,
        NodeValue::Null => {}
        _ => {
            return Err(
                node.problem(format!("`<<` takes a mapping or a list of mappings, found {}", node.kind()))
            );
        }
    }
    Ok(())
}

/// Keys are text; a number or boolean as a key is taken as it was written.
fn key_of(node: Node) -> Result<Located<String>, Problem> {
    let text = match node.value {
        NodeValue::Text(text) => text,
        NodeValue::List(_) | NodeValue::Map(_) => return Err(no_key(&node.span)),
        _ => node.span.file.text.get(node.span.start..node.span.end).unwrap_or_default().to_owned(),
    };
    Ok(Located::new(text, node.span))
}

fn scalar_value(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    place: &Span,
) -> Result<NodeValue, Problem> {
    let resolve = |text: &str| scalar::resolve(text).map_err(|NotFinite| not_finite(text, place));
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            resolve(&text)
        } else {
            Ok(NodeValue::Text(text.into_owned()))
        };
    };
    let kind = match tag.core_suffix() {
        Some(kind) => kind,
        // `!` alone: not resolved, so text.
        None if tag.suffix() == "!" && tag.handle().is_empty() => "str",
        None => return Err(no_meaning(tag, place)),
    };
    if kind == "str" {
        return Ok(NodeValue::Text(text.into_owned()));
    }
    match (kind, resolve(&text)?) {
        ("null", value @ NodeValue::Null) | ("bool", value @ NodeValue::Bool(_)) => Ok(value),
        ("int", NodeValue::Number(number)) if !number.is_f64() => Ok(NodeValue::Number(number)),
        ("float", NodeValue::Number(number)) => {
            let float = number.as_f64().and_then(serde_json::Number::from_f64);
            Ok(NodeValue::Number(float.unwrap_or(number)))
        }
        _ => Err(Problem::new(format!("`{text}` is not what the tag `!!{kind}` says")).at(place)),
    }
}

fn expect_tag(tag: Option<&Tag>, kind: &str, place: &Span) -> Result<(), Problem> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(kind) => Err(no_meaning(tag, place)),
        _ => Ok(()),
    }
}

#[cold]
fn no_meaning(tag: &Tag, place: &Span) -> Problem {
    let written = format!("{}{}", tag.original_handle(), tag.suffix());
    Problem::new(format!("the tag `{written}` has no meaning here"))
        .at(place)
        .help("leave it out, or write the value in quotes if the `!` belongs to it")
}

#[cold]
fn not_finite(text: &str, place: &Span) -> Problem {
    Problem::new(format!("not valid YAML here: a number must be finite, and `{text}` is not"))
        .at(place)
        .help(format!("write it in quotes if text is meant: \"{text}\""))
}

#[cold]
fn no_key(place: &Span) -> Problem {
    Problem::new("a key is text, not a list or a mapping")
        .at(place)
        .help("text that begins with `{` or `[` stands in quotes")
}

#[cold]
fn too_deep(place: &Span) -> Problem {
    Problem::new(format!("more than {MOST_LEVELS} lists and mappings within each other")).at(place)
}

#[cold]
fn too_large(place: &Span) -> Problem {
    Problem::new(format!("with its aliases followed, this file is larger than {} MiB", MOST_BYTES >> 20))
        .at(place)
}
