//! Several runs as one: shards are put together, what is missing is noticed.

use std::collections::{BTreeMap, BTreeSet};

use super::read::RecordedRun;
use crate::exec::event::{Price, RunInfo, Summary, TrialReport};

/// A run and where it was read.
#[derive(Debug, Clone)]
pub struct Part {
    /// The path, for messages.
    pub name: String,
    pub run: RecordedRun,
}

/// What the parts add up to.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    pub info: RunInfo,
    pub trials: Vec<TrialReport>,
    pub summary: Summary,
    /// Things that a reader should know.
    pub notes: Vec<String>,
    /// What is missing: shards, and ends of runs.
    pub gaps: Vec<String>,
}

/// Runs of one plan have these in common; shards of it are put together.
type Key = (Option<String>, Option<String>, String, String, Vec<(String, Vec<String>)>);

fn key(info: &RunInfo) -> Key {
    (info.suite.clone(), info.setup.clone(), info.target.clone(), info.mode.clone(), info.params.clone())
}

impl Merged {
    /// Puts parts together. Of a trial that several parts have, the one of the run that started last counts: a job
    /// was run again.
    #[must_use]
    pub fn of(mut parts: Vec<Part>) -> Self {
        parts.sort_by(|a, b| a.run.info.started.cmp(&b.run.info.started).then_with(|| a.name.cmp(&b.name)));
        let mut groups: BTreeMap<Key, Vec<Part>> = BTreeMap::new();
        for part in parts {
            groups.entry(key(&part.run.info)).or_default().push(part);
        }
        let mut merged = Self { info: info(&groups), ..Self::default() };
        let several = groups.len() > 1;
        for parts in groups.into_values() {
            merged.add(&parts, several);
        }
        merged.trials.sort_by(|a, b| a.id.cmp(&b.id));
        merged.info.trials = merged.trials.len();
        merged.trials.iter().for_each(|trial| merged.summary.count(trial));
        merged
    }

    fn add(&mut self, parts: &[Part], several: bool) {
        let Some(first) = parts.first() else { return };
        let name = name(&first.run.info);
        let mut trials: BTreeMap<&str, &TrialReport> = BTreeMap::new();
        let mut twice = 0;
        for part in parts {
            for trial in &part.run.trials {
                twice += usize::from(trials.insert(&trial.id, trial).is_some());
            }
            match &part.run.summary {
                Some(summary) => self.count_rest(summary),
                None => self.gaps.push(format!("{}: the run did not end; it was cut off", part.name)),
            }
        }
        if twice > 0 {
            self.notes.push(format!("{name}: {twice} trials are in more than one run; the latest counts"));
        }
        self.gaps.extend(missing(parts).into_iter().map(|gap| format!("{name}: {gap}")));
        self.trials.extend(trials.into_values().map(|trial| {
            let id = if several { format!("{name}/{}", trial.id) } else { trial.id.clone() };
            TrialReport { id, ..trial.clone() }
        }));
    }

    /// What a run says beyond its trials.
    fn count_rest(&mut self, summary: &Summary) {
        self.summary.not_run += summary.not_run;
        self.summary.interrupted |= summary.interrupted;
        self.summary.stray_misses.extend(summary.stray_misses.iter().cloned());
        self.summary.unclean.extend(summary.unclean.iter().cloned());
        self.summary.recordings.absorb(&summary.recordings);
        self.summary.spent.add(&summary.spent);
        self.summary.other_matches.extend(summary.other_matches.iter().cloned());
        // Shards run side by side: the slowest decides.
        self.summary.took = self.summary.took.max(summary.took);
    }
}

/// `base@ollama`.
fn name(info: &RunInfo) -> String {
    let suite = info.suite.as_deref().unwrap_or("all");
    info.setup.as_ref().map_or_else(|| suite.to_owned(), |setup| format!("{suite}@{setup}"))
}

/// What all groups have in common; where they differ, all that there is.
fn info(groups: &BTreeMap<Key, Vec<Part>>) -> RunInfo {
    let infos = || groups.values().flatten().map(|part| &part.run.info);
    let all = |get: &dyn Fn(&RunInfo) -> Option<String>| {
        let values: BTreeSet<String> = infos().filter_map(get).collect();
        (!values.is_empty()).then(|| values.into_iter().collect::<Vec<_>>().join(", "))
    };
    let prices: BTreeMap<String, Price> = infos().flat_map(|info| info.prices.clone()).collect();
    RunInfo {
        suite: all(&|info| info.suite.clone()),
        setup: all(&|info| info.setup.clone()),
        target: all(&|info| Some(info.target.clone())).unwrap_or_default(),
        mode: all(&|info| Some(info.mode.clone())).unwrap_or_default(),
        jobs: infos().map(|info| info.jobs).sum(),
        trials: 0,
        seed: None,
        params: if groups.len() == 1 {
            infos().next().map(|i| i.params.clone()).unwrap_or_default()
        } else {
            Vec::new()
        },
        prices: prices.into_iter().collect(),
        started: infos().map(|info| info.started).min().unwrap_or_default(),
        shard: None,
    }
}

/// Shards that no part is, and shards of different plans.
fn missing(parts: &[Part]) -> Vec<String> {
    let shards: Vec<_> = parts.iter().filter_map(|part| part.run.info.shard.as_ref()).collect();
    let mut gaps = Vec::new();
    let kinds: BTreeSet<_> =
        shards.iter().map(|shard| (shard.count, shard.by.as_str(), shard.planned)).collect();
    if kinds.len() > 1 {
        let shown: Vec<String> =
            kinds.iter().map(|(count, by, planned)| format!("{planned} trials in {count} by {by}")).collect();
        gaps.push(format!("these are shards of different plans ({})", shown.join("; ")));
    }
    let unsharded = shards.len() < parts.len();
    if let (Some((count, _, _)), false) = (kinds.iter().next_back(), unsharded) {
        let absent = (1..=*count).filter(|index| shards.iter().all(|shard| shard.index != *index));
        gaps.extend(absent.map(|index| format!("shard {index}/{count} is missing")));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::event::{Outcome, ShardInfo};

    /// A part: `base@s 1/2 10:00 a::x=passed a::y=skipped`, with `…` at the end when it was cut off.
    fn part(text: &str) -> Part {
        let mut words = text.split(' ');
        let mut next = || words.next().expect("is there");
        let (suite, setup) = next().split_once('@').expect("has a setup");
        let shard = next().split_once('/').map(|(index, count)| ShardInfo {
            index: index.parse().unwrap(),
            count: count.parse().unwrap(),
            by: "hash".to_owned(),
            planned: 4,
        });
        let started = format!("2026-01-02T{}:00Z", next()).parse().unwrap();
        let trials: Vec<TrialReport> = words
            .filter_map(|word| word.split_once('='))
            .map(|(id, outcome)| {
                let outcome = match outcome {
                    "passed" => Outcome::Passed,
                    "failed" => Outcome::Failed(Vec::new()),
                    _ => Outcome::Skipped(outcome.to_owned()),
                };
                TrialReport::ended(id, outcome)
            })
            .collect();
        let (suite, setup) = (Some(suite.to_owned()), Some(setup.to_owned()));
        let info = RunInfo { suite, setup, shard, started, ..RunInfo::default() };
        let summary = (!text.ends_with('…')).then(Summary::default);
        Part {
            name: "r.jsonl".to_owned(),
            run: RecordedRun { info, trials, summary, ..RecordedRun::default() },
        }
    }

    fn check(parts: &[&str], want: &str) {
        let merged = Merged::of(parts.iter().map(|text| part(text)).collect());
        let mut lines: Vec<String> =
            merged.trials.iter().map(|trial| format!("{} {}", trial.id, trial.outcome.word())).collect();
        lines.push(merged.summary.line());
        lines.extend(merged.notes);
        lines.extend(merged.gaps);
        assert_eq!(lines.join("\n"), want);
    }

    #[test]
    fn shards_become_one_run() {
        check(
            &["base@s 2/2 10:01 a::y=failed", "base@s 1/2 10:00 a::x=passed"],
            "a::x passed\na::y failed\n1 passed, 1 failed",
        );
    }

    #[test]
    fn what_is_missing_is_noticed() {
        check(
            &["base@s 1/3 10:00 a::x=passed", "base@s 3/3 10:00 …"],
            "a::x passed\n1 passed, 0 failed\nr.jsonl: the run did not end; it was cut off\nbase@s: shard 2/3 is missing",
        );
        check(
            &["base@s 1/2 10:00 a::x=passed", "base@s 2/3 10:00"],
            "a::x passed\n1 passed, 0 failed\n\
             base@s: these are shards of different plans (4 trials in 2 by hash; 4 trials in 3 by hash)\n\
             base@s: shard 3/3 is missing",
        );
    }

    #[test]
    fn a_job_that_ran_again_counts_once() {
        check(
            &["base@s - 11:00 a::x=passed", "base@s - 10:00 a::x=failed"],
            "a::x passed\n1 passed, 0 failed\nbase@s: 1 trials are in more than one run; the latest counts",
        );
    }

    #[test]
    fn setups_stand_side_by_side() {
        check(
            &["base@s - 10:00 a::x=passed", "base@t - 10:00 a::x=skipped"],
            "base@s/a::x passed\nbase@t/a::x skipped\n1 passed, 0 failed, 1 skipped",
        );
    }
}
