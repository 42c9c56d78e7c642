//! Newline-delimited JSON, as Ollama streams it, decoded from bytes without I/O.
//!
//! Each non-blank line is an event. Whether it is JSON is for the reader of the event to find out, as with
//! server-sent events.

use std::time::Duration;

use super::sse::{Decode, Event, Lines, StreamFault, beginning};

/// Collects bytes and hands out lines as events. After an error it yields no more.
#[derive(Debug, Default)]
pub struct NdjsonDecoder {
    lines: Lines,
    events: usize,
}

impl NdjsonDecoder {
    /// Adds a chunk that came at `at`.
    pub fn push(&mut self, bytes: &[u8], at: Duration) {
        self.lines.push(bytes, at);
    }

    /// The next complete line; `None` until more is pushed.
    pub fn next_event(&mut self) -> Result<Option<Event>, StreamFault> {
        while let Some((line, at)) = self.lines.next_line()? {
            if !line.trim().is_empty() {
                self.events += 1;
                return Ok(Some(Event { event: None, id: None, data: line, at }));
            }
        }
        Ok(None)
    }

    /// The stream is over: reports a line without its newline, which may have been cut off.
    pub fn finish(mut self) -> Result<(), StreamFault> {
        let rest = self.lines.take_rest();
        if rest.trim().is_empty() {
            return Ok(());
        }
        Err(StreamFault::Unterminated { after_events: self.events, rest: beginning(&rest) })
    }
}

impl Decode for NdjsonDecoder {
    fn push(&mut self, bytes: &[u8], at: Duration) {
        Self::push(self, bytes, at);
    }

    fn next_event(&mut self) -> Result<Option<Event>, StreamFault> {
        Self::next_event(self)
    }

    fn finish(self) -> Result<(), StreamFault> {
        Self::finish(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(chunks: &[&[u8]]) -> (Vec<String>, Result<(), StreamFault>) {
        let mut decoder = NdjsonDecoder::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, Duration::ZERO);
            loop {
                match decoder.next_event() {
                    Ok(Some(event)) => lines.push(event.data),
                    Ok(None) => break,
                    Err(fault) => return (lines, Err(fault)),
                }
            }
        }
        (lines, decoder.finish())
    }

    #[test]
    fn lines_are_events() {
        let (lines, end) = run(&[b"{\"a\":1}\r\n\n  \n{\"b\":\"\xc3", b"\xa9\"}\n"]);
        assert_eq!(lines, [r#"{"a":1}"#, r#"{"b":"é"}"#]);
        assert_eq!(end, Ok(()));
        assert_eq!(run(&[b"\xef\xbb", b"\xbf"]), (vec![], Ok(())), "a byte order mark is no line");
        assert!(run(&[b"{}\n\xef\xbb\xbf"]).1.is_err(), "but only at the start is it one");
    }

    #[test]
    fn mistakes_are_reported() {
        let (lines, end) = run(&[b"{}\n{\"done\":tr"]);
        assert_eq!(lines, ["{}"]);
        assert_eq!(end.unwrap_err().to_string(), r#"the stream ends within event 2: "{\"done\":tr""#);
        assert_eq!(run(&[b"{}\n\xff\n"]).1, Err(StreamFault::InvalidUtf8 { line: 2 }));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(text in "([a{}é]{0,5}(\n|\r\n|\r)){0,8}[a]{0,3}", cut in 0..60_usize) {
            let bytes = text.as_bytes();
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(run(&[a, b]), run(&[bytes]));
        }
    }
}
