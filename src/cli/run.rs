//! A run: load, plan, start the target, execute, report, stop.

use std::sync::{Arc, mpsc};

use tokio::runtime::Runtime;

use super::exit::ExitStatus;
use super::hint;
use super::machine::Machine;
use super::options::RunOptions;
use crate::exec::event::{Event, RunInfo};
use crate::exec::facts::Facts;
use crate::exec::session::{Session, SessionError, SessionSpec};
use crate::exec::{self, RunContext, Schedule, Stop};
use crate::plan::{Plan, Settings};
use crate::report::console::{Console, ConsoleOptions};
use crate::report::{ReportSpec, Reporters};
use crate::schema::Documents;
use crate::secret::Redactor;
use crate::source::nearest::suggestion;
use crate::source::project::Project;
use crate::source::{Problem, Problems};
use crate::target;

/// What a run works on, all of it known before anything starts.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub project: &'a Project,
    pub documents: &'a Documents,
    pub options: &'a RunOptions,
    pub settings: &'a Settings<'a>,
    pub machine: &'a Machine,
}

/// Runs a plan; the reports are written, the target is stopped.
pub(super) fn run(prepared: &Prepared<'_>, plan: Plan, reports: &[ReportSpec]) -> Result<ExitStatus, String> {
    if plan.trials.is_empty() {
        anstream::eprintln!("nothing was run: no trial is selected (`--list` without filters shows all)");
        return Ok(ExitStatus::NothingRun);
    }
    let spec = match session_spec(prepared) {
        Ok(spec) => spec,
        Err(problems) => {
            anstream::eprintln!("{}", problems.render(prepared.options.color));
            return Ok(ExitStatus::Usage);
        }
    };
    let console = Console::new(
        ConsoleOptions {
            verbosity: prepared.options.verbosity,
            color: prepared.options.color,
            progress: prepared.options.progress,
        },
        Box::new(std::io::stdout()),
    );
    let reporters = match Reporters::new(console, reports) {
        Ok(reporters) => reporters,
        Err(message) => {
            anstream::eprintln!("error: {message}");
            return Ok(ExitStatus::Usage);
        }
    };
    let runtime = Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let secrets = Redactor::from_env(&spec.env);
    let session = match runtime.block_on(start(spec)) {
        Ok(session) => session,
        Err(Start::Interrupted) => return Ok(ExitStatus::Interrupted),
        Err(Start::Failed(error)) => {
            anstream::eprintln!("error: {}", secrets.apply(&error.to_string()));
            let definition = error.is_definition();
            return Ok(if definition { ExitStatus::Usage } else { ExitStatus::TargetDidNotStart });
        }
    };
    execute(prepared, plan, session, reporters, secrets, &runtime)
}

enum Start {
    Failed(SessionError),
    Interrupted,
}

async fn start(spec: SessionSpec<'_>) -> Result<Session, Start> {
    tokio::select! {
        started = Session::start(spec) => started.map_err(Start::Failed),
        _ = tokio::signal::ctrl_c() => {
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
) -> Result<ExitStatus, String> {
    let options = prepared.options;
    let jobs = session.max_parallel.map_or(options.jobs, |most| most.min(options.jobs));
    let (events, inbox) = mpsc::channel();
    let info = RunInfo {
        suite: prepared.settings.suite.map(|suite| suite.name.value.clone()),
        setup: prepared.settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone()),
        target: options.target.value.clone(),
        mode: options.mode.value.to_string(),
        jobs,
        trials: plan.trials.len(),
        params: prepared.settings.params.iter().map(|(p, v)| (p.name.clone(), v.value.clone())).collect(),
    };
    for note in &session.notes {
        anstream::eprintln!("note: {note}");
    }
    let reporting = std::thread::spawn(move || {
        for event in inbox {
            reporters.on(&event);
        }
        reporters
    });
    let _ = events.send(Event::RunStarted(info));
    let context = Arc::new(RunContext {
        transport: session.transport.clone(),
        kind: session.kind,
        facts: Facts::default(),
        traffic: std::mem::replace(&mut session.traffic, exec::traffic::Traffic::unseen())
            .recorded_by(hint::record_command(prepared)),
        root: prepared.project.root.clone(),
        redactor,
        timeout: options.timeout,
        retries: options.retries,
        scope_is_known: session.scope_is_known || jobs == 1,
        alone: tokio::sync::RwLock::new(()),
        events,
        stop: Stop::default(),
    });
    let on_signal = runtime.spawn(watch_signals(context.clone()));
    let schedule = Schedule { jobs, max_failures: options.max_failures };
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
    match reporters.problems() {
        [] => Ok(ExitStatus::from(&summary)),
        problems => Err(problems.join("\n")),
    }
}

/// The first Ctrl-C ends running trials and prints what is known; the second ends everything at once.
async fn watch_signals(context: Arc<RunContext>) {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut terminate) = terminate else { return };
    for round in 0.. {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        if round == 0 {
            context.stop.interrupt();
        } else {
            target::kill_all();
            std::process::exit(i32::from(ExitStatus::Interrupted as u8));
        }
    }
}

fn session_spec<'a>(prepared: &Prepared<'a>) -> Result<SessionSpec<'a>, Problems> {
    let options = prepared.options;
    let stacks = &prepared.documents.stacks;
    let Some(stack) = stacks.iter().find(|stack| stack.name.value == options.stack) else {
        let known: Vec<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
        let problem = Problem::new(format!("there is no stack `{}`", options.stack));
        return Err(problem.help(suggestion(&options.stack, &known)).into());
    };
    let env = prepared.settings.plain_env();
    let models = prepared.settings.params.iter().flat_map(|(_, resolved)| &resolved.value);
    let wanted_providers =
        models.filter_map(|model| model.split_once('/')).map(|(p, _)| p.to_owned()).collect();
    Ok(SessionSpec {
        target: options.target_spec.clone(),
        stack,
        secrets: Redactor::from_env(&env).values().to_vec(),
        env,
        mode: options.mode.value,
        recordings: options.recordings.value.clone(),
        setup: prepared.settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone()),
        wanted_providers,
        root: prepared.project.root.clone(),
        runner: prepared.machine.runner.clone(),
    })
}
