//! What the targets share: a slow and simple reading of streams to compare the decoders with.

use std::time::Duration;

use stack_runner::http::ndjson::NdjsonDecoder;
use stack_runner::http::sse::{Event, SseDecoder, StreamFault};

/// The fields of an event, as name, id and data; its time is the test's own.
pub type Fields = (Option<String>, Option<String>, String);

/// What a decoder made of a body: its events, and what is wrong with the rest.
pub type Outcome = (Vec<Fields>, Option<StreamFault>);

/// Either decoder.
pub trait Decoder: Default {
    fn push(&mut self, bytes: &[u8]);
    fn next(&mut self) -> Result<Option<Event>, StreamFault>;
    fn end(self) -> Result<(), StreamFault>;
}

impl Decoder for SseDecoder {
    fn push(&mut self, bytes: &[u8]) {
        SseDecoder::push(self, bytes, Duration::ZERO);
    }

    fn next(&mut self) -> Result<Option<Event>, StreamFault> {
        self.next_event()
    }

    fn end(self) -> Result<(), StreamFault> {
        self.finish()
    }
}

impl Decoder for NdjsonDecoder {
    fn push(&mut self, bytes: &[u8]) {
        NdjsonDecoder::push(self, bytes, Duration::ZERO);
    }

    fn next(&mut self) -> Result<Option<Event>, StreamFault> {
        self.next_event()
    }

    fn end(self) -> Result<(), StreamFault> {
        self.finish()
    }
}

/// Decodes a body that comes in pieces of `size` bytes.
pub fn decode<D: Decoder>(body: &[u8], size: usize) -> Outcome {
    let mut decoder = D::default();
    let mut events = Vec::new();
    for chunk in body.chunks(size) {
        decoder.push(chunk);
        loop {
            match decoder.next() {
                Ok(Some(event)) => events.push((event.event, event.id, event.data)),
                Ok(None) => break,
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    (events, decoder.end().err())
}

/// Decodes a body in one piece, and asserts that pieces of any size give the same.
pub fn decode_in_all_pieces<D: Decoder>(body: &[u8]) -> Outcome {
    let whole = decode::<D>(body, body.len().max(1));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(decode::<D>(body, size), whole, "in pieces of {size}");
    }
    whole
}

/// All lines of a text that have an end, and what comes after the last of them.
pub fn lines(text: &str) -> (Vec<&str>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        found.push(&rest[..end]);
        let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    (found, rest)
}

/// The standard's algorithm ("Interpreting an event stream") over a whole text; `None` when the text ends within an event.
/// Unlike the standard's, an id is only that of its own event.
pub fn reference_sse(text: &str) -> (Vec<Fields>, bool) {
    let (lines, rest) = lines(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut events = Vec::new();
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in lines {
        match (line, blocks.last_mut()) {
            ("", _) => blocks.push(Vec::new()),
            (line, Some(block)) => block.push(line),
            (_, None) => unreachable!("there is always a block"),
        }
    }
    let open = blocks.pop().unwrap_or_default();
    let value_of = |line: &str, field: &str| -> Option<String> {
        let rest = line.strip_prefix(field)?;
        match rest.strip_prefix(':') {
            Some(value) => Some(value.strip_prefix(' ').unwrap_or(value).to_owned()),
            None => rest.is_empty().then(String::new),
        }
    };
    let all = |block: &[&str], field: &str| {
        block.iter().filter_map(|line| value_of(line, field)).collect::<Vec<_>>()
    };
    for block in &blocks {
        let data = all(block, "data");
        if !data.is_empty() {
            let name = all(block, "event").pop().filter(|name| !name.is_empty());
            let id = all(block, "id").into_iter().rev().find(|id| !id.contains('\0'));
            events.push((name, id, data.join("\n")));
        }
    }
    let is_field = |line: &&&str| {
        value_of(line, "data").is_some()
            || value_of(line, "event").is_some()
            || value_of(line, "id").is_some_and(|id| !id.contains('\0'))
    };
    (events, open.iter().any(|line| is_field(&line)) || !rest.is_empty())
}
