//! Arguments, subcommands, exit status. The only place that knows clap.

mod again;
mod args;
mod check;
mod compare;
mod completions;
mod exit;
mod explain;
pub mod harness;
mod hint;
mod init;
mod machine;
mod man;
mod matrix;
mod merge;
mod mutate;
mod options;
mod policies;
mod proxy;
mod recordings;
mod recordings_care;
mod recordings_diff;
mod recordings_import;
mod recordings_look;
mod recordings_prune;
mod recordings_text;
mod recordings_why;
mod rerecord;
mod run;
mod scaffold;
mod serve;
mod shard;
mod signals;

pub use exit::ExitStatus;
pub use machine::Machine;

use std::sync::Arc;

use args::{Action, ListFormat, RunArgs};
use mutate::MutateArgs;
use options::RunOptions;
use rerecord::RerecordArgs;

use run::Prepared;

use crate::check::Contract;
use crate::plan::params::{self, Parameter};
use crate::plan::{self, Plan, resolve};
use crate::report::history::HistoryKeeper;
use crate::schema::{self, Documents, Suite};
use crate::source::Problems;
use crate::source::project::Project;

/// The whole program.
pub fn main(machine: &Machine) -> ExitStatus {
    install_panic_hook();
    let loaded = if args::needs_project(machine) { Loaded::read(machine) } else { Loaded::default() };
    let command = args::command(&loaded.documents, &loaded.parameters);
    if let Some(shell) = completions::asked(machine) {
        return finish(completions::answer(shell, command, &loaded.documents, machine));
    }
    let (cli, params) = match args::parse(command, &loaded.parameters, &machine.argv) {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { ExitStatus::Passed } else { ExitStatus::Usage };
        }
    };
    let result = match cli.command {
        None => {
            let purpose = if cli.listing.list { Purpose::List(cli.listing.format) } else { Purpose::Run };
            with_plan(machine, &loaded, &cli.run, params, purpose)
        }
        Some(Action::Explain(run)) => with_plan(machine, &loaded, &run, params, Purpose::Explain),
        Some(Action::Mutate(args)) => with_plan(machine, &loaded, &args.run, params, Purpose::Mutate(&args)),
        Some(Action::Rerecord(args)) => match args.refused() {
            Some(refused) => {
                anstream::eprintln!("error: {refused}");
                Ok(ExitStatus::Usage)
            }
            None => with_plan(machine, &loaded, &args.run, params, Purpose::Rerecord(&args)),
        },
        Some(Action::Check(args)) => Ok(check::check(&args, machine, &loaded)),
        Some(Action::Schema(args)) => check::schema(&args),
        Some(Action::Serve(args)) => serve::stack(&args, machine),
        Some(Action::Proxy(args)) => proxy::serve(&args, machine, &loaded.documents.stacks),
        Some(Action::Recordings(args)) => Ok(recordings::run(&args, machine, &loaded)),
        Some(Action::Matrix(args)) => Ok(matrix::matrix(&args, machine, &loaded)),
        Some(Action::Merge(args)) => merge::merge(&args, machine),
        Some(Action::Compare(args)) => Ok(compare::compare(&args, machine)),
        Some(Action::Init(args)) => Ok(init::init(&args, machine)),
        Some(Action::Completions(args)) => completions::register(&args),
        Some(Action::Man(args)) => man::man(&args, args::bare(), machine),
    };
    // The process ends: taking the documents apart, node by node, would be time for nothing.
    std::mem::forget(loaded);
    finish(result)
}

fn finish(result: Result<ExitStatus, String>) -> ExitStatus {
    result.unwrap_or_else(|message| {
        anstream::eprintln!("internal error: {message}");
        ExitStatus::Internal
    })
}

/// What was found on disk.
#[derive(Default)]
struct Loaded {
    project: Option<Project>,
    documents: Documents,
    problems: Problems,
    parameters: Vec<Parameter>,
}

impl Loaded {
    fn read(machine: &Machine) -> Self {
        let start = machine.root_flag().map_or_else(|| machine.cwd.clone(), |root| machine.cwd.join(root));
        let project = Project::find(&start);
        let (documents, problems) = project.as_ref().map(Documents::load).unwrap_or_default();
        let parameters = params::find(&documents.setups, &documents.cases);
        Self { project, documents, problems, parameters }
    }
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
enum Purpose<'a> {
    Run,
    List(ListFormat),
    Explain,
    Mutate(&'a MutateArgs),
    Rerecord(&'a RerecordArgs),
}

const NO_PROJECT: &str = "error: there is no project here: no directory upwards has suites/ and test_cases/ (see --root);\n\
     `runner init` makes one";

fn with_plan(
    machine: &Machine,
    loaded: &Loaded,
    run_args: &RunArgs,
    params: Vec<(String, String)>,
    purpose: Purpose<'_>,
) -> Result<ExitStatus, String> {
    let color = options::color(run_args.color, machine, machine.stderr_is_terminal);
    let Some(project) = &loaded.project else {
        anstream::eprintln!("{NO_PROJECT}");
        return Ok(ExitStatus::Usage);
    };
    let (prepared, plan) = match prepare(machine, project, loaded, run_args, params, purpose) {
        Ok(prepared) => prepared,
        Err(problems) => {
            anstream::eprintln!("{}", problems.render(color));
            return Ok(ExitStatus::Usage);
        }
    };
    if matches!(purpose, Purpose::Explain) {
        anstream::println!("{}", explain::explain(&prepared.options, &prepared.settings, &plan));
        return Ok(ExitStatus::Passed);
    }
    let mut plan = match &prepared.options.shard {
        Some(shard) => plan.shard(shard.value, &prepared.options.split),
        None => plan,
    };
    again::shuffle(&mut plan, prepared.options.again.shuffle);
    if let Purpose::List(format) = purpose
        && (format == ListFormat::Json || !plan.trials.is_empty())
    {
        anstream::println!("{}", explain::list(&plan, format));
    }
    if plan.planned == 0 {
        anstream::eprintln!("nothing was run: {}", run::nothing(run_args, &prepared.settings));
        return Ok(ExitStatus::NothingRun);
    }
    for note in prepared.note.iter().chain(&plan.notes) {
        anstream::eprintln!("note: {note}");
    }
    match purpose {
        Purpose::Mutate(args) => mutate::mutate(&prepared, &plan, args),
        Purpose::Rerecord(args) => rerecord::rerecord(prepared, plan, args),
        Purpose::Run => run::run(prepared, plan, &run_args.report),
        Purpose::Explain | Purpose::List(_) => {
            // As with the documents.
            std::mem::forget(plan);
            Ok(ExitStatus::Passed)
        }
    }
}

/// Everything that a run needs, or all that is wrong: what reading found with what planning found.
fn prepare<'a>(
    machine: &'a Machine,
    project: &'a Project,
    loaded: &'a Loaded,
    run_args: &RunArgs,
    params: Vec<(String, String)>,
    purpose: Purpose<'_>,
) -> Result<(Prepared<'a>, Plan), Problems> {
    let mut problems = loaded.problems.clone();
    let options = match RunOptions::resolve(run_args, params, machine, project) {
        Ok(options) => options,
        Err(more) => {
            problems.extend(more);
            return Err(problems);
        }
    };
    let documents = &loaded.documents;
    let settings = resolve::resolve(documents, &loaded.parameters, &options.inputs, &mut problems);
    let stack = resolve::stack(documents, &options.stack, &mut problems);
    let plan = match plan::build(documents, &settings, &options.selection) {
        Ok(plan) => Some(plan),
        Err(more) => {
            problems.extend(more);
            None
        }
    };
    let runs = !matches!(purpose, Purpose::List(_) | Purpose::Explain);
    let suite = settings.suite.as_ref().filter(|_| runs && !run_args.no_contract);
    let contract = suite.and_then(|(suite, _)| contract(project, suite, &mut problems));
    if runs {
        schema::verify_schemas(project, &mut problems);
    }
    match (stack, plan) {
        (Some(stack), Some(mut plan)) => {
            let occasion = again::occasion(&options, &settings);
            let history = again::state_directory(machine, project);
            let note = again::select(&mut plan, &run_args.again, history.as_ref(), &occasion);
            let history = history.map(|dir| HistoryKeeper { dir, occasion });
            let oversight = options.policies.oversight(&settings, &plan);
            problems.extend(oversight.problems(&plan, options.mode.value));
            problems.or((
                Prepared { project, stack, options, settings, machine, oversight, contract, history, note },
                plan,
            ))
        }
        _ => Err(problems),
    }
}

/// What a suite says that the target answers.
fn contract(project: &Project, suite: &Suite, problems: &mut Problems) -> Option<Arc<Contract>> {
    let files = schema::contract::read(project, &suite.contract, problems);
    (!files.is_empty()).then(|| Arc::new(plan::contract(files, problems)))
}

/// A panic must not leave server processes behind.
fn install_panic_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        crate::target::kill_all();
        default(info);
    }));
}
