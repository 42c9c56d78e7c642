//! Matchers of one value: whether they hold, and what of the value to show when they do not.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::matcher::Matcher;
use super::matching::mismatches;
use super::mismatch::show;
use super::scalar::{Order, Range};
use super::value::{canonical, compare, fold, includes, is_of_type, length, same, type_name};

/// The value, with the property that the matcher looked at put first.
pub(super) fn actual(matcher: &Matcher<Value>, value: &Value) -> String {
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
pub(super) fn judge(matcher: &Matcher<Value>, value: &Value, place: &str) -> Result<bool, String> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::scalar::{JsonType, Pattern};
    use super::super::{Path, PathCheck, SchemaRef};
    use super::*;

    type M = Matcher<Value>;

    /// One matcher against values that it must accept and values that it must refuse.
    #[track_caller]
    fn check(matcher: &M, accepted: &[Value], refused: &[Value]) {
        for value in accepted {
            let found = mismatches(std::slice::from_ref(matcher), value, "$");
            assert!(found.is_empty(), "{matcher:?} refused {value}: {found:?}");
        }
        for value in refused {
            let found = mismatches(std::slice::from_ref(matcher), value, "$");
            assert!(!found.is_empty(), "{matcher:?} accepted {value}");
            let lengths = found.iter().map(|it| it.to_string().len());
            assert!(lengths.max().is_some_and(|length| length > 20), "{found:?}");
        }
    }

    fn range(min: Option<u64>, max: Option<u64>) -> Range<Value> {
        Range { min: min.map(Value::from), max: max.map(Value::from) }
    }

    #[test]
    fn equality_is_by_value() {
        let object = json!({"a": 1, "b": [2.0, null]});
        let reordered = json!({"b": [2, null], "a": 1.0});
        check(&M::Equals(object.clone()), &[object.clone(), reordered], &[json!({"a": 1}), json!(null)]);
        check(&M::NotEquals(json!(1)), &[json!(2), json!("1")], &[json!(1), json!(1.0)]);
        check(&M::OneOf(json!(["a", 1])), &[json!("a"), json!(1.0)], &[json!("b"), json!(["a", 1])]);
    }

    #[test]
    fn types_and_lengths() {
        let some = M::Type(vec![JsonType::String, JsonType::Null]);
        check(&some, &[json!(""), json!(null)], &[json!(1), json!([]), json!({})]);
        check(&M::Type(vec![JsonType::Integer]), &[json!(1), json!(2.0)], &[json!(1.5), json!("1")]);
        check(
            &M::Length(range(Some(2), Some(2))),
            &[json!("éa"), json!([1, 2]), json!({"a": 1, "b": 2})],
            &[json!("a"), json!([]), json!(2), json!(null)],
        );
        check(&M::Length(Range::exact(json!("3"))), &[json!("abc")], &[json!("ab")]);
        check(&M::Length(range(None, Some(1))), &[json!(""), json!([1])], &[json!("ab"), json!(null)]);
        check(&M::Length(range(Some(1), None)), &[json!("a")], &[json!("")]);
    }

    #[test]
    fn numbers_and_texts_are_ordered() {
        check(&M::Min(json!(2)), &[json!(2), json!(2.5)], &[json!(1.9), json!("3"), json!(null)]);
        check(&M::Max(json!(2.0)), &[json!(2), json!(-1)], &[json!(2.1), json!(null)]);
        check(&M::Above(json!(0)), &[json!(0.1)], &[json!(0), json!(-1), json!([1])]);
        check(&M::Below(json!(0)), &[json!(-1)], &[json!(0), json!(1)]);
        check(&M::Above(json!("2025-01-01")), &[json!("2025-01-02")], &[json!("2024-12-31"), json!(3000)]);
        check(
            &M::Sorted(Order::Ascending),
            &[json!([1, 1.5, 1.5, 2]), json!(["a", "b"]), json!([])],
            &[json!([2, 1]), json!([1, "a"]), json!(1), json!([null, null])],
        );
        check(&M::Sorted(Order::StrictlyAscending), &[json!([1, 2])], &[json!([1, 1])]);
        check(&M::Sorted(Order::Descending), &[json!([2, 2, 1])], &[json!([1, 2])]);
        check(&M::Sorted(Order::StrictlyDescending), &[json!([2, 1])], &[json!([2, 2])]);
    }

    #[test]
    fn texts_and_lists_contain() {
        check(&M::StartsWith(json!("vs_")), &[json!("vs_1")], &[json!("a_vs_"), json!(1), json!(null)]);
        check(&M::EndsWith(json!("!")), &[json!("Hi!")], &[json!("Hi! "), json!(["!"])]);
        check(
            &M::Contains(json!("Sol")),
            &[json!("the Sol"), json!(["Sol"])],
            &[json!("sol"), json!(["the Sol"]), json!({"Sol": 1}), json!(null)],
        );
        check(
            &M::Contains(json!(["a", "b"])),
            &[json!("ba"), json!(["b", "c", "a"])],
            &[json!("a"), json!(["a"])],
        );
        check(
            &M::Contains(json!(-100)),
            &[json!("it is -100 °C"), json!([-100.0])],
            &[json!("100"), json!(-100)],
        );
        check(
            &M::Contains(json!({"a": 1})),
            &[json!([{"a": 1.0}])],
            &[json!([{"a": 1, "b": 2}]), json!("{}")],
        );
        check(
            &M::ContainsAny(json!(["dog", "pup"])),
            &[json!("puppy"), json!(["dog"])],
            &[json!("cat"), json!(1)],
        );
        check(
            &M::ContainsNone(json!(["1963", "x"])),
            &[json!("1964"), json!([])],
            &[json!("in 1963"), json!(null)],
        );
        check(
            &M::ContainsFolded(json!("sol")),
            &[json!("SÓL"), json!("le Sölèil")],
            &[json!("so l"), json!(["sol"])],
        );
        check(&M::ContainsFolded(json!(["É", "b"])), &[json!("be")], &[json!("e")]);
        check(&M::ContainsAnyFolded(json!(["México", "q"])), &[json!("MEXICO city")], &[json!("mexiko")]);
        check(&M::ContainsNoneFolded(json!("LORA")), &[json!("lo ra")], &[json!("Lôra"), json!(1)]);
        check(&M::Matches(Pattern::parse("^[0-9]+$").unwrap()), &[json!("12")], &[json!("a1"), json!(12)]);
    }

    #[test]
    fn parts_of_objects_and_lists() {
        let partial = json!({"type": "mcp_call", "tools": [{"name": "a"}], "n": 1});
        let whole =
            json!({"type": "mcp_call", "tools": [{"name": "b"}, {"name": "a", "x": 1}], "n": 1.0, "id": "i"});
        check(
            &M::Includes(partial),
            &[whole],
            &[
                json!({"type": "mcp_call", "tools": [{"name": "b"}], "n": 1}),
                json!({"type": "mcp_call"}),
                json!([]),
            ],
        );
        check(&M::Includes(json!([3, 1])), &[json!([1, 2, 3])], &[json!([1, 2]), json!(1)]);
        check(
            &M::SetEquals(json!(["a", 1])),
            &[json!([1.0, "a", "a"])],
            &[json!(["a"]), json!(["a", 1, 2]), json!("a")],
        );
        check(&M::SetEquals(json!([])), &[json!([])], &[json!([1])]);
        check(&M::DisjointFrom(json!(["a"])), &[json!(["b"]), json!([])], &[json!(["b", "a"]), json!("b")]);
        check(&M::Unique(true), &[json!([1, 2, "1"])], &[json!([1, 1.0]), json!("ab")]);
        check(&M::Unique(false), &[json!([1, 1])], &[json!([1, 2]), json!(null)]);
        check(
            &M::Keys(json!(["a", "b"])),
            &[json!({"b": 1, "a": 2})],
            &[json!({"a": 1}), json!({"a": 1, "b": 2, "c": 3}), json!(["a", "b"])],
        );
    }

    #[test]
    fn matchers_within_matchers() {
        let text = || vec![M::Type(vec![JsonType::String]), M::NotEquals(json!(""))];
        check(&M::Each(text()), &[json!(["a", "b"])], &[json!(["a", ""]), json!([]), json!("a"), json!([1])]);
        check(&M::Some(text()), &[json!([1, "a"])], &[json!([1, ""]), json!([]), json!(null)]);
        check(
            &M::Not(vec![M::Contains(json!("a"))]),
            &[json!("b"), json!(["b"])],
            &[
                json!("ab"),
                // Neither does null contain it, but that cannot be what was meant.
                json!(null),
            ],
        );
        check(&M::Not(text()), &[json!(""), json!(1)], &[json!("a")]);
        let either = M::Either(vec![vec![M::Length(range(Some(0), Some(0)))], text()]);
        check(&either, &[json!([]), json!("a")], &[json!([1]), json!(1)]);
        let at = |path: &str, matchers| PathCheck::new(Path::parse(path).unwrap(), matchers);
        let parts = M::At(vec![at("$.a", vec![M::Equals(json!(1))]), at("$.b[*]", vec![M::Min(json!(2))])]);
        check(
            &parts,
            &[json!({"a": 1, "b": [2, 3]})],
            &[json!({"a": 1}), json!({"a": 1, "b": [1]}), json!({"b": [2]}), json!(7)],
        );
        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "integer"}}});
        let schema = M::Schema(SchemaRef::compile(schema).unwrap());
        check(&schema, &[json!({"a": 1})], &[json!({"a": "x"}), json!({}), json!([])]);
        // Those for all nodes take a single value as the only node.
        check(&M::Any(text()), &[json!("a")], &[json!(1)]);
        check(&M::None(text()), &[json!(1)], &[json!("a")]);
        check(&M::Count(range(Some(1), Some(1))), &[json!(null)], &[]);
        check(&M::Count(range(Some(2), None)), &[], &[json!([1, 2])]);
        check(&M::Exists(true), &[json!(null)], &[]);
        check(&M::Exists(false), &[], &[json!(null)]);
        check(&M::AsList(vec![M::Length(range(Some(1), Some(1)))]), &[json!([1, 2])], &[]);
    }
}
