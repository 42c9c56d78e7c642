//! Matching a request to a recording that had a secret masked, where replay does not know the secret: a mask in the
//! recording then stands for any one word. Last resort, after every normaliser; reported under its own name.

use serde_json::Value;

use super::hosts::HOST_MASK;
use super::key::{WireBody, WireRequest};
use super::redact::MASK;

/// How a match of this kind is named in results.
pub(crate) const NAME: &str = "masked-secrets";

/// Completes "matched after …".
pub(crate) const DOING: &str = "letting masks stand for any word";

/// Whether a request that was recorded holds a mask.
pub(crate) fn has_mask(recorded: &WireRequest) -> bool {
    let in_text = |text: &str| text.contains(MASK) || text.contains(HOST_MASK);
    fn any(value: &Value, holds: &dyn Fn(&str) -> bool) -> bool {
        match value {
            Value::String(text) => holds(text),
            Value::Array(items) => items.iter().any(|item| any(item, holds)),
            Value::Object(members) => members.iter().any(|(name, member)| holds(name) || any(member, holds)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    in_text(&recorded.path)
        || match &recorded.body {
            WireBody::Json(value) => any(value, &in_text),
            WireBody::Raw(bytes) => in_text(&String::from_utf8_lossy(bytes)),
            WireBody::Empty => false,
        }
}

/// Whether `request` is `recorded` with words in the place of the masks.
pub(crate) fn fits(request: &WireRequest, recorded: &WireRequest) -> bool {
    request.provider == recorded.provider
        && request.method == recorded.method
        && text_fits(&request.path, &recorded.path)
        && match (&request.body, &recorded.body) {
            (WireBody::Json(request), WireBody::Json(recorded)) => value_fits(request, recorded),
            (WireBody::Raw(request), WireBody::Raw(recorded)) => {
                match (std::str::from_utf8(request), std::str::from_utf8(recorded)) {
                    (Ok(request), Ok(recorded)) => text_fits(request, recorded),
                    _ => request == recorded,
                }
            }
            (request, recorded) => request == recorded,
        }
}

fn value_fits(request: &Value, recorded: &Value) -> bool {
    match (request, recorded) {
        (Value::String(request), Value::String(recorded)) => text_fits(request, recorded),
        // A number that was a secret became the mask.
        (Value::Number(_), Value::String(recorded)) => recorded == MASK,
        (Value::Array(request), Value::Array(recorded)) => {
            request.len() == recorded.len() && request.iter().zip(recorded).all(|(a, b)| value_fits(a, b))
        }
        (Value::Object(request), Value::Object(recorded)) => {
            let member = |(name, recorded): (&String, &Value)| {
                request.iter().any(|(other, value)| text_fits(other, name) && value_fits(value, recorded))
            };
            request.len() == recorded.len() && recorded.iter().all(member)
        }
        (request, recorded) => request == recorded,
    }
}

fn text_fits(request: &str, recorded: &str) -> bool {
    if request == recorded {
        return true;
    }
    let unified = recorded.replace(HOST_MASK, MASK);
    let parts: Vec<&str> = unified.split(MASK).collect();
    let [first, middle @ .., last] = &parts[..] else { return false };
    let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    let Some(mut rest) = request.strip_prefix(first) else { return false };
    for part in middle {
        // A word is at least one character long, and ends at the next place where the text goes on as recorded.
        let from = rest.chars().next().map_or(0, char::len_utf8);
        let Some(at) = rest[from..].find(part) else { return false };
        if !is_word(&rest[..from + at]) {
            return false;
        }
        rest = &rest[from + at + part.len()..];
    }
    rest.strip_suffix(last).is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mask_stands_for_one_word() {
        for (request, recorded, expected) in [
            ("my key dummy, ok", "my key <secret>, ok", true),
            ("my key a and b", "my key <secret> and <secret>", true),
            ("my key , ok", "my key <secret>, ok", false),
            ("my key two words, ok", "my key <secret>, ok", false),
            ("another text", "my key <secret>", false),
            ("https://me.openai.azure.com/x", "https://private-host.openai.azure.com/x", true),
            ("same", "same", true),
            ("other", "same", false),
        ] {
            assert_eq!(text_fits(request, recorded), expected, "{request} / {recorded}");
        }
    }

    #[test]
    fn a_request_fits_in_every_part() {
        let request = |path: &str, body: Value| WireRequest {
            provider: "p".into(),
            method: "POST".into(),
            path: path.into(),
            body: WireBody::Json(body),
        };
        let recorded = request("/v1/x?key=<secret>", json!({"a": ["<secret>"], "<secret>": "<secret>"}));
        assert!(has_mask(&recorded));
        assert!(fits(&request("/v1/x?key=1", json!({"a": ["z"], "q": 5})), &recorded));
        assert!(!fits(&request("/v1/x?key=1", json!({"a": ["z", "y"], "q": 5})), &recorded));
        assert!(!fits(&request("/v1/y?key=1", json!({"a": ["z"], "q": 5})), &recorded));
        assert!(!has_mask(&request("/v1/x", json!({"a": [1, null]}))));
    }
}
