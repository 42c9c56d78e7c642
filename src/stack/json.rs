//! Looking into JSON whose shape was checked, or does not matter where it differs.

pub(crate) use crate::responses::text;
use serde_json::Value;

/// The elements of a list field; none when it is no list.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
