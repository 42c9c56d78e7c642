//! Named, versioned normalisers: what may differ between a request and a recording of it, and nothing more.
//!
//! They apply cumulatively in the order of [`NORMALISERS`]. A request and a recording match at the first level at
//! which they are equal; a match says which normalisers it needed. Whoever changes what a normaliser does raises its
//! version, which makes every index stale.

use super::key::{Key, WireRequest};
use super::rules;

/// One permitted difference between a request and its recording.
pub struct Normaliser {
    /// Stable name, as results and recordings carry it.
    pub name: &'static str,
    pub version: u32,
    /// Completes "matched after …".
    pub doing: &'static str,
    pub(crate) apply: fn(&mut WireRequest),
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
        apply: rules::endpoint_alias,
    },
    Normaliser { name: "extra-body", version: 2, doing: "flattening extra_body", apply: rules::extra_body },
    Normaliser { name: "dropped-nulls", version: 1, doing: "dropping nulls", apply: rules::dropped_nulls },
    Normaliser {
        name: "client-defaults",
        version: 1,
        doing: "dropping client defaults",
        apply: rules::client_defaults,
    },
    Normaliser {
        name: "rounded-floats",
        version: 3,
        doing: "rounding floats to 5 places",
        apply: rules::rounded_floats,
    },
    Normaliser {
        name: "masked-ports",
        version: 1,
        doing: "masking loopback ports",
        apply: rules::masked_ports,
    },
    Normaliser { name: "masked-ids", version: 1, doing: "masking ids", apply: rules::masked_ids },
];

/// Whether a request that needed this normaliser is another one than was recorded, for what it sets aside does not
/// differ from run to run by nature, as ids, ports and scores do.
pub fn tells_of_a_change(name: &str) -> bool {
    ["endpoint-alias", "extra-body", "dropped-nulls", "client-defaults"].contains(&name)
}

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

/// The request after each normaliser in turn.
pub(crate) fn steps(request: &WireRequest) -> Vec<(&'static Normaliser, WireRequest)> {
    let mut current = request.clone();
    let apply = |normaliser: &'static Normaliser| {
        (normaliser.apply)(&mut current);
        (normaliser, current.clone())
    };
    NORMALISERS.iter().map(apply).collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::record::key::WireBody;

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
        assert_eq!(body_names(CHAT, json!("at 1.0.1234567"), json!("at 1.0.1234568")), None);
        // Once the id is masked, this looks like a number; it is none.
        assert_eq!(body_names(CHAT, json!("file_a0aa0a00.00.0000001"), json!("file_a0aa0a00.00.0")), None);
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
        fn a_changed_prompt_never_matches(a in "[a-z ]{1,20}", b in "[a-z ]{1,20}") {
            prop_assume!(a != b);
            prop_assert_eq!(body_names(CHAT, json!({"prompt": a}), json!({"prompt": b})), None);
        }
    }
}
