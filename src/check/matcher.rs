//! What a value must be like.

use super::json_schema::SchemaRef;
use super::kinds::PathCheck;
use super::scalar::{JsonType, Order, Pattern, Range};

/// One requirement on a value. In YAML each is a key, the snake_case of the variant's name.
///
/// Plain matchers look at each node that the path found. [`Count`](Self::Count), [`Exists`](Self::Exists),
/// [`Any`](Self::Any), [`None`](Self::None) and [`AsList`](Self::AsList) look at all nodes together.
#[derive(Debug, Clone, PartialEq)]
pub enum Matcher<T> {
    /// The same JSON value; object keys in any order.
    Equals(T),
    NotEquals(T),
    /// Equals some element of this list.
    OneOf(T),
    /// Is of one of these types.
    Type(Vec<JsonType>),
    /// Characters of a string, elements of a list, or keys of an object.
    Length(Range<T>),
    /// How many nodes the path found.
    Count(Range<T>),
    Min(T),
    Max(T),
    Above(T),
    Below(T),
    StartsWith(T),
    EndsWith(T),
    /// A string holds this text, or a list holds this element; given a list, all of them.
    Contains(T),
    ContainsAny(T),
    ContainsNone(T),
    /// As `Contains`, on strings, with letter case and diacritics ignored.
    ContainsFolded(T),
    ContainsAnyFolded(T),
    ContainsNoneFolded(T),
    /// The pattern is found somewhere in the string.
    Matches(Pattern),
    /// Whether the path finds anything; `null` is something.
    Exists(bool),
    /// Objects: at least these keys, their values compared likewise. Lists: each of these is included in
    /// some element. Anything else: equal.
    Includes(T),
    /// A list with the same elements; order and repetition do not matter.
    SetEquals(T),
    /// A list that shares no element with this one.
    DisjointFrom(T),
    /// A list without repetition, or (`false`) with one.
    Unique(bool),
    Sorted(Order),
    /// An object with exactly these keys, in any order.
    Keys(T),
    /// Every element of the list, which has one at least.
    Each(Vec<Matcher<T>>),
    /// At least one element of the list.
    Some(Vec<Matcher<T>>),
    /// At least one node of those the path found.
    Any(Vec<Matcher<T>>),
    /// No node of those the path found.
    None(Vec<Matcher<T>>),
    /// All nodes the path found, taken as one list.
    AsList(Vec<Matcher<T>>),
    /// Checks on parts of the value; `$` is the value.
    At(Vec<PathCheck<T>>),
    Schema(SchemaRef),
    /// Not all of these.
    Not(Vec<Matcher<T>>),
    /// All matchers of one of these groups.
    Either(Vec<Vec<Matcher<T>>>),
}

impl<T> Matcher<T> {
    /// Turns every expected value into its next stage; stops at the first error.
    pub fn try_map<U, E>(&self, f: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Matcher<U>, E> {
        self.map_dyn(f)
    }

    // Dynamic, so that nested matchers do not instantiate the function for ever deeper closures.
    pub(super) fn map_dyn<U, E>(&self, f: &mut dyn FnMut(&T) -> Result<U, E>) -> Result<Matcher<U>, E> {
        Ok(match self {
            Self::Equals(t) => Matcher::Equals(f(t)?),
            Self::NotEquals(t) => Matcher::NotEquals(f(t)?),
            Self::OneOf(t) => Matcher::OneOf(f(t)?),
            Self::Type(types) => Matcher::Type(types.clone()),
            Self::Length(range) => Matcher::Length(range.try_map(&mut |t| f(t))?),
            Self::Count(range) => Matcher::Count(range.try_map(&mut |t| f(t))?),
            Self::Min(t) => Matcher::Min(f(t)?),
            Self::Max(t) => Matcher::Max(f(t)?),
            Self::Above(t) => Matcher::Above(f(t)?),
            Self::Below(t) => Matcher::Below(f(t)?),
            Self::StartsWith(t) => Matcher::StartsWith(f(t)?),
            Self::EndsWith(t) => Matcher::EndsWith(f(t)?),
            Self::Contains(t) => Matcher::Contains(f(t)?),
            Self::ContainsAny(t) => Matcher::ContainsAny(f(t)?),
            Self::ContainsNone(t) => Matcher::ContainsNone(f(t)?),
            Self::ContainsFolded(t) => Matcher::ContainsFolded(f(t)?),
            Self::ContainsAnyFolded(t) => Matcher::ContainsAnyFolded(f(t)?),
            Self::ContainsNoneFolded(t) => Matcher::ContainsNoneFolded(f(t)?),
            Self::Matches(pattern) => Matcher::Matches(pattern.clone()),
            Self::Exists(yes) => Matcher::Exists(*yes),
            Self::Includes(t) => Matcher::Includes(f(t)?),
            Self::SetEquals(t) => Matcher::SetEquals(f(t)?),
            Self::DisjointFrom(t) => Matcher::DisjointFrom(f(t)?),
            Self::Unique(yes) => Matcher::Unique(*yes),
            Self::Sorted(order) => Matcher::Sorted(*order),
            Self::Keys(t) => Matcher::Keys(f(t)?),
            Self::Each(inner) => Matcher::Each(map_all(inner, f)?),
            Self::Some(inner) => Matcher::Some(map_all(inner, f)?),
            Self::Any(inner) => Matcher::Any(map_all(inner, f)?),
            Self::None(inner) => Matcher::None(map_all(inner, f)?),
            Self::AsList(inner) => Matcher::AsList(map_all(inner, f)?),
            Self::At(parts) => Matcher::At(parts.iter().map(|p| p.map_dyn(f)).collect::<Result<_, _>>()?),
            Self::Schema(schema) => Matcher::Schema(schema.clone()),
            Self::Not(inner) => Matcher::Not(map_all(inner, f)?),
            Self::Either(groups) => {
                Matcher::Either(groups.iter().map(|group| map_all(group, f)).collect::<Result<_, _>>()?)
            }
        })
    }
}

pub(super) fn map_all<T, U, E>(
    matchers: &[Matcher<T>],
    f: &mut dyn FnMut(&T) -> Result<U, E>,
) -> Result<Vec<Matcher<U>>, E> {
    matchers.iter().map(|matcher| matcher.map_dyn(f)).collect()
}
