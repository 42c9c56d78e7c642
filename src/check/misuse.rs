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
    for bound in [&range.min, &range.max].into_iter().flatten() {
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
