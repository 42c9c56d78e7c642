//! Recording files, of either format: whatever a file holds, it is read or refused; what is read survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use stack_runner::http::ndjson::NdjsonDecoder;
use stack_runner::http::sse::SseDecoder;
use stack_runner::record::upstream::{self, Upstream, UpstreamCall};
use stack_runner::record::{AnswerBody, Recording};
use stack_runner_fuzz::decode;

fuzz_target!(|text: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
    if let Ok(recording) = Recording::from_value(value.clone()) {
        let written = again(&recording);
        assert_eq!(written.request, recording.request);
        assert_eq!(written.meta, recording.meta);
        assert_eq!(written.answer.status, recording.answer.status);
        assert_eq!(written.answer.headers, recording.answer.headers);
        assert_eq!(written.answer.bytes(), recording.answer.bytes());
        // Times are rounded to microseconds, once.
        assert_eq!(again(&written), written);
    }
    upstream::is_named_by_hash(&value, "0123456789ab");
    if let Ok(Upstream::Call(call)) = upstream::read(value) {
        chunks_are_events(&call);
    }
});

fn again(recording: &Recording) -> Recording {
    let value = serde_json::from_str(&recording.to_json()).expect("what is written is JSON");
    Recording::from_value(value).expect("what is written is a recording")
}

/// Each chunk that upstream recorded is one event of the stream that is served for it.
fn chunks_are_events(call: &UpstreamCall) {
    let AnswerBody::Chunks(chunks) = &call.answer.body else { return };
    let body = call.answer.bytes();
    let (events, fault) = if call.request.path.contains("/api/") {
        decode::<NdjsonDecoder>(&body, 64)
    } else {
        decode::<SseDecoder>(&body, 64)
    };
    assert_eq!(fault, None);
    assert_eq!(events.len(), chunks.len());
}
