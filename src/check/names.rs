//! The names that checks and matchers have in YAML, each with what it does: for documentation and for
//! "did you mean".

use super::kinds::Check;
use super::matcher::Matcher;

/// A name in YAML and a one-line description.
pub type Name = (&'static str, &'static str);

impl<T> Check<T> {
    /// Every check.
    pub const NAMES: &[Name] = &[
        ("status", "HTTP status: a code, a class such as 4xx, or a list of them"),
        ("header", "a response header, by name"),
        ("body", "the response body as text"),
        ("body_base64", "the response body's bytes, as base64 text"),
        ("json", "the response body as JSON"),
        ("events", "the list of a stream's events, each decoded from JSON, without a closing [DONE]"),
        ("assembled", "a stream put together into the object that the call returns without streaming"),
        ("joined", "the strings found at a path in every event of a stream, concatenated"),
        ("value", "a kept or computed value"),
        ("error", "an error response of any shape: its status and message"),
        ("stream", "the course of a stream: framing, order of events, how it ends"),
        ("provider_request", "the JSON that the stack sent to its provider"),
        ("provider_calls", "how many requests the stack sent to its provider"),
        (
            "mcp_calls",
            "the list of what a local MCP server received: calls of a tool, or requests of another method",
        ),
        ("assert", "an expression that must be true"),
    ];

    /// The name in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Header { .. } => "header",
            Self::Body(_) => "body",
            Self::BodyBase64(_) => "body_base64",
            Self::Json(_) => "json",
            Self::Events(_) => "events",
            Self::Assembled(_) => "assembled",
            Self::Joined(_) => "joined",
            Self::Value { .. } => "value",
            Self::Error(_) => "error",
            Self::Stream(_) => "stream",
            Self::ProviderRequest { .. } => "provider_request",
            Self::ProviderCalls { .. } => "provider_calls",
            Self::McpCalls { .. } => "mcp_calls",
            Self::Assert(_) => "assert",
        }
    }
}

impl<T> Matcher<T> {
    /// Every matcher.
    pub const NAMES: &[Name] = &[
        ("equals", "the same JSON value; 1 equals 1.0"),
        ("not_equals", "another JSON value"),
        ("one_of", "equal to an element of this list"),
        ("type", "null, boolean, number, integer, string, array or object, or a list of these"),
        ("length", "characters of a string, elements of a list, keys of an object"),
        ("count", "how many nodes the path finds"),
        ("min", "this number or more"),
        ("max", "this number or less"),
        ("above", "more than this number"),
        ("below", "less than this number"),
        ("starts_with", "a string that begins so"),
        ("ends_with", "a string that ends so"),
        ("contains", "a string with this text or a list with this element; given a list, with all of them"),
        ("contains_any", "as contains, with one of them at least"),
        ("contains_none", "as contains, with none of them"),
        ("contains_folded", "as contains on strings, letter case and diacritics ignored"),
        ("contains_any_folded", "as contains_any on strings, letter case and diacritics ignored"),
        ("contains_none_folded", "as contains_none on strings, letter case and diacritics ignored"),
        ("matches", "a string in which this regular expression is found"),
        ("exists", "whether the path finds anything; null is something"),
        ("includes", "an object with at least these entries, or a list with at least these elements"),
        ("set_equals", "a list with the same elements; order and repetition do not matter"),
        ("disjoint_from", "a list that shares no element with this one"),
        ("unique", "a list without repetition"),
        ("sorted", "a list that is ascending, descending, strictly_ascending or strictly_descending"),
        ("keys", "an object with exactly these keys"),
        ("each", "matchers for every element of a list, which must not be empty"),
        ("some", "matchers that one element of a list satisfies"),
        ("any", "matchers that one of the nodes found satisfies, instead of all"),
        ("none", "matchers that none of the nodes found satisfies"),
        ("as_list", "matchers for all nodes found, taken as one list"),
        ("parts", "checks on parts of the value, with paths that begin at it"),
        ("schema", "a value that this JSON Schema accepts; $ref within the schema only"),
        ("not", "matchers of which one at least must fail"),
        ("either", "groups of matchers, of which one must hold as a whole"),
    ];

    /// The name in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::NotEquals(_) => "not_equals",
            Self::OneOf(_) => "one_of",
            Self::Type(_) => "type",
            Self::Length(_) => "length",
            Self::Count(_) => "count",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Above(_) => "above",
            Self::Below(_) => "below",
            Self::StartsWith(_) => "starts_with",
            Self::EndsWith(_) => "ends_with",
            Self::Contains(_) => "contains",
            Self::ContainsAny(_) => "contains_any",
            Self::ContainsNone(_) => "contains_none",
            Self::ContainsFolded(_) => "contains_folded",
            Self::ContainsAnyFolded(_) => "contains_any_folded",
            Self::ContainsNoneFolded(_) => "contains_none_folded",
            Self::Matches(_) => "matches",
            Self::Exists(_) => "exists",
            Self::Includes(_) => "includes",
            Self::SetEquals(_) => "set_equals",
            Self::DisjointFrom(_) => "disjoint_from",
            Self::Unique(_) => "unique",
            Self::Sorted(_) => "sorted",
            Self::Keys(_) => "keys",
            Self::Each(_) => "each",
            Self::Some(_) => "some",
            Self::Any(_) => "any",
            Self::None(_) => "none",
            Self::AsList(_) => "as_list",
            Self::At(_) => "parts",
            Self::Schema(_) => "schema",
            Self::Not(_) => "not",
            Self::Either(_) => "either",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value, json};

    use super::super::{ErrorIs, PathCheck, ProviderCall, StreamIs, Which};
    use super::super::{JsonType, Order, Pattern, Range, SchemaRef, StatusIs};
    use super::*;

    type M = Matcher<Value>;

    fn every_matcher() -> Vec<M> {
        let v = || json!(1);
        vec![
            M::Equals(v()),
            M::NotEquals(v()),
            M::OneOf(v()),
            M::Type(vec![JsonType::Null]),
            M::Length(Range::exact(v())),
            M::Count(Range::exact(v())),
            M::Min(v()),
            M::Max(v()),
            M::Above(v()),
            M::Below(v()),
            M::StartsWith(v()),
            M::EndsWith(v()),
            M::Contains(v()),
            M::ContainsAny(v()),
            M::ContainsNone(v()),
            M::ContainsFolded(v()),
            M::ContainsAnyFolded(v()),
            M::ContainsNoneFolded(v()),
            M::Matches(Pattern::parse("a").unwrap()),
            M::Exists(true),
            M::Includes(v()),
            M::SetEquals(v()),
            M::DisjointFrom(v()),
            M::Unique(true),
            M::Sorted(Order::Ascending),
            M::Keys(v()),
            M::Each(vec![M::Equals(v())]),
            M::Some(vec![M::Equals(v())]),
            M::Any(vec![M::Equals(v())]),
            M::None(vec![M::Equals(v())]),
            M::AsList(vec![M::Equals(v())]),
            M::At(vec![PathCheck::whole(vec![M::Equals(v())])]),
            M::Schema(SchemaRef::compile(json!({})).unwrap()),
            M::Not(vec![M::Equals(v())]),
            M::Either(vec![vec![M::Equals(v())]]),
        ]
    }

    fn every_check() -> Vec<Check<Value>> {
        let inner = || PathCheck::whole(every_matcher());
        vec![
            Check::Status(StatusIs::Computed(json!(200))),
            Check::Header { name: "x".to_owned(), check: inner() },
            Check::Body(inner()),
            Check::BodyBase64(inner()),
            Check::Json(inner()),
            Check::Events(inner()),
            Check::Assembled(inner()),
            Check::Joined(inner()),
            Check::Value { of: json!(1), check: inner() },
            Check::Error(ErrorIs { message: every_matcher(), ..ErrorIs::default() }),
            Check::Stream(Box::new(StreamIs { first: Some(json!(1)), ..StreamIs::default() })),
            Check::ProviderRequest { call: ProviderCall::default(), which: Which::Last, check: inner() },
            Check::ProviderCalls { call: ProviderCall::default(), count: Range::exact(json!(1)) },
            Check::McpCalls { server: "s".into(), method: "m".into(), tool: None, check: inner() },
            Check::Assert(json!(true)),
        ]
    }

    #[test]
    fn the_tables_name_every_variant_in_order() {
        let names = |table: &[Name]| table.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(every_matcher().iter().map(Matcher::name).collect::<Vec<_>>(), names(M::NAMES));
        assert_eq!(every_check().iter().map(Check::name).collect::<Vec<_>>(), names(Check::<Value>::NAMES));
        let both = M::NAMES.iter().chain(Check::<Value>::NAMES);
        let described: HashSet<_> = both.clone().map(|(_, text)| text).collect();
        assert_eq!(described.len(), both.count());
    }

    #[test]
    fn mapping_changes_the_expected_values_and_nothing_else() {
        for check in every_check() {
            let text = check.try_map(&mut |value| Ok::<_, ()>(value.to_string())).unwrap();
            let back = text.try_map(&mut |text| serde_json::from_str::<Value>(text)).unwrap();
            assert_eq!(back, check);
            assert_eq!(check.try_map(&mut |_| Err::<(), _>("stop")), Err("stop"));
        }
    }
}
