//! `runner mutate`: the trials of a run with their answers corrupted, one place at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use tokio::runtime::Runtime;

use super::args::{ListFormat, RunArgs};
use super::exit::ExitStatus;
use super::run::{self, Prepared};
use crate::exec::RunContext;
use crate::exec::mutation::{self, Mutations, Unfit};
use crate::exec::session::Session;
use crate::plan::{Plan, TrialPlan};
use crate::report::mutation::{Sampling, TrialMutations, json, text, total};

#[derive(Debug, Clone, Args)]
pub(super) struct MutateArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Exit with 1 when fewer than this are noticed, such as 90%
    #[arg(long, value_name = "PERCENT", value_parser = percent, help_heading = "Corruptions")]
    pub at_least: Option<f64>,
    /// Corruptions tried for each trial at most; of more, an even sample is taken
    #[arg(long, value_name = "N", default_value_t = 150, help_heading = "Corruptions")]
    pub most: usize,
    /// Where in the places of a trial its sample begins
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Corruptions")]
    pub seed: u64,
    /// Form of the report
    #[arg(long, value_enum, default_value = "text", help_heading = "Corruptions")]
    pub format: ListFormat,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    number.filter(|n| (0.0..=100.0).contains(n)).ok_or_else(|| "write a percentage such as 90%".to_owned())
}

/// A target of one worker's own: what a corrupted trial leaves behind disturbs no other.
struct Bench {
    session: Session,
    context: RunContext,
}

impl Bench {
    fn start(prepared: &Prepared<'_>, runtime: &Runtime) -> Result<Self, String> {
        // Nobody listens to what happens within a trial; its outcome is all.
        let (mut context, session) = run::unheard(prepared, true, runtime.handle())?;
        context.retries = 0;
        Ok(Self { session, context })
    }

    fn stop(self, runtime: &Runtime) {
        drop(self.context);
        runtime.block_on(self.session.stop());
    }
}

/// Mutates every trial of the plan and prints what came of it.
pub(super) fn mutate(prepared: &Prepared<'_>, plan: &Plan, args: &MutateArgs) -> Result<ExitStatus, String> {
    let runtime = Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let sampling = Sampling { seed: args.seed, most: args.most };
    let workers = prepared.options.jobs.clamp(1, plan.trials.len().max(1));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let failed: Mutex<Option<String>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let worked = work(prepared, &runtime, plan, sampling, &next, &done);
                if let Err(message) = worked {
                    // The others stop at their next trial.
                    next.store(plan.trials.len(), Ordering::SeqCst);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
                }
            });
        }
    });
    if let Some(message) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        anstream::eprintln!("error: {message}");
        return Ok(ExitStatus::TargetDidNotStart);
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    let trials: Vec<TrialMutations> = done.into_iter().map(|(_, trial)| trial).collect();
    match args.format {
        ListFormat::Text => anstream::println!("{}", text(&trials, sampling)),
        ListFormat::Json => {
            let report = serde_json::to_string_pretty(&json(&trials, sampling));
            anstream::println!("{}", report.map_err(|error| error.to_string())?);
        }
    }
    let failing = trials.iter().any(|trial| matches!(trial.left_out, Some(Unfit::Failing(_))));
    let noticed = total(&trials);
    Ok(if failing || args.at_least.is_some_and(|least| noticed.percent() < least) {
        ExitStatus::TestsFailed
    } else if noticed.tried == 0 {
        ExitStatus::NothingRun
    } else {
        ExitStatus::Passed
    })
}

/// Takes trials until there are none.
fn work(
    prepared: &Prepared<'_>,
    runtime: &Runtime,
    plan: &Plan,
    sampling: Sampling,
    next: &AtomicUsize,
    done: &Mutex<Vec<(usize, TrialMutations)>>,
) -> Result<(), String> {
    let mut bench = Bench::start(prepared, runtime)?;
    let worked = loop {
        let index = next.fetch_add(1, Ordering::SeqCst);
        let Some(trial) = plan.trials.get(index) else { break Ok(()) };
        match one(prepared, runtime, trial, sampling, &mut bench) {
            Ok(mutated) => done.lock().unwrap_or_else(PoisonError::into_inner).push((index, mutated)),
            Err(message) => break Err(message),
        }
    };
    bench.stop(runtime);
    worked
}

fn one(
    prepared: &Prepared<'_>,
    runtime: &Runtime,
    trial: &TrialPlan,
    sampling: Sampling,
    bench: &mut Bench,
) -> Result<TrialMutations, String> {
    let mut result = TrialMutations {
        trial: trial.id.clone(),
        case: format!("{}::{}", trial.case.file, trial.case.name),
        places: 0,
        tried: Vec::new(),
        left_out: None,
    };
    let prepared_trial =
        runtime.block_on(mutation::prepare(&bench.context, trial, sampling.most, sampling.seed));
    let mutations: Mutations = match prepared_trial {
        Ok(mutations) => mutations,
        Err(unfit) => {
            result.left_out = Some(unfit);
            return Ok(result);
        }
    };
    result.places = mutations.places;
    // What such a trial has made it takes away again, unless an answer lied about what it was.
    let leaves_traces = !trial.case.cleanup.is_empty();
    for index in 0..mutations.len() {
        let Some(mutated) = runtime.block_on(mutations.run(&bench.context, trial, index)) else { continue };
        let noticed = mutated.noticed;
        result.tried.push(mutated);
        if !(noticed && leaves_traces) || runtime.block_on(mutations.still_passes(&bench.context, trial)) {
            continue;
        }
        let fresh = Bench::start(prepared, runtime)?;
        std::mem::replace(bench, fresh).stop(runtime);
        if !runtime.block_on(mutations.still_passes(&bench.context, trial)) {
            let reason = "it passed at first, but not again on a fresh target";
            result.left_out = Some(Unfit::Failing(reason.to_owned()));
            result.tried.clear();
            break;
        }
    }
    Ok(result)
}
