//! Corruptions of streams: of events as they stand in the bytes, so that framing stays what it was.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Corruption, json};
use crate::http::sse::Framing;
use crate::http::{Chunk, Response};

/// What happens to an event as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventChange {
    Missing,
    Twice,
    /// It changes places with the next one.
    Later,
    /// The second half of its data is missing.
    Malformed,
    /// The stream ends before it, without a word.
    CutOff,
}

impl fmt::Display for EventChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Twice => "twice",
            Self::Later => "after the next one",
            Self::Malformed => "malformed",
            Self::CutOff => "and all after it missing",
        })
    }
}

/// The bytes of one event, blank line included, and when they had come.
#[derive(Debug, Clone)]
pub(super) struct Block {
    text: String,
    at: Duration,
}

/// The events of a stream; nothing for other answers.
pub(super) fn blocks(response: &Response) -> Vec<Block> {
    let (Some(framing), Ok(text)) = (Framing::of(response), std::str::from_utf8(&response.body)) else {
        return Vec::new();
    };
    let ends: &[&str] = match framing {
        Framing::Sse => &["\r\n\r\n", "\n\n"],
        Framing::Ndjson => &["\n"],
    };
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let found =
            ends.iter().filter_map(|end| text[start..].find(end).map(|at| start + at + end.len())).min();
        let end = found.unwrap_or(text.len());
        let at =
            response.chunks.iter().find(|chunk| chunk.end >= end).map(|chunk| chunk.at).unwrap_or_default();
        blocks.push(Block { text: text[start..end].to_owned(), at });
        start = end;
    }
    blocks
}

/// What can be done to a stream. Of many events the first two, the middle one and the last three are looked at.
pub(super) fn places(blocks: &[Block], found: &mut Vec<Corruption>) {
    let of = blocks.len();
    for index in (0..of).filter(|index| [0, 1, of / 2].contains(index) || index + 3 >= of) {
        let mut event = |change| found.push(Corruption::Event { index, of, change });
        event(EventChange::Missing);
        event(EventChange::Twice);
        if index + 1 < of {
            event(EventChange::Later);
        }
        event(EventChange::Malformed);
        if index == of / 2 && index > 0 {
            event(EventChange::CutOff);
        }
        if let Some(value) = value_of(&blocks[index]) {
            json::places(&value, &mut |at, change| {
                // An event that is no object any more is malformed in another way.
                if at != json::Pointer::default() {
                    found.push(Corruption::InEvent { index, of, at, change });
                }
            });
        }
    }
}

/// The event's data, where it is JSON on one line.
fn value_of(block: &Block) -> Option<Value> {
    let (_, data, _) = split(block)?;
    serde_json::from_str(data).ok()
}

/// What stands before the data, the data, what stands after it.
fn split(block: &Block) -> Option<(&str, &str, &str)> {
    let text = block.text.as_str();
    let start = if text.trim_start().starts_with('{') {
        0
    } else {
        let field = text
            .match_indices("data:")
            .map(|(at, _)| at)
            .find(|at| *at == 0 || text[..*at].ends_with('\n'))?;
        let data = field + "data:".len();
        data + usize::from(text[data..].starts_with(' '))
    };
    let length = text[start..].find(['\r', '\n']).unwrap_or(text.len() - start);
    Some((&text[..start], &text[start..start + length], &text[start + length..]))
}

/// Makes a change to an event of the stream.
pub(super) fn change(response: &mut Response, index: usize, change: EventChange) {
    let mut blocks = blocks(response);
    if index >= blocks.len() {
        return;
    }
    match change {
        EventChange::Missing => _ = blocks.remove(index),
        EventChange::Twice => blocks.insert(index, blocks[index].clone()),
        EventChange::Later if index + 1 < blocks.len() => {
            let times = (blocks[index].at, blocks[index + 1].at);
            blocks.swap(index, index + 1);
            (blocks[index].at, blocks[index + 1].at) = times;
        }
        EventChange::Later => {}
        EventChange::Malformed => {
            if let Some((before, data, after)) = split(&blocks[index]) {
                let half = (0..=data.len() / 2).rev().find(|at| data.is_char_boundary(*at)).unwrap_or(0);
                blocks[index].text = format!("{before}{}{after}", &data[..half]);
            }
        }
        EventChange::CutOff => blocks.truncate(index),
    }
    write(response, &blocks);
}

/// Makes a change to the JSON of an event of the stream.
pub(super) fn change_in(response: &mut Response, index: usize, change: &mut dyn FnMut(&mut Value) -> bool) {
    let mut blocks = blocks(response);
    let Some(block) = blocks.get_mut(index) else { return };
    let Some(mut value) = value_of(block) else { return };
    if change(&mut value)
        && let Some((before, _, after)) = split(block)
    {
        block.text = format!("{before}{value}{after}");
        write(response, &blocks);
    }
}

/// One chunk for each event, at the time when it came.
fn write(response: &mut Response, blocks: &[Block]) {
    let mut body = String::new();
    response.chunks.clear();
    for block in blocks {
        body.push_str(&block.text);
        response.chunks.push(Chunk { end: body.len(), at: block.at });
    }
    response.body = Bytes::from(body);
}
