//! `rerecord`: which trials ask their providers otherwise than when they were recorded, and recording those anew.
//!
//! Three passes, each with a target of its own: a replay of everything selected, which connects to no provider and
//! tells what changed; a recording of those trials alone; a replay of these.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::RunArgs;
use super::exit::ExitStatus;
use super::run::{self, Course, Prepared};
use crate::exec::event::{ProviderUse, Summary, TrialReport};
use crate::plan::Plan;
use crate::record::Mode;
use crate::record::changes::Snapshot;
use crate::record::prune::delete;
use crate::report::console::{Console, ConsoleOptions};
use crate::report::rerecord::{Recorded, RecordedTrial, Survey, json, markdown, text};
use crate::report::{ReportSpec, Reporters};
use crate::target::TargetSpec;

#[derive(Debug, Clone, Args)]
pub(super) struct RerecordArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Only list what would be recorded; connects to no provider
    #[arg(long, help_heading = "Rerecord")]
    pub plan: bool,
    /// Leave out trials whose requests still find their recordings, though what the stack sends has changed
    #[arg(long, help_heading = "Rerecord")]
    pub only_misses: bool,
    /// Delete recordings that the trials recorded anew do not use any more
    #[arg(long, conflicts_with = "plan", help_heading = "Rerecord")]
    pub prune: bool,
    /// Also write the result to a file, as Markdown for a pull request
    #[arg(long, value_name = "PATH", help_heading = "Rerecord")]
    pub summary: Option<PathBuf>,
    /// Form of the result on standard output [default: text with --plan, else markdown]
    #[arg(long, value_enum, help_heading = "Rerecord")]
    pub format: Option<ResultFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ResultFormat {
    Text,
    Markdown,
    Json,
}

impl RerecordArgs {
    /// A flag of a run that has no meaning here, and what to do instead.
    pub(super) fn refused(&self) -> Option<String> {
        let (run, policies) = (&self.run, &self.run.policies);
        let refused = [
            (run.inference_mode.is_some(), "--inference-mode", "it replays, and then records what changed"),
            (!policies.record_only.is_empty(), "--record-only", "selectors and -k choose trials"),
            (policies.max_age.is_some(), "--max-age", "`runner --max-age=…` finds old recordings"),
            (
                policies.fail_on_unused,
                "--fail-on-unused",
                "unused recordings are listed, and --prune deletes them",
            ),
            (run.again.repeat_each > 1, "--repeat-each", "a trial is recorded once"),
        ];
        let (_, flag, instead) = refused.into_iter().find(|(given, ..)| *given)?;
        Some(format!("rerecord takes no {flag}: {instead}"))
    }
}

/// One pass over trials.
struct Pass {
    trials: Vec<TrialReport>,
    summary: Summary,
}

impl Pass {
    fn outcomes(&self) -> BTreeMap<&str, &TrialReport> {
        self.trials.iter().map(|report| (report.trial.as_str(), report)).collect()
    }

    /// Files that trials used for which `counts` holds.
    fn files(&self, counts: impl Fn(&TrialReport) -> bool) -> BTreeSet<&str> {
        let of_trials = self.trials.iter().filter(|report| counts(report)).flat_map(|report| &report.matches);
        of_trials.chain(&self.summary.other_matches).filter_map(|used| used.file.as_deref()).collect()
    }
}

/// Ends the program with this status.
struct Ended(ExitStatus);

pub(super) fn rerecord(
    mut prepared: Prepared<'_>,
    plan: Plan,
    args: &RerecordArgs,
) -> Result<ExitStatus, String> {
    if let TargetSpec::Url(url) = &prepared.options.target_spec {
        anstream::eprintln!(
            "error: what the stack at {url} asks its providers is not seen here, so that it cannot be recorded; \
             use --stack-config=server:… or a stack in this process"
        );
        return Ok(ExitStatus::Usage);
    }
    let options = &mut prepared.options;
    options.again.retries = 0;
    options.max_failures = None;
    // The plan is this shard's already.
    options.shard = None;
    prepared.history = None;
    let dir = prepared.options.recordings.value.clone();

    let first = match pass(&mut prepared, plan.clone(), Mode::Replay, Listener::Bar, &[])? {
        Ok(first) => first,
        Err(Ended(status)) => return Ok(status),
    };
    let survey = Survey::of(&first.trials, &first.summary, !args.only_misses);
    if args.plan || survey.changed.is_empty() {
        let recorded = (!args.plan).then(Recorded::default);
        show(args, &prepared, &survey, recorded.as_ref())?;
        return Ok(ExitStatus::Passed);
    }

    let before = Snapshot::of(&dir);
    let chosen = plan_of(&plan, &survey);
    // What the stack's start asked is recorded with the trials when it is what they lack.
    let ids = (!survey.boot).then(|| ids(&chosen, &survey));
    prepared.options.policies.forwarding.records_chosen_only = ids.is_some();
    prepared.oversight.chosen = ids;
    let reports = &args.run.report;
    let second = match pass(&mut prepared, chosen.clone(), Mode::Record, Listener::Console, reports)? {
        Ok(second) => second,
        Err(Ended(status)) => return Ok(status),
    };
    prepared.options.policies.forwarding.records_chosen_only = false;
    prepared.oversight.chosen = None;
    let third = match pass(&mut prepared, chosen, Mode::Replay, Listener::Console, &[])? {
        Ok(third) => third,
        Err(Ended(status)) => return Ok(status),
    };

    let mut obsolete = obsolete(&survey, &first, &second, &third);
    if args.prune {
        for file in obsolete.drain(..) {
            delete(&dir, &file).map_err(|error| format!("cannot delete {file}: {error}"))?;
        }
    }
    let files = before.until(&Snapshot::of(&dir));
    let spent = &second.summary.spent;
    let recorded = Recorded {
        trials: trials(&survey, &second, &third),
        files,
        obsolete,
        requests: spent.requests,
        prompt_tokens: spent.prompt_tokens,
        completion_tokens: spent.completion_tokens,
        uncounted: spent.uncounted,
    };
    show(args, &prepared, &survey, Some(&recorded))?;
    Ok(if recorded.is_good() { ExitStatus::Passed } else { ExitStatus::TestsFailed })
}

/// Who follows a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    /// A progress bar, where there is a terminal.
    Bar,
    /// The lines of a run, on standard error: standard output is for the result.
    Console,
}

fn pass(
    prepared: &mut Prepared<'_>,
    plan: Plan,
    mode: Mode,
    listener: Listener,
    reports: &[ReportSpec],
) -> Result<Result<Pass, Ended>, String> {
    prepared.options.mode.value = mode;
    let options = &prepared.options;
    let console = ConsoleOptions {
        verbosity: options.verbosity,
        color: options.color,
        progress: options.progress,
        durations: options.durations,
    };
    let console = match listener {
        Listener::Bar => Console::new(console, Box::new(std::io::sink())),
        Listener::Console => Console::new(console, Box::new(std::io::stderr())),
    };
    let reporters = match Reporters::new(console, reports) {
        Ok(reporters) => reporters,
        Err(message) => {
            anstream::eprintln!("error: {message}");
            return Ok(Err(Ended(ExitStatus::Usage)));
        }
    };
    match run::course(prepared, plan, reporters)? {
        Course::Ended(status) => Ok(Err(Ended(status))),
        Course::Ran(ran) if ran.summary.interrupted => Ok(Err(Ended(ExitStatus::Interrupted))),
        Course::Ran(ran) => match ran.reporters.problems() {
            [] => Ok(Ok(Pass { summary: ran.summary, trials: ran.reporters.into_trials() })),
            problems => Err(problems.join("\n")),
        },
    }
}

/// The plan with nothing but the trials that changed.
fn plan_of(plan: &Plan, survey: &Survey) -> Plan {
    let changed: BTreeSet<&str> = survey.changed.iter().map(|trial| trial.id.as_str()).collect();
    let mut plan = plan.clone();
    plan.trials.retain(|trial| changed.contains(trial.id.as_str()));
    plan
}

/// The ids whose requests are recorded: the trials', and those of fixtures that lack something.
fn ids(plan: &Plan, survey: &Survey) -> BTreeSet<String> {
    let mut ids: BTreeSet<String> = plan.trials.iter().map(|trial| trial.id.clone()).collect();
    let lacking = plan.trials.iter().filter(|trial| survey.lacks_what_came_before(&trial.id));
    ids.extend(lacking.flat_map(|trial| &trial.case.fixtures).map(|fixture| fixture.id.clone()));
    ids
}

/// What became of each trial, in the order of the survey.
fn trials(survey: &Survey, second: &Pass, third: &Pass) -> Vec<RecordedTrial> {
    let (recorded, replayed) = (second.outcomes(), third.outcomes());
    let was_recorded = |used: &&ProviderUse| used.tier.starts_with("recorded");
    let of = |id: &str| {
        let report = recorded.get(id);
        RecordedTrial {
            id: id.to_owned(),
            recorded: report.map(|report| report.outcome.word().to_owned()),
            replayed: replayed.get(id).map(|report| report.outcome.word().to_owned()),
            requests: report.map_or(0, |report| report.matches.iter().filter(was_recorded).count()),
            tokens: report.and_then(|report| report.tokens).map(|tokens| tokens.prompt + tokens.completion),
        }
    };
    survey.changed.iter().map(|trial| of(&trial.id)).collect()
}

/// Recordings of the trials recorded anew that nobody used: neither they, nor others in the first replay.
fn obsolete(survey: &Survey, first: &Pass, second: &Pass, third: &Pass) -> Vec<String> {
    let changed: BTreeSet<&str> = survey.changed.iter().map(|trial| trial.id.as_str()).collect();
    let mut used = first.files(|report| !changed.contains(report.trial.as_str()));
    used.extend(third.files(|_| true));
    let is_theirs = |owner: &Option<String>| owner.as_deref().is_some_and(|owner| changed.contains(owner));
    let unused = second.summary.recordings.unused.iter();
    let unused = unused.filter(|unused| is_theirs(&unused.owner) && !used.contains(unused.file.as_str()));
    unused.map(|unused| unused.file.clone()).collect()
}

fn show(
    args: &RerecordArgs,
    prepared: &Prepared<'_>,
    survey: &Survey,
    recorded: Option<&Recorded>,
) -> Result<(), String> {
    let default = if recorded.is_none() { ResultFormat::Text } else { ResultFormat::Markdown };
    match args.format.unwrap_or(default) {
        ResultFormat::Json => anstream::println!("{:#}", json(survey, recorded)),
        ResultFormat::Markdown => anstream::print!("{}", markdown(survey, recorded)),
        ResultFormat::Text => anstream::println!("{}", text(survey, recorded)),
    }
    let Some(path) = &args.summary else { return Ok(()) };
    let path = prepared.machine.cwd.join(path);
    std::fs::write(&path, markdown(survey, recorded))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
