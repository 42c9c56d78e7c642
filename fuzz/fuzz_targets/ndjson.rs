//! Newline-delimited JSON: the pieces in which a body comes make no difference, and every line that is not blank is an event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_runner::http::ndjson::NdjsonDecoder;
use stack_runner_fuzz::{decode_in_all_pieces, lines};

fuzz_target!(|body: &[u8]| {
    let (events, fault) = decode_in_all_pieces::<NdjsonDecoder>(body);
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(fault.is_some(), "not UTF-8, and no word of it");
        return;
    };
    let (lines, rest) = lines(text.strip_prefix('\u{feff}').unwrap_or(text));
    let expected: Vec<_> = lines
        .into_iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| (None, None, line.to_owned()))
        .collect();
    assert_eq!(events, expected);
    assert_eq!(fault.is_some(), !rest.trim().is_empty());
});
