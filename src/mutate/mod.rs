//! Answers corrupted on purpose, one place at a time: what a case lets through shows what it does not assert.
//!
//! [`places`] lists what can be done to an answer, [`apply`] does one of it. Both are pure and deterministic; a
//! corruption that would leave the answer as it is is not listed.

mod json;
mod stream;

use std::fmt;

use bytes::Bytes;

use crate::http::{BodyEnd, Chunk, HeaderValue, Response, StatusCode};

pub use json::{Change, Pointer};
pub use stream::EventChange;

/// One change to one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corruption {
    Status(u16),
    /// The media type says something else than the body is.
    MediaType,
    /// Something in a JSON body.
    Json {
        at: Pointer,
        change: Change,
    },
    /// An event of a stream as a whole, counted from 0, of so many.
    Event {
        index: usize,
        of: usize,
        change: EventChange,
    },
    /// Something in the JSON of an event.
    InEvent {
        index: usize,
        of: usize,
        at: Pointer,
        change: Change,
    },
    /// A body that is neither JSON nor a stream.
    Text(TextChange),
}

/// What happens to a body that has no structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextChange {
    Emptied,
    Halved,
    /// Its first byte is another one.
    Altered,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "status {code}"),
            Self::MediaType => f.write_str("content-type application/x-other"),
            Self::Json { at, change } => write!(f, "{at} {change}"),
            Self::Event { index, of, change } => write!(f, "event {} of {of} {change}", index + 1),
            Self::InEvent { index, of, at, change } => {
                write!(f, "event {} of {of}: {at} {change}", index + 1)
            }
            Self::Text(TextChange::Emptied) => f.write_str("body emptied"),
            Self::Text(TextChange::Halved) => f.write_str("second half of the body missing"),
            Self::Text(TextChange::Altered) => f.write_str("first byte of the body altered"),
        }
    }
}

/// Everything that can be done to an answer.
pub fn places(response: &Response) -> Vec<Corruption> {
    let mut found = statuses(response.status.as_u16());
    found.push(Corruption::MediaType);
    let blocks = stream::blocks(response);
    if !blocks.is_empty() {
        stream::places(&blocks, &mut found);
    } else if let Ok(body) = serde_json::from_slice(&response.body) {
        json::places(&body, &mut |at, change| found.push(Corruption::Json { at, change }));
    } else {
        found.extend([TextChange::Emptied, TextChange::Halved, TextChange::Altered].map(Corruption::Text));
    }
    found.retain(|corruption| {
        let corrupted = apply(corruption, response);
        !same(&corrupted, response)
    });
    found
}

/// Another class of status, and another code of the same class.
fn statuses(status: u16) -> Vec<Corruption> {
    let other_class = if status < 400 { 500 } else { 200 };
    let same_class = match status {
        200 => 202,
        400 => 422,
        404 => 400,
        500 => 503,
        other => other / 100 * 100,
    };
    vec![Corruption::Status(other_class), Corruption::Status(same_class)]
}

fn same(a: &Response, b: &Response) -> bool {
    (a.status, &a.headers, &a.body, &a.end) == (b.status, &b.headers, &b.body, &b.end)
}

/// The answer with this change; unchanged where the place is not there.
pub fn apply(corruption: &Corruption, response: &Response) -> Response {
    let mut corrupted = response.clone();
    match corruption {
        Corruption::Status(code) => {
            corrupted.status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Corruption::MediaType => {
            if let Some(value) = corrupted.headers.get_mut(http::header::CONTENT_TYPE) {
                *value = HeaderValue::from_static("application/x-other");
            }
        }
        Corruption::Json { at, change } => {
            if let Ok(mut body) = serde_json::from_slice(&response.body)
                && json::apply(&mut body, at, *change)
            {
                replace(&mut corrupted, body.to_string().into());
            }
        }
        Corruption::Event { index, change, .. } => stream::change(&mut corrupted, *index, *change),
        Corruption::InEvent { index, at, change, .. } => {
            stream::change_in(&mut corrupted, *index, &mut |value| json::apply(value, at, *change));
        }
        Corruption::Text(change) => {
            let body = &response.body;
            let changed = match (change, body.first()) {
                (TextChange::Halved, _) => body.slice(..body.len() / 2),
                (TextChange::Altered, Some(first)) => {
                    let other = if *first == b'x' { b'y' } else { b'x' };
                    [&[other], &body[1..]].concat().into()
                }
                _ => Bytes::new(),
            };
            replace(&mut corrupted, changed);
        }
    }
    corrupted
}

/// Another body, in one chunk that comes when the old one's last came.
fn replace(response: &mut Response, body: Bytes) {
    let at = response.chunks.last().map(|chunk| chunk.at).unwrap_or_default();
    response.chunks = if body.is_empty() { Vec::new() } else { vec![Chunk { end: body.len(), at }] };
    response.body = body;
    response.end = BodyEnd::Complete;
}

/// At most `most` of them, spread evenly over all with a seed that says where to begin, in their order.
pub fn sample<T>(all: Vec<T>, most: usize, seed: u64) -> Vec<T> {
    let count = all.len();
    if count <= most || most == 0 {
        return all;
    }
    // Every place has the same chance over the seeds, and neighbours, which are alike, do not crowd out others.
    let offset = usize::try_from(seed % count as u64).unwrap_or(0);
    let taken: std::collections::BTreeSet<usize> =
        (0..most).map(|n| (n * count / most + offset) % count).collect();
    all.into_iter().enumerate().filter(|(index, _)| taken.contains(index)).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(media_type: &'static str, body: &'static str) -> Response {
        let mut headers = crate::http::HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Response {
            status: StatusCode::OK,
            headers,
            body: Bytes::from_static(body.as_bytes()),
            chunks: vec![Chunk { end: body.len(), at: Duration::from_millis(3) }],
            end: BodyEnd::Complete,
            took: Duration::from_millis(3),
        }
    }

    /// Each corruption in words, with the body that it leaves.
    fn check(media_type: &'static str, body: &'static str, want: &[(&str, &str)]) {
        let answer = answer(media_type, body);
        let got: Vec<_> = places(&answer)
            .iter()
            .skip(3)
            .map(|c| (c.to_string(), String::from_utf8(apply(c, &answer).body.to_vec()).unwrap()))
            .collect();
        let want: Vec<_> = want.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn every_place_of_a_json_body_is_corrupted() {
        check(
            "application/json",
            r#"{"object":"list","n":3,"data":[{"ok":true}],"none":null}"#,
            &[
                ("$ null", "null"),
                ("$ of another type", r#""x""#),
                ("$ empty", "{}"),
                ("$.object dropped", r#"{"n":3,"data":[{"ok":true}],"none":null}"#),
                ("$.object null", r#"{"object":null,"n":3,"data":[{"ok":true}],"none":null}"#),
                ("$.object of another type", r#"{"object":7,"n":3,"data":[{"ok":true}],"none":null}"#),
                ("$.object empty", r#"{"object":"","n":3,"data":[{"ok":true}],"none":null}"#),
                ("$.object another word", r#"{"object":"xlist","n":3,"data":[{"ok":true}],"none":null}"#),
                ("$.n dropped", r#"{"object":"list","data":[{"ok":true}],"none":null}"#),
                ("$.n null", r#"{"object":"list","n":null,"data":[{"ok":true}],"none":null}"#),
                ("$.n of another type", r#"{"object":"list","n":"x","data":[{"ok":true}],"none":null}"#),
                ("$.data dropped", r#"{"object":"list","n":3,"none":null}"#),
                ("$.data null", r#"{"object":"list","n":3,"data":null,"none":null}"#),
                ("$.data of another type", r#"{"object":"list","n":3,"data":"x","none":null}"#),
                ("$.data empty", r#"{"object":"list","n":3,"data":[],"none":null}"#),
                ("$.data[0] dropped", r#"{"object":"list","n":3,"data":[],"none":null}"#),
                ("$.data[0] null", r#"{"object":"list","n":3,"data":[null],"none":null}"#),
                ("$.data[0] of another type", r#"{"object":"list","n":3,"data":["x"],"none":null}"#),
                ("$.data[0] empty", r#"{"object":"list","n":3,"data":[{}],"none":null}"#),
                ("$.data[0].ok dropped", r#"{"object":"list","n":3,"data":[{}],"none":null}"#),
                ("$.data[0].ok null", r#"{"object":"list","n":3,"data":[{"ok":null}],"none":null}"#),
                (
                    "$.data[0].ok of another type",
                    r#"{"object":"list","n":3,"data":[{"ok":"x"}],"none":null}"#,
                ),
                ("$.none of another type", r#"{"object":"list","n":3,"data":[{"ok":true}],"none":{"x":7}}"#),
            ],
        );
    }

    #[test]
    fn events_are_dropped_doubled_swapped_and_cut_short() {
        check(
            "text/event-stream",
            "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n",
            &[
                ("event 1 of 3 missing", "data: {\"n\":2}\n\ndata: [DONE]\n\n"),
                (
                    "event 1 of 3 twice",
                    "data: {\"n\":1}\n\ndata: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n",
                ),
                ("event 1 of 3 after the next one", "data: {\"n\":2}\n\ndata: {\"n\":1}\n\ndata: [DONE]\n\n"),
                ("event 1 of 3 malformed", "data: {\"n\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n"),
                ("event 1 of 3: $.n dropped", "data: {}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n"),
                ("event 1 of 3: $.n null", "data: {\"n\":null}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n"),
                (
                    "event 1 of 3: $.n of another type",
                    "data: {\"n\":\"x\"}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n",
                ),
                ("event 2 of 3 missing", "data: {\"n\":1}\n\ndata: [DONE]\n\n"),
                (
                    "event 2 of 3 twice",
                    "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n",
                ),
                ("event 2 of 3 after the next one", "data: {\"n\":1}\n\ndata: [DONE]\n\ndata: {\"n\":2}\n\n"),
                ("event 2 of 3 malformed", "data: {\"n\":1}\n\ndata: {\"n\n\ndata: [DONE]\n\n"),
                ("event 2 of 3 and all after it missing", "data: {\"n\":1}\n\n"),
                ("event 2 of 3: $.n dropped", "data: {\"n\":1}\n\ndata: {}\n\ndata: [DONE]\n\n"),
                ("event 2 of 3: $.n null", "data: {\"n\":1}\n\ndata: {\"n\":null}\n\ndata: [DONE]\n\n"),
                (
                    "event 2 of 3: $.n of another type",
                    "data: {\"n\":1}\n\ndata: {\"n\":\"x\"}\n\ndata: [DONE]\n\n",
                ),
                ("event 3 of 3 missing", "data: {\"n\":1}\n\ndata: {\"n\":2}\n\n"),
                (
                    "event 3 of 3 twice",
                    "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\ndata: [DONE]\n\n",
                ),
                ("event 3 of 3 malformed", "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DO\n\n"),
            ],
        );
    }

    #[test]
    fn samples_keep_their_order_and_depend_on_the_seed_alone() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(sample(all.clone(), 4, 0), [0, 25, 50, 75]);
        assert_eq!(sample(all.clone(), 4, 7), [7, 32, 57, 82]);
        assert_eq!(sample(all.clone(), 100, 3), all);
    }
}
