//! Mappings: the macros that declare one, and what reads its keys.

use super::decode::Decode;
use super::shape::{Definitions, Mapping};
use crate::source::nearest::suggestion;
use crate::source::{Located, Node, NodeValue, Problems};

/// Some of the keys of a mapping, and what is made of them. A mapping of its own has no others; parts of several
/// may stand in one mapping.
pub(crate) trait Entries: Sized {
    /// The keys a user may write.
    fn keys() -> &'static [&'static str];

    /// Reads them; keys that are not among them have been reported, or are another part's.
    fn take(fields: &Fields<'_>, problems: &mut Problems) -> Option<Self>;

    /// Adds each to the schema of the mapping.
    fn describe_keys(mapping: &mut Mapping, definitions: &mut Definitions);
}

/// A node that holds these entries and nothing else.
pub(crate) fn only<T: Entries>(node: &Node, problems: &mut Problems) -> Option<T> {
    T::take(&Fields::of(node, T::keys(), problems)?, problems)
}

/// The schema of such a node.
pub(crate) fn mapping_of<T: Entries>(docs: &str, definitions: &mut Definitions) -> super::shape::Shape {
    let mut mapping = Mapping::default();
    T::describe_keys(&mut mapping, definitions);
    mapping.closed(docs)
}

/// Own keys and those of other parts, put together once.
macro_rules! keys_of {
    ([$($own:expr),*]) => { &[$($own),*] };
    ([$($own:expr),*] $($part:ty),+) => {{
        static KEYS: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| {
            let own: &[&'static str] = &[$($own),*];
            [own, $(<$part as $crate::schema::record::Entries>::keys()),+].concat()
        });
        KEYS.as_slice()
    }};
}
pub(crate) use keys_of;

/// Declares a YAML mapping: the struct, a [`Decode`] that reports wrong kinds, unknown keys with the nearest known
/// one, duplicate keys and missing keys, all at once, and its JSON Schema, with the docstrings as descriptions.
/// `field as "key"` names a key that is a Rust keyword; `[flatten field: Type]` at the end adds the keys of another type.
macro_rules! record {
    ($(#[$($meta:tt)*])* $vis:vis struct $name:ident {
        $($(#[$($field_meta:tt)*])* $field:ident $(as $key:literal)? : $ty:ty),* $(,)?
        $([flatten $part:ident : $part_ty:ty])*
    }) => {
        $(#[$($meta)*])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            /// Where the mapping was written.
            pub span: $crate::source::Span,
            $($(#[$($field_meta)*])* pub $field: $ty,)*
            $(pub $part: $part_ty),*
        }

        impl $crate::schema::record::Entries for $name {
            fn keys() -> &'static [&'static str] {
                $crate::schema::record::keys_of!(
                    [$($crate::schema::record::record!(@key $field $(as $key)?)),*] $($part_ty),*
                )
            }

            fn take(
                fields: &$crate::schema::record::Fields<'_>,
                problems: &mut $crate::source::Problems,
            ) -> Option<Self> {
                $(let $field = fields.take::<$ty>($crate::schema::record::record!(@key $field $(as $key)?), problems);)*
                $(let $part = <$part_ty as $crate::schema::record::Entries>::take(fields, problems);)*
                Some(Self { span: fields.span().clone(), $($field: $field?,)* $($part: $part?),* })
            }

            fn describe_keys(
                mapping: &mut $crate::schema::shape::Mapping,
                definitions: &mut $crate::schema::shape::Definitions,
            ) {
                $(mapping.key::<$ty>(
                    $crate::schema::record::record!(@key $field $(as $key)?),
                    $crate::schema::shape::docs!($(#[$($field_meta)*])*),
                    definitions,
                );)*
                $(<$part_ty as $crate::schema::record::Entries>::describe_keys(mapping, definitions);)*
            }
        }

        impl $crate::schema::decode::Decode for $name {
            const EXPECTED: &'static str = "a mapping";

            fn decode(node: &$crate::source::Node, problems: &mut $crate::source::Problems) -> Option<Self> {
                $crate::schema::record::only(node, problems)
            }

            fn describe(definitions: &mut $crate::schema::shape::Definitions) -> $crate::schema::shape::Shape {
                definitions.refer::<Self>(stringify!($name), |definitions| {
                    let docs = $crate::schema::shape::docs!($(#[$($meta)*])*);
                    $crate::schema::record::mapping_of::<Self>(docs, definitions)
                })
            }
        }
    };
    (@key $field:ident as $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
}
pub(crate) use record;

/// Declares a closed set of words.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident ($what:literal) {
        $($(#[$($variant_meta:tt)*])* $variant:ident = $word:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$($variant_meta)*])* $variant),* }

        impl $name {
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
            pub fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl $crate::schema::decode::Decode for $name {
            const EXPECTED: &'static str = $what;

            fn decode(node: &$crate::source::Node, problems: &mut $crate::source::Problems) -> Option<Self> {
                $crate::schema::record::word(node, Self::of, Self::WORDS, Self::EXPECTED, problems)
            }

            fn describe(_: &mut $crate::schema::shape::Definitions) -> $crate::schema::shape::Shape {
                $crate::schema::shape::words([$(($word, $crate::schema::shape::docs!($(#[$($variant_meta)*])*))),*])
            }
        }
    };
}
pub(crate) use words;

/// One of a closed set of words, or a problem with the nearest one.
pub(crate) fn word<T>(
    node: &Node,
    of: impl Fn(&str) -> Option<T>,
    known: &[&str],
    expected: &str,
    problems: &mut Problems,
) -> Option<T> {
    let NodeValue::Text(text) = &node.value else {
        problems.push(node.problem(format!("expected {expected}, found {}", node.kind())));
        return None;
    };
    let found = of(text);
    if found.is_none() {
        problems.push(node.problem(format!("`{text}` is not {expected}")).help(suggestion(text, known)));
    }
    found
}

/// Declares values that are told apart by a name: what each name takes, and what is made of it. The reader and the
/// description come from the one list; what a name does is said in `$docs`, a table with the same names.
macro_rules! forms {
    ($(#[$meta:meta])* $vis:vis trait $forms:ident for $name:ty, $docs:expr; {
        $($form:literal: $ty:ty => $make:expr),* $(,)?
    }) => {
        $(#[$meta])*
        $vis trait $forms: Sized {
            const FORMS: &'static [&'static str] = &[$($form),*];

            /// The value with this name; `None` also for a name that there is not.
            fn form(
                name: &str,
                node: &$crate::source::Node,
                problems: &mut $crate::source::Problems,
            ) -> Option<Self>;

            /// Name, purpose and shape of each.
            fn shapes(
                definitions: &mut $crate::schema::shape::Definitions,
            ) -> Vec<(&'static str, &'static str, $crate::schema::shape::Shape)>;
        }

        impl $forms for $name {
            fn form(
                name: &str,
                node: &$crate::source::Node,
                problems: &mut $crate::source::Problems,
            ) -> Option<Self> {
                match name {
                    $($form => <$ty as $crate::schema::decode::Decode>::decode(node, problems).map($make),)*
                    _ => None,
                }
            }

            fn shapes(
                definitions: &mut $crate::schema::shape::Definitions,
            ) -> Vec<(&'static str, &'static str, $crate::schema::shape::Shape)> {
                let docs: &[(&'static str, &'static str)] = $docs;
                let purpose = |name: &str| docs.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text);
                vec![$(($form, purpose($form), <$ty as $crate::schema::decode::Decode>::describe(definitions))),*]
            }
        }
    };
}
pub(crate) use forms;

/// The pairs of a mapping, checked for unknown and duplicate keys.
pub(crate) struct Fields<'a> {
    node: &'a Node,
    pairs: &'a [(Located<String>, Node)],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(node: &'a Node, known: &[&str], problems: &mut Problems) -> Option<Self> {
        if !matches!(node.value, NodeValue::Map(_)) {
            let problem = node.problem(format!("expected a mapping, found {}", node.kind()));
            problems.push(problem.help(format!("its keys are {}", known.join(", "))));
            return None;
        }
        let fields = Self::any(node, problems)?;
        for (key, _) in fields.pairs {
            if !known.contains(&key.as_str()) {
                problems
                    .push(key.problem(format!("unknown key `{}`", key.value)).help(suggestion(key, known)));
            }
        }
        Some(fields)
    }

    /// Like [`Fields::of`] where any key may stand.
    pub(crate) fn any(node: &'a Node, problems: &mut Problems) -> Option<Self> {
        let NodeValue::Map(pairs) = &node.value else {
            problems.push(node.problem(format!("expected a mapping, found {}", node.kind())));
            return None;
        };
        for (index, (key, _)) in pairs.iter().enumerate() {
            if let Some((first, _)) = pairs[..index].iter().find(|(earlier, _)| earlier.value == key.value) {
                let problem = key.problem(format!("the key `{}` is written twice", key.value));
                problems.push(problem.label("again here").other(&first.span, "first here"));
            }
        }
        Some(Self { node, pairs })
    }

    /// Where the mapping was written.
    pub(crate) fn span(&self) -> &'a crate::source::Span {
        &self.node.span
    }

    pub(crate) fn pairs(&self) -> &'a [(Located<String>, Node)] {
        self.pairs
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.pairs.iter().find(|(written, _)| written.value == key).map(|(_, node)| node)
    }

    pub(crate) fn take<T: Decode>(&self, key: &str, problems: &mut Problems) -> Option<T> {
        match self.get(key) {
            Some(node) => T::decode(node, problems),
            None => T::absent().or_else(|| {
                problems.push(self.node.problem(format!("missing key `{key}` ({})", T::EXPECTED)));
                None
            }),
        }
    }
}

/// The single pair of an externally tagged value such as `json: {…}`.
pub(crate) fn tagged<'a>(
    node: &'a Node,
    what: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Option<(&'a Located<String>, &'a Node)> {
    let fields = Fields::any(node, problems)?;
    match fields.pairs() {
        [(key, value)] if known.contains(&key.as_str()) => Some((key, value)),
        [(key, _)] => {
            problems
                .push(key.problem(format!("unknown {what} `{}`", key.value)).help(suggestion(key, known)));
            None
        }
        pairs => {
            let problem = node.problem(format!("{what}: expected one key, found {}", pairs.len()));
            problems.push(problem.help(format!("write one of: {}", known.join(", "))));
            None
        }
    }
}
