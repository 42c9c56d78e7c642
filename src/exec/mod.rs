//! Trials in, events out: libtest-mimic gives the thread pool and the libtest face, the rest is ours.

pub mod context;
pub mod event;
mod exchange;
mod expectation;
pub mod facts;
pub mod fixtures;
pub mod hint;
pub mod mutation;
mod provider_data;
mod request;
pub mod review;
mod rules;
pub mod session;
mod stage;
mod step;
mod tap;
pub mod trace;
pub mod traffic;
mod trial;
mod verdict;
mod wiring;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

pub use context::{RunContext, Stop};
use event::{Event, Failure, Outcome, Summary};
use review::Reviewer;

use crate::plan::TrialPlan;

/// How trials are scheduled.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub jobs: usize,
    /// No trial starts after this many failed.
    pub max_failures: Option<usize>,
    /// How often each trial runs.
    pub rounds: u32,
}

/// Runs all trials and returns the counts. Blocks; trials run on libtest-mimic's threads, their I/O on `runtime`.
pub fn run(
    trials: Vec<TrialPlan>,
    context: &Arc<RunContext>,
    schedule: Schedule,
    runtime: &tokio::runtime::Handle,
) -> Summary {
    let started = Instant::now();
    let total = trials.len() * usize::try_from(schedule.rounds).unwrap_or(usize::MAX);
    context.fixtures.expect(&trials, schedule.rounds);
    let summary = Arc::new(Mutex::new(Summary::default()));
    let failures = Arc::new(AtomicUsize::new(0));
    let review = Arc::new(Mutex::new(Reviewer::default()));
    let tests = trials
        .into_iter()
        .map(|mut trial| {
            let (context, summary, failures, runtime, review) =
                (context.clone(), summary.clone(), failures.clone(), runtime.clone(), review.clone());
            Trial::ignorable_test(trial.id.clone(), move || {
                let mut last = Ok(Completion::ignored_with("not run"));
                for round in 1..=schedule.rounds {
                    if context.stopping() {
                        break;
                    }
                    trial.round = round;
                    let report = one(&context, &trial, &runtime);
                    if !report.outcome.failures().is_empty() {
                        let failed = failures.fetch_add(1, Ordering::SeqCst) + 1;
                        if schedule.max_failures.is_some_and(|most| failed >= most) {
                            context.stop.no_more();
                        }
                    }
                    summary.lock().unwrap_or_else(PoisonError::into_inner).count(&report);
                    review.lock().unwrap_or_else(PoisonError::into_inner).note(&report);
                    last = completion(&report.outcome, |failure| failure.title.clone());
                    context.emit(Event::TrialFinished(Box::new(report)));
                }
                last
            })
        })
        .collect();
    // Its own printer is silenced: the event stream has more to say.
    let arguments = Arguments {
        test_threads: Some(schedule.jobs.max(1)),
        logfile: Some("/dev/null".into()),
        ..Arguments::default()
    };
    // Its conclusion has counts alone; the reports have been told more.
    let _ = libtest_mimic::run(&arguments, tests);
    let left = runtime.block_on(context.fixtures.finish(context));
    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner).clone();
    summary.not_run = total - summary.total();
    summary.interrupted = context.stop.interrupted();
    summary.unclean = trial::clean(left, context);
    summary.stray_misses = context.traffic.stray_misses();
    summary.other_matches = context.traffic.other_uses();
    let review = std::mem::take(&mut *review.lock().unwrap_or_else(PoisonError::into_inner));
    summary.recordings = review.finish(&summary.other_matches, context);
    summary.spent = context.traffic.spent();
    summary.took = started.elapsed();
    context.emit(Event::RunFinished(summary.clone()));
    summary
}

/// Trials for a libtest-compatible front such as `cargo nextest`, which gives the arguments and prints itself.
/// `context` is made when the first trial runs, so that listing starts nothing.
/// `show` writes a failure as that front prints it.
pub fn libtest_trials<C>(
    trials: Vec<TrialPlan>,
    context: C,
    runtime: &tokio::runtime::Handle,
    show: fn(&Failure) -> String,
) -> Vec<Trial>
where
    C: Fn() -> Result<Arc<RunContext>, String> + Clone + Send + 'static,
{
    trials
        .into_iter()
        .map(|trial| {
            let (context, runtime) = (context.clone(), runtime.clone());
            Trial::ignorable_test(trial.id.clone(), move || {
                let context = context()?;
                completion(&one(&context, &trial, &runtime).outcome, show)
            })
        })
        .collect()
}

fn one(context: &RunContext, trial: &TrialPlan, runtime: &tokio::runtime::Handle) -> event::TrialReport {
    context.emit(Event::TrialStarted { id: trial.shown_id() });
    runtime.block_on(trial::run(context, trial))
}

fn completion(outcome: &Outcome, show: fn(&Failure) -> String) -> Result<Completion, Failed> {
    match outcome {
        Outcome::Passed | Outcome::XPassed(_) | Outcome::XFailed(_) => Ok(Completion::Completed),
        Outcome::Quarantined(reason, _) => {
            Ok(Completion::ignored_with(format!("failed in quarantine: {reason}")))
        }
        Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason.clone())),
        Outcome::Failed(failures) | Outcome::Broken(failures) => {
            Err(Failed::from(failures.iter().map(show).collect::<Vec<_>>().join("\n")))
        }
    }
}
