//! A run: load, plan, start the target, execute, report, stop.

use std::sync::{Arc, mpsc};

use tokio::runtime::{Handle, Runtime};

use super::args::RunArgs;
use super::exit::ExitStatus;
use super::hint;
use super::machine::Machine;
use super::options::RunOptions;
use super::policies::Oversight;
use super::signals::StopSignals;
use crate::check::Contract;
use crate::exec::event::{Event, Price, RunInfo, ShardInfo, Summary};
use crate::exec::facts::Facts;
use crate::exec::fixtures::Fixtures;
use crate::exec::session::{Session, SessionError, SessionSpec};
use crate::exec::trace::ExchangeLog;
use crate::exec::{self, RunContext, Schedule, Stop};
use crate::plan::{Plan, Settings};
use crate::report::console::{Console, ConsoleOptions};
use crate::report::github::Github;
use crate::report::history::HistoryKeeper;
use crate::report::{ReportSpec, Reporters};
use crate::schema::StackDefinition;
use crate::schema::setup::TokenPrice;
use crate::secret::Redactor;
use crate::source::project::Project;
use crate::target;

/// What a run works on, all of it known before anything starts.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub project: &'a Project,
    /// How `server:` starts a process.
    pub stack: &'a StackDefinition,
    pub options: RunOptions,
    pub settings: Settings<'a>,
    pub machine: &'a Machine,
    /// What is demanded of recordings, and who may make them.
    pub oversight: Oversight,
    /// What every answer is held against; nothing where nothing is run.
    pub contract: Option<Arc<Contract>>,
    /// Where results are kept for later runs.
    pub history: Option<HistoryKeeper>,
    /// What the user should know of the selection.
    pub note: Option<String>,
}

/// Runs a plan; the reports are written, the target is stopped.
pub(super) fn run(
    mut prepared: Prepared<'_>,
    plan: Plan,
    reports: &[ReportSpec],
) -> Result<ExitStatus, String> {
    let history = prepared.history.take();
    let prepared = &prepared;
    let console = Console::new(
        ConsoleOptions {
            verbosity: prepared.options.verbosity,
            color: prepared.options.color,
            progress: prepared.options.progress,
            durations: prepared.options.durations,
        },
        Box::new(std::io::stdout()),
    );
    let reporters = match Reporters::new(console, reports) {
        Ok(reporters) => reporters.with_github(github(prepared.machine)).with_history(history),
        Err(message) => {
            anstream::eprintln!("error: {message}");
            return Ok(ExitStatus::Usage);
        }
    };
    if plan.trials.is_empty() {
        return empty(prepared, &plan, reporters);
    }
    match course(prepared, plan, reporters)? {
        Course::Ended(status) => Ok(status),
        Course::Ran(ran) => match ran.reporters.problems() {
            [] => Ok(ExitStatus::of(&ran.summary, prepared.options.again.fail_on_flaky)),
            problems => Err(problems.join("\n")),
        },
    }
}

/// How the running of a plan ended.
pub(super) enum Course {
    Ran(Box<Ran>),
    /// No trial was run; why was printed.
    Ended(ExitStatus),
}

/// A plan that was run to its end.
pub(super) struct Ran {
    pub summary: Summary,
    pub reporters: Reporters,
}

/// Starts the target, runs the plan, and stops the target.
pub(super) fn course(prepared: &Prepared<'_>, plan: Plan, reporters: Reporters) -> Result<Course, String> {
    let runtime = Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (spec, secrets) = session_spec(prepared);
    let mut signals = StopSignals::catch(&runtime)?;
    let session = match runtime.block_on(start(spec, &mut signals)) {
        Ok(session) => session,
        Err(Start::Interrupted) => {
            anstream::eprintln!("interrupted before the stack was ready; nothing was run");
            return Ok(Course::Ended(ExitStatus::Interrupted));
        }
        Err(Start::Failed(error)) => {
            anstream::eprintln!("error: {}", secrets.apply(&error.to_string()));
            let definition = error.is_definition();
            let status = if definition { ExitStatus::Usage } else { ExitStatus::TargetDidNotStart };
            return Ok(Course::Ended(status));
        }
    };
    execute(prepared, plan, session, reporters, secrets, &runtime, signals)
}

/// A shard that got no trial: its reports are written, so that nobody misses it, and no stack is started.
fn empty(prepared: &Prepared<'_>, plan: &Plan, mut reporters: Reporters) -> Result<ExitStatus, String> {
    reporters.on(&Event::RunStarted(run_info(prepared, prepared.options.jobs, plan)));
    reporters.on(&Event::RunFinished(Summary::default()));
    match reporters.problems() {
        [] => Ok(ExitStatus::Passed),
        problems => Err(problems.join("\n")),
    }
}

/// What is about to run.
fn run_info(prepared: &Prepared<'_>, jobs: usize, plan: &Plan) -> RunInfo {
    let options = &prepared.options;
    RunInfo {
        suite: prepared.settings.suite.as_ref().map(|(suite, _)| suite.name.value.clone()),
        setup: prepared.settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone()),
        target: options.target.value.clone(),
        mode: options.mode.value.to_string(),
        jobs,
        trials: plan.trials.len() * usize::try_from(options.again.repeat_each).unwrap_or(1),
        seed: options.again.shuffle,
        params: prepared.settings.params.iter().map(|(p, v)| (p.name.clone(), v.value.clone())).collect(),
        prices: prices(&prepared.settings),
        started: jiff::Timestamp::now(),
        shard: options.shard.as_ref().map(|shard| ShardInfo {
            index: shard.value.index,
            count: shard.value.count,
            by: options.split.word().to_owned(),
            planned: plan.planned,
        }),
    }
}

/// What the setup says that models cost.
fn prices(settings: &Settings<'_>) -> Vec<(String, Price)> {
    let written = settings.setup.iter().flat_map(|(setup, _)| &setup.prices.0);
    let price = |price: &TokenPrice| Price { prompt: price.prompt.0, completion: price.answer.0 };
    written.map(|(model, written)| (model.value.clone(), price(written))).collect()
}

/// Under GitHub Actions a run shows itself to its job.
pub(super) fn github(machine: &Machine) -> Option<Github> {
    let summary = machine.var("GITHUB_STEP_SUMMARY").map(std::path::PathBuf::from);
    (machine.var("GITHUB_ACTIONS") == Some("true")).then(|| Github::new(summary))
}

enum Start {
    Failed(SessionError),
    Interrupted,
}

async fn start(spec: SessionSpec<'_>, signals: &mut StopSignals) -> Result<Session, Start> {
    tokio::select! {
        started = Session::start(spec) => started.map_err(Start::Failed),
        () = signals.next() => {
            target::kill_all();
            Err(Start::Interrupted)
        }
    }
}

fn execute(
    prepared: &Prepared<'_>,
    plan: Plan,
    mut session: Session,
    mut reporters: Reporters,
    redactor: Redactor,
    runtime: &Runtime,
    signals: StopSignals,
) -> Result<Course, String> {
    let options = &prepared.options;
    let jobs = session.max_parallel.map_or(options.jobs, |most| most.min(options.jobs));
    let (events, inbox) = mpsc::channel();
    let info = run_info(prepared, jobs, &plan);
    if let Some(shard) = &options.shard {
        anstream::eprintln!("note: shard {} of {} trials ({})", shard.value, plan.planned, shard.origin);
    }
    for note in &session.notes {
        anstream::eprintln!("note: {note}");
    }
    let tells_exchanges = reporters.want_exchanges();
    let reporting = std::thread::spawn(move || {
        for event in inbox {
            reporters.on(&event);
        }
        reporters
    });
    let _ = events.send(Event::RunStarted(info));
    let mut context = context(prepared, &mut session, redactor, jobs == 1, events);
    if tells_exchanges {
        context.exchanges = ExchangeLog::telling(context.events.clone(), context.redactor.clone());
    }
    let context = Arc::new(context);
    let on_signal = runtime.spawn(watch_signals(context.clone(), signals));
    let schedule = Schedule { jobs, max_failures: options.max_failures, rounds: options.again.repeat_each };
    let summary = exec::run(plan.trials, &context, schedule, runtime.handle());
    on_signal.abort();
    if let Some(death) = session.died() {
        anstream::eprintln!("{death}");
    }
    runtime.block_on(session.stop());
    drop(context);
    // The signal task holds the last sender until it is gone.
    let _ = runtime.block_on(on_signal);
    let reporters = reporting.join().map_err(|_| "the reporter panicked".to_owned())?;
    Ok(Course::Ran(Box::new(Ran { summary, reporters })))
}

/// What trials share, with the session's traffic moved into it. `alone` tells that no two trials run at the same time.
fn context(
    prepared: &Prepared<'_>,
    session: &mut Session,
    redactor: Redactor,
    alone: bool,
    events: mpsc::Sender<Event>,
) -> RunContext {
    RunContext {
        transport: session.transport.clone(),
        kind: session.kind,
        facts: Facts::default(),
        fixtures: Fixtures::default(),
        traffic: std::mem::replace(&mut session.traffic, exec::traffic::Traffic::unseen())
            .recorded_by(hint::record_command(prepared))
            .recording_only(prepared.oversight.chosen.clone()),
        root: prepared.project.root.clone(),
        redactor,
        contract: prepared.contract.clone(),
        timeout: prepared.options.timeout,
        retries: prepared.options.again.retries,
        retry_delay: prepared.options.again.retry_delay,
        demands: prepared.oversight.demands.clone(),
        scope_is_known: session.scope_is_known || alone,
        alone: tokio::sync::RwLock::new(()),
        events,
        exchanges: ExchangeLog::default(),
        stop: Stop::default(),
    }
}

/// Starts the target, and what trials share on it, where nobody listens to events.
///
/// # Errors
/// Why the target does not start, without secrets.
pub(super) fn unheard(
    prepared: &Prepared<'_>,
    alone: bool,
    runtime: &Handle,
) -> Result<(RunContext, Session), String> {
    let (spec, redactor) = session_spec(prepared);
    let mut session =
        runtime.block_on(Session::start(spec)).map_err(|error| redactor.apply(&error.to_string()))?;
    let (events, _) = mpsc::channel();
    let context = context(prepared, &mut session, redactor, alone, events);
    Ok((context, session))
}

/// The first Ctrl-C ends running trials and prints what is known; the second ends everything at once.
async fn watch_signals(context: Arc<RunContext>, mut signals: StopSignals) {
    signals.next().await;
    context.stop.interrupt();
    signals.next().await;
    target::kill_all();
    std::process::exit(i32::from(ExitStatus::Interrupted as u8));
}

/// Why no trial is selected.
pub(super) fn nothing(args: &RunArgs, settings: &Settings<'_>) -> String {
    let mut asked: Vec<String> = Vec::new();
    asked.extend(settings.suite.as_ref().map(|(suite, _)| format!("is in suite `{}`", suite.name.value)));
    asked.extend(
        (!args.selectors.is_empty()).then(|| format!("is below `{}`", args.selectors.join("` or `"))),
    );
    asked.extend(args.keyword.as_ref().map(|keyword| format!("matches `-k {keyword}`")));
    let asked = if asked.is_empty() { "is defined in test_cases/".to_owned() } else { asked.join(" and ") };
    format!("no trial {asked} (`runner --list` shows all trials)")
}

/// What the target is started with, and the secrets in it.
fn session_spec<'a>(prepared: &Prepared<'a>) -> (SessionSpec<'a>, Redactor) {
    let options = &prepared.options;
    let env = prepared.settings.plain_env();
    let redactor = Redactor::from_env(&env);
    let models = prepared.settings.params.iter().flat_map(|(_, resolved)| &resolved.value);
    let wanted_providers =
        models.filter_map(|model| model.split_once('/')).map(|(p, _)| p.to_owned()).collect();
    let spec = SessionSpec {
        target: options.target_spec.clone(),
        stack: prepared.stack,
        secrets: redactor.values().to_vec(),
        env,
        mode: options.mode.value,
        recordings: options.recordings.value.clone(),
        replay_speed: options.replay_speed,
        policy: options.policies.forwarding.clone(),
        setup: prepared.settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone()),
        wanted_providers,
        root: prepared.project.root.clone(),
        runner: prepared.machine.runner.clone(),
    };
    (spec, redactor)
}
