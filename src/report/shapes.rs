//! What answers of several stacks are made of, endpoint by endpoint, and where they differ. What they say is not compared.

use std::collections::BTreeMap;

use super::compare::{Aligned, Side, word};
use crate::exec::event::ExchangeReport;

/// The answers of all endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes {
    /// By `METHOD PATH`.
    pub endpoints: BTreeMap<String, Tally>,
    pub differences: Vec<Difference>,
}

/// How many answers of an endpoint were compared, and how many are alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub compared: usize,
    pub alike: usize,
}

/// One place at which answers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub endpoint: String,
    /// A field, or `status`, `content-type`, `end`, `events`.
    pub place: String,
    /// For each side; `None` where the answer was not compared.
    pub values: Vec<Option<String>>,
    pub answers: usize,
    /// One of the trials that show it.
    pub example: String,
}

/// Endpoint, place, and what each side has there.
type Drifted = (String, String, Vec<Option<String>>);

/// An answer of a trial: its endpoint, and which of the trial's answers of this endpoint it is.
type Key = (String, String, usize);

/// `None` where there are not two sides to compare.
pub(super) fn compare(sides: &[Side], aligned: &Aligned<'_>) -> Option<Shapes> {
    if sides.iter().filter(|side| !side.exchanges.is_empty()).count() < 2 {
        return None;
    }
    let mut answers = sides.iter().zip(&aligned.keys).map(|(side, keys)| numbered(&side.exchanges, keys));
    let first = answers.next()?;
    let others: Vec<_> = answers.collect();
    let mut shapes = Shapes::default();
    let mut found: BTreeMap<Drifted, (usize, String)> = BTreeMap::new();
    for (key, exchange) in &first {
        let (trial, endpoint, _) = key;
        let row = aligned.trials.get(trial).map_or(&[][..], Vec::as_slice);
        // Trials that end differently say different things for other reasons.
        let ends_alike =
            |index: usize| word(row.get(index).copied().flatten()) == word(row.first().copied().flatten());
        let beside: Vec<Option<&ExchangeReport>> = (others.iter().enumerate())
            .map(|(at, side)| side.get(key).copied().filter(|_| ends_alike(at + 1)))
            .collect();
        if beside.iter().all(Option::is_none) {
            continue;
        }
        let places = places(exchange, &beside);
        let tally = shapes.endpoints.entry(endpoint.clone()).or_default();
        tally.compared += 1;
        tally.alike += usize::from(places.is_empty());
        for (place, values) in places {
            let entry = found.entry((endpoint.clone(), place, values)).or_insert_with(|| (0, trial.clone()));
            entry.0 += 1;
        }
    }
    shapes.differences = found
        .into_iter()
        .map(|((endpoint, place, values), (answers, example))| Difference {
            endpoint,
            place,
            values,
            answers,
            example,
        })
        .collect();
    Some(shapes)
}

/// Where the first answer and those beside it differ, with what each has there.
fn places(
    first: &ExchangeReport,
    beside: &[Option<&ExchangeReport>],
) -> BTreeMap<String, Vec<Option<String>>> {
    let absent = || "absent".to_owned();
    let mut places: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for (index, other) in beside.iter().enumerate() {
        for drift in other.iter().flat_map(|other| first.answer.drift(&other.answer)) {
            let own = drift.a.unwrap_or_else(absent);
            let same = std::iter::once(Some(own.clone()))
                .chain(beside.iter().map(|other| other.map(|_| own.clone())))
                .collect();
            places.entry(drift.place).or_insert(same)[index + 1] = Some(drift.b.unwrap_or_else(absent));
        }
    }
    places
}

/// A side's answers. Of a request that was repeated, as in polling, the last counts.
fn numbered<'a>(
    exchanges: &'a [ExchangeReport],
    keys: &BTreeMap<&str, String>,
) -> BTreeMap<Key, &'a ExchangeReport> {
    let mut found = BTreeMap::new();
    let mut numbers: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut last: BTreeMap<(&str, &str), Key> = BTreeMap::new();
    for exchange in exchanges {
        // A fixture that trials share is no trial; its requests count under its own id.
        let trial = keys.get(exchange.id.as_str()).unwrap_or(&exchange.id);
        let same = (exchange.id.as_str(), exchange.path.as_str());
        if let (true, Some(key)) = (exchange.method == "GET", last.get(&same)) {
            found.insert(key.clone(), exchange);
            continue;
        }
        let endpoint = format!("{} {}", exchange.method, exchange.endpoint);
        let number = numbers.entry((trial.clone(), endpoint.clone())).or_default();
        let key = (trial.clone(), endpoint, *number);
        *number += 1;
        if exchange.method == "GET" {
            last.insert(same, key.clone());
        }
        found.insert(key, exchange);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::compare::Comparison;
    use super::super::compare::tests::side;
    use super::*;
    use crate::record::structure::Structure;
    use crate::record::{Answer, AnswerBody};

    /// An answer to `GET /v1/x`.
    fn answered(trial: &str, query: &str, status: u16, body: &str) -> ExchangeReport {
        let answer = Answer {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            wait: Duration::ZERO,
            body: AnswerBody::Whole(Bytes::copy_from_slice(body.as_bytes())),
            cut: None,
        };
        ExchangeReport {
            id: trial.to_owned(),
            place: "a.yaml:1".to_owned(),
            method: "GET".to_owned(),
            path: format!("/v1/x{query}"),
            endpoint: "/v1/x".to_owned(),
            took: Duration::ZERO,
            answer: Structure::of(&answer),
        }
    }

    fn differences(answers: [&[ExchangeReport]; 3]) -> (Vec<String>, Option<Tally>) {
        let trials = ["a::x=passed/1", "a::y=passed/1"];
        let sides = ["a", "b", "c"].map(|name| side(name, "m", &trials));
        let mut sides = sides.to_vec();
        for (side, answers) in sides.iter_mut().zip(answers) {
            side.exchanges = answers.to_vec();
        }
        let shapes = Comparison::of(&sides).shapes.unwrap_or_default();
        let shown = shapes.differences.iter().map(|d| {
            let values: Vec<&str> = d.values.iter().map(|v| v.as_deref().unwrap_or("-")).collect();
            format!("{} {}: {} ({}, {})", d.endpoint, d.place, values.join(" | "), d.answers, d.example)
        });
        (shown.collect(), shapes.endpoints.get("GET /v1/x").copied())
    }

    #[test]
    fn each_side_shows_what_it_has_at_a_place() {
        let one = |body: &str| vec![answered("a::x", "", 200, body), answered("a::y", "", 200, body)];
        let (shown, tally) = differences([
            &one(r#"{"id":"1","n":2}"#),
            &one(r#"{"id":"2","n":"2"}"#),
            &[answered("a::x", "", 200, r#"{"id":"3"}"#)],
        ]);
        assert_eq!(
            shown,
            [
                "GET /v1/x $.n: number | string | - (1, a::y)",
                "GET /v1/x $.n: number | string | absent (1, a::x)"
            ]
        );
        assert_eq!(tally, Some(Tally { compared: 2, alike: 0 }));
    }

    #[test]
    fn of_a_poll_the_last_answer_counts() {
        let polled = |last: u16| {
            [
                answered("a::x", "", 404, "{}"),
                answered("a::x", "", 404, "{}"),
                answered("a::x", "", last, "{}"),
            ]
        };
        let once = [answered("a::x", "", 200, "{}")];
        let (shown, tally) = differences([&polled(200), &once, &once]);
        assert_eq!((shown.len(), tally), (0, Some(Tally { compared: 1, alike: 1 })));
        let (shown, _) = differences([&once, &polled(500), &once]);
        assert_eq!(shown, ["GET /v1/x status: 200 | 500 | 200 (1, a::x)"]);
        // Other queries are other requests.
        let two = [answered("a::x", "?a=1", 200, "{}"), answered("a::x", "?a=2", 200, "{}")];
        assert_eq!(differences([&two, &two, &[]]).1, Some(Tally { compared: 2, alike: 2 }));
    }

    #[test]
    fn what_fixtures_ask_counts() {
        let answer = |body| [answered("fixture f", "", 200, body)];
        let (shown, _) = differences([&answer("{}"), &answer("[]"), &[]]);
        assert_eq!(shown, ["GET /v1/x $: object | array | - (1, fixture f)"]);
    }

    #[test]
    fn one_side_alone_is_compared_with_nothing() {
        assert_eq!(differences([&[answered("a::x", "", 200, "{}")], &[], &[]]), (Vec::new(), None));
    }
}
