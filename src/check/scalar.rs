//! The small values of checks: ranges, status codes, JSON types, patterns.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::Value;

/// Inclusive bounds of a number of things. Without any bound everything is in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range<T> {
    pub min: Option<T>,
    pub max: Option<T>,
}

impl<T> Range<T> {
    /// From `min` up.
    pub fn at_least(min: T) -> Self {
        Self { min: Some(min), max: None }
    }

    /// Up to `max`.
    pub fn at_most(max: T) -> Self {
        Self { min: None, max: Some(max) }
    }

    /// Fills both bounds.
    pub fn try_map<U, E>(&self, f: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Range<U>, E> {
        Ok(Range {
            min: self.min.as_ref().map(&mut *f).transpose()?,
            max: self.max.as_ref().map(&mut *f).transpose()?,
        })
    }
}

impl<T: Clone> Range<T> {
    /// This number and no other.
    pub fn exact(number: T) -> Self {
        Self { min: Some(number.clone()), max: Some(number) }
    }
}

/// What the response's status may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusIs<T> {
    /// One of these; known before the run.
    OneOf(Vec<StatusCodes>),
    /// A value that becomes a code, a class such as `"4xx"`, or a list of them when templates are filled.
    Computed(T),
}

/// One status code, or a hundred of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCodes {
    Exact(u16),
    /// First digit, 1 to 5: `Class(4)` is `4xx`.
    Class(u16),
}

impl StatusCodes {
    /// Reads `404` or `4xx`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            if let Ok(digit @ 1..=5) = class.parse::<u16>() {
                return Ok(Self::Class(digit));
            }
        } else if let Ok(code @ 100..=599) = text.parse::<u16>() {
            return Ok(Self::Exact(code));
        }
        Err(format!("`{text}` is no HTTP status; write a code such as 404 or a class such as 4xx"))
    }

    /// Reads a code, a class, or a list of them.
    pub fn from_value(value: &Value) -> Result<Vec<Self>, String> {
        match value {
            Value::Array(items) if items.is_empty() => Err("the list of HTTP statuses is empty".to_owned()),
            Value::Array(items) => {
                let nested: Result<Vec<_>, _> = items.iter().map(Self::from_value).collect();
                Ok(nested?.concat())
            }
            Value::String(text) => Ok(vec![Self::parse(text)?]),
            other => Ok(vec![Self::parse(&other.to_string())?]),
        }
    }

    /// Whether `status` is among these codes.
    pub fn contains(self, status: u16) -> bool {
        match self {
            Self::Exact(code) => status == code,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl fmt::Display for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(code) => write!(f, "{code}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// A choice among named things, as written in YAML.
macro_rules! named {
    ($(#[$doc:meta])* $kind:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind { $($(#[$variant_doc])* $variant),+ }

        impl $kind {
            /// Every choice.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in YAML.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The choice with this name in YAML.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl ::std::fmt::Display for $kind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(super) use named;

named! {
    /// Type names of JSON Schema.
    JsonType {
        Null = "null",
        Boolean = "boolean",
        Number = "number",
        /// A number without a fraction; `1.0` is one.
        Integer = "integer",
        String = "string",
        Array = "array",
        Object = "object",
    }
}

named! {
    /// What a list must be sorted by. Numbers and strings can be compared, though not with each other.
    Order {
        Ascending = "ascending",
        Descending = "descending",
        StrictlyAscending = "strictly_ascending",
        StrictlyDescending = "strictly_descending",
    }
}

named! {
    /// How a string that was found becomes the value to be matched.
    Parse {
        /// JSON inside a string.
        Json = "json",
        /// JSON Lines inside a string; becomes a list. Blank lines are skipped.
        Jsonl = "jsonl",
        /// Base64 of little-endian 32-bit floats, as embeddings come; becomes a list of numbers.
        Base64F32 = "base64_f32",
    }
}

/// A compiled regular expression, searched anywhere in a text. Equal when written alike.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles an expression; the error shows where it is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Anchors repeat patterns from case to case, and compiling one takes longer than all else about it.
        static COMPILED: LazyLock<Mutex<HashMap<String, regex::Regex>>> = LazyLock::new(Mutex::default);
        if let Some(known) = COMPILED.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Self(known.clone()));
        }
        let new = regex::Regex::new(text).map_err(|error| error.to_string())?;
        COMPILED.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), new.clone());
        Ok(Self(new))
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_codes_or_classes() {
        assert_eq!(StatusCodes::parse("404"), Ok(StatusCodes::Exact(404)));
        assert_eq!(StatusCodes::parse(" 4xx "), Ok(StatusCodes::Class(4)));
        assert!(StatusCodes::Class(4).contains(499) && !StatusCodes::Class(4).contains(500));
        assert_eq!(
            StatusCodes::from_value(&json!([200, "3xx"])),
            Ok(vec![StatusCodes::Exact(200), StatusCodes::Class(3)])
        );
        for wrong in ["", "40", "999", "6xx", "x", "4xxx", "-200"] {
            assert!(StatusCodes::parse(wrong).is_err(), "{wrong}");
        }
        assert!(StatusCodes::from_value(&json!([])).is_err());
        assert!(StatusCodes::from_value(&json!(null)).is_err());
    }

    #[test]
    fn names_come_back() {
        assert!(JsonType::ALL.iter().all(|kind| JsonType::from_name(kind.name()) == Some(*kind)));
        assert_eq!(Parse::from_name("base64_f32"), Some(Parse::Base64F32));
        assert_eq!(Order::from_name("up"), None);
        assert!(Pattern::parse("a(").is_err());
    }
}
