//! Holds matchers against the nodes that a path found.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::describe::{describe, describe_all, describe_range};
use super::kinds::PathCheck;
use super::matcher::Matcher;
use super::mismatch::{Mismatch, difference, show};
use super::path::pointer_below;
use super::scalar::{Order, Range};
use super::value::{canonical, compare, fold, includes, is_of_type, length, parse, same, type_name};

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
    let what = check.at.below(base);
    let hint = || found.is_empty().then(|| check.at.where_it_ends(document, base)).flatten();
    check_found(check, found.clone(), &what, hint, out);
}

/// Applies everything but the path, to what was found somehow.
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

fn mismatches(matchers: &[Matcher<Value>], value: &Value, place: &str) -> Vec<Mismatch> {
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

/// The value, with the property that the matcher looked at put first.
fn actual(matcher: &Matcher<Value>, value: &Value) -> String {
    match (matcher, length(value)) {
        (Matcher::Length(_), Some(length)) => format!("length {length}: {}", show(value)),
        (Matcher::Type(_), _) => format!("{}: {}", type_name(value), show(value)),
        (Matcher::Sorted(order), _) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = items.windows(2).position(|pair| !ordered(*order, &pair[0], &pair[1]));
            let at =
                at.map(|at| format!("{} before {} at index {at}: ", show(&items[at]), show(&items[at + 1])));
            format!("{}{}", at.unwrap_or_default(), show(value))
        }
        (Matcher::Keys(_), _) => match value.as_object() {
            Some(map) => show(&map.keys().map(String::as_str).collect::<Value>()),
            None => show(value),
        },
        _ => show(value),
    }
}

/// Whether a matcher of one value holds; `Err` when it cannot be applied, with the reason.
fn judge(matcher: &Matcher<Value>, value: &Value, place: &str) -> Result<bool, String> {
    let order = |bound: &Value| {
        let kinds = || format!("{} cannot be compared with {}", type_name(value), type_name(bound));
        compare(value, bound).ok_or_else(kinds)
    };
    Ok(match matcher {
        Matcher::Equals(expected) => same(value, expected),
        Matcher::NotEquals(expected) => !same(value, expected),
        Matcher::OneOf(expected) => given_list("one_of", expected)?.iter().any(|one| same(value, one)),
        Matcher::Type(kinds) => kinds.iter().any(|kind| is_of_type(value, *kind)),
        Matcher::Length(range) => {
            let length = length(value).ok_or_else(|| format!("{} has no length", type_name(value)))?;
            in_range(length, range)?
        }
        Matcher::Min(bound) => order(bound)? != Ordering::Less,
        Matcher::Max(bound) => order(bound)? != Ordering::Greater,
        Matcher::Above(bound) => order(bound)? == Ordering::Greater,
        Matcher::Below(bound) => order(bound)? == Ordering::Less,
        Matcher::StartsWith(start) => text(value)?.starts_with(given_text("starts_with", start)?),
        Matcher::EndsWith(end) => text(value)?.ends_with(given_text("ends_with", end)?),
        Matcher::Contains(parts) => contained(parts, value, false)?.iter().all(|found| *found),
        Matcher::ContainsAny(parts) => contained(parts, value, false)?.contains(&true),
        Matcher::ContainsNone(parts) => !contained(parts, value, false)?.contains(&true),
        Matcher::ContainsFolded(parts) => contained(parts, value, true)?.iter().all(|found| *found),
        Matcher::ContainsAnyFolded(parts) => contained(parts, value, true)?.contains(&true),
        Matcher::ContainsNoneFolded(parts) => !contained(parts, value, true)?.contains(&true),
        Matcher::Matches(pattern) => pattern.is_in(text(value)?),
        Matcher::Includes(expected) => includes(value, expected),
        Matcher::SetEquals(expected) => set(list(value)?) == set(given_list("set_equals", expected)?),
        Matcher::DisjointFrom(other) => {
            set(list(value)?).is_disjoint(&set(given_list("disjoint_from", other)?))
        }
        Matcher::Unique(unique) => {
            let items = list(value)?;
            (set(items).len() == items.len()) == *unique
        }
        Matcher::Sorted(order) => list(value)?.windows(2).all(|pair| ordered(*order, &pair[0], &pair[1])),
        Matcher::Keys(expected) => {
            let map = value.as_object().ok_or_else(|| format!("{} has no keys", type_name(value)))?;
            let keys: Value = map.keys().map(String::as_str).collect();
            let keys = keys.as_array().map(|keys| set(keys)).unwrap_or_default();
            keys == set(given_list("keys", expected)?)
        }
        Matcher::Some(inner) => {
            let items = list(value)?.iter().enumerate();
            items.into_iter().any(|(i, item)| mismatches(inner, item, &format!("{place}[{i}]")).is_empty())
        }
        Matcher::Not(inner) => {
            // What cannot be asked of the value must not pass for its opposite: `not: {contains: x}` on null.
            for matcher in inner {
                if !judge(matcher, value, place)? {
                    return Ok(true);
                }
            }
            false
        }
        // These are for all nodes together, or report places of their own.
        Matcher::Count(_)
        | Matcher::Exists(_)
        | Matcher::Any(_)
        | Matcher::None(_)
        | Matcher::AsList(_)
        | Matcher::Each(_)
        | Matcher::At(_)
        | Matcher::Schema(_)
        | Matcher::Either(_) => mismatches(std::slice::from_ref(matcher), value, place).is_empty(),
    })
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{} is no text", type_name(value)))
}

fn list(value: &Value) -> Result<&[Value], String> {
    let hint = "; `as_list` takes all nodes of a path together";
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{} is no list{hint}", type_name(value)))
}

fn given_text<'v>(matcher: &str, value: &'v Value) -> Result<&'v str, String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("`{matcher}` must be given a text that is not empty"))
}

fn given_list<'v>(matcher: &str, value: &'v Value) -> Result<&'v [Value], String> {
    let problem = || format!("`{matcher}` must be given a list, not {}", type_name(value));
    value.as_array().map(Vec::as_slice).ok_or_else(problem)
}

/// Which of the parts are in the value. Numbers are looked up in texts by their digits: YAML makes a number
/// of `contains: 541`. Nothing to look for, or an empty text, would be found everywhere: that is an error.
fn contained(parts: &Value, value: &Value, folded: bool) -> Result<Vec<bool>, String> {
    let parts = parts.as_array().map_or(std::slice::from_ref(parts), Vec::as_slice);
    if parts.is_empty() {
        return Err("the list of what to look for is empty".to_owned());
    }
    let hay = match value {
        Value::String(text) if folded => fold(text),
        Value::String(text) => text.clone(),
        Value::Array(items) if !folded => {
            return Ok(parts.iter().map(|part| items.iter().any(|item| same(item, part))).collect());
        }
        other => {
            let wanted = if folded { "no text" } else { "neither text nor list" };
            return Err(format!("{} is {wanted}", type_name(other)));
        }
    };
    let find = |part: &Value| {
        let needle = match part {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => part.to_string(),
            other => return Err(format!("a text cannot contain {}", show(other))),
        };
        let needle = if folded { fold(&needle) } else { needle };
        if needle.is_empty() {
            return Err("an empty text is in every text; say what to look for".to_owned());
        }
        Ok(hay.contains(&needle))
    };
    parts.iter().map(find).collect()
}

fn set(items: &[Value]) -> HashSet<String> {
    items.iter().map(canonical).collect()
}

fn ordered(order: Order, a: &Value, b: &Value) -> bool {
    compare(a, b).is_some_and(|found| match order {
        Order::Ascending => found != Ordering::Greater,
        Order::Descending => found != Ordering::Less,
        Order::StrictlyAscending => found == Ordering::Less,
        Order::StrictlyDescending => found == Ordering::Greater,
    })
}

/// Whether a count is within bounds. Bounds may be texts of digits, as command-line parameters are.
pub(super) fn in_range(count: usize, range: &Range<Value>) -> Result<bool, String> {
    let count = Value::from(count);
    let against = |bound: &Option<Value>, forbidden| match bound {
        None => Ok(true),
        Some(bound) => {
            let number = bound.as_str().and_then(|text| text.trim().parse::<u64>().ok()).map(Value::from);
            match compare(&count, number.as_ref().unwrap_or(bound)) {
                Some(order) => Ok(order != forbidden),
                None => Err(format!("{} is no number to compare a count with", show(bound))),
            }
        }
    };
    Ok(against(&range.min, Ordering::Less)? & against(&range.max, Ordering::Greater)?)
}

/// Checks a plain count, as of events or calls.
pub(super) fn check_count(count: usize, range: &Range<Value>, what: &str, unit: &str) -> Option<Mismatch> {
    let expected = || format!("{} {unit}", describe_range(range));
    match in_range(count, range) {
        Ok(true) => None,
        Ok(false) => Some(Mismatch::new(what, expected(), format!("{count} {unit}"))),
        Err(problem) => Some(Mismatch::new(what, expected(), problem)),
    }
}
