//! What a scalar of YAML means: the core schema of YAML 1.2, with the spellings of numbers that YAML libraries take
//! beside it. The words of YAML 1.1 (`yes`, `on`) are text.

use serde_json::Number;

use super::NodeValue;

/// A scalar that has a value JSON cannot hold, as `.inf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotFinite;

/// The value of a plain scalar without a tag.
pub(super) fn resolve(text: &str) -> Result<NodeValue, NotFinite> {
    let Some(first) = text.bytes().next() else { return Ok(NodeValue::Null) };
    match first {
        b'~' | b'n' | b'N' if matches!(text, "~" | "null" | "Null" | "NULL") => Ok(NodeValue::Null),
        b't' | b'T' if matches!(text, "true" | "True" | "TRUE") => Ok(NodeValue::Bool(true)),
        b'f' | b'F' if matches!(text, "false" | "False" | "FALSE") => Ok(NodeValue::Bool(false)),
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text),
        _ => Ok(NodeValue::Text(text.to_owned())),
    }
}

/// A number, or text that only begins like one.
fn number(text: &str) -> Result<NodeValue, NotFinite> {
    if let Some(whole) = whole(text) {
        return Ok(NodeValue::Number(whole));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(NotFinite);
    }
    // The parser of Rust also knows words, as `infinity`.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(value) if numeric => Number::from_f64(value).map(NodeValue::Number).ok_or(NotFinite),
        _ => Ok(NodeValue::Text(text.to_owned())),
    }
}

/// A whole number of 64 bits: decimal without leading zeros, or `0x`, `0o`, `0b`. A larger one is a float.
fn whole(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match unsigned.get(..2) {
        Some("0x" | "0X") => digits(&unsigned[2..], 16)?,
        Some("0o" | "0O") => digits(&unsigned[2..], 8)?,
        Some("0b" | "0B") => digits(&unsigned[2..], 2)?,
        _ if unsigned.starts_with('0') && unsigned != "0" => return None,
        _ => digits(unsigned, 10)?,
    };
    if negative {
        i64::try_from(-i128::from(magnitude)).ok().map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// Digits, which single underscores may separate.
fn digits(text: &str, radix: u32) -> Option<u64> {
    if text.is_empty() || text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.chars().filter(|c| *c != '_').try_fold(0_u64, |value, c| {
        value.checked_mul(u64::from(radix))?.checked_add(u64::from(c.to_digit(radix)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_mean_what_the_core_schema_says() {
        let json = |text: &str| match resolve(text) {
            Ok(NodeValue::Null) => json!(null),
            Ok(NodeValue::Bool(value)) => json!(value),
            Ok(NodeValue::Number(value)) => json!(value),
            Ok(NodeValue::Text(value)) => json!(value),
            other => json!(format!("{other:?}")),
        };
        for text in [
            "yes", "no", "on", "y", "nul", "-", ".", "+", "1.2.3", "0x", "1__0", "1_", "nan", "inf", "-inf",
            "v1",
        ] {
            assert_eq!(json(text), json!(text));
        }
        for text in [".inf", "-.INF", ".nan", "1e999", "-1e999"] {
            assert_eq!(resolve(text), Err(NotFinite), "{text}");
        }
        assert_eq!(json("~"), json!(null));
        assert_eq!(json("True"), json!(true));
        assert_eq!(
            [json("7"), json("+7"), json("-7"), json("0x1F"), json("0o17"), json("-0b11"), json("1_000")],
            [json!(7), json!(7), json!(-7), json!(31), json!(15), json!(-3), json!(1000)]
        );
        assert_eq!(
            [json("1.5"), json("-.5"), json("5."), json("1e3"), json("007")],
            [json!(1.5), json!(-0.5), json!(5.0), json!(1000.0), json!(7.0)]
        );
        assert_eq!(json("18446744073709551615"), json!(u64::MAX));
        assert_eq!(json("18446744073709551616"), json!(18446744073709551616.0));
        assert_eq!(json("-9223372036854775808"), json!(i64::MIN));
    }
}
