//! Matchers as written: which value each name takes, and the small values they are made of.

use serde_json::json;

use super::decode::{Decode, wrong_kind};
use super::record::{Entries, Fields, forms, only, record, word};
use super::shape::{Definitions, Mapping, Shape};
use crate::check::{JsonType, Matcher, Order, Parse, Path, PathCheck, Pattern, Range, SchemaRef};
use crate::source::{Node, NodeValue, Problems};

forms! {
    /// What each matcher takes.
    pub(super) trait Matchers for Matcher<Node>, Matcher::<Node>::NAMES; {
        "equals": Node => Matcher::Equals,
        "not_equals": Node => Matcher::NotEquals,
        "one_of": Node => Matcher::OneOf,
        "type": Types => |types| Matcher::Type(types.0),
        "length": Range<Node> => Matcher::Length,
        "count": Range<Node> => Matcher::Count,
        "min": Node => Matcher::Min,
        "max": Node => Matcher::Max,
        "above": Node => Matcher::Above,
        "below": Node => Matcher::Below,
        "starts_with": Node => Matcher::StartsWith,
        "ends_with": Node => Matcher::EndsWith,
        "contains": Node => Matcher::Contains,
        "contains_any": Node => Matcher::ContainsAny,
        "contains_none": Node => Matcher::ContainsNone,
        "contains_folded": Node => Matcher::ContainsFolded,
        "contains_any_folded": Node => Matcher::ContainsAnyFolded,
        "contains_none_folded": Node => Matcher::ContainsNoneFolded,
        "matches": Pattern => Matcher::Matches,
        "exists": bool => Matcher::Exists,
        "includes": Node => Matcher::Includes,
        "set_equals": Node => Matcher::SetEquals,
        "disjoint_from": Node => Matcher::DisjointFrom,
        "unique": bool => Matcher::Unique,
        "sorted": Order => Matcher::Sorted,
        "keys": Node => Matcher::Keys,
        "each": Group => |group| Matcher::Each(group.0),
        "some": Group => |group| Matcher::Some(group.0),
        "any": Group => |group| Matcher::Any(group.0),
        "none": Group => |group| Matcher::None(group.0),
        "as_list": Group => |group| Matcher::AsList(group.0),
        "parts": Vec<PathCheck<Node>> => Matcher::At,
        "schema": SchemaRef => Matcher::Schema,
        "not": Group => |group| Matcher::Not(group.0),
        "either": Vec<Group> => |groups| Matcher::Either(groups.into_iter().map(|group| group.0).collect()),
    }
}

impl Entries for Vec<Matcher<Node>> {
    fn keys() -> &'static [&'static str] {
        <Matcher<Node> as Matchers>::FORMS
    }
    fn take(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let known = <Matcher<Node> as Matchers>::FORMS;
        let written = fields.pairs().iter().filter(|(key, _)| known.contains(&key.as_str()));
        let decoded: Vec<_> = written.map(|(key, value)| Matchers::form(key, value, problems)).collect();
        decoded.into_iter().collect()
    }
    fn describe_keys(mapping: &mut Mapping, definitions: &mut Definitions) {
        for (name, docs, shape) in <Matcher<Node> as Matchers>::shapes(definitions) {
            mapping.shape(name, docs, shape);
        }
    }
}

/// A mapping of matchers alone.
#[derive(Debug, Clone)]
pub struct Group(pub Vec<Matcher<Node>>);

impl Decode for Group {
    const EXPECTED: &'static str = "a mapping of matchers";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        only(node, problems).map(Self)
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        definitions.refer::<Self>("Matchers", |definitions| {
            super::record::mapping_of::<Vec<Matcher<Node>>>("Matchers, all of which must hold.", definitions)
        })
    }
}

record! {
    /// Where to look, and what must be found there.
    pub struct Place {
        /// A JSONPath (RFC 9535); the whole document when absent.
        at: Option<Path>,
        /// How a string that was found becomes the value to be matched.
        parse: Option<Parse>,
        /// Whether it is right when the path finds nothing, or only `null`.
        if_present: Option<bool>,
        [flatten matchers: Vec<Matcher<Node>>]
    }
}

impl Entries for PathCheck<Node> {
    fn keys() -> &'static [&'static str] {
        Place::keys()
    }
    fn take(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        Place::take(fields, problems).map(|written| Self {
            at: written.at.unwrap_or_else(Path::root),
            parse: written.parse,
            if_present: written.if_present.unwrap_or(false),
            matchers: written.matchers,
        })
    }
    fn describe_keys(mapping: &mut Mapping, definitions: &mut Definitions) {
        Place::describe_keys(mapping, definitions);
    }
}

impl Decode for PathCheck<Node> {
    const EXPECTED: &'static str = "a mapping with `at` and matchers";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        only(node, problems)
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        definitions.refer::<Self>("PathCheck", |definitions| {
            super::record::mapping_of::<Self>("Matchers for every node that a path finds.", definitions)
        })
    }
}

impl Decode for Path {
    const EXPECTED: &'static str = "a JSONPath such as `$.data[*].id`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = String::decode(node, problems)?;
        Self::parse(&text).map_err(|error| problems.push(node.problem(error.to_string()))).ok()
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "string", "pattern": r"^\$"})
    }
}

/// One of the choices of [`crate::check`].
macro_rules! choice {
    ($($name:ident: $what:literal),*) => {$(
        impl Decode for $name {
            const EXPECTED: &'static str = $what;
            fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
                let known: Vec<&str> = Self::ALL.iter().map(|choice| choice.name()).collect();
                word(node, Self::from_name, &known, Self::EXPECTED, problems)
            }
            fn describe(_: &mut Definitions) -> Shape {
                json!({"enum": Self::ALL.iter().map(|choice| choice.name()).collect::<Vec<_>>()})
            }
        }
    )*};
}
pub(super) use choice;

choice!(Parse: "a way to read a string", Order: "an order", JsonType: "a JSON type");

/// JSON types; YAML's bare `null` is the name of a type here.
struct Types(Vec<JsonType>);

impl Decode for Types {
    const EXPECTED: &'static str = "a JSON type, or a list of them";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let items = if let NodeValue::List(items) = &node.value { items } else { std::slice::from_ref(node) };
        let one = |item: &Node| match item.value {
            NodeValue::Null => Some(JsonType::Null),
            _ => JsonType::decode(item, problems),
        };
        items.iter().map(one).collect::<Vec<_>>().into_iter().collect::<Option<_>>().map(Self)
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        let one = json!({"anyOf": [{"type": "null"}, JsonType::describe(definitions)]});
        json!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}

impl Decode for Pattern {
    const EXPECTED: &'static str = "a regular expression";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = String::decode(node, problems)?;
        let bad = |error: String| {
            // The last line says what is wrong; those before it draw where, as the problem itself does.
            let what = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            problems.push(node.problem(format!("bad regular expression `{text}`: {what}")));
        };
        Self::parse(&text).map_err(bad).ok()
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "string"})
    }
}

impl Decode for SchemaRef {
    const EXPECTED: &'static str = "a JSON Schema, or the path of one";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        super::schema_file::schema(node, problems)
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": ["object", "boolean", "string"]})
    }
}

/// A number, a template, or `{min, max}`.
impl Decode for Range<Node> {
    const EXPECTED: &'static str = "a number, or a mapping with `min` and `max`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            NodeValue::Map(_) => {
                Bounds::decode(node, problems).map(|bounds| Self { min: bounds.min, max: bounds.max })
            }
            NodeValue::Number(_) | NodeValue::Text(_) => Some(Self::exact(node.clone())),
            _ => {
                problems.push(wrong_kind::<Self>(node));
                None
            }
        }
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        json!({"anyOf": [{"type": ["number", "string"]}, Bounds::describe(definitions)]})
    }
}

record! {
    /// Bounds, both included.
    pub struct Bounds {
        min: Option<Node>,
        max: Option<Node>,
    }
}
