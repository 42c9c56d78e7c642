//! Flags that run trials again, in another order, or only those that failed; and what makes a flaky trial.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::machine::Machine;
use super::options::RunOptions;
use crate::plan::{Plan, Settings};
use crate::report::history::{History, Occasion};
use crate::source::project::Project;

/// Repetition, order and history.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct AgainArgs {
    /// Further attempts at a trial that failed
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "How")]
    pub retries: u32,
    /// Before the first retry; twice as long before each further one
    #[arg(long, value_name = "DURATION", value_parser = super::args::duration, default_value = "0s", help_heading = "How")]
    pub retry_delay: Duration,
    /// End with status 8 when a trial passed only at a retry
    #[arg(long, help_heading = "How")]
    pub fail_on_flaky: bool,
    /// Run every trial N times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "How")]
    pub repeat_each: u32,
    /// Run in a random order; the seed is printed, and gives the same order again
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = "random", value_parser = seed, help_heading = "How")]
    pub shuffle: Option<u32>,
    /// Only trials that failed when they last ran with this setup and target; all, when none did
    #[arg(long = "last-failed", visible_alias = "lf", help_heading = "What")]
    pub last_failed: bool,
}

fn seed(text: &str) -> Result<u32, String> {
    match text {
        "random" => Ok(fastrand::u32(..)),
        _ => text.parse().map_err(|_| "write a number below 4294967296, or nothing".to_owned()),
    }
}

/// The state directory of a project: below `XDG_STATE_HOME`, or `~/.local/state`. Nothing without a home.
pub(super) fn state_directory(machine: &Machine, project: &Project) -> Option<PathBuf> {
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let base = machine.var("XDG_STATE_HOME").and_then(absolute);
    let base = base.or_else(|| Some(absolute(machine.var("HOME")?)?.join(".local/state")))?;
    let root = project.root.canonicalize().unwrap_or_else(|_| project.root.clone());
    Some(base.join("runner").join(History::folder_of(&root)))
}

/// What a run's results are filed under.
pub(super) fn occasion(options: &RunOptions, settings: &Settings<'_>) -> Occasion {
    Occasion {
        setup: settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone()),
        target: options.target.value.clone(),
        mode: options.mode.value.to_string(),
    }
}

/// Leaves only what failed last, where that is asked for, and returns what the user should know.
pub(super) fn select(
    plan: &mut Plan,
    args: &AgainArgs,
    history: Option<&PathBuf>,
    occasion: &Occasion,
) -> Option<String> {
    let mut note = None;
    if args.last_failed {
        let failed = history.map(|dir| History::read(dir).failed(occasion)).unwrap_or_default();
        let is_left = |id: &String| failed.contains(id);
        if plan.trials.iter().any(|trial| is_left(&trial.id)) {
            plan.trials.retain(|trial| is_left(&trial.id));
        } else {
            note = Some("none of these trials failed when it last ran; all are run".to_owned());
        }
    }
    note
}

/// Puts the trials into the order that a seed gives. After sharding, which must not depend on it.
pub(super) fn shuffle(plan: &mut Plan, seed: Option<u32>) {
    if let Some(seed) = seed {
        fastrand::Rng::with_seed(u64::from(seed)).shuffle(&mut plan.trials);
    }
}
