//! One trial under corruption: a clean run that shows its answers, then a run for each thing that can be done to one.

use super::context::RunContext;
use super::event::Outcome;
use super::tap::{Heard, Tap};
use super::trial;
use crate::mutate::{Corruption, places, sample};
use crate::plan::TrialPlan;

/// What is to be done to a trial, known after its clean run.
#[derive(Debug)]
pub struct Mutations {
    heard: Vec<Heard>,
    /// Number of the answer, and what happens to it.
    todo: Vec<(usize, Corruption)>,
    /// Places that there are, of which `todo` may be a sample.
    pub places: usize,
}

/// One corruption, and whether the trial noticed it.
#[derive(Debug, Clone)]
pub struct Mutated {
    /// `file:line` of the step that got the answer.
    pub place: String,
    /// The step's first line as written.
    pub step: String,
    pub corruption: Corruption,
    pub noticed: bool,
}

/// Why a trial is not mutated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It does not run here, for this reason.
    Skipped(String),
    /// It does not pass as it is.
    Failing(String),
}

/// Runs the trial as it is and lists what can be done to its answers, at most `most` of it.
///
/// # Errors
/// A trial that is skipped, fails, or is expected to fail shows nothing.
pub async fn prepare(
    context: &RunContext,
    plan: &TrialPlan,
    most: usize,
    seed: u64,
) -> Result<Mutations, Unfit> {
    let tap = Tap::listening();
    match trial::outcome(context, plan, &tap).await {
        Outcome::Passed => {}
        Outcome::Skipped(reason) => return Err(Unfit::Skipped(reason)),
        Outcome::XFailed(reason) | Outcome::XPassed(reason) => {
            return Err(Unfit::Skipped(format!("expected to fail: {reason}")));
        }
        Outcome::Quarantined(reason, _) => return Err(Unfit::Skipped(format!("in quarantine: {reason}"))),
        failed => {
            let reason = failed.reason().unwrap_or("without a reason").to_owned();
            return Err(Unfit::Failing(reason));
        }
    }
    let heard = tap.heard();
    let all: Vec<_> = heard
        .iter()
        .enumerate()
        .flat_map(|(exchange, answer)| places(&answer.response).into_iter().map(move |what| (exchange, what)))
        .collect();
    let places = all.len();
    Ok(Mutations { heard, todo: sample(all, most, seed), places })
}

impl Mutations {
    pub fn len(&self) -> usize {
        self.todo.len()
    }

    pub fn is_empty(&self) -> bool {
        self.todo.is_empty()
    }

    /// Runs the trial with its corruption number `index`.
    pub async fn run(&self, context: &RunContext, plan: &TrialPlan, index: usize) -> Option<Mutated> {
        let (exchange, corruption) = self.todo.get(index)?;
        let tap = Tap::corrupting(*exchange, corruption.clone(), &self.heard);
        let outcome = trial::outcome(context, plan, &tap).await;
        let answer = self.heard.get(*exchange)?;
        Some(Mutated {
            place: answer.place.clone(),
            step: answer.step.clone(),
            corruption: corruption.clone(),
            // A skip is no verdict: who reads the report learns nothing of what went wrong.
            noticed: matches!(outcome, Outcome::Failed(_) | Outcome::Broken(_)),
        })
    }

    /// Whether the trial still passes as it is, so that the next failure is due to the next corruption.
    pub async fn still_passes(&self, context: &RunContext, plan: &TrialPlan) -> bool {
        let tap = Tap::quiet(&self.heard);
        trial::outcome(context, plan, &tap).await == Outcome::Passed
    }
}
