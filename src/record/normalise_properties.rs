//! What holds for normalisers whatever a request says.

use std::sync::Arc;

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::canonical::tests::any_json;
use super::catalogue::{Catalogue, Choice};
use super::entry::keys_of;
use super::entry::tests::entry;
use super::key::{WireBody, WireRequest};
use super::normalise::{NORMALISERS, Normaliser, needed};
use super::scope::ActiveTrials;

/// Texts made of what normalisers look for, and of what looks like it.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~é]{0,4}",
        "[0-9]{1,3}\\.[0-9]{1,9}",
        "(127\\.0\\.0\\.1|localhost|0\\.0\\.0\\.0|\\[::1\\]|example\\.org):[0-9]{1,6}",
        "(file|vs|resp|call|batch|word)[-_][a-z0-9]{6,9}",
        "(file-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "<(file|call|uuid|port)(-[12])?>",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any_text().prop_map(Value::from), any::<f64>().prop_map(Value::from), any_json()];
    let name = prop_oneof!["[a-c]", Just("extra_body".to_owned()), Just("tools".to_owned())];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Members of a body that some normaliser looks at, and two that none does.
const MEMBERS: [&str; 8] =
    ["messages", "prompt", "stream", "tools", "encoding_format", "options", "extra_body", "model"];

fn any_request() -> impl Strategy<Value = WireRequest> {
    let path = prop_oneof![
        "(/[a-z]{1,3})?(/v1)?(/v1)?/(chat/completions|completions|embeddings|models)/?(\\?a=[0-9])?",
        "(/x)?/api/(chat|generate|embed|ps)/?",
        "(/v1|/api|/file-[a-z0-9]{8}|/){0,4}",
    ];
    let member = (prop::sample::select(&MEMBERS[..]), any_value());
    let body = prop_oneof![
        4 => prop::collection::vec(member, 0..5).prop_map(|pairs| {
            WireBody::Json(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        }),
        1 => any_value().prop_map(WireBody::Json),
        1 => Just(WireBody::Empty),
    ];
    (path, body).prop_map(|(path, body)| WireRequest {
        provider: "p".into(),
        method: "POST".into(),
        path,
        body,
    })
}

fn after<'a>(request: &WireRequest, normalisers: impl IntoIterator<Item = &'a Normaliser>) -> WireRequest {
    let mut request = request.clone();
    normalisers.into_iter().for_each(|normaliser| (normaliser.apply)(&mut request));
    request
}

/// The same request in other clothes: how another client, or another run, would send it.
fn disguised(request: &WireRequest, seed: u32) -> WireRequest {
    fn reworded(value: &Value, seed: u32) -> Value {
        match value {
            Value::String(text) => {
                let text = text.replace("localhost:8080", &format!("localhost:{}", 20000 + seed % 9));
                json!(text.replace("file-abcdefg1", &format!("file-abcdefg{}", 2 + seed % 7)))
            }
            Value::Array(items) => items.iter().map(|item| reworded(item, seed)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), reworded(member, seed))).collect()
            }
            other => other.clone(),
        }
    }
    let mut other = request.clone();
    if let WireBody::Json(value) = &mut other.body {
        *value = reworded(value, seed);
        if let Value::Object(members) = value {
            if seed & 8 != 0 {
                members.entry("user").or_insert(Value::Null);
            }
            if seed & 16 != 0 {
                members.entry("stream").or_insert(Value::Bool(false));
            }
        }
    }
    if seed & 32 != 0 {
        other.path = format!("/prefix{}", other.path);
    }
    other
}

/// Chat about something that most normalisers apply to.
fn chat(about: &str) -> WireRequest {
    let text = format!("{about} of file-abcdefg1 at localhost:8080");
    WireRequest {
        provider: "p".into(),
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        body: WireBody::Json(json!({"messages": [{"content": text}], "score": 0.5})),
    }
}

proptest! {
    #[test]
    fn what_was_normalised_stays_as_it_is(request in any_request()) {
        for normaliser in &NORMALISERS {
            let once = after(&request, [normaliser]);
            prop_assert_eq!(&after(&once, [normaliser]), &once, "{:?}", normaliser);
        }
        let all = after(&request, &NORMALISERS);
        prop_assert_eq!(&after(&all, &NORMALISERS), &all);
    }

    #[test]
    fn what_was_needed_is_enough_and_no_more(about in "[a-z]{1,6}", seed in 0..64_u32) {
        let (sent, recorded) = (chat(&about), disguised(&chat(&about), seed));
        let names = needed(&sent, &recorded).expect("only what normalisers permit was changed");
        prop_assert_eq!(after(&sent, names.iter().copied()).key(), after(&recorded, names.iter().copied()).key());
        for left_out in &names {
            let rest: Vec<_> = names.iter().copied().filter(|other| other.name != left_out.name).collect();
            let (sent, recorded) = (after(&sent, rest.iter().copied()), after(&recorded, rest.iter().copied()));
            prop_assert_ne!(sent.key(), recorded.key(), "without {:?}", left_out);
        }
        let named = |found: Option<Vec<&'static Normaliser>>| format!("{found:?}");
        prop_assert_eq!(named(needed(&recorded, &sent)), named(Some(names)));
    }

    /// Two recordings that are not the same request are never taken for one another.
    #[test]
    fn requests_that_a_set_distinguishes_stay_apart(
        a in any_request(), b in any_request(), about in "[a-z]{1,6}", seeds in [0..64_u32, 0..64, 0..64],
    ) {
        let [one, two, asked] = seeds.map(|seed| disguised(&chat(&about), seed));
        for (one, two, asked) in [(&one, &two, &asked), (&a, &b, &a), (&a, &disguised(&a, seeds[0]), &disguised(&a, seeds[1]))] {
            let recordings = [("one", one), ("two", two)].map(|(file, request)| entry(file, request.clone(), &[(None, 1)]));
            let catalogue = Catalogue::new(recordings.clone());
            let choose = |request: &WireRequest| {
                let (key, levels) = keys_of(request);
                let trials = Arc::new(ActiveTrials::default());
                (levels.clone(), catalogue.choose(&key, &levels, &trials.resolve(&HeaderMap::new())))
            };
            if one.key() == two.key() {
                continue;
            }
            for (recording, request) in recordings.iter().zip([one, two]) {
                let (_, choice) = choose(request);
                let is_own = matches!(&choice, Choice::One { entry, level: 0, .. } if entry.file == recording.file);
                prop_assert!(is_own, "{choice:?}");
            }
            let (levels, choice) = choose(asked);
            if let Choice::One { entry, level, .. } = choice && level > 0 {
                let other = recordings.iter().find(|other| other.file != entry.file).unwrap();
                prop_assert_ne!(&other.levels[level], &levels[level], "both fit, and one was taken");
            }
        }
    }
}
