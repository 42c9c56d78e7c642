//! Text as Python writes it.
//!
//! Llama Stack's error bodies embed `repr()` of the provider's JSON, and its stream errors are written by
//! `json.dumps` with default settings. Cases compare such text, so it is reproduced exactly.

use serde_json::Value;
use std::fmt::Write;
use std::ops::Range;

/// `repr(value)`: single quotes where possible, `None`, `True`, `False`.
pub(crate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

/// `json.dumps(value)`: a blank after `,` and `:`, everything beyond ASCII escaped.
pub(crate) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

/// The elements that `list[start:end]` takes from a list of this length.
pub(crate) fn slice(start: i64, end: i64, len: usize) -> Range<usize> {
    let count = i64::try_from(len).unwrap_or(i64::MAX);
    let index = |at: i64| {
        let at = if at < 0 { at.saturating_add(count).max(0) } else { at.min(count) };
        usize::try_from(at).unwrap_or_default()
    };
    let start = index(start);
    start..index(end).max(start)
}

/// `text.capitalize()`: the first letter large, the others small.
pub(crate) fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect()
    })
}

fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&repr_float(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_repr_str(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, out);
                write_repr(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                separate(i, out);
                write_repr_str(key, out);
                out.push_str(": ");
                write_repr(item, out);
            }
            out.push('}');
        }
    }
}

/// `repr(float)`: scientific below 1e-4 and from 1e16, with at least two digits of exponent.
fn repr_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if float != 0.0 && !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{float:?}"),
    }
}

fn separate(i: usize, out: &mut String) {
    if i > 0 {
        out.push_str(", ");
    }
}

fn write_repr_str(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => push(out, format_args!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
}

fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, out);
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                separate(i, out);
                write_json_str(key, out);
                out.push_str(": ");
                write_json(item, out);
            }
            out.push('}');
        }
        Value::String(text) => write_json_str(text, out),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_json_str(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='\u{7f}' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    push(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn repr_is_pythons() {
        let value = json!({"a": [null, true, 1.5], "it's": "say \"hi\"", "q": "it's", "both": "'\"\n"});
        assert_eq!(
            repr(&value),
            r#"{'a': [None, True, 1.5], "it's": 'say "hi"', 'q': "it's", 'both': '\'"\n'}"#
        );
    }

    #[test]
    fn floats_are_pythons() {
        for (float, text) in [
            (0.5, "0.5"),
            (2.0, "2.0"),
            (0.0001, "0.0001"),
            (0.00005, "5e-05"),
            (1.5e20, "1.5e+20"),
            (-1e15, "-1000000000000000.0"),
        ] {
            assert_eq!(repr(&json!(float)), text);
        }
    }

    #[test]
    fn dumps_spaces_and_escapes() {
        assert_eq!(
            dumps(&json!({"é": ["☃", "😀", false, 2]})),
            r#"{"\u00e9": ["\u2603", "\ud83d\ude00", false, 2]}"#
        );
    }
}
