//! Server-sent events, decoded from bytes without I/O, by the rules of the WHATWG HTML standard
//! ("Interpreting an event stream").
//!
//! Where the standard is silent about mistakes or repairs them, this decoder reports them: a tester wants to
//! know of a stream that was cut off or that is not UTF-8.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::{BodyEnd, Response};

/// The data by which OpenAI-compatible servers end a stream.
pub const DONE: &str = "[DONE]";

/// One event, of either framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field; always `None` in NDJSON.
    pub event: Option<String>,
    /// The `id:` field of this event, not that of an earlier one.
    pub id: Option<String>,
    /// Data lines joined with `\n`, or the line of NDJSON.
    pub data: String,
    /// When the chunk came that completed the event, since the request was sent.
    pub at: Duration,
}

impl Event {
    /// Whether this is the closing `[DONE]`, which is no JSON.
    pub fn is_done(&self) -> bool {
        self.data.trim() == DONE
    }
}

/// Why a stream could not be decoded to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFault {
    /// The response's media type is neither `text/event-stream` nor one of NDJSON's.
    NotAStream { media_type: String },
    /// A line is not UTF-8. Lines count from 1.
    InvalidUtf8 { line: usize },
    /// The body ends within an event, which clients then drop. The beginning of what is left.
    Unterminated { after_events: usize, rest: String },
    /// The connection broke; the reason as the transport gave it.
    Cut { after_events: usize, reason: String },
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAStream { media_type } if media_type.is_empty() => {
                f.write_str("the response is no stream: it has no content-type")
            }
            Self::NotAStream { media_type } => write!(f, "the response is no stream but {media_type}"),
            Self::InvalidUtf8 { line } => write!(f, "line {line} of the stream is not UTF-8"),
            Self::Unterminated { after_events, rest } => {
                write!(f, "the stream ends within event {}: {rest:?}", after_events + 1)
            }
            Self::Cut { after_events, reason } => {
                write!(f, "the connection broke before event {} was complete: {reason}", after_events + 1)
            }
        }
    }
}

impl std::error::Error for StreamFault {}

/// What a response's body holds, and what is wrong with it. Events before a fault are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub events: Vec<Event>,
    pub fault: Option<StreamFault>,
}

/// All events of a streamed response, chosen by its media type.
pub fn events_of(response: &Response) -> Result<Vec<Event>, StreamFault> {
    let decoded = decode(response);
    decoded.fault.map_or(Ok(decoded.events), Err)
}

/// How a response's body is cut into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Sse,
    Ndjson,
}

impl Framing {
    /// By the media type; `None` for a response that is no stream.
    pub fn of(response: &Response) -> Option<Self> {
        match response.media_type().as_str() {
            "text/event-stream" => Some(Self::Sse),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// As [`events_of`], with the events that came before a fault.
pub fn decode(response: &Response) -> Decoded {
    match Framing::of(response) {
        Some(Framing::Sse) => decode_with(SseDecoder::default(), response),
        Some(Framing::Ndjson) => decode_with(super::ndjson::NdjsonDecoder::default(), response),
        None => {
            let fault = StreamFault::NotAStream { media_type: response.media_type() };
            Decoded { events: Vec::new(), fault: Some(fault) }
        }
    }
}

/// What the two decoders have in common, so that chunks are walked in one place.
pub(super) trait Decode {
    fn push(&mut self, bytes: &[u8], at: Duration);
    fn next_event(&mut self) -> Result<Option<Event>, StreamFault>;
    fn finish(self) -> Result<(), StreamFault>;
}

fn decode_with(mut decoder: impl Decode, response: &Response) -> Decoded {
    let mut events = Vec::new();
    let mut start = 0;
    // A response built by hand may lack chunks, or have some that do not reach the end.
    let whole = (response.body.len(), response.took);
    for (end, at) in response.chunks.iter().map(|chunk| (chunk.end, chunk.at)).chain([whole]) {
        let Some(bytes) = response.body.get(start..end) else { continue };
        start = end;
        decoder.push(bytes, at);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(fault) => return Decoded { events, fault: Some(fault) },
            }
        }
    }
    let fault = match &response.end {
        BodyEnd::Complete => decoder.finish().err(),
        BodyEnd::Aborted => None,
        BodyEnd::Cut(reason) => Some(StreamFault::Cut { after_events: events.len(), reason: reason.clone() }),
    };
    Decoded { events, fault }
}

/// Collects bytes and hands out events. After an error it yields no more.
#[derive(Debug, Default)]
pub struct SseDecoder {
    lines: Lines,
    event: Option<String>,
    id: Option<String>,
    data: Option<String>,
    /// Whether a field of an event not yet dispatched has been seen.
    pending: bool,
    retry: Option<Duration>,
    events: usize,
}

impl SseDecoder {
    /// Adds a chunk that came at `at`.
    pub fn push(&mut self, bytes: &[u8], at: Duration) {
        self.lines.push(bytes, at);
    }

    /// The next complete event; `None` until more is pushed.
    pub fn next_event(&mut self) -> Result<Option<Event>, StreamFault> {
        while let Some((line, at)) = self.lines.next_line()? {
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            let (event, id) = (self.event.take(), self.id.take());
            self.pending = false;
            // Without data there is no event, whatever else was said.
            if let Some(data) = self.data.take() {
                self.events += 1;
                return Ok(Some(Event { event, id, data, at }));
            }
        }
        Ok(None)
    }

    /// The stream is over: reports an event that was begun and not ended by a blank line.
    pub fn finish(mut self) -> Result<(), StreamFault> {
        let rest = self.lines.take_rest();
        if rest.is_empty() && !self.pending {
            return Ok(());
        }
        let mut text = self.event.map(|event| format!("event: {event}\n")).unwrap_or_default();
        text.extend(self.data.map(|data| format!("data: {data}\n")));
        text.push_str(&rest);
        Err(StreamFault::Unterminated { after_events: self.events, rest: beginning(&text) })
    }

    /// The last reconnection time the server asked for.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
                return;
            }
            // A comment (empty name) or a field that the standard says to ignore.
            _ => return,
        }
        self.pending = true;
    }
}

impl Decode for SseDecoder {
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

/// Splits bytes into lines at CR, LF or CRLF, across chunks. Line ends are ASCII, so characters split
/// between chunks come together again before they are decoded.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    ready: VecDeque<(Vec<u8>, Duration)>,
    taken: usize,
    /// The last byte was CR: an LF now belongs to it.
    after_cr: bool,
    broken: bool,
}

impl Lines {
    pub(super) fn push(&mut self, mut bytes: &[u8], at: Duration) {
        if self.after_cr && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_cr = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.partial.extend_from_slice(&bytes[..end]);
            self.ready.push_back((std::mem::take(&mut self.partial), at));
            let cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.after_cr = cr && bytes.is_empty();
            if cr {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.partial.extend_from_slice(bytes);
    }

    pub(super) fn next_line(&mut self) -> Result<Option<(String, Duration)>, StreamFault> {
        if self.broken {
            return Ok(None);
        }
        let Some((bytes, at)) = self.ready.pop_front() else { return Ok(None) };
        self.taken += 1;
        let Ok(mut line) = String::from_utf8(bytes) else {
            self.broken = true;
            return Err(StreamFault::InvalidUtf8 { line: self.taken });
        };
        if self.taken == 1 && line.starts_with('\u{feff}') {
            line.remove(0);
        }
        Ok(Some((line, at)))
    }

    /// What comes after the last line's end.
    pub(super) fn take_rest(&mut self) -> String {
        let rest = std::mem::take(&mut self.partial);
        let at_start = rest.strip_prefix("\u{feff}".as_bytes()).filter(|_| self.taken == 0);
        String::from_utf8_lossy(at_start.unwrap_or(&rest)).into_owned()
    }
}

/// Enough of a text to recognise it.
pub(super) fn beginning(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::{Chunk, HeaderMap, HeaderValue, StatusCode};
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn run(chunks: &[&[u8]]) -> (Vec<Event>, Result<(), StreamFault>) {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, NOW);
            loop {
                match decoder.next_event() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(fault) => return (events, Err(fault)),
                }
            }
        }
        (events, decoder.finish())
    }

    /// `event|id|data` per event, joined with ` ; `.
    #[track_caller]
    fn check(bytes: &[u8], want: &str) {
        let show = |event: Event| {
            [event.event.unwrap_or_default(), event.id.unwrap_or_default(), event.data].join("|")
        };
        let (events, end) = run(&[bytes]);
        assert_eq!(events.into_iter().map(show).collect::<Vec<_>>().join(" ; "), want);
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn fields_follow_the_standard() {
        check(b"data: a\n\ndata: b\n\n", "||a ; ||b");
        check(b"data: a\r\rdata: b\r\n\r\n", "||a ; ||b");
        check(b"data: a\ndata: b\ndata\n\n", "||a\nb\n");
        check(b"data:  two spaces\n\n", "|| two spaces");
        check(b"data:tight\n\n", "||tight");
        check(b"data\n\n", "||");
        check(b"data: a: b\n\n", "||a: b");
        check(b"event: x\nid: 7\ndata: a\n\ndata: b\n\n", "x|7|a ; ||b");
        check(b"event: lost\nid: 1\n\ndata: a\n\n", "||a");
        check(b"id: a\0b\ndata: a\n\n", "||a");
        check(b": a comment\n\n:\n\ndata: a\n: within\n\n", "||a");
        check(b"colour: red\ndata: a\n\n", "||a");
        check(b"Data: a\n\n", "");
        check(b"\xef\xbb\xbfdata: a\n\n", "||a");
        check(b"data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: no field\n\n", "||\u{feff}a");
        check(b"", "");
        check(b"\n\n\n", "");
    }

    #[test]
    fn retry_is_remembered_when_it_is_digits() {
        let mut decoder = SseDecoder::default();
        decoder.push(b"retry: 1500\nretry: soon\nretry:\nretry: +3\n\n", NOW);
        assert_eq!(decoder.next_event(), Ok(None));
        assert_eq!(decoder.retry(), Some(Duration::from_millis(1500)));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn crlf_and_characters_may_be_split_between_chunks() {
        let (events, end) =
            run(&[b"data: a\r", b"\n\r", b"\ndata: \xc3", b"\xa9\r\n", b"", b"\r", b"", b"\n"]);
        assert_eq!(events.iter().map(|event| event.data.as_str()).collect::<Vec<_>>(), ["a", "é"]);
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn an_event_without_its_end_is_reported() {
        for (bytes, rest) in [
            (&b"data: a\n\ndata: b\n"[..], "data: b\n"),
            (b"data: a\n\ndata: b", "data: b"),
            (b"data: a\n\nevent: x\nda", "event: x\nda"),
            (b"data: a\n\nx", "x"),
        ] {
            let (events, end) = run(&[bytes]);
            assert_eq!(events.len(), 1);
            assert_eq!(end, Err(StreamFault::Unterminated { after_events: 1, rest: rest.to_owned() }));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_reported() {
        let (events, end) = run(&[b"data: a\n\ndata: \xff\n\ndata: c\n\n"]);
        assert_eq!((events.len(), end), (1, Err(StreamFault::InvalidUtf8 { line: 3 })));
    }

    fn response(media_type: &str, chunks: &[(&str, u64)], end: BodyEnd) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_str(media_type).unwrap());
        let mut body = String::new();
        let chunks = chunks
            .iter()
            .map(|(text, at)| {
                body.push_str(text);
                Chunk { end: body.len(), at: Duration::from_millis(*at) }
            })
            .collect();
        let body = Bytes::from(body);
        Response { status: StatusCode::OK, headers, body, chunks, end, took: Duration::from_secs(1) }
    }

    #[test]
    fn the_media_type_chooses_and_chunks_give_the_time() {
        let chunks = [("data: 1\n", 5), ("\ndata: 2\n\ndata", 9), (": 3\n\n", 12)];
        let events = events_of(&response("text/event-stream; charset=utf-8", &chunks, BodyEnd::Complete));
        let times: Vec<_> = events.unwrap().iter().map(|event| event.at.as_millis()).collect();
        assert_eq!(times, [9, 9, 12]);

        let lines = [("{\"a\":1}\n{\"a\"", 5), (":2}\n", 9)];
        let events = events_of(&response("application/x-ndjson", &lines, BodyEnd::Complete)).unwrap();
        assert_eq!(events[1].data, "{\"a\":2}");
        assert_eq!(events[1].at.as_millis(), 9);

        let fault = events_of(&response("application/json", &[("{}", 1)], BodyEnd::Complete)).unwrap_err();
        assert_eq!(fault.to_string(), "the response is no stream but application/json");
        let cut = decode(&response("text/event-stream", &chunks[..2], BodyEnd::Cut("reset".to_owned())));
        assert_eq!(cut.events.len(), 2);
        assert_eq!(cut.fault.unwrap().to_string(), "the connection broke before event 3 was complete: reset");
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "(data|event|id|retry|x)?:? ?[a-zé€😀\u{feff}]{0,4}".prop_map(String::into_bytes),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(vec![0xff]),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(bytes in pieces(), cuts in proptest::collection::vec(0..200_usize, 0..20)) {
            let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(run(&chunks), run(&[&bytes]));
        }
    }
}
