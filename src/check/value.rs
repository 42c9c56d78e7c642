//! JSON values compared as a reader would: numbers by value, texts folded, strings parsed.

use std::cmp::Ordering;

use base64::Engine as _;
use serde_json::{Map, Number, Value};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::scalar::{JsonType, Parse};

/// Equality with numbers compared by value, so that `1` equals `1.0`, at any depth.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Order of two numbers or two texts; `None` for anything else.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    // 64-bit integers do not all fit into a double.
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// A text that two values share exactly when they are the [`same`], for sets.
pub(super) fn canonical(value: &Value) -> String {
    fn normal(value: &Value) -> Value {
        match value {
            Value::Number(number) => {
                let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
                // Beyond this, doubles and integers cannot be told apart reliably; ids do not get there.
                match float.filter(|float| float.abs() < 9e15) {
                    Some(float) => Value::from(float as i64),
                    None => value.clone(),
                }
            }
            Value::Array(items) => items.iter().map(normal).collect(),
            Value::Object(map) => {
                let mut entries: Vec<_> =
                    map.iter().map(|(key, value)| (key.clone(), normal(value))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(entries.into_iter().collect::<Map<_, _>>())
            }
            _ => value.clone(),
        }
    }
    normal(value).to_string()
}

/// Whether `actual` has at least what `expected` has; see [`Matcher::Includes`](super::Matcher::Includes).
pub(super) fn includes(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected
            .iter()
            .all(|(key, expected)| actual.get(key).is_some_and(|actual| includes(actual, expected))),
        (Value::Array(actual), Value::Array(expected)) => {
            expected.iter().all(|expected| actual.iter().any(|actual| includes(actual, expected)))
        }
        _ => same(actual, expected),
    }
}

/// A text without diacritics (canonical decomposition, marks dropped) and in one case. Case is folded
/// character by character and by way of upper case, so that `ß` meets `ss` and `ς` meets `σ`.
pub(super) fn fold(text: &str) -> String {
    let bare = text.nfd().filter(|c| !is_combining_mark(*c));
    bare.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The type's name, for messages.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(super) fn is_of_type(value: &Value, kind: JsonType) -> bool {
    match kind {
        JsonType::Integer => value.as_number().is_some_and(|number| {
            number.as_i128().is_some() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
        }),
        other => type_name(value) == other.name(),
    }
}

/// Characters, elements or entries; `None` for what has no length.
pub(super) fn length(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Array(items) => Some(items.len()),
        Value::Object(map) => Some(map.len()),
        _ => None,
    }
}

/// Applies a [`Parse`] to a value; the error says what is wrong with it.
pub(super) fn parse(how: Parse, value: &Value) -> Result<Value, String> {
    let Value::String(text) = value else {
        return Err(format!("{} is no string", type_name(value)));
    };
    match how {
        Parse::Json => serde_json::from_str(text).map_err(|error| error.to_string()),
        Parse::Jsonl => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines
                .map(|(number, line)| {
                    serde_json::from_str::<Value>(line)
                        .map_err(|error| format!("on line {}: {error}", number + 1))
                })
                .collect()
        }
        Parse::Base64F32 => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|error| format!("not base64: {error}"))?;
            let (floats, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(format!("{} bytes are not a whole number of 32-bit floats", bytes.len()));
            }
            let finite = |(index, bytes): (usize, &[u8; 4])| {
                let number = Number::from_f64(f64::from(f32::from_le_bytes(*bytes)));
                number.map(Value::Number).ok_or_else(|| format!("float {index} is not a finite number"))
            };
            floats.iter().enumerate().map(finite).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_compare_by_value() {
        assert!(same(&json!([1, {"a": 2.0}]), &json!([1.0, {"a": 2}])));
        assert!(!same(&json!(9007199254740993_i64), &json!(9007199254740992_i64)));
        assert!(same(&json!(0), &json!(-0.0)));
        assert!(!same(&json!(1), &json!("1")) && !same(&json!(null), &json!(false)));
        assert_eq!(canonical(&json!({"b": 1.0, "a": [2]})), canonical(&json!({"a": [2.0], "b": 1})));
        assert_ne!(canonical(&json!(1.5)), canonical(&json!(1)));
        assert_eq!(compare(&json!(u64::MAX), &json!(-1)), Some(Ordering::Greater));
        assert_eq!(compare(&json!("a"), &json!(1)), None);
    }

    #[test]
    fn folding_drops_case_and_diacritics() {
        for (a, b) in [("Crème BRÛLÉE", "creme brulee"), ("İ", "i"), ("Straße", "STRASSE"), ("ὈΔΌΣ", "οδος")]
        {
            assert_eq!(fold(a), fold(b));
        }
        assert_ne!(fold("a"), fold("b"));
    }

    #[test]
    fn strings_are_parsed() {
        let ok = [
            (Parse::Json, r#"{"a": [1]}"#, json!({"a": [1]})),
            (Parse::Jsonl, "{\"a\":1}\r\n\n[2]\n", json!([{"a": 1}, [2]])),
            (Parse::Jsonl, "", json!([])),
            (Parse::Base64F32, "AACAPwAAAMA=", json!([1.0, -2.0])),
            (Parse::Base64F32, "", json!([])),
        ];
        for (how, text, want) in ok {
            assert_eq!(parse(how, &json!(text)), Ok(want));
        }
        let wrong = [
            (Parse::Json, json!("{"), "EOF while parsing an object at line 1 column 1"),
            (Parse::Json, json!(3), "number is no string"),
            (Parse::Jsonl, json!("{}\nx"), "on line 2: expected value at line 1 column 1"),
            (Parse::Base64F32, json!("AACAPw"), "not base64: Invalid padding"),
            (Parse::Base64F32, json!("AACA"), "3 bytes are not a whole number of 32-bit floats"),
            (Parse::Base64F32, json!("AADAfw=="), "float 0 is not a finite number"),
        ];
        for (how, value, want) in wrong {
            assert_eq!(parse(how, &value), Err(want.to_owned()));
        }
    }

    #[test]
    fn types_follow_json_schema() {
        assert!(is_of_type(&json!(1.0), JsonType::Integer) && is_of_type(&json!(1), JsonType::Number));
        assert!(!is_of_type(&json!(1.5), JsonType::Integer) && !is_of_type(&json!("1"), JsonType::Integer));
        assert!(is_of_type(&json!(null), JsonType::Null) && is_of_type(&json!(true), JsonType::Boolean));
        assert_eq!(length(&json!("été")), Some(3));
        assert_eq!(length(&json!(12)), None);
    }
}
