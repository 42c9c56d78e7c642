//! What cases did not notice when their answers were corrupted: as text, and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::count;
use crate::exec::mutation::{Mutated, Unfit};

/// One trial's corruptions, or why there are none.
#[derive(Debug)]
pub struct TrialMutations {
    pub trial: String,
    /// `file::name`.
    pub case: String,
    /// Places that there are; fewer may have been tried.
    pub places: usize,
    pub tried: Vec<Mutated>,
    pub left_out: Option<Unfit>,
}

/// How the figures came about.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    pub seed: u64,
    /// Corruptions tried at most for each trial.
    pub most: usize,
}

/// The counts of a case, or of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noticed {
    pub noticed: usize,
    pub tried: usize,
}

impl Noticed {
    fn add(&mut self, noticed: bool) {
        self.tried += 1;
        self.noticed += usize::from(noticed);
    }

    /// Percent of the corruptions that were noticed; all of none.
    pub fn percent(self) -> f64 {
        if self.tried == 0 {
            return 100.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of corruptions are far below 2^52")]
        let percent = self.noticed as f64 * 100.0 / self.tried as f64;
        percent
    }
}

impl std::fmt::Display for Noticed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Rounded down: 100.0 means all.
        let shown = (self.percent() * 10.0).floor() / 10.0;
        write!(f, "{} of {} noticed ({shown:.1} %)", self.noticed, self.tried)
    }
}

/// All counts.
pub fn total(trials: &[TrialMutations]) -> Noticed {
    let mut total = Noticed::default();
    trials.iter().flat_map(|trial| &trial.tried).for_each(|mutated| total.add(mutated.noticed));
    total
}

/// A corruption that a case let through, and in how many of its trials.
type Unnoticed<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<String, usize>>;

#[derive(Default)]
struct Case<'a> {
    noticed: Noticed,
    trials: usize,
    unnoticed: Unnoticed<'a>,
}

fn cases(trials: &[TrialMutations]) -> BTreeMap<&str, Case<'_>> {
    let mut cases: BTreeMap<&str, Case<'_>> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.left_out.is_none()) {
        let case = cases.entry(&trial.case).or_default();
        case.trials += 1;
        for mutated in &trial.tried {
            case.noticed.add(mutated.noticed);
            if !mutated.noticed {
                let step = case.unnoticed.entry((&mutated.place, &mutated.step)).or_default();
                *step.entry(mutated.corruption.to_string()).or_default() += 1;
            }
        }
    }
    cases
}

/// The report for a reader.
pub fn text(trials: &[TrialMutations], sampling: Sampling) -> String {
    let mut lines = Vec::new();
    for (name, case) in cases(trials) {
        lines.push(format!("{name}: {}, {}", case.noticed, count(case.trials, "trial")));
        for ((place, step), corruptions) in case.unnoticed {
            lines.push(format!("  {place}  {step}"));
            for (what, times) in corruptions {
                let times = if times > 1 { format!("  ({times} trials)") } else { String::new() };
                lines.push(format!("    unnoticed: {what}{times}"));
            }
        }
    }
    for trial in trials {
        if let Some(Unfit::Failing(reason)) = &trial.left_out {
            lines.push(format!("{}: does not pass without corruption: {reason}", trial.trial));
        }
    }
    lines.push(String::new());
    let skipped = trials.iter().filter(|t| matches!(t.left_out, Some(Unfit::Skipped(_)))).count();
    let ran = trials.iter().filter(|trial| trial.left_out.is_none()).count();
    let sampled = trials.iter().filter(|trial| trial.tried.len() < trial.places).count();
    lines.push(format!(
        "{} in {}; {} skipped; seed {}; at most {} a trial, which left places out in {}",
        total(trials),
        count(ran, "trial"),
        skipped,
        sampling.seed,
        sampling.most,
        count(sampled, "trial")
    ));
    lines.join("\n")
}

/// The report for a program.
pub fn json(trials: &[TrialMutations], sampling: Sampling) -> Value {
    let all = total(trials);
    let cases: Vec<Value> = cases(trials)
        .into_iter()
        .map(|(name, case)| {
            let unnoticed: Vec<Value> = case
                .unnoticed
                .into_iter()
                .flat_map(|((place, step), corruptions)| {
                    corruptions.into_iter().map(move |(what, trials)| {
                        json!({"place": place, "step": step, "corruption": what, "trials": trials})
                    })
                })
                .collect();
            json!({
                "case": name, "trials": case.trials, "tried": case.noticed.tried,
                "noticed": case.noticed.noticed, "unnoticed": unnoticed,
            })
        })
        .collect();
    let left_out: Vec<Value> = trials
        .iter()
        .filter_map(|trial| {
            let (outcome, reason) = match trial.left_out.as_ref()? {
                Unfit::Skipped(reason) => ("skipped", reason),
                Unfit::Failing(reason) => ("failing", reason),
            };
            Some(json!({"id": trial.trial, "outcome": outcome, "reason": reason}))
        })
        .collect();
    json!({
        "seed": sampling.seed, "most": sampling.most, "tried": all.tried, "noticed": all.noticed,
        "percent": all.percent(), "cases": cases, "left_out": left_out,
    })
}
