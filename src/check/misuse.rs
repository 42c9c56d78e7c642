//! Expected values that make no sense for their matcher. Templates are filled at run time, so that these
//! come up only then; they fail the check whatever was seen, also below `not` and `either`.

use serde_json::Value;

use super::matcher::Matcher;
use super::mismatch::show;
use super::scalar::Range;
use super::value::type_name;

/// What is wrong with the expected values of these matchers, nested ones included.
pub(super) fn misuses(matchers: &[Matcher<Value>], out: &mut Vec<String>) {
    for matcher in matchers {
        let name = matcher.name();
        match matcher {
            Matcher::OneOf(given) | Matcher::SetEquals(given) | Matcher::DisjointFrom(given) => {
                list(name, given, matches!(matcher, Matcher::SetEquals(_)), out);
            }
            Matcher::Keys(given) => {
                list(name, given, true, out);
                let odd = given.as_array().into_iter().flatten().find(|key| !key.is_string());
                out.extend(odd.map(|key| format!("`{name}` lists texts, and {} is none", show(key))));
            }
            Matcher::Length(range) | Matcher::Count(range) => misuses_of_range(name, range, out),
            Matcher::Min(given) | Matcher::Max(given) | Matcher::Above(given) | Matcher::Below(given) => {
                if !given.is_number() && !given.is_string() {
                    out.push(format!("`{name}` must be given a number or a text, not {}", type_name(given)));
                }
            }
            Matcher::StartsWith(given) | Matcher::EndsWith(given) => {
                if given.as_str().is_none_or(str::is_empty) {
                    out.push(format!("`{name}` must be given a text that is not empty, not {}", show(given)));
                }
            }
            Matcher::Contains(given) | Matcher::ContainsAny(given) | Matcher::ContainsNone(given) => {
                parts(name, given, out);
            }
            Matcher::ContainsFolded(given)
            | Matcher::ContainsAnyFolded(given)
            | Matcher::ContainsNoneFolded(given) => parts(name, given, out),
            Matcher::Each(inner)
            | Matcher::Some(inner)
            | Matcher::Any(inner)
            | Matcher::None(inner)
            | Matcher::AsList(inner)
            | Matcher::Not(inner) => nested(name, inner, out),
            Matcher::Either(groups) => {
                if groups.is_empty() {
                    out.push(format!("`{name}` has no group of matchers"));
                }
                groups.iter().for_each(|group| nested(name, group, out));
            }
            Matcher::At(checks) => {
                if checks.is_empty() {
                    out.push(format!("`{name}` has no checks"));
                }
                checks.iter().for_each(|check| misuses(&check.matchers, out));
            }
            Matcher::Equals(_)
            | Matcher::NotEquals(_)
            | Matcher::Type(_)
            | Matcher::Matches(_)
            | Matcher::Exists(_)
            | Matcher::Includes(_)
            | Matcher::Unique(_)
            | Matcher::Sorted(_)
            | Matcher::Schema(_) => {}
        }
    }
}

pub(super) fn misuses_of_range(name: &str, range: &Range<Value>, out: &mut Vec<String>) {
    let other = range.max.as_ref().filter(|max| range.min.as_ref() != Some(*max));
    for bound in range.min.iter().chain(other) {
        let digits = bound.as_str().is_some_and(|text| text.trim().parse::<u64>().is_ok());
        if !bound.is_number() && !digits {
            out.push(format!("`{name}` must be given numbers, and {} is none", show(bound)));
        }
    }
}

fn nested(name: &str, inner: &[Matcher<Value>], out: &mut Vec<String>) {
    if inner.is_empty() {
        out.push(format!("`{name}` has no matchers"));
    }
    misuses(inner, out);
}

fn list(name: &str, given: &Value, may_be_empty: bool, out: &mut Vec<String>) {
    match given.as_array() {
        None => out.push(format!("`{name}` must be given a list, not {}", type_name(given))),
        Some(items) if items.is_empty() && !may_be_empty => {
            out.push(format!("`{name}` was given an empty list"));
        }
        Some(_) => {}
    }
}

fn parts(name: &str, given: &Value, out: &mut Vec<String>) {
    match given {
        Value::Array(items) if items.is_empty() => out.push(format!("`{name}` was given an empty list")),
        Value::Array(items) if items.iter().any(is_empty_text) => {
            out.push(format!("`{name}` was given an empty text, which is in every text"));
        }
        text if is_empty_text(text) => {
            out.push(format!("`{name}` was given an empty text, which is in every text"));
        }
        _ => {}
    }
}

fn is_empty_text(value: &Value) -> bool {
    value.as_str() == Some("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Check, PathCheck, Seen, evaluate};
    use super::*;

    type M = Matcher<Value>;

    #[test]
    fn senseless_expected_values_fail_whatever_was_seen() {
        let empty = "was given an empty text, which is in every text";
        let cases = [
            (M::OneOf(json!("a")), "`one_of` must be given a list, not string".to_owned()),
            (M::OneOf(json!([])), "`one_of` was given an empty list".to_owned()),
            (M::SetEquals(json!(null)), "`set_equals` must be given a list, not null".to_owned()),
            (M::DisjointFrom(json!({})), "`disjoint_from` must be given a list, not object".to_owned()),
            (M::Keys(json!(["a", 1])), "`keys` lists texts, and 1 is none".to_owned()),
            (M::Min(json!(null)), "`min` must be given a number or a text, not null".to_owned()),
            (
                M::Length(Range::exact(json!("many"))),
                "`length` must be given numbers, and \"many\" is none".to_owned(),
            ),
            (
                M::StartsWith(json!("")),
                "`starts_with` must be given a text that is not empty, not \"\"".to_owned(),
            ),
            (M::Contains(json!("")), format!("`contains` {empty}")),
            (M::ContainsAnyFolded(json!(["a", ""])), format!("`contains_any_folded` {empty}")),
            (M::ContainsNone(json!([])), "`contains_none` was given an empty list".to_owned()),
            (M::Each(vec![]), "`each` has no matchers".to_owned()),
            (M::Either(vec![]), "`either` has no group of matchers".to_owned()),
            (M::At(vec![]), "`parts` has no checks".to_owned()),
        ];
        for (matcher, want) in cases {
            for matchers in [vec![matcher.clone()], vec![M::Not(vec![matcher])]] {
                let check = Check::Value { of: json!("text"), check: PathCheck::whole(matchers) };
                let found = evaluate(&check, &Seen::new(None, &[])).unwrap_err();
                assert_eq!((found.len(), &found[0].actual), (1, &want));
            }
        }
    }
}
