//! The project's cases as a libtest-compatible binary, for `cargo test` and `cargo nextest`: the suite `base` with
//! the setup `llama-cpp` on the in-process stack, replayed from the repository's recordings.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Handle, Runtime};

use super::exit::ExitStatus;
use super::machine::Machine;
use super::run::{self, Prepared};
use super::{Loaded, Purpose, args, prepare};
use crate::exec::event::Failure;
use crate::exec::session::Session;
use crate::exec::{RunContext, libtest_trials};
use crate::plan::Plan;
use crate::report::text;

/// What is run, said in full: nothing of the environment may change it.
const RUN: [&str; 5] =
    ["runner", "--suite=base", "--setup=llama-cpp", "--stack-config=starter", "--inference-mode=replay"];

/// Lists or runs the cases as the process's own arguments say.
pub fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let machine = Machine {
        argv: RUN.iter().map(Into::into).collect(),
        env: BTreeMap::new(),
        reads_dotenv: false,
        ..Machine::read()
    };
    match run(machine, &arguments) {
        Ok(code) => code,
        Err(message) => {
            anstream::eprintln!("{message}");
            ExitStatus::Usage.into()
        }
    }
}

fn run(machine: Machine, arguments: &libtest_mimic::Arguments) -> Result<ExitCode, String> {
    let (prepared, plan) = plan(machine)?;
    let runtime = Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let session = Arc::new(Lazy { prepared, runtime: runtime.handle().clone(), started: OnceLock::new() });
    let lazy = session.clone();
    let trials = libtest_trials(plan.trials, move || lazy.context(), runtime.handle(), text::failure);
    let conclusion = libtest_mimic::run(arguments, trials);
    let unclean = session.finish();
    for failure in &unclean {
        anstream::eprintln!("{}", text::failure(failure));
    }
    let stray = session.stray_misses();
    for miss in &stray {
        anstream::eprintln!("replay miss outside any trial:\n{miss}");
    }
    Ok(if !unclean.is_empty() {
        ExitStatus::TestsFailed.into()
    } else if !stray.is_empty() {
        ExitStatus::ReplayMisses.into()
    } else {
        conclusion.exit_code()
    })
}

/// Trials live as long as the process, and so does what they are made from.
fn plan(machine: Machine) -> Result<(Prepared<'static>, Plan), String> {
    let machine: &'static Machine = Box::leak(Box::new(machine));
    let loaded: &'static Loaded = Box::leak(Box::new(Loaded::read(machine)));
    let project =
        loaded.project.as_ref().ok_or("there is no project here: suites/ and test_cases/ are needed")?;
    let command = args::command(&loaded.documents, &loaded.parameters);
    let (cli, params) =
        args::parse(command, &loaded.parameters, &machine.argv).map_err(|error| error.to_string())?;
    prepare(machine, project, loaded, &cli.run, params, Purpose::Run)
        .map_err(|problems| problems.render(false))
}

/// The stack, started by the first trial: listing starts nothing.
struct Lazy {
    prepared: Prepared<'static>,
    runtime: Handle,
    started: OnceLock<Result<(Arc<RunContext>, Session), String>>,
}

impl Lazy {
    fn context(&self) -> Result<Arc<RunContext>, String> {
        let started = self.started.get_or_init(|| {
            // libtest's own printer reports; nobody listens to events.
            let (context, session) = run::unheard(&self.prepared, false, &self.runtime)?;
            Ok((Arc::new(context), session))
        });
        started.as_ref().map(|(context, _)| context.clone()).map_err(Clone::clone)
    }

    /// Takes down the fixtures that trials of this process used.
    fn finish(&self) -> Vec<Failure> {
        match self.started.get() {
            Some(Ok((context, _))) => self.runtime.block_on(context.fixtures.finish(context)),
            _ => Vec::new(),
        }
    }

    fn stray_misses(&self) -> Vec<String> {
        match self.started.get() {
            Some(Ok((context, _))) => context.traffic.stray_misses(),
            _ => Vec::new(),
        }
    }
}
