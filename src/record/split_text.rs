//! Secrets that a stream spreads over its events: a model repeats a key token by token, each in an event of its own.
//!
//! The texts at the same place of every event's JSON (the same choice, the same tool call) are read as one.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::secret::{Edit, Finder, Hidden};

/// The JSON of one event: an SSE `data:` line, or a line of NDJSON.
#[derive(Debug)]
pub(crate) struct Payload {
    /// Where its text stands in the body.
    pub(crate) range: Range<usize>,
    pub(crate) value: Value,
}

/// The events of a body that carry JSON objects, in order.
pub(crate) fn payloads(body: &[u8]) -> Vec<Payload> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in body.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let skipped = if line.starts_with(b"data:") { 5 } else { 0 };
        if let Ok(value @ Value::Object(_)) = serde_json::from_slice(&line[skipped..]) {
            found.push(Payload { range: start + skipped..start + line.len(), value });
        }
        start += line.len() + 1;
    }
    found
}

/// Members that tell apart what is streamed side by side.
const LANES: [&str; 6] = ["index", "output_index", "content_index", "summary_index", "item_id", "type"];

/// Where a text is: which payload, and its JSON pointer there.
type Piece = (usize, String);

/// Masks what is spread over several payloads. Says whether anything was.
///
/// # Errors
/// [`Hidden`] as [`Finder::edits`].
pub(crate) fn mask_spread(payloads: &mut [Payload], finder: &Finder, mask: &str) -> Result<bool, Hidden> {
    let mut lanes: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    for (number, payload) in payloads.iter().enumerate() {
        collect(&payload.value, number, "", "", &mut lanes);
    }
    let mut changed = false;
    for pieces in lanes.values().filter(|pieces| pieces.len() > 1) {
        let text =
            |(number, pointer): &Piece| payloads[*number].value.pointer(pointer).and_then(Value::as_str);
        let texts: Vec<String> =
            pieces.iter().map(|piece| text(piece).unwrap_or_default().to_owned()).collect();
        let edits = finder.edits(texts.concat().as_bytes(), mask)?;
        let masked = spread(&texts, &edits);
        for ((number, pointer), new) in pieces.iter().zip(masked) {
            if let Some(Value::String(text)) = payloads[*number].value.pointer_mut(pointer)
                && *text != new
            {
                *text = new;
                changed = true;
            }
        }
    }
    Ok(changed)
}

fn collect(
    value: &Value,
    number: usize,
    lane: &str,
    pointer: &str,
    lanes: &mut BTreeMap<String, Vec<Piece>>,
) {
    match value {
        Value::String(_) => lanes.entry(lane.to_owned()).or_default().push((number, pointer.to_owned())),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                // A list of one choice may hold any choice: its own index says which.
                let own = if item.get("index").is_some() { String::new() } else { i.to_string() };
                collect(item, number, &format!("{lane}/{own}"), &format!("{pointer}/{i}"), lanes);
            }
        }
        Value::Object(members) => {
            let marks = LANES.iter().filter_map(|name| Some(format!("{name}={}", members.get(*name)?)));
            let marks = marks.collect::<Vec<_>>().join(",");
            for (name, member) in members {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                collect(
                    member,
                    number,
                    &format!("{lane}[{marks}]/{escaped}"),
                    &format!("{pointer}/{escaped}"),
                    lanes,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `texts` with edits made that concern them joined; a replacement goes where its range begins.
fn spread(texts: &[String], edits: &[Edit]) -> Vec<String> {
    let mut start = 0;
    let cut = |text: &String| {
        let end = start + text.len();
        let mut out = Vec::new();
        let mut at = start;
        for edit in edits.iter().filter(|edit| edit.range.end > start && edit.range.start < end) {
            out.extend_from_slice(&text.as_bytes()[at - start..edit.range.start.max(at) - start]);
            if edit.range.start >= start {
                out.extend_from_slice(&edit.with);
            }
            at = edit.range.end.min(end);
        }
        out.extend_from_slice(&text.as_bytes()[at - start..]);
        start = end;
        String::from_utf8_lossy(&out).into_owned()
    };
    texts.iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_told_token_by_token_is_masked() {
        let finder = Finder::new(&["s3cr3t-value".to_owned()]);
        let delta =
            |choice: u32, text: &str| json!({"choices": [{"index": choice, "delta": {"content": text}}]});
        let sent = [
            delta(0, "it is s3c"),
            delta(1, "s3cr3t!"),
            delta(0, "r3t-"),
            delta(0, "value, ok"),
            delta(1, "-value"),
        ];
        let body: String = sent.iter().map(|event| format!("data: {event}\n\n")).collect();
        let mut found = payloads(body.as_bytes());
        assert_eq!(&body[found[0].range.clone()], format!(" {}", sent[0]));
        assert_eq!(mask_spread(&mut found, &finder, "#"), Ok(true));
        let values: Vec<_> = found.into_iter().map(|payload| payload.value).collect();
        let expected =
            [delta(0, "it is #"), delta(1, "s3cr3t!"), delta(0, ""), delta(0, ", ok"), delta(1, "-value")];
        assert_eq!(values, expected, "choices are read apart");
    }

    #[test]
    fn lines_of_ndjson_are_events_and_prose_is_not() {
        let body = b"{\"a\":1}\r\n: comment\ndata: [DONE]\ndata:{\"b\":2}\n\n";
        let values: Vec<_> = payloads(body).into_iter().map(|payload| payload.value).collect();
        assert_eq!(values, [json!({"a": 1}), json!({"b": 2})]);
    }
}
