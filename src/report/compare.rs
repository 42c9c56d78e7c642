//! Runs of one library of cases side by side: stacks, versions, setups. The first is what the others are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::merge::Merged;
use super::shapes::{self, Shapes};
use crate::exec::event::{ExchangeReport, Outcome, RunInfo, Summary, TrialReport};

/// One run, all of its parts put together.
#[derive(Debug, Clone)]
pub struct Side {
    /// What it is called in the report.
    pub name: String,
    pub run: Merged,
    /// What its answers were made of, where that was written down.
    pub exchanges: Vec<ExchangeReport>,
}

/// What the sides have in common and where they differ.
#[derive(Debug, Clone)]
pub struct Comparison<'a> {
    pub sides: Vec<Column<'a>>,
    /// Trials by what they are compared under, in order.
    pub trials: BTreeMap<String, Vec<Option<&'a TrialReport>>>,
    /// `None` where fewer than two sides have exchanges.
    pub shapes: Option<Shapes>,
}

/// One side, without its trials.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    pub name: &'a str,
    pub info: &'a RunInfo,
    pub summary: &'a Summary,
    pub times: Times,
}

/// How long a side took, over trials that passed on all sides: others were cut short or did nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    pub total: Duration,
    pub median: Duration,
    /// Of its streams, the median time until the first chunk.
    pub first_chunk: Option<Duration>,
}

/// How a trial ended on a side; `absent` where there is none.
pub fn word(trial: Option<&TrialReport>) -> &'static str {
    trial.map_or("absent", |trial| trial.outcome.word())
}

impl<'a> Comparison<'a> {
    pub fn of(sides: &'a [Side]) -> Self {
        let aligned = Aligned::of(sides);
        let together: Vec<&Vec<Option<&TrialReport>>> = aligned
            .trials
            .values()
            .filter(|row| row.iter().all(|trial| trial.is_some_and(|t| t.outcome == Outcome::Passed)))
            .collect();
        let column = |(index, side): (usize, &'a Side)| Column {
            name: &side.name,
            info: &side.run.info,
            summary: &side.run.summary,
            times: times(together.iter().filter_map(|row| row[index])),
        };
        Self {
            sides: sides.iter().enumerate().map(column).collect(),
            shapes: shapes::compare(sides, &aligned),
            trials: aligned.trials,
        }
    }

    /// The trials that do not end alike on all sides.
    pub fn differing(&self) -> impl Iterator<Item = (&str, &[Option<&'a TrialReport>])> {
        let differs = |row: &[Option<&TrialReport>]| row.iter().any(|trial| word(*trial) != word(row[0]));
        self.trials
            .iter()
            .map(|(key, row)| (key.as_str(), row.as_slice()))
            .filter(move |(_, row)| differs(row))
    }

    /// How many trials end in each combination of outcomes, most frequent first.
    pub fn combinations(&self) -> Vec<(Vec<&'static str>, usize)> {
        let mut counts: BTreeMap<Vec<&'static str>, usize> = BTreeMap::new();
        for row in self.trials.values() {
            *counts.entry(row.iter().map(|trial| word(*trial)).collect()).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts
    }

    /// The trials whose times differ most, in seconds; those that differ by less than `least` are left out.
    pub fn strayed(&self, most: usize, least: Duration) -> Vec<(&str, Vec<Duration>)> {
        let passed = |row: &Vec<Option<&TrialReport>>| -> Option<Vec<Duration>> {
            row.iter().map(|trial| trial.filter(|t| t.outcome == Outcome::Passed).map(|t| t.took)).collect()
        };
        let spread = |times: &[Duration]| {
            let (least, most) = (times.iter().min(), times.iter().max());
            most.zip(least).map(|(most, least)| most.saturating_sub(*least)).unwrap_or_default()
        };
        let mut rows: Vec<_> = self
            .trials
            .iter()
            .filter_map(|(key, row)| Some((key.as_str(), passed(row)?)))
            .filter(|(_, times)| spread(times) >= least)
            .collect();
        rows.sort_by_key(|(_, times)| std::cmp::Reverse(spread(times)));
        rows.truncate(most);
        rows
    }
}

fn times<'a>(trials: impl Iterator<Item = &'a TrialReport>) -> Times {
    let (mut took, mut first) = (Vec::new(), Vec::new());
    for trial in trials {
        took.push(trial.took);
        first.extend(trial.requests.traces.iter().filter(|t| t.chunks > 0).filter_map(|t| t.first_byte));
    }
    Times {
        total: took.iter().sum(),
        median: median(&mut took).unwrap_or_default(),
        first_chunk: median(&mut first),
    }
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) / 2).copied()
}

/// The trials of all sides under common keys.
#[derive(Debug)]
pub(super) struct Aligned<'a> {
    pub trials: BTreeMap<String, Vec<Option<&'a TrialReport>>>,
    /// For each side, under which key a trial of the plan stands.
    pub keys: Vec<BTreeMap<&'a str, String>>,
}

impl<'a> Aligned<'a> {
    fn of(sides: &'a [Side]) -> Self {
        // Other models make other ids of the same cases.
        let same_models: BTreeSet<_> = sides.iter().map(|side| &side.run.info.params).collect();
        let by_id = same_models.len() == 1;
        let mut aligned = Self { trials: BTreeMap::new(), keys: Vec::new() };
        for (index, side) in sides.iter().enumerate() {
            let mut keys = BTreeMap::new();
            for trial in &side.run.trials {
                let wanted = if by_id { trial.id.clone() } else { without_models(trial) };
                let taken = |key: &str| {
                    aligned
                        .trials
                        .get(key)
                        .is_some_and(|row: &Vec<Option<&TrialReport>>| row[index].is_some())
                };
                // Of several models of one side, the first stands beside the first of the others.
                let numbered = (2..).map(|n| format!("{wanted} ({n})"));
                let key = std::iter::once(wanted.clone())
                    .chain(numbered)
                    .find(|key| !taken(key))
                    .unwrap_or_default();
                keys.insert(trial.trial.as_str(), key.clone());
                aligned.trials.entry(key).or_insert_with(|| vec![None; sides.len()])[index] = Some(trial);
            }
            aligned.keys.push(keys);
        }
        aligned
    }
}

/// File, case, client, row and round: what a trial is whatever the models are.
fn without_models(trial: &TrialReport) -> String {
    let case = if trial.axes.is_empty() {
        trial.trial.as_str()
    } else {
        trial.trial.split('[').next().unwrap_or_default()
    };
    let round = trial.id.strip_prefix(&trial.trial).unwrap_or_default();
    let kept = trial.axes.iter().filter(|(name, _)| name == "client" || name == "row");
    let kept: Vec<&str> = kept.map(|(_, value)| value.as_str()).collect();
    if kept.is_empty() { format!("{case}{round}") } else { format!("{case}[{}]{round}", kept.join("-")) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A side: its model, then trials as `id=outcome` with their milliseconds, as `a::x[txt=m]=passed/30`.
    pub(in crate::report) fn side(name: &str, model: &str, trials: &[&str]) -> Side {
        let trial = |text: &&str| {
            let (rest, took) = text.rsplit_once('/').unwrap();
            let (id, word) = rest.rsplit_once('=').unwrap();
            let outcome = match word {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed(Vec::new()),
                why => Outcome::Skipped(why.to_owned()),
            };
            let inner = id.split_once('[').map_or("", |(_, inner)| inner.trim_end_matches(']'));
            let axes =
                inner.split('-').filter(|part| !part.is_empty()).map(|part| match part.split_once('=') {
                    Some((name, value)) => (name.to_owned(), value.to_owned()),
                    None => ("row".to_owned(), part.to_owned()),
                });
            let took = Duration::from_millis(took.parse().unwrap());
            TrialReport { axes: axes.collect(), took, ..TrialReport::ended(id, outcome) }
        };
        let params = vec![("text_model".to_owned(), vec![model.to_owned()])];
        let info = RunInfo { params, ..RunInfo::default() };
        let trials: Vec<TrialReport> = trials.iter().map(trial).collect();
        let mut summary = Summary::default();
        trials.iter().for_each(|trial| summary.count(trial));
        let run = Merged { info, trials, summary, ..Merged::default() };
        Side { name: name.to_owned(), run, exchanges: Vec::new() }
    }

    fn shown(sides: &[Side]) -> Vec<String> {
        let comparison = Comparison::of(sides);
        let rows = comparison.trials.iter();
        rows.map(|(key, row)| {
            format!("{key}: {}", row.iter().map(|t| word(*t)).collect::<Vec<_>>().join(" "))
        })
        .collect()
    }

    #[test]
    fn trials_stand_side_by_side_under_their_ids() {
        let sides = [
            side("a", "m", &["a::x[txt=m]=passed/1", "a::y=passed/1"]),
            side("b", "m", &["a::x[txt=m]=failed/1", "a::z=none/1"]),
            side("c", "m", &["a::x[txt=m]=passed/1"]),
        ];
        assert_eq!(
            shown(&sides),
            [
                "a::x[txt=m]: passed failed passed",
                "a::y: passed absent absent",
                "a::z: absent skipped absent"
            ]
        );
        assert_eq!(Comparison::of(&sides).differing().count(), 3);
        assert_eq!(Comparison::of(&sides[..1]).differing().count(), 0);
    }

    #[test]
    fn other_models_do_not_part_the_same_cases() {
        let sides = [
            side("a", "m", &["a::x[txt=m-one]=passed/1", "a::y=passed/1"]),
            side("b", "n", &["a::x[txt=n-one]=failed/1", "a::x[txt=o-one]=passed/1", "a::y=passed/1"]),
        ];
        assert_eq!(
            shown(&sides),
            ["a::x[one]: passed failed", "a::x[one] (2): absent passed", "a::y: passed passed"]
        );
    }

    #[test]
    fn times_are_those_of_trials_that_passed_everywhere() {
        let sides = [
            side("a", "m", &["a::x=passed/10", "a::y=passed/900", "a::z=passed/30"]),
            side("b", "m", &["a::x=passed/50", "a::y=failed/1", "a::z=passed/31"]),
        ];
        let comparison = Comparison::of(&sides);
        let times = |at: usize| {
            (comparison.sides[at].times.total.as_millis(), comparison.sides[at].times.median.as_millis())
        };
        assert_eq!((times(0), times(1)), ((40, 10), (81, 31)));
        let strayed = comparison.strayed(5, Duration::from_millis(20));
        assert_eq!(strayed, [("a::x", vec![Duration::from_millis(10), Duration::from_millis(50)])]);
    }
}
