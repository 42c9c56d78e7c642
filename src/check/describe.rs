//! Matchers in words: what follows "expected" in a message.

use serde_json::Value;

use super::matcher::Matcher;
use super::mismatch::show;
use super::scalar::{Order, Range};

/// Several matchers, joined; "something" when there are none.
pub(super) fn describe_all(matchers: &[Matcher<Value>]) -> String {
    if matchers.is_empty() {
        return "something".to_owned();
    }
    matchers.iter().map(describe).collect::<Vec<_>>().join(", ")
}

/// One matcher as a phrase.
pub(super) fn describe(matcher: &Matcher<Value>) -> String {
    match matcher {
        Matcher::Equals(value) => show(value),
        Matcher::NotEquals(value) => format!("anything but {}", show(value)),
        Matcher::OneOf(values) => format!("one of {}", show(values)),
        Matcher::Type(kinds) => {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            format!("type {}", names.join(" or "))
        }
        Matcher::Length(range) => format!("length {}", describe_range(range)),
        Matcher::Count(range) => format!("{} found", describe_range(range)),
        Matcher::Min(value) => format!("at least {}", show(value)),
        Matcher::Max(value) => format!("at most {}", show(value)),
        Matcher::Above(value) => format!("more than {}", show(value)),
        Matcher::Below(value) => format!("less than {}", show(value)),
        Matcher::StartsWith(value) => format!("text starting with {}", show(value)),
        Matcher::EndsWith(value) => format!("text ending with {}", show(value)),
        Matcher::Contains(value) => format!("containing {}", all_of(value)),
        Matcher::ContainsAny(value) => format!("containing any of {}", show(value)),
        Matcher::ContainsNone(value) => format!("containing none of {}", show(value)),
        Matcher::ContainsFolded(value) => format!("containing {}, {FOLDED}", all_of(value)),
        Matcher::ContainsAnyFolded(value) => format!("containing any of {}, {FOLDED}", show(value)),
        Matcher::ContainsNoneFolded(value) => format!("containing none of {}, {FOLDED}", show(value)),
        Matcher::Matches(pattern) => format!("text matching /{}/", pattern.as_str()),
        Matcher::Exists(true) => "something".to_owned(),
        Matcher::Exists(false) => "nothing".to_owned(),
        Matcher::Includes(value) => format!("including {}", show(value)),
        Matcher::SetEquals(value) => format!("the elements of {}, in any order", show(value)),
        Matcher::DisjointFrom(value) => format!("no element of {}", show(value)),
        Matcher::Unique(true) => "a list without repetition".to_owned(),
        Matcher::Unique(false) => "a list with repetition".to_owned(),
        Matcher::Sorted(order) => format!("a list in {} order", order_name(*order)),
        Matcher::Keys(value) => format!("an object with exactly the keys {}", show(value)),
        Matcher::Each(inner) => format!("every element: {}", describe_all(inner)),
        Matcher::Some(inner) => format!("some element: {}", describe_all(inner)),
        Matcher::Any(inner) => format!("at one place at least: {}", describe_all(inner)),
        Matcher::None(inner) => format!("nowhere: {}", describe_all(inner)),
        Matcher::AsList(inner) => format!("as a list: {}", describe_all(inner)),
        Matcher::At(parts) => {
            let parts: Vec<_> =
                parts.iter().map(|part| format!("{} {}", part.at, describe_all(&part.matchers))).collect();
            parts.join(", ")
        }
        Matcher::Schema(_) => "a value that the schema accepts".to_owned(),
        Matcher::Not(inner) => format!("not ({})", describe_all(inner)),
        Matcher::Either(groups) => {
            let groups: Vec<_> = groups.iter().map(|group| format!("({})", describe_all(group))).collect();
            groups.join(" or ")
        }
    }
}

/// `3`, `3 or more`, `at most 3`, `3 to 5`.
pub(super) fn describe_range(range: &Range<Value>) -> String {
    match (&range.min, &range.max) {
        (Some(min), Some(max)) if min == max => show(min),
        (Some(min), Some(max)) => format!("{} to {}", show(min), show(max)),
        (Some(min), None) => format!("{} or more", show(min)),
        (None, Some(max)) => format!("at most {}", show(max)),
        (None, None) => "any number".to_owned(),
    }
}

const FOLDED: &str = "whatever the case and diacritics";

fn all_of(value: &Value) -> String {
    let several = value.as_array().is_some_and(|items| items.len() > 1);
    format!("{}{}", if several { "all of " } else { "" }, show(value))
}

fn order_name(order: Order) -> &'static str {
    match order {
        Order::Ascending => "ascending",
        Order::Descending => "descending",
        Order::StrictlyAscending => "strictly ascending",
        Order::StrictlyDescending => "strictly descending",
    }
}
