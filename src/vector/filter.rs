//! Filters over a chunk's metadata: comparisons, `and`, `or`, with Python's notion of equal and less.

use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Whether the metadata passes the filter. A key that is not there never passes.
///
/// # Errors
/// When the filter has no type that Llama Stack 0.3.0 knows (`in` is not among them), or compares what has no order.
pub(crate) fn passes(metadata: &Map<String, Value>, filter: &Value) -> Result<bool, String> {
    let kind = filter.get("type").and_then(Value::as_str);
    let parts = || filter.get("filters").and_then(Value::as_array).into_iter().flatten();
    match kind {
        _ if filter.as_object().is_some_and(Map::is_empty) => Ok(true),
        Some("and") => {
            for part in parts() {
                if !passes(metadata, part)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Some("or") => {
            for part in parts() {
                if passes(metadata, part)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Some(operator @ ("eq" | "ne" | "gt" | "gte" | "lt" | "lte")) => {
            let key = filter.get("key").and_then(Value::as_str).unwrap_or_default();
            let Some(found) = metadata.get(key) else { return Ok(false) };
            compare(found, operator, filter.get("value").unwrap_or(&Value::Null))
        }
        other => Err(format!("Unsupported filter type: {}", other.unwrap_or("None"))),
    }
}

fn compare(found: &Value, operator: &str, wanted: &Value) -> Result<bool, String> {
    if let "eq" | "ne" = operator {
        return Ok(equal(found, wanted) == (operator == "eq"));
    }
    let Some(order) = order(found, wanted) else {
        return Err(format!("{found} and {wanted} have no order, so `{operator}` does not apply"));
    };
    Ok(match operator {
        "gt" => order == Ordering::Greater,
        "gte" => order != Ordering::Less,
        "lt" => order == Ordering::Less,
        _ => order != Ordering::Greater,
    })
}

/// To Python `1`, `1.0` and `True` are the same.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        value => value.as_f64(),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn passes_json(filter: Value) -> Result<bool, String> {
        let metadata = json!({"topic": "ai", "n": 3, "new": true});
        passes(metadata.as_object().unwrap(), &filter)
    }

    fn compares(kind: &str, key: &str, value: Value) -> Result<bool, String> {
        passes_json(json!({"type": kind, "key": key, "value": value}))
    }

    #[test]
    fn comparisons_are_pythons() {
        assert_eq!(compares("eq", "n", json!(3.0)), Ok(true));
        assert_eq!(compares("eq", "new", json!(1)), Ok(true));
        assert_eq!(compares("eq", "n", json!("3")), Ok(false));
        assert_eq!(compares("ne", "topic", json!("x")), Ok(true));
        assert_eq!(compares("gt", "n", json!(2)), Ok(true));
        assert_eq!(compares("gte", "n", json!(3)), Ok(true));
        assert_eq!(compares("lt", "topic", json!("b")), Ok(true));
        assert_eq!(compares("lte", "n", json!(2.5)), Ok(false));
        assert_eq!(compares("ne", "none", json!("x")), Ok(false));
        assert!(compares("gt", "topic", json!(1)).is_err());
    }

    #[test]
    fn filters_combine() {
        let (yes, no) =
            (json!({"type": "eq", "key": "n", "value": 3}), json!({"type": "eq", "key": "n", "value": 4}));
        assert_eq!(passes_json(json!({"type": "and", "filters": [yes, no]})), Ok(false));
        assert_eq!(passes_json(json!({"type": "or", "filters": [no, yes]})), Ok(true));
        assert_eq!(passes_json(json!({"type": "and", "filters": []})), Ok(true));
        assert_eq!(passes_json(json!({"type": "or"})), Ok(false));
        assert_eq!(passes_json(json!({})), Ok(true));
        assert_eq!(passes_json(json!({"topic": "ai"})), Err("Unsupported filter type: None".to_owned()));
        assert_eq!(passes_json(json!({"type": "in"})), Err("Unsupported filter type: in".to_owned()));
    }
}
