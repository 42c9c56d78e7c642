//! HAR archives into recordings: what is read, skipped and scrubbed.

use serde_json::{Value, json};

use super::har::{NotAnArchive, Options, read};
use super::key::WireBody;
use super::recording::{AnswerBody, Recording};
use super::redact::Scrubber;

/// An entry of a chat completion, with `change` made to it.
fn entry(change: impl Fn(&mut Value)) -> Value {
    let mut entry = json!({
        "startedDateTime": "2025-11-01T10:00:00.123+02:00", "time": 30,
        "request": {
            "method": "POST", "url": "https://api.openai.com/v1/chat/completions?key=param-secret", "httpVersion": "h2",
            "headers": [{"name": ":authority", "value": "api.openai.com"}, {"name": "Authorization", "value": "Bearer sk-secret-1"},
                {"name": "Cookie", "value": "a=1; session=cookie-secret"}, {"name": "Content-Type", "value": "application/json"}],
            "postData": {"mimeType": "application/json", "text": "{\"model\": \"m\", \"echo\": \"sk-secret-1\"}"},
        },
        "response": {"status": 200,
            "headers": [{"name": "content-type", "value": "application/json"}, {"name": "content-encoding", "value": "br"},
                {"name": "Set-Cookie", "value": "x=y"}],
            "content": {"size": 8, "mimeType": "application/json", "text": "{\"a\": 1}"}},
        "timings": {"wait": 12.5},
    });
    change(&mut entry);
    entry
}

fn archive(entries: &[Value]) -> String {
    json!({"log": {"version": "1.2", "entries": entries}}).to_string()
}

fn one(change: impl Fn(&mut Value)) -> Result<Recording, String> {
    let mut archive = read("x.har", &archive(&[entry(change)]), &Options::default()).unwrap();
    match archive.recordings.pop() {
        Some((_, recording)) => Ok(recording),
        None => Err(archive.skipped.remove(0).because),
    }
}

#[test]
fn an_entry_becomes_a_recording_without_credentials() {
    let archive = read("x.har", &archive(&[entry(|_| {})]), &Options::default()).unwrap();
    let (label, mut recording) = archive.recordings.into_iter().next().unwrap();
    assert_eq!(label, "x.har#0 POST https://api.openai.com/v1/chat/completions");
    Scrubber::new(archive.secrets).recording(&mut recording).expect("nothing is blocked");
    let text = recording.to_json();
    for secret in ["sk-secret-1", "cookie-secret", "param-secret", "Set-Cookie", "set-cookie", "Bearer"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let wire = &recording.request.wire;
    assert_eq!((wire.provider.as_str(), wire.model()), ("openai", "m"));
    assert_eq!(recording.answer.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    assert_eq!(recording.answer.bytes(), "{\"a\": 1}");
    assert_eq!(recording.meta.recorded_at, "2025-11-01T08:00:00.123Z");
    let read = Recording::from_value(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(read, recording, "what is written is read back");
}

#[test]
fn streams_become_one_chunk_an_event() {
    let body = "data: {\"n\":1}\r\n\r\ndata: {\"n\":2}\n\ndata: [DONE]\n\n";
    let recording = one(|entry| {
        entry["response"]["headers"] =
            json!([{"name": "Content-Type", "value": "text/event-stream; charset=utf-8"}]);
        entry["response"]["content"] = json!({"size": 1, "mimeType": "text/event-stream", "text": body});
    })
    .unwrap();
    let AnswerBody::Chunks(chunks) = &recording.answer.body else { panic!("chunks") };
    let shown: Vec<_> =
        chunks.iter().map(|c| (c.gap.as_micros(), std::str::from_utf8(&c.bytes).unwrap())).collect();
    assert_eq!(
        shown,
        [(12_500, "data: {\"n\":1}\r\n\r\n"), (0, "data: {\"n\":2}\n\n"), (0, "data: [DONE]\n\n")]
    );
    assert_eq!(recording.answer.bytes(), body);
    let lines = one(|entry| {
        entry["response"]["headers"] = json!([{"name": "Content-Type", "value": "application/x-ndjson"}]);
        entry["response"]["content"] = json!({"text": "{}\n{}\n{\"rest\""});
    });
    let AnswerBody::Chunks(chunks) = lines.unwrap().answer.body else { panic!("chunks") };
    assert_eq!(chunks.len(), 3);
}

#[test]
fn base64_bodies_are_decoded() {
    let recording = one(|entry| {
        entry["request"]["postData"] = json!({"text": "AAEC/w==", "encoding": "base64"});
        entry["response"]["content"] = json!({"text": "/wAB", "encoding": "base64"});
    })
    .unwrap();
    assert_eq!(recording.request.wire.body, WireBody::Raw(b"\x00\x01\x02\xff"[..].into()));
    assert_eq!(recording.answer.bytes(), b"\xff\x00\x01"[..]);
}

#[test]
fn what_is_no_provider_call_is_skipped_with_its_reason() {
    let because = |change: &dyn Fn(&mut Value)| one(change).unwrap_err();
    assert_eq!(because(&|e| e["request"]["method"] = json!("OPTIONS")), "no call to a provider");
    assert_eq!(because(&|e| e["response"]["status"] = json!(0)), "no answer came");
    assert_eq!(
        because(&|e| e["request"]["url"] = json!("http://example.org:81/v1/x?a=1")),
        "no provider is known at example.org:81; name it: --provider NAME=example.org:81"
    );
    assert!(because(&|e| e["response"]["content"] = json!({"size": 9})).contains("answer's body"));
    assert!(
        because(&|e| e["response"]["content"] = json!({"text": "?", "encoding": "base64"}))
            .contains("base64")
    );
    assert!(because(&|e| e["request"]["url"] = json!("ws://x/y")).contains("HTTP"));
    let form = json!({"mimeType": "multipart/form-data", "params": [{"name": "a", "value": "b"}]});
    assert!(because(&|e| e["request"]["postData"] = form.clone()).contains("form"));
}

#[test]
fn providers_are_named_by_host_or_by_what_is_known() {
    let options = Options {
        providers: vec![
            ("mine".into(), "http://gpu.example:9000".into()),
            ("any-port".into(), "localhost".into()),
        ],
        ..Options::default()
    };
    let at = |url: &str| {
        let text = archive(&[entry(|e| e["request"]["url"] = json!(url))]);
        let archive = read("x.har", &text, &options).unwrap();
        archive.recordings.into_iter().next().map(|(_, r)| (r.request.wire.provider, r.request.wire.path))
    };
    let some = |provider: &str, path: &str| Some((provider.to_owned(), path.to_owned()));
    assert_eq!(at("http://gpu.example:9000/v1/x#frag"), some("mine", "/v1/x"));
    assert_eq!(at("http://gpu.example:9001/v1/x"), None);
    assert_eq!(at("http://localhost:1234/v1/x?a=b"), some("any-port", "/v1/x?a=b"));
    assert_eq!(at("http://127.0.0.1:11434/api/chat"), some("ollama", "/api/chat"));
}

#[test]
fn answers_to_one_request_are_numbered_in_order_of_time() {
    let at = |time: &str, answer: &str| {
        entry(|e| {
            e["startedDateTime"] = json!(time);
            e["response"]["content"]["text"] = json!(answer);
        })
    };
    let text = archive(&[at("2025-11-01T10:00:02Z", "second"), at("2025-11-01T10:00:01Z", "first")]);
    let options = Options { trial: Some("t".into()), ..Options::default() };
    let archive = read("x.har", &text, &options).unwrap();
    let shown = archive.recordings.iter().map(|(_, r)| (r.answer.bytes(), r.meta.trials[0].answers[0]));
    assert_eq!(shown.collect::<Vec<_>>(), [("first".into(), 1), ("second".into(), 2)]);
}

#[test]
fn what_is_no_archive_says_where() {
    let error = |text: &str| read("x", text, &Options::default()).unwrap_err();
    assert_eq!(error("{\n\"log\": }"), NotAnArchive { line: 2, column: 8, message: "expected value".into() });
    assert_eq!(error("{}").to_string(), " not an HTTP archive: no `log.entries`");
}
