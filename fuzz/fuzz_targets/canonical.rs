//! Canonical JSON is ASCII, says the same as what it was made of, and does not depend on the order of members.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use stack_runner::record::canonical::{Style, to_string};

/// The same value with the members of every object in the opposite order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(reversed).collect(),
        Value::Object(members) => {
            members.iter().rev().map(|(name, member)| (name.clone(), reversed(member))).collect()
        }
        other => other.clone(),
    }
}

fuzz_target!(|text: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
    for style in [Style::Spaced, Style::Compact] {
        let canonical = to_string(&value, style);
        assert!(canonical.is_ascii(), "{canonical}");
        let again: Value = serde_json::from_str(&canonical).expect("canonical JSON is JSON");
        assert_eq!(again, value);
        assert_eq!(to_string(&again, style), canonical);
        assert_eq!(to_string(&reversed(&value), style), canonical);
    }
});
