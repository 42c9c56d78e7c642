//! Two recordings directories, or two answers, compared by structure.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::diff::{Change, diff};
use super::library::{Volume, survey};
use super::problem::RecordingProblem;
use super::recording::Answer;
use super::scope::bare;
use super::show::{events, framing};
use super::structure::{Drift, Structure};

/// What is compared of two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Fields, types, statuses, event sequences.
    Structure,
    /// Also all values.
    Values,
}

/// The outcome of comparing two directories.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Pairs without a difference.
    pub same: usize,
    pub changed: Vec<Changed>,
    pub only_a: Vec<Request>,
    pub only_b: Vec<Request>,
}

/// A pair of recordings of one request that answer differently.
#[derive(Debug, PartialEq, Serialize)]
pub struct Changed {
    pub a: Request,
    /// File in the second directory.
    pub b: String,
    pub drifts: Vec<Drift>,
}

/// A recording, named by what it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    pub file: String,
    pub provider: String,
    pub method: String,
    pub endpoint: String,
    pub model: String,
    pub trials: Vec<String>,
}

impl Comparison {
    pub fn is_same(&self) -> bool {
        self.changed.is_empty() && self.only_a.is_empty() && self.only_b.is_empty()
    }
}

/// One side of a pair.
struct Side {
    request: Request,
    key: String,
    loose: String,
    structure: Structure,
    values: Value,
}

impl Side {
    fn new(volume: &Volume, depth: Depth) -> Self {
        let entry = &volume.entry;
        let owners = entry.owners.iter().filter_map(|owner| owner.id.as_deref());
        Self {
            request: Request {
                file: entry.file.clone(),
                provider: entry.provider.clone(),
                method: entry.method.clone(),
                endpoint: entry.endpoint.clone(),
                model: entry.model.clone(),
                trials: owners.map(|id| bare(id).to_owned()).collect(),
            },
            key: entry.key.clone(),
            loose: entry.loose().to_owned(),
            structure: Structure::of(&volume.recording.answer),
            values: match depth {
                Depth::Structure => Value::Null,
                Depth::Values => values(&volume.recording.answer),
            },
        }
    }

    fn drifts(&self, other: &Self) -> Vec<Drift> {
        both(self.structure.drift(&other.structure), &self.values, &other.values)
    }
}

/// Compares all recordings below `a` with those below `b`, paired by request (exactly, else with all normalisers applied)
/// and then by trial.
pub fn directories(a: &Path, b: &Path, depth: Depth) -> (Comparison, Vec<RecordingProblem>) {
    let side = |volume: Volume| Side::new(&volume, depth);
    let (in_a, in_b) = (survey(a, side), survey(b, side));
    let problems = in_a.problems.into_iter().chain(in_b.problems).collect();
    (pair(in_a.items, in_b.items), problems)
}

/// The places at which two answers to one request differ.
pub fn answers(a: &Answer, b: &Answer, depth: Depth) -> Vec<Drift> {
    let drifts = Structure::of(a).drift(&Structure::of(b));
    match depth {
        Depth::Structure => drifts,
        Depth::Values => both(drifts, &values(a), &values(b)),
    }
}

/// Differences of structure, and then those of values where the structure says nothing.
fn both(mut drifts: Vec<Drift>, a: &Value, b: &Value) -> Vec<Drift> {
    for difference in diff(a, b).differences {
        let (in_a, in_b) = match difference.change {
            Change::OnlyInRequest { value } => (Some(value), None),
            Change::OnlyInRecording { value } => (None, Some(value)),
            Change::Changed { request, recording } => (Some(request), Some(recording)),
        };
        if !drifts.iter().any(|drift| drift.place == difference.path) {
            drifts.push(Drift { place: difference.path, a: in_a, b: in_b });
        }
    }
    drifts
}

/// An answer's body as JSON: of a stream, the list of its events.
fn values(answer: &Answer) -> Value {
    let text = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    if framing(answer).is_some() {
        return events(answer).iter().map(|event| text(&event.data)).collect();
    }
    text(&String::from_utf8_lossy(&answer.bytes()))
}

fn pair(a: Vec<Side>, b: Vec<Side>) -> Comparison {
    let mut comparison = Comparison::default();
    let mut rest_a: Vec<Option<Side>> = a.into_iter().map(Some).collect();
    let mut rest_b: Vec<Option<Side>> = b.into_iter().map(Some).collect();
    let keys: [fn(&Side) -> &str; 2] = [|side| &side.key, |side| &side.loose];
    for key in keys {
        // Those of one trial first, so that no other takes its partner.
        for same_trial in [true, false] {
            let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
            for (index, side) in rest_b.iter().enumerate() {
                if let Some(side) = side {
                    by_key.entry(key(side).to_owned()).or_default().push(index);
                }
            }
            for left in &mut rest_a {
                let Some(side) = left else { continue };
                let fits = |index: &&usize| {
                    rest_b[**index].as_ref().is_some_and(|other| !same_trial || of_one_trial(side, other))
                };
                let found = by_key.get(key(side)).into_iter().flatten().find(fits).copied();
                if let Some(other) = found.and_then(|index| rest_b[index].take())
                    && let Some(side) = left.take()
                {
                    comparison.add(side, &other);
                }
            }
        }
    }
    comparison.changed.sort_by(|x, y| x.a.file.cmp(&y.a.file));
    comparison.only_a = rest_a.into_iter().flatten().map(|side| side.request).collect();
    comparison.only_b = rest_b.into_iter().flatten().map(|side| side.request).collect();
    comparison
}

impl Comparison {
    fn add(&mut self, a: Side, b: &Side) {
        let drifts = a.drifts(b);
        if drifts.is_empty() {
            self.same += 1;
        } else {
            self.changed.push(Changed { a: a.request, b: b.request.file.clone(), drifts });
        }
    }
}

fn of_one_trial(a: &Side, b: &Side) -> bool {
    let (a, b) = (&a.request.trials, &b.request.trials);
    (a.is_empty() && b.is_empty()) || a.iter().any(|trial| b.contains(trial))
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::{chat, directory, name_of};
    use super::super::recording::{AnswerBody, Recording};
    use super::*;

    fn compared(a: &[&Recording], b: &[&Recording], depth: Depth) -> Comparison {
        let files = |recordings: &[&Recording]| {
            let name = |(i, r): (usize, &&Recording)| {
                (name_of(r).replace(".json", &format!("-{}.json", i + 2)), r.to_json())
            };
            recordings.iter().enumerate().map(name).collect::<Vec<_>>()
        };
        let (a, b) = (files(a), files(b));
        let named = |files: &[(String, String)]| {
            let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
            directory(&files)
        };
        directories(named(&a).path(), named(&b).path(), depth).0
    }

    #[test]
    fn other_words_are_the_same_and_other_fields_are_not() {
        let (one, two) = (chat("p", "x", &[("t", 1)]), chat("p", "y", &[("t", 1)]));
        assert!(compared(&[&one], &[&two], Depth::Structure).is_same());
        let values = compared(&[&one], &[&two], Depth::Values);
        assert_eq!(values.changed[0].drifts[0].to_string(), "$.text: \"x\" in A, \"y\" in B");
        let mut three = two;
        three.answer.body = AnswerBody::Whole(r#"{"text":null}"#.into());
        let changed = compared(&[&one], &[&three], Depth::Structure).changed;
        assert_eq!(changed[0].drifts[0].to_string(), "$.text: string in A, null in B");
    }

    #[test]
    fn requests_are_paired_by_trial_then_by_key_then_normalised() {
        let mut broken = chat("p", "x", &[("u", 1)]);
        broken.answer.status = 500;
        let good = chat("p", "x", &[("t", 1)]);
        // The order of the files is not that of the trials.
        assert!(compared(&[&broken, &good], &[&good, &broken], Depth::Structure).is_same());
        let elsewhere = chat("p", "x", &[("renamed", 1)]);
        assert!(compared(&[&good], &[&elsewhere], Depth::Structure).is_same());
        let mut nulls = good.clone();
        let super::super::key::WireBody::Json(body) = &mut nulls.request.wire.body else {
            panic!("a JSON body")
        };
        body["user"] = Value::Null;
        assert!(compared(&[&good], &[&nulls], Depth::Structure).is_same());
    }

    #[test]
    fn what_one_side_lacks_is_listed() {
        let (one, two) = (chat("p", "x", &[]), chat("q", "x", &[]));
        let comparison = compared(&[&one], &[&two], Depth::Structure);
        assert_eq!((comparison.same, comparison.only_a.len(), comparison.only_b.len()), (0, 1, 1));
    }
}
