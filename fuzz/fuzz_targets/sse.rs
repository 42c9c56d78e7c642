//! Server-sent events: the pieces in which a body comes make no difference, and events are those of the standard.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_runner::http::sse::{SseDecoder, StreamFault};
use stack_runner_fuzz::{decode_in_all_pieces, reference_sse};

fuzz_target!(|body: &[u8]| {
    let (events, fault) = decode_in_all_pieces::<SseDecoder>(body);
    let Ok(text) = std::str::from_utf8(body) else {
        // A character that is cut off by the end of the body is a stream that is cut off.
        assert!(fault.is_some(), "not UTF-8, and no word of it");
        return;
    };
    let (expected, unfinished) = reference_sse(text);
    assert_eq!(events, expected);
    match fault {
        None => assert!(!unfinished, "the stream ends within an event, and no word of it"),
        Some(StreamFault::Unterminated { after_events, .. }) => {
            assert!(unfinished, "nothing is missing");
            assert_eq!(after_events, events.len());
        }
        Some(other) => panic!("{other}"),
    }
});
