//! Canonical JSON: the bytes that Python's `json.dumps(value, sort_keys=True)` writes.
//!
//! Keys and file names are hashes of this text, so upstream's SHA-256 file names can be recomputed. Rules that
//! differ from `serde_json`: keys sorted by code point, everything but printable ASCII escaped as `\uXXXX` (lower-case,
//! surrogate pairs), floats as Python's `repr` writes them (`1e-05`, `1e+16`, `1.0`).
//!
//! Integers beyond 64 bits have already become floats when `serde_json` parsed them, and `-0` is `-0.0` here but
//! `0` in Python. Both happen on either side of a lookup alike; only a recomputed upstream name would differ.

use std::fmt::Write;

use serde_json::{Number, Value};

/// Separators between items and after keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `", "` and `": "`: what `json.dumps` does unless told otherwise, and what upstream hashes.
    Spaced,
    /// `","` and `":"`.
    Compact,
}

/// `value` as canonical JSON.
pub fn to_string(value: &Value, style: Style) -> String {
    let mut out = String::new();
    write_value(&mut out, value, style);
    out
}

fn write_value(out: &mut String, value: &Value, style: Style) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                write_comma(out, i, style);
                write_value(out, item, style);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Rust orders strings by their UTF-8 bytes, which is code point order, as in Python.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (i, (key, member)) in sorted.into_iter().enumerate() {
                write_comma(out, i, style);
                write_string(out, key);
                out.push_str(if style == Style::Spaced { ": " } else { ":" });
                write_value(out, member, style);
            }
            out.push('}');
        }
    }
}

fn write_comma(out: &mut String, index: usize, style: Style) {
    if index > 0 {
        out.push_str(if style == Style::Spaced { ", " } else { "," });
    }
}

fn write_number(out: &mut String, number: &Number) {
    match number.as_f64() {
        Some(float) if number.is_f64() => write_float(out, float),
        _ => push(out, format_args!("{number}")),
    }
}

/// Python's `repr(float)`: shortest digits that read back the same, fixed notation for exponents −4 to 15.
fn write_float(out: &mut String, float: f64) {
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(float.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    // Position of the decimal point, counted from the start of `digits`.
    let mut point = i64::try_from(whole.len()).unwrap_or(0) + exponent.parse::<i64>().unwrap_or(0);
    let leading = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..leading.min(digits.len() - 1));
    point -= i64::try_from(leading).unwrap_or(0);
    digits.truncate(digits.trim_end_matches('0').len().max(1));

    if float.is_sign_negative() {
        out.push('-');
    }
    if digits == "0" {
        out.push_str("0.0");
        return;
    }
    let scientific = point - 1;
    if !(-4..16).contains(&scientific) {
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let sign = if scientific < 0 { '-' } else { '+' };
        push(out, format_args!("e{sign}{:02}", scientific.abs()));
        return;
    }
    let count = i64::try_from(digits.len()).unwrap_or(0);
    if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', usize::try_from(-point).unwrap_or(0)));
        out.push_str(&digits);
    } else if point >= count {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', usize::try_from(point - count).unwrap_or(0)));
        out.push_str(".0");
    } else {
        let at = usize::try_from(point).unwrap_or(0);
        out.push_str(&digits[..at]);
        out.push('.');
        out.push_str(&digits[at..]);
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        // U+007F is ASCII, but Python escapes all that does not print.
        if matches!(c, ' '..='~') && c != '"' && c != '\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    push(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Appends formatted text; writing to a `String` cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn spaced(value: &Value) -> String {
        to_string(value, Style::Spaced)
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (100.0, "100.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000_012_5, "1.25e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (123_456_789.123, "123456789.123"),
            (1e22, "1e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
        ];
        for (float, expected) in cases {
            assert_eq!(spaced(&json!(float)), expected);
        }
    }

    #[test]
    fn integers_keep_all_their_digits() {
        assert_eq!(
            spaced(&json!([0, -1, u64::MAX, i64::MIN])),
            format!("[0, -1, {}, {}]", u64::MAX, i64::MIN)
        );
    }

    #[test]
    fn text_is_ascii_with_lower_case_escapes() {
        assert_eq!(
            spaced(&json!("a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}é😀/")),
            "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u007f\\u00e9\\ud83d\\ude00/\""
        );
    }

    #[test]
    fn keys_sort_by_code_point_not_by_utf16() {
        assert_eq!(
            spaced(&json!({"😀": 1, "\u{ffee}": 2, "b": 3, "B": 4})),
            "{\"B\": 4, \"b\": 3, \"\\uffee\": 2, \"\\ud83d\\ude00\": 1}"
        );
    }

    #[test]
    fn both_separator_styles() {
        let value = json!({"b": [1, {"c": null}], "a": true, "e": [], "f": {}});
        assert_eq!(spaced(&value), r#"{"a": true, "b": [1, {"c": null}], "e": [], "f": {}}"#);
        assert_eq!(to_string(&value, Style::Compact), r#"{"a":true,"b":[1,{"c":null}],"e":[],"f":{}}"#);
    }

    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no NaN", |f| f.is_finite()).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,6}", inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_value(value in any_json()) {
            for style in [Style::Spaced, Style::Compact] {
                let text = to_string(&value, style);
                prop_assert!(text.is_ascii());
                prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
            }
        }

        #[test]
        fn the_order_of_keys_does_not_matter(pairs in prop::collection::btree_map(".{0,6}", any::<i32>(), 0..8)) {
            let forwards: Value = Value::Object(pairs.iter().map(|(k, v)| (k.clone(), json!(v))).collect());
            let backwards: Value = Value::Object(pairs.iter().rev().map(|(k, v)| (k.clone(), json!(v))).collect());
            prop_assert_eq!(spaced(&forwards), spaced(&backwards));
        }
    }
}
