//! What an answer is made of, without its prose: status, media type, order of events, fields and their types.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::recording::Answer;
use super::show::{events, framing};
use crate::http::sse::DONE;

/// Fields by path (`$.choices[].index`), each with the JSON types that it has.
type Shape = BTreeMap<String, BTreeSet<&'static str>>;

/// The structure of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Structure {
    pub status: u16,
    /// Without parameters.
    pub media_type: String,
    /// Whether the connection broke.
    pub cut: bool,
    /// A stream's kinds of events in order, each run of one kind once.
    pub sequence: Vec<String>,
    /// Of the body, or of all events of a kind together.
    shapes: BTreeMap<String, Shape>,
}

/// One place at which two answers differ; `None` where there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    pub place: String,
    pub a: Option<String>,
    pub b: Option<String>,
}

impl Structure {
    pub fn of(answer: &Answer) -> Self {
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut structure = Self {
            status: answer.status,
            media_type,
            cut: answer.cut.is_some(),
            sequence: Vec::new(),
            shapes: BTreeMap::new(),
        };
        if framing(answer).is_none() {
            let bytes = answer.bytes();
            let shape = structure.shapes.entry(String::new()).or_default();
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(value) => walk(shape, "$", &value),
                Err(_) => add(shape, "$", if bytes.is_empty() { "nothing" } else { "text" }),
            }
            return structure;
        }
        for event in events(answer) {
            let value = serde_json::from_str::<Value>(&event.data);
            let kind = kind(event.name.as_deref(), &event.data, value.as_ref().ok());
            if let Ok(value) = &value {
                walk(structure.shapes.entry(kind.clone()).or_default(), "$", value);
            }
            if structure.sequence.last() != Some(&kind) {
                structure.sequence.push(kind);
            }
        }
        structure
    }

    /// The structure as it was serialised; `None` where the value is none.
    pub fn read(value: &Value) -> Option<Self> {
        let sequence = value["sequence"].as_array()?.iter().filter_map(Value::as_str);
        let shape = |fields: &Value| -> Option<Shape> {
            let fields = fields.as_object()?.iter();
            Some(fields.map(|(path, types)| (path.clone(), known(types))).collect())
        };
        let shapes = value["shapes"].as_object()?.iter();
        Some(Self {
            status: u16::try_from(value["status"].as_u64()?).ok()?,
            media_type: value["media_type"].as_str()?.to_owned(),
            cut: value["cut"].as_bool()?,
            sequence: sequence.map(str::to_owned).collect(),
            shapes: shapes
                .map(|(kind, fields)| Some((kind.clone(), shape(fields)?)))
                .collect::<Option<_>>()?,
        })
    }

    /// All places at which two answers differ, the most telling first.
    pub fn drift(&self, other: &Self) -> Vec<Drift> {
        let mut drifts = Vec::new();
        let mut compare = |place: &str, a: String, b: String| {
            if a != b {
                drifts.push(Drift { place: place.to_owned(), a: Some(a), b: Some(b) });
            }
        };
        compare("status", self.status.to_string(), other.status.to_string());
        compare("content-type", self.media_type.clone(), other.media_type.clone());
        let end = |cut: bool| if cut { "broken off" } else { "complete" }.to_owned();
        compare("end", end(self.cut), end(other.cut));
        compare("events", self.sequence.join(", "), other.sequence.join(", "));
        let nothing = Shape::new();
        let kinds: BTreeSet<_> = self.shapes.keys().chain(other.shapes.keys()).collect();
        for kind in kinds {
            let (a, b) = (self.shapes.get(kind), other.shapes.get(kind));
            // A kind of event that is missing shows in the sequence.
            if a.is_some() && b.is_some() {
                fields(&mut drifts, kind, a.unwrap_or(&nothing), b.unwrap_or(&nothing));
            }
        }
        drifts
    }
}

/// What a field's value can be.
const TYPES: [&str; 8] = ["null", "boolean", "number", "string", "array", "object", "nothing", "text"];

fn known(types: &Value) -> BTreeSet<&'static str> {
    let types = types.as_array().into_iter().flatten().filter_map(Value::as_str);
    types.filter_map(|name| TYPES.into_iter().find(|known| *known == name)).collect()
}

fn fields(drifts: &mut Vec<Drift>, kind: &str, a: &Shape, b: &Shape) {
    let types = |shape: &Shape, path: &String| {
        shape.get(path).map(|types| types.iter().copied().collect::<Vec<_>>().join(" or "))
    };
    let place = |path: &str| if kind.is_empty() { path.to_owned() } else { format!("{kind} {path}") };
    let mut missing: Option<String> = None;
    for path in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let (in_a, in_b) = (types(a, path), types(b, path));
        let below =
            |parent: &String| path.strip_prefix(parent.as_str()).is_some_and(|r| r.starts_with(['.', '[']));
        if in_a == in_b || missing.as_ref().is_some_and(below) {
            continue;
        }
        // What is below a field that one side lacks, or that is no container there, says nothing more.
        missing = Some(path.clone());
        drifts.push(Drift { place: place(path), a: in_a, b: in_b });
    }
}

/// The kind of an event: its name, or what its data calls itself.
fn kind(name: Option<&str>, data: &str, value: Option<&Value>) -> String {
    if data.trim() == DONE {
        return DONE.to_owned();
    }
    let member = |name: &str| value.and_then(|value| value.get(name)).and_then(Value::as_str);
    match name.or_else(|| member("type")).or_else(|| member("object")) {
        Some(kind) => kind.to_owned(),
        None => match value {
            // Ollama's last line.
            Some(value) if value["done"] == true => "done".to_owned(),
            Some(_) => "event".to_owned(),
            None => "text".to_owned(),
        },
    }
}

fn walk(shape: &mut Shape, path: &str, value: &Value) {
    match value {
        Value::Null => add(shape, path, "null"),
        Value::Bool(_) => add(shape, path, "boolean"),
        Value::Number(_) => add(shape, path, "number"),
        Value::String(_) => add(shape, path, "string"),
        Value::Array(items) => {
            add(shape, path, "array");
            items.iter().for_each(|item| walk(shape, &format!("{path}[]"), item));
        }
        Value::Object(members) => {
            add(shape, path, "object");
            members.iter().for_each(|(name, member)| walk(shape, &format!("{path}.{name}"), member));
        }
    }
}

fn add(shape: &mut Shape, path: &str, kind: &'static str) {
    shape.entry(path.to_owned()).or_default().insert(kind);
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => write!(f, "{}: {a} in A, {b} in B", self.place),
            (Some(a), None) => write!(f, "{}: only in A ({a})", self.place),
            (None, Some(b)) => write!(f, "{}: only in B ({b})", self.place),
            (None, None) => write!(f, "{}", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::record::canonical::tests::any_json;
    use crate::record::recording::{AnswerBody, AnswerChunk};

    fn answer(media_type: &str, pieces: &[&str]) -> Answer {
        let chunk = |text: &&str| AnswerChunk { gap: Duration::ZERO, bytes: text.to_string().into() };
        Answer {
            status: 200,
            wait: std::time::Duration::ZERO,
            headers: vec![("content-type".into(), media_type.into())],
            body: AnswerBody::Chunks(pieces.iter().map(chunk).collect()),
            cut: None,
        }
    }

    fn drift(a: &Answer, b: &Answer) -> Vec<String> {
        Structure::of(a).drift(&Structure::of(b)).iter().map(Drift::to_string).collect()
    }

    fn json(text: &str) -> Answer {
        answer("application/json", &[text])
    }

    #[test]
    fn prose_and_numbers_are_no_difference_and_types_are() {
        let a = json(r#"{"id":"1","n":1,"list":[{"x":1},{"x":2}],"usage":{"t":1}}"#);
        assert!(drift(&a, &json(r#"{"id":"2","n":2.5,"list":[{"x":7}],"usage":{"t":2}}"#)).is_empty());
        assert_eq!(
            drift(&a, &json(r#"{"id":null,"n":1,"list":[{"x":1,"y":true}]}"#)),
            [
                "$.id: string in A, null in B",
                "$.list[].y: only in B (boolean)",
                "$.usage: only in A (object)",
            ]
        );
    }

    #[test]
    fn streams_differ_in_the_order_of_their_events_not_in_their_number() {
        let chunk = "data: {\"object\":\"chunk\",\"delta\":\"x\"}\n\n";
        let done = "data: [DONE]\n\n";
        let stream = |pieces: &[&str]| answer("text/event-stream", pieces);
        assert!(drift(&stream(&[chunk, done]), &stream(&[chunk, chunk, chunk, done])).is_empty());
        assert_eq!(
            drift(&stream(&[chunk, done]), &stream(&[chunk])),
            ["events: chunk, [DONE] in A, chunk in B"]
        );
        let named = stream(&["event: a\ndata: {}\n\n", "event: b\ndata: {\"x\":1}\n\n"]);
        let other = stream(&["event: a\ndata: {}\n\n", "event: b\ndata: {\"x\":[]}\n\n"]);
        assert_eq!(drift(&named, &other), ["b $.x: number in A, array in B"]);
    }

    #[test]
    fn status_media_type_and_end_are_compared() {
        let mut other = answer("text/plain", &["boom"]);
        (other.status, other.cut) = (500, Some("reset".into()));
        assert_eq!(
            drift(&json("{}"), &other),
            [
                "status: 200 in A, 500 in B",
                "content-type: application/json in A, text/plain in B",
                "end: complete in A, broken off in B",
                "$: object in A, text in B",
            ]
        );
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself_and_drift_is_symmetric(a in any_json(), b in any_json()) {
            let (a, b) = (json(&a.to_string()), json(&b.to_string()));
            let written = serde_json::to_value(Structure::of(&a)).unwrap();
            prop_assert_eq!(Structure::read(&written), Some(Structure::of(&a)), "{}", written);
            prop_assert!(drift(&a, &a).is_empty());
            prop_assert_eq!(drift(&a, &b).len(), drift(&b, &a).len());
        }
    }
}
