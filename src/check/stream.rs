//! The course of a stream: how it is framed, in which order its events come, how and when it ends.

use std::time::Duration;

use serde_json::Value;

use super::error_shape::stream_error;
use super::kinds::{PathCheck, StreamFormat, StreamIs, Terminal};
use super::matching::{check_count, check_document};
use super::mismatch::{Mismatch, shorten, show};
use super::path::Path;
use super::seen::Seen;
use super::stream_order::check_order;
use crate::http::sse::{DONE, Event, Framing};

/// Everything [`StreamIs`] requires; the mismatches found go to `out`.
pub(super) fn check_stream(
    check: &StreamIs<Value>,
    seen: &Seen<'_>,
    out: &mut Vec<Mismatch>,
) -> Result<(), Mismatch> {
    let response = seen.response()?;
    let Some(framing) = Framing::of(response) else {
        out.push(Mismatch::new("response", "a stream", seen.summary()));
        return Ok(());
    };
    let format = match framing {
        Framing::Sse => StreamFormat::Sse,
        Framing::Ndjson => StreamFormat::Ndjson,
    };
    if check.format.is_some_and(|wanted| wanted != format) {
        let wanted = check.format.map_or("", StreamFormat::name);
        out.push(Mismatch::new("stream format", wanted, format!("{format}, {}", response.media_type())));
    }
    let decoded = seen.decoded()?;
    if let Some(fault) = &decoded.fault {
        out.push(Mismatch::new("stream", "a stream that can be read to its end", fault.to_string()));
    }
    let course = Course::new(check, &decoded.events, out);
    course.check_end(check, out);
    course.check_count(check, out);
    check_order(check, &course.names, out);
    check_times(check, &decoded.events, out);
    Ok(())
}

/// Events as JSON, without those that only mark the end.
struct Course<'e> {
    raw: &'e [Event],
    json: Vec<Value>,
    names: Vec<String>,
    mark: &'e str,
}

impl<'e> Course<'e> {
    /// Malformed events and events that carry an error are reported on the way.
    fn new(check: &'e StreamIs<Value>, raw: &'e [Event], out: &mut Vec<Mismatch>) -> Self {
        let mark = match &check.terminal {
            Some(Terminal::Data(Value::String(mark))) => mark.trim(),
            _ => DONE,
        };
        let (mut json, mut names) = (Vec::new(), Vec::new());
        for event in raw.iter().filter(|event| !is_mark(event, mark)) {
            let place = format!("events[{}]", json.len());
            let value = serde_json::from_str(&event.data).unwrap_or_else(|error| {
                let mismatch = Mismatch::new(&place, "JSON", shorten(&event.data));
                out.push(mismatch.with(error.to_string()));
                Value::Null
            });
            if let Some(message) = stream_error(&value).filter(|_| !check.allow_error) {
                out.push(Mismatch::new(&place, "no error in the stream", shorten(&message)));
            }
            names.push(name_of(event, &value, check.name_at.as_ref()));
            json.push(value);
        }
        Self { raw, json, names, mark }
    }

    fn check_end(&self, check: &StreamIs<Value>, out: &mut Vec<Mismatch>) {
        let marks: Vec<_> = self.positions(|event| is_mark(event, self.mark));
        let last = self.raw.len().checked_sub(1);
        let wanted = match &check.terminal {
            None => return self.only_at_the_end(&marks, last, out),
            Some(Terminal::None) => {
                if let Some(at) = marks.first() {
                    let actual = format!("{DONE} as event {} of {}", at + 1, self.raw.len());
                    out.push(Mismatch::new("stream end", format!("no {DONE}"), actual));
                }
                return;
            }
            Some(Terminal::Data(mark)) if mark.is_string() => {
                if marks.is_empty() {
                    let expected = format!("{} as the last event", self.mark);
                    let actual = self.raw.last().map_or("no event".to_owned(), |event| shorten(&event.data));
                    out.push(Mismatch::new("stream end", expected, actual));
                }
                return self.only_at_the_end(&marks, last, out);
            }
            Some(Terminal::Data(other)) => {
                out.push(Mismatch::new("stream end", "to be given as text", show(other)));
                return;
            }
            Some(Terminal::Event(wanted)) => wanted,
        };
        self.only_at_the_end(&marks, last, out);
        let ends: Vec<_> = (0..self.json.len()).filter(|at| self.satisfies(wanted, *at)).collect();
        let expected = || {
            let matchers = super::describe::describe_all(&wanted.matchers);
            format!("exactly one event with {} {matchers}, the last", wanted.at)
        };
        match ends[..] {
            [end] if end + 1 == self.json.len() => {}
            [] => {
                let actual = self.json.last().map_or("no event".to_owned(), show);
                out.push(Mismatch::new(
                    "stream end",
                    expected(),
                    format!("no such event; the last is {actual}"),
                ));
            }
            [end] => {
                let rest: Vec<_> = self.names[end + 1..].iter().take(5).map(String::as_str).collect();
                let actual = format!(
                    "it is event {} of {}, followed by {}",
                    end + 1,
                    self.json.len(),
                    rest.join(", ")
                );
                out.push(Mismatch::new("stream end", expected(), actual));
            }
            [..] => {
                out.push(Mismatch::new("stream end", expected(), format!("such events: {}", ends.len())));
            }
        }
    }

    fn satisfies(&self, wanted: &PathCheck<Value>, at: usize) -> bool {
        let mut found = Vec::new();
        check_document(wanted, &self.json[at], "$", &mut found);
        found.is_empty()
    }

    fn only_at_the_end(&self, marks: &[usize], last: Option<usize>, out: &mut Vec<Mismatch>) {
        if let Some(at) = marks.iter().find(|at| Some(**at) != last) {
            let actual = match marks {
                [_] => format!("events after it: {}", self.raw.len() - at - 1),
                many => format!("{} of them", many.len()),
            };
            let expected = format!("{} once, with nothing after it", self.mark);
            out.push(Mismatch::new("stream end", expected, actual));
        }
    }

    fn positions(&self, wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
        self.raw.iter().enumerate().filter(|(_, event)| wanted(event)).map(|(at, _)| at).collect()
    }

    fn check_count(&self, check: &StreamIs<Value>, out: &mut Vec<Mismatch>) {
        if check.events.min.is_none() && self.json.is_empty() {
            out.push(Mismatch::new("number of events", "1 or more", "0"));
        } else {
            out.extend(check_count(self.json.len(), &check.events, "number of events"));
        }
    }
}

fn check_times(check: &StreamIs<Value>, events: &[Event], out: &mut Vec<Mismatch>) {
    let millis = |time: Duration| format!("{} ms", time.as_millis());
    if let (Some(limit), Some(first)) = (check.first_within, events.first())
        && first.at > limit
    {
        let expected = format!("within {}", millis(limit));
        out.push(Mismatch::new("time to the first event", expected, millis(first.at)));
    }
    let gaps = events.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at));
    let widest = gaps.enumerate().max_by_key(|(_, gap)| *gap);
    if let (Some(limit), Some((index, gap))) = (check.largest_gap, widest)
        && gap > limit
    {
        let actual = format!("{} after events[{index}]", millis(gap));
        out.push(Mismatch::new("largest gap between events", format!("at most {}", millis(limit)), actual));
    }
}

fn is_mark(event: &Event, mark: &str) -> bool {
    event.data.trim() == mark || event.is_done()
}

fn name_of(event: &Event, json: &Value, name_at: Option<&Path>) -> String {
    let name = match name_at {
        Some(path) => path.find(json).first().and_then(|name| name.as_str()),
        None => event
            .event
            .as_deref()
            .or_else(|| json.get("type")?.as_str())
            .or_else(|| json.pointer("/event/payload/event_type")?.as_str()),
    };
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check_stream as check, response, sse, typed};
    use super::super::{Matcher, Range};
    use super::*;
    use crate::http::{BodyEnd, Response};

    type Stream = StreamIs<Value>;

    fn any() -> Stream {
        Stream::default()
    }

    #[test]
    fn a_stream_is_well_formed_without_asking() {
        check(any(), &sse(&["{}", "[DONE]"]), &[]);
        check(any(), &sse(&["{}"]), &[]);
        check(any(), &sse(&[]), &["number of events: 1 or more / 0"]);
        check(any(), &sse(&["[DONE]"]), &["number of events: 1 or more / 0"]);
        check(Stream { events: Range::at_least(json!(0)), ..any() }, &sse(&[]), &[]);
        check(any(), &sse(&["{}", "oops"]), &["events[1]: JSON / oops"]);
        check(
            any(),
            &sse(&["{}", "[DONE]", "{}"]),
            &["stream end: [DONE] once, with nothing after it / events after it: 1"],
        );
        check(
            any(),
            &sse(&["{}", "[DONE]", "[DONE]"]),
            &["stream end: [DONE] once, with nothing after it / 2 of them"],
        );
        check(
            any(),
            &response(200, "text/event-stream", "data: {}\n\ndata: {}\n"),
            &[
                "stream: a stream that can be read to its end / the stream ends within event 2: \"data: {}\\n\"",
            ],
        );
        let cut = Response { end: BodyEnd::Cut("reset".to_owned()), ..sse(&["{}"]) };
        check(
            any(),
            &cut,
            &[
                "stream: a stream that can be read to its end / the connection broke before event 2 was complete: reset",
            ],
        );
        check(
            any(),
            &response(500, "application/json", "{}"),
            &["response: a stream / status 500, application/json: {}"],
        );
    }

    #[test]
    fn errors_within_a_stream_show() {
        let failed = sse(&["{\"error\":null}", r#"{"error":{"message":"busy"}}"#]);
        check(any(), &failed, &["events[1]: no error in the stream / busy"]);
        check(Stream { allow_error: true, ..any() }, &failed, &[]);
        let typed = sse(&[r#"{"type":"error","message":"slow down"}"#]);
        check(any(), &typed, &["events[0]: no error in the stream / slow down"]);
    }

    #[test]
    fn framing_and_number() {
        let lines = response(200, "application/x-ndjson", "{\"done\":false}\n{\"done\":true}\n");
        check(Stream { format: Some(StreamFormat::Ndjson), ..any() }, &lines, &[]);
        check(
            Stream { format: Some(StreamFormat::Sse), ..any() },
            &lines,
            &["stream format: sse / ndjson, application/x-ndjson"],
        );
        let events = |range| Stream { events: range, ..any() };
        check(events(Range::exact(json!(2))), &sse(&["1", "2", "[DONE]"]), &[]);
        check(events(Range::at_least(json!(3))), &lines, &["number of events: 3 or more / 2"]);
        check(events(Range::at_most(json!(1))), &lines, &["number of events: at most 1 / 2"]);
    }

    #[test]
    fn ends() {
        let done = || Stream { terminal: Some(Terminal::Data(json!("[DONE]"))), ..any() };
        check(done(), &sse(&["{}", "[DONE]"]), &[]);
        check(done(), &sse(&["{}", "{\"a\":1}"]), &["stream end: [DONE] as the last event / {\"a\":1}"]);
        let own = Stream { terminal: Some(Terminal::Data(json!("bye"))), ..any() };
        check(own.clone(), &sse(&["{}", "bye"]), &[]);
        check(
            own,
            &sse(&["bye", "{}"]),
            &["stream end: bye once, with nothing after it / events after it: 1"],
        );
        let none = || Stream { terminal: Some(Terminal::None), ..any() };
        check(none(), &sse(&["{}"]), &[]);
        check(none(), &sse(&["{}", "[DONE]"]), &["stream end: no [DONE] / [DONE] as event 2 of 2"]);

        let completed = PathCheck::new(
            Path::parse("$.type").unwrap(),
            vec![Matcher::OneOf(json!(["completed", "failed"]))],
        );
        let completed = || Stream { terminal: Some(Terminal::Event(completed.clone())), ..any() };
        let expected =
            "stream end: exactly one event with $.type one of [\"completed\",\"failed\"], the last";
        check(completed(), &typed(&["created", "completed"]), &[]);
        check(
            completed(),
            &typed(&["created"]),
            &[&format!("{expected} / no such event; the last is {{\"type\":\"created\"}}")],
        );
        check(
            completed(),
            &typed(&["failed", "delta", "delta"]),
            &[&format!("{expected} / it is event 1 of 3, followed by delta, delta")],
        );
        check(completed(), &typed(&["failed", "completed"]), &[&format!("{expected} / such events: 2")]);
    }

    #[test]
    fn times() {
        let stream = sse(&["1", "2"]);
        let within = |millis| Some(Duration::from_millis(millis));
        check(Stream { first_within: within(10), largest_gap: within(10), ..any() }, &stream, &[]);
        check(
            Stream { first_within: within(9), largest_gap: within(9), ..any() },
            &stream,
            &[
                "time to the first event: within 9 ms / 10 ms",
                "largest gap between events: at most 9 ms / 10 ms after events[0]",
            ],
        );
    }
}
