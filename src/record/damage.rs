//! Damaging a real answer: what a fault leaves of it. Pure.

use std::num::NonZeroUsize;
use std::ops::Range;

use super::fault::Effect;
use super::recording::{Answer, AnswerBody};

/// What a broken connection says, as the reason of the cut.
const CUT: &str = "cut by a fault that the trial declared";

/// Does to `answer` what `effect` says.
///
/// # Errors
/// When the answer has no such event, so that nothing would happen to it.
pub(crate) fn damage(answer: &mut Answer, effect: &Effect) -> Result<(), String> {
    let bytes = answer.bytes();
    let events = events(answer, &bytes);
    let plain = events.is_empty();
    match effect {
        Effect::CutAfterEvents(count) => {
            let end = match count.checked_sub(1) {
                _ if plain => bytes.len() / 2,
                None => 0,
                Some(last) => events.get(last).ok_or_else(|| too_few(*count, events.len()))?.end,
            };
            remove(answer, end..bytes.len());
            answer.cut = Some(CUT.to_owned());
        }
        Effect::MalformedEvent(_) if plain => remove(answer, bytes.len() / 2..bytes.len()),
        Effect::MalformedEvent(number) => {
            let event = nth(&events, *number)?;
            let text = bytes[event.clone()].trim_ascii_end();
            // The name of the field stays, and the beginning of the data, so that it is JSON that is broken.
            let data = data_at(text);
            let kept = data + ((text.len() - data) / 2).max(1);
            remove(answer, event.start + kept..event.start + text.len());
        }
        Effect::Delayed | Effect::Status { .. } | Effect::Refused => {}
    }
    Ok(())
}

/// Where an event's data begins; a line of JSON is data from its start.
fn data_at(event: &[u8]) -> usize {
    let after_name = lines(event).into_iter().find_map(|(line, _)| {
        let value = event[line.clone()].strip_prefix(b"data:")?;
        Some(line.start + b"data:".len() + usize::from(value.first() == Some(&b' ')))
    });
    after_name.unwrap_or(0).min(event.len().saturating_sub(1))
}

fn nth(events: &[Range<usize>], number: NonZeroUsize) -> Result<Range<usize>, String> {
    events.get(number.get() - 1).cloned().ok_or_else(|| too_few(number.get(), events.len()))
}

fn too_few(wanted: usize, there: usize) -> String {
    format!("the answer has {there} events, and the fault is about number {wanted}")
}

/// Where the events of a stream lie: lines of JSON, or server-sent events with data, each with what ends it.
fn events(answer: &Answer, bytes: &[u8]) -> Vec<Range<usize>> {
    let kind = answer.header("content-type").unwrap_or_default();
    let is_sse = kind.starts_with("text/event-stream");
    let is_lines = ["ndjson", "jsonl", "stream+json"].iter().any(|word| kind.contains(word));
    if !(is_sse || is_lines) || answer.header("content-encoding").is_some() {
        return Vec::new();
    }
    let mut events = Vec::new();
    let (mut start, mut has_data) = (0, false);
    for (content, end) in lines(bytes) {
        let line = &bytes[content];
        let ends = if is_sse { line.is_empty() } else { true };
        has_data |= if is_sse { line.starts_with(b"data") } else { !line.is_empty() };
        if ends {
            if has_data {
                events.push(start..end);
            }
            (start, has_data) = (end, false);
        }
    }
    if has_data {
        events.push(start..bytes.len());
    }
    events
}

/// Each line's content, and where the line with its ending ends: `\n`, `\r\n` or `\r`.
fn lines(bytes: &[u8]) -> Vec<(Range<usize>, usize)> {
    let mut lines = Vec::new();
    let mut start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while start < bytes.len() {
        let length = bytes[start..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let content_end = length.map_or(bytes.len(), |length| start + length);
        let end = match bytes.get(content_end..content_end + 2) {
            Some(b"\r\n") => content_end + 2,
            _ => (content_end + 1).min(bytes.len()),
        };
        lines.push((start..content_end, end));
        start = end;
    }
    lines
}

/// Takes these bytes out of the body; the pieces that are left keep their boundaries and times.
fn remove(answer: &mut Answer, gone: Range<usize>) {
    match &mut answer.body {
        AnswerBody::Whole(bytes) => *bytes = [&bytes[..gone.start], &bytes[gone.end..]].concat().into(),
        AnswerBody::Chunks(chunks) => {
            let mut offset = 0;
            for chunk in chunks.iter_mut() {
                let length = chunk.bytes.len();
                let from = gone.start.clamp(offset, offset + length) - offset;
                let to = gone.end.clamp(offset, offset + length) - offset;
                if from < to {
                    chunk.bytes = [&chunk.bytes[..from], &chunk.bytes[to..]].concat().into();
                }
                offset += length;
            }
            chunks.retain(|chunk| !chunk.bytes.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::recording::AnswerChunk;

    /// What is left of `pieces` after `effect`, joined by `|`, with `!` where the connection breaks.
    fn left(content_type: &str, pieces: &[&str], effect: &Effect) -> String {
        let chunk = |text: &&str| AnswerChunk { gap: Duration::ZERO, bytes: (*text).to_owned().into() };
        let body = match (content_type, pieces) {
            ("application/json", [body]) => AnswerBody::Whole((*body).to_owned().into()),
            _ => AnswerBody::Chunks(pieces.iter().map(chunk).collect()),
        };
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        let mut answer = Answer { status: 200, headers, wait: Duration::ZERO, body, cut: None };
        if let Err(message) = damage(&mut answer, effect) {
            return message;
        }
        let pieces = match &answer.body {
            AnswerBody::Whole(bytes) => vec![bytes.clone()],
            AnswerBody::Chunks(chunks) => chunks.iter().map(|chunk| chunk.bytes.clone()).collect(),
        };
        let texts: Vec<_> = pieces.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        texts.join("|") + if answer.cut.is_some() { "!" } else { "" }
    }

    const SSE: &str = "text/event-stream; charset=utf-8";

    fn malformed(number: usize) -> Effect {
        Effect::MalformedEvent(NonZeroUsize::new(number).unwrap())
    }

    #[test]
    fn a_stream_is_cut_after_whole_events_wherever_its_pieces_end() {
        let pieces = [": ping\n\ndata: 1\n", "\ndata: 2\n\nda", "ta: 3\n\n", "data: [DONE]\n\n"];
        let cut = |count| left(SSE, &pieces, &Effect::CutAfterEvents(count));
        assert_eq!(cut(0), "!");
        assert_eq!(cut(1), ": ping\n\ndata: 1\n|\n!");
        assert_eq!(cut(2), ": ping\n\ndata: 1\n|\ndata: 2\n\n!");
        assert_eq!(cut(4), format!("{}!", pieces.join("|")));
        assert_eq!(cut(5), "the answer has 4 events, and the fault is about number 5");
        for ending in ["\r\n", "\r"] {
            let text = format!("data: 1{ending}{ending}data: 2{ending}{ending}");
            let want = format!("data: 1{ending}{ending}!");
            assert_eq!(left(SSE, &[&text], &Effect::CutAfterEvents(1)), want);
        }
    }

    #[test]
    fn one_event_is_malformed_and_the_others_are_not() {
        let pieces = ["data: {\"a\":\"long\"}\n\n", "data: {\"b\":2}\n\n", "data: [DONE]\n\n"];
        assert_eq!(
            left(SSE, &pieces, &malformed(1)),
            "data: {\"a\":\"\n\n|data: {\"b\":2}\n\n|data: [DONE]\n\n"
        );
        assert_eq!(
            left(SSE, &pieces, &malformed(2)),
            "data: {\"a\":\"long\"}\n\n|data: {\"b\n\n|data: [DONE]\n\n"
        );
        let named = ["event: x\r\ndata:{\"abc\":1}\r\nid: 7\r\n\r\n"];
        assert_eq!(left(SSE, &named, &malformed(1)), "event: x\r\ndata:{\"abc\":1\r\n\r\n");
        assert!(left(SSE, &pieces, &malformed(4)).starts_with("the answer has 3 events"));
        let lines = ["{\"response\":\"a\"}\n{\"response\":\"b\"}\n"];
        let kind = "application/x-ndjson";
        assert_eq!(left(kind, &lines, &malformed(2)), "{\"response\":\"a\"}\n{\"respon\n");
        assert_eq!(left(kind, &lines, &Effect::CutAfterEvents(1)), "{\"response\":\"a\"}\n!");
    }

    #[test]
    fn a_plain_answer_loses_its_second_half() {
        let json = |effect| left("application/json", &["{\"abc\":1}"], &effect);
        assert_eq!(json(Effect::CutAfterEvents(3)), "{\"ab!");
        assert_eq!(json(malformed(1)), "{\"ab");
        assert_eq!(json(Effect::Delayed), "{\"abc\":1}");
    }
}
