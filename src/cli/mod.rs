//! Arguments, subcommands, exit status. The only place that knows clap.

mod args;
mod exit;
mod explain;
pub mod harness;
mod hint;
mod machine;
mod matrix;
mod merge;
mod options;
mod proxy;
mod recordings;
mod recordings_care;
mod recordings_diff;
mod recordings_import;
mod recordings_look;
mod recordings_prune;
mod recordings_text;
mod recordings_why;
mod run;
mod serve;
mod shard;
mod signals;

pub use exit::ExitStatus;
pub use machine::Machine;

use args::{Action, RunArgs};
use options::RunOptions;

use run::Prepared;

use crate::plan::params::{self, Parameter};
use crate::plan::{self, Plan, resolve};
use crate::schema::Documents;
use crate::source::Problems;
use crate::source::project::Project;

/// The whole program.
pub fn main(machine: &Machine) -> ExitStatus {
    install_panic_hook();
    let loaded = Loaded::read(machine);
    let command = args::command(&loaded.documents, &loaded.parameters);
    let (cli, params) = match args::parse(command, &loaded.parameters, &machine.argv) {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { ExitStatus::Passed } else { ExitStatus::Usage };
        }
    };
    let result = match cli.command {
        None => with_plan(machine, &loaded, &cli.run, params, false),
        Some(Action::Explain(run)) => with_plan(machine, &loaded, &run, params, true),
        Some(Action::Serve(args)) => serve::stack(&args, machine),
        Some(Action::Proxy(args)) => proxy::serve(&args, machine, &loaded.documents.stacks),
        Some(Action::Recordings(args)) => Ok(recordings::run(&args, machine, &loaded)),
        Some(Action::Matrix(args)) => Ok(matrix::matrix(&args, machine, &loaded)),
        Some(Action::Merge(args)) => merge::merge(&args, machine),
    };
    result.unwrap_or_else(|message| {
        anstream::eprintln!("internal error: {message}");
        ExitStatus::Internal
    })
}

/// What was found on disk.
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

fn with_plan(
    machine: &Machine,
    loaded: &Loaded,
    run_args: &RunArgs,
    params: Vec<(String, String)>,
    explain: bool,
) -> Result<ExitStatus, String> {
    let color = options::color(run_args.color, machine, machine.stderr_is_terminal);
    let Some(project) = &loaded.project else {
        anstream::eprintln!(
            "error: there is no project here: no directory upwards has suites/ and test_cases/ (see --root)"
        );
        return Ok(ExitStatus::Usage);
    };
    let (prepared, plan) = match prepare(machine, project, loaded, run_args, params) {
        Ok(prepared) => prepared,
        Err(problems) => {
            anstream::eprintln!("{}", problems.render(color));
            return Ok(ExitStatus::Usage);
        }
    };
    if explain {
        anstream::println!("{}", explain::explain(&prepared.options, &prepared.settings, &plan));
        return Ok(ExitStatus::Passed);
    }
    let plan = match &prepared.options.shard {
        Some(shard) => plan.shard(shard.value, &prepared.options.split),
        None => plan,
    };
    if run_args.list && (run_args.format == args::ListFormat::Json || !plan.trials.is_empty()) {
        anstream::println!("{}", explain::list(&plan, run_args.format));
    }
    if plan.planned == 0 {
        anstream::eprintln!("nothing was run: {}", run::nothing(run_args));
        return Ok(ExitStatus::NothingRun);
    }
    if run_args.list {
        return Ok(ExitStatus::Passed);
    }
    run::run(&prepared, plan, &run_args.report)
}

/// Everything that a run needs, or all that is wrong: what reading found with what planning found.
fn prepare<'a>(
    machine: &'a Machine,
    project: &'a Project,
    loaded: &'a Loaded,
    run_args: &RunArgs,
    params: Vec<(String, String)>,
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
    match (stack, plan) {
        (Some(stack), Some(plan)) => {
            problems.or((Prepared { project, stack, options, settings, machine }, plan))
        }
        _ => Err(problems),
    }
}

/// A panic must not leave server processes behind.
fn install_panic_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        crate::target::kill_all();
        default(info);
    }));
}
