//! Holds matchers against the nodes that a path found.

use std::borrow::Cow;

use serde_json::Value;

use super::describe::{describe, describe_all, describe_range};
use super::judge::{actual, in_range, judge};
use super::kinds::PathCheck;
use super::matcher::Matcher;
use super::mismatch::{Mismatch, difference, show};
use super::path::pointer_below;
use super::scalar::Range;
use super::value::parse;

/// Most mismatches that one matcher reports; a stream may have thousands of nodes.
const REPORTED: usize = 5;

/// A value and its place.
type Node<'v> = (String, Cow<'v, Value>);

/// Looks for `check.at` in `document`, whose own place is called `base`.
pub(super) fn check_document(
    check: &PathCheck<Value>,
    document: &Value,
    base: &str,
    out: &mut Vec<Mismatch>,
) {
    let found = check.at.find_located(document, base);
    let hint = || check.at.where_it_ends(document, base);
    check_found(check, found, &check.at.below(base), hint, out);
}

/// Applies everything but the path, to what was found somehow; `hint` explains why nothing was.
pub(super) fn check_found(
    check: &PathCheck<Value>,
    found: Vec<(String, &Value)>,
    what: &str,
    hint: impl FnOnce() -> Option<String>,
    out: &mut Vec<Mismatch>,
) {
    let mut nodes: Vec<Node<'_>> = Vec::with_capacity(found.len());
    let nothing = found.is_empty();
    for (place, value) in found {
        if check.if_present && value.is_null() {
            continue;
        }
        match check.parse.map(|how| (how, parse(how, value))) {
            None => nodes.push((place, Cow::Borrowed(value))),
            Some((_, Ok(parsed))) => nodes.push((place, Cow::Owned(parsed))),
            Some((how, Err(error))) => out.push(
                Mismatch::new(place, format!("a string that parses as {how}"), show(value)).with(error),
            ),
        }
    }
    if nodes.is_empty() && (check.if_present || !nothing) {
        return;
    }
    if nothing && !check.matchers.iter().any(allows_nothing) {
        out.push(Mismatch::new(what, describe_all(&check.matchers), "nothing found").with(hint()));
        return;
    }
    check_nodes(&check.matchers, &nodes, what, out);
}

fn allows_nothing(matcher: &Matcher<Value>) -> bool {
    match matcher {
        Matcher::Exists(yes) => !yes,
        Matcher::Count(range) => in_range(0, range) == Ok(true),
        _ => false,
    }
}

/// Applies matchers to all nodes; `what` names them together.
fn check_nodes(matchers: &[Matcher<Value>], nodes: &[Node<'_>], what: &str, out: &mut Vec<Mismatch>) {
    for matcher in matchers {
        let mut own = Vec::new();
        check_together(matcher, nodes, what, &mut own);
        let more = own.len().saturating_sub(REPORTED);
        own.truncate(REPORTED);
        if let (1.., Some(last)) = (more, own.last_mut()) {
            let note = format!("and {more} more mismatches of this kind");
            last.detail = Some(last.detail.take().map_or_else(|| note.clone(), |it| format!("{it}\n{note}")));
        }
        out.append(&mut own);
    }
}

fn check_together(matcher: &Matcher<Value>, nodes: &[Node<'_>], what: &str, out: &mut Vec<Mismatch>) {
    let mut wrong = |actual: String| out.push(Mismatch::new(what, describe(matcher), actual));
    match matcher {
        Matcher::Count(range) => match in_range(nodes.len(), range) {
            Ok(true) => {}
            Ok(false) => wrong(format!("{} found", nodes.len())),
            Err(problem) => wrong(problem),
        },
        Matcher::Exists(true) if nodes.is_empty() => wrong("nothing found".to_owned()),
        Matcher::Exists(false) if !nodes.is_empty() => wrong(show_nodes(nodes)),
        Matcher::Exists(_) => {}
        Matcher::Any(inner) => {
            if !nodes.iter().any(|node| holds(inner, node)) {
                wrong(show_nodes(nodes));
            }
        }
        Matcher::None(inner) => {
            for node in nodes.iter().filter(|node| holds(inner, node)) {
                out.push(Mismatch::new(&node.0, describe(matcher), show(&node.1)));
            }
        }
        Matcher::AsList(inner) => {
            let list: Value = nodes.iter().map(|(_, value)| value.clone().into_owned()).collect();
            check_nodes(inner, &[(what.to_owned(), Cow::Owned(list))], what, out);
        }
        _ => nodes.iter().for_each(|(place, value)| check_value(matcher, value, place, out)),
    }
}

fn holds(matchers: &[Matcher<Value>], node: &Node<'_>) -> bool {
    mismatches(matchers, &node.1, &node.0).is_empty()
}

pub(super) fn mismatches(matchers: &[Matcher<Value>], value: &Value, place: &str) -> Vec<Mismatch> {
    let mut out = Vec::new();
    check_nodes(matchers, &[(place.to_owned(), Cow::Borrowed(value))], place, &mut out);
    out
}

fn show_nodes(nodes: &[Node<'_>]) -> String {
    match nodes {
        [] => "nothing found".to_owned(),
        [(_, value)] => show(value),
        many => {
            let list: Value = many.iter().map(|(_, value)| value.clone().into_owned()).collect();
            format!("{} found: {}", many.len(), show(&list))
        }
    }
}

fn check_value(matcher: &Matcher<Value>, value: &Value, place: &str, out: &mut Vec<Mismatch>) {
    match matcher {
        Matcher::Each(inner) => {
            let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
                out.push(Mismatch::new(place, "a list with one element at least", show(value)));
                return;
            };
            for (index, item) in items.iter().enumerate() {
                out.append(&mut mismatches(inner, item, &format!("{place}[{index}]")));
            }
        }
        Matcher::At(parts) => {
            parts.iter().for_each(|part| check_document(part, value, place, out));
        }
        Matcher::Schema(schema) => {
            for (pointer, message) in schema.violations(value) {
                let at = pointer_below(place, &pointer);
                let actual = value.pointer(&pointer).map_or_else(|| "nothing".to_owned(), show);
                out.push(Mismatch::new(at, describe(matcher), actual).with(message));
            }
        }
        Matcher::Either(groups) => {
            let tried: Vec<_> = groups.iter().map(|group| mismatches(group, value, place)).collect();
            if !tried.iter().any(Vec::is_empty) {
                let reasons = tried.iter().filter_map(|group| group.first());
                let reasons: Vec<_> = reasons
                    .map(|it| format!("{}: expected {}, actual {}", it.what, it.expected, it.actual))
                    .collect();
                let mismatch = Mismatch::new(place, describe(matcher), show(value));
                out.push(mismatch.with(reasons.join("\n")));
            }
        }
        _ => match judge(matcher, value, place) {
            Ok(true) => {}
            Ok(false) => {
                let expected = match matcher {
                    Matcher::Equals(expected) => Some(expected),
                    _ => None,
                };
                let detail = expected.and_then(|expected| difference(expected, value));
                out.push(Mismatch::new(place, describe(matcher), actual(matcher, value)).with(detail));
            }
            Err(problem) => {
                out.push(Mismatch::new(place, describe(matcher), show(value)).with(problem));
            }
        },
    }
}

/// Checks a plain count, as the number of events or calls.
pub(super) fn check_count(count: usize, range: &Range<Value>, what: &str) -> Option<Mismatch> {
    match in_range(count, range) {
        Ok(true) => None,
        Ok(false) => Some(Mismatch::new(what, describe_range(range), count.to_string())),
        Err(problem) => Some(Mismatch::new(what, describe_range(range), problem)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::json_schema::SchemaRef;
    use super::super::scalar::{JsonType, Order, Parse};
    use super::super::{Check, Path, Seen, evaluate};
    use super::*;

    type M = Matcher<Value>;

    fn at(path: &str, matchers: Vec<M>) -> PathCheck<Value> {
        PathCheck::new(Path::parse(path).unwrap(), matchers)
    }

    /// Checks a value; `want` is what is printed, empty for a check that holds.
    #[track_caller]
    fn check(check: PathCheck<Value>, value: Value, want: &str) {
        let found = evaluate(&Check::Value { of: value, check }, &Seen::new(None, &[]));
        let text: Vec<_> = found.err().into_iter().flatten().map(|it| it.to_string()).collect();
        assert_eq!(text.join("\n"), want);
    }

    #[test]
    fn every_node_must_match() {
        let items = json!({"data": [{"id": "a"}, {"id": 2}, {"id": 3}]});
        check(
            at("$.data[*].id", vec![M::Type(vec![JsonType::String, JsonType::Integer])]),
            items.clone(),
            "",
        );
        check(
            at("$.data[*].id", vec![M::Type(vec![JsonType::String])]),
            items,
            "value.data[1].id\n  expected: type string\n  actual:   number: 2\n\
             value.data[2].id\n  expected: type string\n  actual:   number: 3",
        );
    }

    #[test]
    fn nothing_found_is_a_mismatch_unless_it_is_allowed() {
        let value = json!({"data": {"id": "a", "none": null}});
        check(
            at("$.data.idd", vec![M::Equals(json!("a")), M::Length(Range::at_least(json!(1)))]),
            value.clone(),
            "value.data.idd\n  expected: \"a\", length 1 or more\n  actual:   nothing found\n    \
             value.data has the keys id, none",
        );
        check(
            at("$.data.idd", vec![]),
            value.clone(),
            "value.data.idd\n  expected: something\n  actual:   nothing found\n    value.data has the keys id, none",
        );
        check(at("$.data.id", vec![]), value.clone(), "");
        let present = |path: &str| PathCheck { if_present: true, ..at(path, vec![M::Equals(json!("b"))]) };
        check(present("$.data.idd"), value.clone(), "");
        check(present("$.data.none"), value.clone(), "");
        check(present("$.data.id"), value.clone(), "value.data.id\n  expected: \"b\"\n  actual:   \"a\"");
        check(at("$.x", vec![M::Exists(false)]), value.clone(), "");
        check(
            at("$.data.none", vec![M::Exists(false)]),
            value.clone(),
            "value.data.none\n  expected: nothing\n  actual:   null",
        );
        check(at("$.data.none", vec![M::Exists(true)]), value.clone(), "");
        check(at("$.x[*]", vec![M::Count(Range::exact(json!(0)))]), value.clone(), "");
        check(
            at("$.data.*", vec![M::Count(Range::at_most(json!(1)))]),
            value,
            "value.data.*\n  expected: at most 1 found\n  actual:   2 found",
        );
    }

    #[test]
    fn nodes_are_also_looked_at_together() {
        let items = json!([{"n": 1}, {"n": 3}, {"n": 2}]);
        check(at("$[*].n", vec![M::Any(vec![M::Equals(json!(3))])]), items.clone(), "");
        check(
            at("$[*].n", vec![M::Any(vec![M::Above(json!(3))])]),
            items.clone(),
            "value[*].n\n  expected: at one place at least: more than 3\n  actual:   3 found: [1,3,2]",
        );
        check(at("$[*].n", vec![M::None(vec![M::Above(json!(3))])]), items.clone(), "");
        check(
            at("$[*].n", vec![M::None(vec![M::Equals(json!(3))])]),
            items.clone(),
            "value[1].n\n  expected: nowhere: 3\n  actual:   3",
        );
        check(
            at("$[*].n", vec![M::AsList(vec![M::Unique(true), M::Contains(json!([3, 1]))])]),
            items.clone(),
            "",
        );
        check(
            at("$[*].n", vec![M::AsList(vec![M::Sorted(Order::Ascending)])]),
            items.clone(),
            "value[*].n\n  expected: a list in ascending order\n  actual:   3 before 2 at index 1: [1,3,2]",
        );
        check(
            at("$[0].n", vec![M::Unique(true)]),
            items,
            "value[0].n\n  expected: a list without repetition\n  actual:   1\n    \
             number is no list; `as_list` takes all nodes of a path together",
        );
    }

    #[test]
    fn many_mismatches_are_cut_short() {
        let found = evaluate(
            &Check::Value { of: (0..1000).collect(), check: at("$[*]", vec![M::Below(json!(0))]) },
            &Seen::new(None, &[]),
        )
        .unwrap_err();
        assert_eq!(found.len(), REPORTED);
        assert_eq!(found[4].what, "value[4]");
        assert_eq!(found[4].detail.as_deref(), Some("and 995 more mismatches of this kind"));
    }

    #[test]
    fn strings_are_parsed_before_they_are_matched() {
        let call = json!({"arguments": "{\"city\": \"Tokyo\"}", "broken": "{", "none": null});
        let parsed = |path: &str, if_present, matchers| PathCheck {
            parse: Some(Parse::Json),
            if_present,
            ..at(path, matchers)
        };
        let city = || vec![M::At(vec![at("$.city", vec![M::Equals(json!("Tokyo"))])])];
        check(parsed("$.arguments", false, city()), call.clone(), "");
        check(parsed("$.none", true, city()), call.clone(), "");
        check(
            parsed("$.broken", false, [city(), vec![M::Exists(true)]].concat()),
            call.clone(),
            "value.broken\n  expected: a string that parses as json\n  actual:   \"{\"\n    \
             EOF while parsing an object at line 1 column 1",
        );
        check(
            parsed("$.arguments", false, vec![M::At(vec![at("$.city", vec![M::Equals(json!("Kyoto"))])])]),
            call,
            "value.arguments.city\n  expected: \"Kyoto\"\n  actual:   \"Tokyo\"",
        );
    }

    #[test]
    fn nested_places_are_named() {
        let value = json!({"items": [{"n": 1, "tags": ["a"]}, {"n": "x", "tags": []}]});
        let schema = json!({"properties": {"n": {"type": "integer"}}});
        check(
            at("$.items", vec![M::Each(vec![M::Schema(SchemaRef::compile(schema).unwrap())])]),
            value.clone(),
            "value.items[1].n\n  expected: a value that the schema accepts\n  actual:   \"x\"\n    \
             want integer, but got string",
        );
        check(
            at("$.items", vec![M::Each(vec![M::At(vec![at("$.tags[0]", vec![M::Equals(json!("a"))])])])]),
            value.clone(),
            "value.items[1].tags[0]\n  expected: \"a\"\n  actual:   nothing found\n    \
             value.items[1].tags is a list of length 0",
        );
        check(
            at(
                "$.items[0].n",
                vec![M::Either(vec![vec![M::Above(json!(5))], vec![M::Type(vec![JsonType::Null])]])],
            ),
            value,
            "value.items[0].n\n  expected: (more than 5) or (type null)\n  actual:   1\n    \
             value.items[0].n: expected more than 5, actual 1\n    \
             value.items[0].n: expected type null, actual number: 1",
        );
    }
}
