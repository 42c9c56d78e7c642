//! What each normaliser does to a request. [`super::normalise`] names them and fixes their order.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::key::{WireBody, WireRequest};
use super::normalise::endpoint;

pub(crate) fn endpoint_alias(request: &mut WireRequest) {
    let query = request.path.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    request.path = endpoint(&request.path) + &query;
}

fn object(request: &mut WireRequest) -> Option<&mut Map<String, Value>> {
    match &mut request.body {
        WireBody::Json(Value::Object(members)) => Some(members),
        WireBody::Json(_) | WireBody::Empty | WireBody::Raw(_) => None,
    }
}

pub(crate) fn extra_body(request: &mut WireRequest) {
    if let Some(members) = object(request) {
        while flatten_extra_body(members) {}
    }
}

/// Moves the members of a nested `extra_body` to the top, as the OpenAI Python client does before it sends. Says whether
/// there was one.
pub(crate) fn flatten_extra_body(members: &mut Map<String, Value>) -> bool {
    if !matches!(members.get("extra_body"), Some(Value::Object(_) | Value::Null)) {
        return false;
    }
    if let Some(Value::Object(extra)) = members.shift_remove("extra_body") {
        members.extend(extra);
    }
    true
}

pub(crate) fn dropped_nulls(request: &mut WireRequest) {
    fn prune(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|_, member| !member.is_null());
                members.values_mut().for_each(prune);
            }
            Value::Array(items) => items.iter_mut().for_each(prune),
            _ => {}
        }
    }
    if let WireBody::Json(value) = &mut request.body {
        prune(value);
    }
}

/// Values that a client fills in when its caller gave none, or that mean the same as leaving them out.
pub(crate) fn client_defaults(request: &mut WireRequest) {
    let endpoint = endpoint(&request.path);
    let Some(members) = object(request) else { return };
    let mut drop_if = |name: &str, is_default: fn(&Value) -> bool| {
        if members.get(name).is_some_and(is_default) {
            members.shift_remove(name);
        }
    };
    let empty_list: fn(&Value) -> bool = |v| v.as_array().is_some_and(Vec::is_empty);
    let empty_text: fn(&Value) -> bool = |v| v.as_str() == Some("");
    match endpoint.as_str() {
        // The OpenAI Python client asks for base64 on its own and decodes it unseen.
        "/v1/embeddings" => drop_if("encoding_format", |v| v.as_str() == Some("base64")),
        "/v1/chat/completions" | "/v1/completions" => {
            drop_if("stream", |v| v == &Value::Bool(false));
            drop_if("tools", empty_list);
        }
        // The Ollama Python client sends empty lists and texts for what was not given.
        "/api/chat" | "/api/generate" | "/api/embed" => {
            for name in ["tools", "images", "context"] {
                drop_if(name, empty_list);
            }
            for name in ["prompt", "suffix", "system", "template", "format"] {
                drop_if(name, empty_text);
            }
            drop_if("options", |v| v.as_object().is_some_and(Map::is_empty));
        }
        _ => {}
    }
}

/// As upstream's recorder: floats, and long decimals inside texts, to five places. What has several points is an
/// address or a version, and what follows a point may be the rest of one.
pub(crate) fn rounded_floats(request: &mut WireRequest) {
    static DECIMAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\.?\d+\.[\d.]*\d").ok());
    fn rounded(decimal: &str) -> Option<String> {
        decimal.split_once('.').filter(|(whole, fraction)| !whole.is_empty() && fraction.len() > 5)?;
        let float = decimal.parse::<f64>().ok().filter(|float| float.is_finite())?;
        let text = format!("{float:.5}");
        let short = text.trim_end_matches('0');
        Some(if short.ends_with('.') { format!("{short}0") } else { short.to_owned() })
    }
    fn round(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                let rounded = number.as_f64().and_then(|f| format!("{f:.5}").parse::<f64>().ok());
                if let Some(rounded) = rounded.and_then(serde_json::Number::from_f64) {
                    *number = rounded;
                }
            }
            Value::String(text) => {
                let is_long = |found: regex::Match<'_>| rounded(found.as_str()).is_some();
                if let Some(pattern) = &*DECIMAL
                    && pattern.find_iter(text).any(is_long)
                {
                    let replace =
                        |found: &Captures<'_>| rounded(&found[0]).unwrap_or_else(|| found[0].to_owned());
                    *text = pattern.replace_all(text, replace).into_owned();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(round),
            Value::Object(members) => members.values_mut().for_each(round),
            _ => {}
        }
    }
    if let WireBody::Json(value) = &mut request.body {
        round(value);
    }
}

pub(crate) fn masked_ports(request: &mut WireRequest) {
    static PORT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1\]):\d{2,5}\b").ok());
    if let Some(pattern) = &*PORT {
        each_text(request, &mut |text| {
            if pattern.is_match(text) {
                *text = pattern.replace_all(text, "$1:<port>").into_owned();
            }
        });
    }
}

/// Random ids become placeholders numbered by first appearance, so two ids that differ stay different.
pub(crate) fn masked_ids(request: &mut WireRequest) {
    static ID: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let uuid = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
        let prefixed = "(?:file|vs|resp|msg|conv|batch|rec|chatcmpl|call|toolcall|fc)";
        Regex::new(&format!(r"\b(?:(?<prefix>{prefixed})[-_])?(?<uuid>{uuid})\b|\b(?<kind>{prefixed})[-_](?<rest>[A-Za-z0-9]{{8,}}(?:-\d+)?)\b")).ok()
    });
    let Some(pattern) = &*ID else { return };
    let mut seen: HashMap<String, usize> = HashMap::new();
    each_text(request, &mut |text| {
        if !pattern.is_match(text) {
            return;
        }
        let masked = pattern.replace_all(text, |found: &Captures<'_>| {
            let group = |name| found.name(name).map(|m| m.as_str());
            // `call_function` is a word; an id has a digit in it.
            if group("rest").is_some_and(|rest| !rest.contains(|c: char| c.is_ascii_digit())) {
                return found[0].to_owned();
            }
            let kind = group("kind").or(group("prefix")).unwrap_or("uuid");
            let next = seen.len() + 1;
            let number = *seen.entry(found[0].to_owned()).or_insert(next);
            format!("<{kind}-{number}>")
        });
        *text = masked.into_owned();
    });
}

/// Calls `edit` on the path and on every text value of a JSON body, members in sorted order.
fn each_text(request: &mut WireRequest, edit: &mut dyn FnMut(&mut String)) {
    fn walk(value: &mut Value, edit: &mut dyn FnMut(&mut String)) {
        match value {
            Value::String(text) => edit(text),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, edit)),
            Value::Object(members) => {
                let mut sorted: Vec<_> = members.iter_mut().collect();
                sorted.sort_unstable_by(|a, b| a.0.cmp(b.0));
                sorted.into_iter().for_each(|(_, member)| walk(member, edit));
            }
            _ => {}
        }
    }
    edit(&mut request.path);
    if let WireBody::Json(value) = &mut request.body {
        walk(value, edit);
    }
}
