//! Named, versioned normalisers: what may differ between a request and a recording of it, and nothing more.
//!
//! They apply cumulatively in the order of [`NORMALISERS`]. A request and a recording match at the first level at
//! which they are equal; a match says which normalisers it needed. Whoever changes what a normaliser does raises its
//! version, which makes every index stale.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::key::{Key, WireBody, WireRequest};

/// One permitted difference between a request and its recording.
pub struct Normaliser {
    /// Stable name, as results and recordings carry it.
    pub name: &'static str,
    pub version: u32,
    /// Completes "matched after …".
    pub doing: &'static str,
    apply: fn(&mut WireRequest),
}

impl std::fmt::Debug for Normaliser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// All normalisers, in the order in which they apply.
pub static NORMALISERS: [Normaliser; 7] = [
    Normaliser {
        name: "endpoint-alias",
        version: 1,
        doing: "treating endpoint spellings as one",
        apply: endpoint_alias,
    },
    Normaliser { name: "extra-body", version: 1, doing: "flattening extra_body", apply: extra_body },
    Normaliser { name: "dropped-nulls", version: 1, doing: "dropping nulls", apply: dropped_nulls },
    Normaliser {
        name: "client-defaults",
        version: 1,
        doing: "dropping client defaults",
        apply: client_defaults,
    },
    Normaliser {
        name: "rounded-floats",
        version: 1,
        doing: "rounding floats to 5 places",
        apply: rounded_floats,
    },
    Normaliser { name: "masked-ports", version: 1, doing: "masking loopback ports", apply: masked_ports },
    Normaliser { name: "masked-ids", version: 1, doing: "masking ids", apply: masked_ids },
];

/// Names and versions of all normalisers, as a recording's `meta` and an index carry them.
pub fn fingerprint() -> String {
    NORMALISERS.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(" ")
}

/// The key of `request` at each level: exact first, then after each normaliser in turn.
pub(crate) fn levels(request: &WireRequest) -> Vec<Key> {
    let mut current = request.clone();
    let mut keys = vec![request.key()];
    for normaliser in &NORMALISERS {
        let before = current.clone();
        (normaliser.apply)(&mut current);
        // Hashing is the costly part and most normalisers leave most requests alone.
        let key = if current == before { keys[keys.len() - 1].clone() } else { current.key() };
        keys.push(key);
    }
    keys
}

/// The fewest normalisers, in order, that make `a` and `b` equal; `None` when even all of them do not.
pub fn needed(a: &WireRequest, b: &WireRequest) -> Option<Vec<&'static Normaliser>> {
    let mut chosen: Vec<&'static Normaliser> = NORMALISERS.iter().collect();
    if !equal_after(a, b, &chosen) {
        return None;
    }
    // Later ones are the bolder ones, so they are the first that should go.
    for normaliser in NORMALISERS.iter().rev() {
        let without: Vec<_> = chosen.iter().copied().filter(|n| n.name != normaliser.name).collect();
        if equal_after(a, b, &without) {
            chosen = without;
        }
    }
    Some(chosen)
}

fn equal_after(a: &WireRequest, b: &WireRequest, normalisers: &[&'static Normaliser]) -> bool {
    let run = |request: &WireRequest| {
        let mut request = request.clone();
        normalisers.iter().for_each(|n| (n.apply)(&mut request));
        request.key()
    };
    run(a) == run(b)
}

/// The endpoint a path stands for: `/v1/…` or `/api/…`, whatever prefix a deployment puts before it.
pub fn endpoint(path: &str) -> String {
    const OPENAI: [&str; 8] = [
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/models",
        "/responses",
        "/rerank",
        "/moderations",
        "/audio/transcriptions",
    ];
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    if let Some(at) = path.find("/api/") {
        return path[at..].to_owned();
    }
    if let Some(at) = path.rfind("/v1/") {
        return path[at..].to_owned();
    }
    match OPENAI.iter().find(|suffix| path.ends_with(*suffix)) {
        Some(suffix) => format!("/v1{suffix}"),
        None if path.is_empty() => "/".to_owned(),
        None => path.to_owned(),
    }
}

fn endpoint_alias(request: &mut WireRequest) {
    let query = request.path.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    request.path = endpoint(&request.path) + &query;
}

fn object(request: &mut WireRequest) -> Option<&mut Map<String, Value>> {
    match &mut request.body {
        WireBody::Json(Value::Object(members)) => Some(members),
        WireBody::Json(_) | WireBody::Empty | WireBody::Raw(_) => None,
    }
}

fn extra_body(request: &mut WireRequest) {
    if let Some(members) = object(request) {
        flatten_extra_body(members);
    }
}

/// Moves the members of a nested `extra_body` to the top, as the OpenAI Python client does before it sends.
pub(crate) fn flatten_extra_body(members: &mut Map<String, Value>) {
    if matches!(members.get("extra_body"), Some(Value::Object(_) | Value::Null))
        && let Some(Value::Object(extra)) = members.shift_remove("extra_body")
    {
        members.extend(extra);
    }
}

fn dropped_nulls(request: &mut WireRequest) {
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
fn client_defaults(request: &mut WireRequest) {
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

/// As upstream's recorder: floats, and long decimals inside texts, to five places.
fn rounded_floats(request: &mut WireRequest) {
    static LONG_DECIMAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d+\.\d{6,}").ok());
    fn round(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                let rounded = number.as_f64().and_then(|f| format!("{f:.5}").parse::<f64>().ok());
                if let Some(rounded) = rounded.and_then(serde_json::Number::from_f64) {
                    *number = rounded;
                }
            }
            Value::String(text) => {
                if let Some(pattern) = &*LONG_DECIMAL
                    && pattern.is_match(text)
                {
                    let rounded = |found: &Captures<'_>| {
                        let short = found[0].parse::<f64>().map(|f| format!("{f:.5}")).unwrap_or_default();
                        let short = short.trim_end_matches('0');
                        if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
                    };
                    *text = pattern.replace_all(text, rounded).into_owned();
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

fn masked_ports(request: &mut WireRequest) {
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
fn masked_ids(request: &mut WireRequest) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn request(path: &str, body: Value) -> WireRequest {
        WireRequest {
            provider: "ollama".into(),
            method: "POST".into(),
            path: path.into(),
            body: WireBody::Json(body),
        }
    }

    const CHAT: &str = "/v1/chat/completions";

    /// What matching a request with `sent` to a recording of `recorded` needed.
    fn names(sent: &WireRequest, recorded: &WireRequest) -> Option<Vec<&'static str>> {
        needed(sent, recorded).map(|all| all.iter().map(|n| n.name).collect())
    }

    fn body_names(path: &str, sent: Value, recorded: Value) -> Option<Vec<&'static str>> {
        names(&request(path, sent), &request(path, recorded))
    }

    #[test]
    fn equal_requests_need_nothing() {
        assert_eq!(body_names(CHAT, json!({"a": 1}), json!({"a": 1})), Some(vec![]));
    }

    #[test]
    fn endpoint_spellings_are_one() {
        let spellings = [
            "/v1/chat/completions/",
            "/v1/v1/chat/completions",
            "/chat/completions",
            "/inference/v1/chat/completions",
            "/serving-endpoints/chat/completions",
        ];
        for path in spellings {
            let found = names(&request(CHAT, json!({})), &request(path, json!({})));
            assert_eq!(found, Some(vec!["endpoint-alias"]), "{path}");
        }
        assert_eq!(names(&request(CHAT, json!({})), &request("/v1/completions", json!({}))), None);
        assert_eq!(names(&request("/v1/models?a=1", json!({})), &request("/v1/models?a=2", json!({}))), None);
        assert_eq!(endpoint("/ollama/api/ps"), "/api/ps");
        assert_eq!(endpoint("/v1/models/a/b"), "/v1/models/a/b");
    }

    #[test]
    fn extra_body_is_flattened() {
        let nested = json!({"model": "m", "extra_body": {"guided_choice": ["a"]}});
        assert_eq!(
            body_names(CHAT, json!({"model": "m", "guided_choice": ["a"]}), nested),
            Some(vec!["extra-body"])
        );
        assert_eq!(body_names(CHAT, json!({}), json!({"extra_body": "text"})), None);
    }

    #[test]
    fn nulls_are_dropped_at_any_depth() {
        let with = json!({"max_tokens": null, "messages": [{"content": "x", "name": null}]});
        let without = json!({"messages": [{"content": "x"}]});
        assert_eq!(body_names(CHAT, with, without), Some(vec!["dropped-nulls"]));
        assert_eq!(body_names(CHAT, json!({"stop": [null]}), json!({"stop": []})), None);
    }

    #[test]
    fn client_defaults_are_dropped_where_they_are_defaults() {
        let embeddings = "/v1/embeddings";
        let plain = json!({"input": "x"});
        let base64 = json!({"input": "x", "encoding_format": "base64"});
        assert_eq!(body_names(embeddings, base64.clone(), plain.clone()), Some(vec!["client-defaults"]));
        assert_eq!(body_names(CHAT, base64.clone(), plain.clone()), None);
        assert_eq!(body_names(embeddings, json!({"input": "x", "encoding_format": "float"}), base64), None);
        assert_eq!(body_names(CHAT, json!({"stream": false}), json!({})), Some(vec!["client-defaults"]));
        assert_eq!(body_names(CHAT, json!({"stream": true}), json!({})), None);
        assert_eq!(body_names("/api/chat", json!({"tools": []}), json!({})), Some(vec!["client-defaults"]));
    }

    #[test]
    fn floats_are_rounded_also_inside_text() {
        let long = json!({"score": 0.123_456_789, "text": "score: 0.123456789, 12 of 3.5"});
        let short = json!({"score": 0.12346, "text": "score: 0.12346, 12 of 3.5"});
        assert_eq!(body_names(CHAT, long, short), Some(vec!["rounded-floats"]));
        assert_eq!(body_names(CHAT, json!({"t": 0.1234}), json!({"t": 0.1235})), None);
        assert_eq!(body_names(CHAT, json!({"t": 1.0}), json!({"t": 1})), None);
    }

    #[test]
    fn loopback_ports_are_masked_and_other_ports_are_not() {
        let at = |host: &str| json!({"url": format!("http://{host}/sse")});
        assert_eq!(body_names(CHAT, at("127.0.0.1:4001"), at("127.0.0.1:52000")), Some(vec!["masked-ports"]));
        assert_eq!(body_names(CHAT, at("example.org:4001"), at("example.org:52000")), None);
    }

    #[test]
    fn ids_are_masked_and_stay_distinct() {
        let ask = |a: &str, b: &str| json!({"calls": [a, b], "text": format!("see {a}")});
        let uuid = |n: u32| format!("file-{n:08x}-1111-2222-3333-444455556666");
        assert_eq!(
            body_names(CHAT, ask(&uuid(1), "call_v7gdtg8p"), ask(&uuid(2), "call_d1i5ou69")),
            Some(vec!["masked-ids"])
        );
        assert_eq!(body_names(CHAT, ask(&uuid(1), &uuid(1)), ask(&uuid(1), &uuid(2))), None);
        assert_eq!(body_names(CHAT, json!("call_function"), json!("call_functions")), None);
        assert_eq!(body_names(CHAT, json!("file-abcdef123"), json!("call_abcdef123")), None);
    }

    #[test]
    fn only_what_was_needed_is_named() {
        let sent = json!({"id": "call_aaaaaaa1", "user": null});
        let recorded = json!({"id": "call_bbbbbbb2"});
        assert_eq!(body_names(CHAT, sent, recorded), Some(vec!["dropped-nulls", "masked-ids"]));
    }

    #[test]
    fn levels_start_exact_and_end_with_everything() {
        let a = request(CHAT, json!({"user": null}));
        let b = request(CHAT, json!({}));
        let (a, b) = (levels(&a), levels(&b));
        assert_eq!(a.len(), NORMALISERS.len() + 1);
        assert_eq!(a.iter().zip(&b).position(|(x, y)| x == y), Some(3));
    }

    proptest! {
        #[test]
        fn every_normaliser_is_idempotent(text in "[ -~]{0,40}", float in -1e6..1e6f64, id in "call_[a-z0-9]{9}") {
            let body = json!({"text": text, "float": float, "id": id, "extra_body": {"n": null}, "tools": []});
            for normaliser in &NORMALISERS {
                let mut once = request("/v1/v1/chat/completions/", body.clone());
                (normaliser.apply)(&mut once);
                let mut twice = once.clone();
                (normaliser.apply)(&mut twice);
                prop_assert_eq!(once, twice, "{:?}", normaliser);
            }
        }

        #[test]
        fn a_changed_prompt_never_matches(a in "[a-z ]{1,20}", b in "[a-z ]{1,20}") {
            prop_assume!(a != b);
            prop_assert_eq!(body_names(CHAT, json!({"prompt": a}), json!({"prompt": b})), None);
        }
    }
}
