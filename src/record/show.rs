//! A recording's answer as a person reads it: the events of a stream with their gaps, and the text they add up to.

use std::time::Duration;

use serde_json::Value;

use super::recording::{Answer, AnswerBody};
use crate::http::sse::{DONE, Event, SseDecoder};

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEvent {
    /// Since the request was sent.
    pub at: Duration,
    /// Since the event before.
    pub gap: Duration,
    /// The `event:` field.
    pub name: Option<String>,
    pub data: String,
}

/// How a stream's bytes are cut into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Sse,
    /// One JSON value a line.
    Lines,
}

/// The framing that an answer declares; `None` when it is no stream.
pub fn framing(answer: &Answer) -> Option<Framing> {
    let media_type = answer.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "text/event-stream" => Some(Framing::Sse),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/stream+json" => {
            Some(Framing::Lines)
        }
        _ => None,
    }
}

/// The events of a streamed answer; empty when it is none. What no decoder can read is an event of its own.
pub fn events(answer: &Answer) -> Vec<ShownEvent> {
    let Some(framing) = framing(answer) else { return Vec::new() };
    let whole;
    let chunks: Vec<(Duration, &[u8])> = match &answer.body {
        AnswerBody::Chunks(chunks) => {
            let mut at = Duration::ZERO;
            let timed = chunks.iter().map(|chunk| {
                at += chunk.gap;
                (at, &chunk.bytes[..])
            });
            timed.collect()
        }
        AnswerBody::Whole(bytes) => {
            whole = bytes.clone();
            vec![(Duration::ZERO, &whole[..])]
        }
    };
    let found = match framing {
        Framing::Sse => sse(&chunks),
        Framing::Lines => lines(&chunks),
    };
    let mut before = Duration::ZERO;
    let shown = found.into_iter().map(|(at, name, data)| {
        let gap = at.saturating_sub(before);
        before = at;
        ShownEvent { at, gap, name, data }
    });
    shown.collect()
}

type Found = (Duration, Option<String>, String);

fn sse(chunks: &[(Duration, &[u8])]) -> Vec<Found> {
    let mut decoder = SseDecoder::default();
    let mut found: Vec<Found> = Vec::new();
    let mut last = Duration::ZERO;
    for (at, bytes) in chunks {
        last = *at;
        decoder.push(bytes, *at);
        loop {
            match decoder.next_event() {
                Ok(Some(Event { event, data, at, .. })) => found.push((at, event, data)),
                Ok(None) => break,
                Err(fault) => {
                    found.push((last, None, format!("({fault})")));
                    return found;
                }
            }
        }
    }
    if let Err(fault) = decoder.finish() {
        found.push((last, None, format!("({fault})")));
    }
    found
}

fn lines(chunks: &[(Duration, &[u8])]) -> Vec<Found> {
    let mut found = Vec::new();
    let (mut partial, mut last) = (Vec::new(), Duration::ZERO);
    for (at, bytes) in chunks {
        last = *at;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&std::mem::take(&mut partial)).trim().to_owned();
                found.extend((!line.is_empty()).then_some((*at, None, line)));
            }
        }
    }
    if !partial.is_empty() {
        found.push((last, None, String::from_utf8_lossy(&partial).into_owned()));
    }
    found
}

/// The text that a stream's deltas add up to, for the first choice; `None` without any.
pub fn joined(events: &[ShownEvent]) -> Option<String> {
    const PLACES: [&str; 5] =
        ["/choices/0/delta/content", "/choices/0/text", "/message/content", "/response", "/delta"];
    let mut text = String::new();
    for event in events.iter().filter(|event| event.data != DONE) {
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else { continue };
        // Responses' deltas of tool arguments are no text.
        let is_other = value["type"].as_str().is_some_and(|kind| kind != "response.output_text.delta");
        if is_other {
            continue;
        }
        text.extend(PLACES.iter().find_map(|place| value.pointer(place)?.as_str()));
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::recording::AnswerChunk;
    use super::*;

    fn stream(media_type: &str, chunks: &[(u64, &'static str)]) -> Vec<ShownEvent> {
        let chunk = |(gap, text): &(u64, &'static str)| AnswerChunk {
            gap: Duration::from_millis(*gap),
            bytes: (*text).into(),
        };
        events(&Answer {
            status: 200,
            wait: std::time::Duration::ZERO,
            headers: vec![("content-type".into(), media_type.into())],
            body: AnswerBody::Chunks(chunks.iter().map(chunk).collect()),
            cut: None,
        })
    }

    fn shown(events: &[ShownEvent]) -> Vec<String> {
        let name = |event: &ShownEvent| event.name.clone().map(|name| format!("{name} ")).unwrap_or_default();
        events.iter().map(|e| format!("+{} {}{}", e.gap.as_millis(), name(e), e.data)).collect()
    }

    #[test]
    fn events_have_the_gaps_between_them_also_when_spread_over_chunks() {
        let events = stream(
            "text/event-stream; charset=utf-8",
            &[(50, "data: a\n\nevent: x\nda"), (20, "ta: b\n\n"), (5, "data: [DONE]\n\n")],
        );
        assert_eq!(shown(&events), ["+50 a", "+20 x b", "+5 [DONE]"]);
    }

    #[test]
    fn lines_are_events_too_and_a_rest_is_shown() {
        let events =
            stream("application/x-ndjson", &[(10, "{\"response\":\"a\"}\n{\"resp"), (7, "onse\":\"b\"}")]);
        assert_eq!(shown(&events), ["+10 {\"response\":\"a\"}", "+7 {\"response\":\"b\"}"]);
        assert_eq!(joined(&events).as_deref(), Some("ab"));
    }

    #[test]
    fn a_stream_that_breaks_off_says_so() {
        let events = stream("text/event-stream", &[(1, "data: a\n\ndata: b")]);
        assert!(events[1].data.contains("ends within event 2"), "{events:?}");
        assert!(stream("application/json", &[(1, "{}")]).is_empty());
    }

    #[test]
    fn deltas_of_text_are_joined_and_others_are_not() {
        let events = stream(
            "text/event-stream",
            &[
                (1, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"),
                (1, "data: {\"type\":\"response.output_text.delta\",\"delta\":\"b\"}\n\n"),
                (1, "data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"c\"}\n\n"),
                (1, "data: [DONE]\n\n"),
            ],
        );
        assert_eq!(joined(&events).as_deref(), Some("ab"));
    }
}
