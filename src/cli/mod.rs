//! Arguments, subcommands, exit status. The only place that knows clap.

mod args;
mod exit;
mod explain;
pub mod harness;
mod hint;
mod machine;
mod options;
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

pub use exit::ExitStatus;
pub use machine::Machine;

use args::{Action, RunArgs};
use options::RunOptions;

use crate::plan::params::{self, Parameter};
use crate::plan::resolve;
use crate::schema::Documents;
use crate::source::Problems;
use crate::source::project::Project;

/// The whole program.
pub fn main(machine: &Machine) -> ExitStatus {
    install_panic_hook();
    let start = machine.root_flag().map_or_else(|| machine.cwd.clone(), |root| machine.cwd.join(root));
    let project = Project::find(&start);
    let (documents, problems) = project.as_ref().map(Documents::load).unwrap_or_default();
    let parameters = params::find(&documents.setups, &documents.cases);
    let command = args::command(&documents, &parameters);
    let (cli, params) = match args::parse(command, &parameters, &machine.argv) {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { ExitStatus::Passed } else { ExitStatus::Usage };
        }
    };
    let loaded = Loaded { project, documents, problems, parameters };
    let result = match cli.command {
        None => with_plan(machine, &loaded, &cli.run, params, false),
        Some(Action::Explain(run)) => with_plan(machine, &loaded, &run, params, true),
        Some(Action::Serve(args)) => serve::stack(&args, machine),
        Some(Action::Proxy(args)) => serve::proxy(&args, machine),
        Some(Action::Recordings(args)) => Ok(recordings::run(&args, machine, &loaded)),
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
    let prepared = RunOptions::resolve(run_args, params, machine, project).and_then(|options| {
        let settings = resolve::resolve(&loaded.documents, &loaded.parameters, &options.inputs)?;
        // All mistakes of the tree at once: those of reading with those of planning.
        let mut problems = loaded.problems.clone();
        match crate::plan::build(&loaded.documents, &settings, &options.selection) {
            Ok(plan) => problems.or((options, settings, plan)),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    });
    let (options, settings, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(mut problems) => {
            problems.extend(loaded.problems.clone());
            anstream::eprintln!("{}", problems.render(color));
            return Ok(ExitStatus::Usage);
        }
    };
    if explain {
        anstream::println!("{}", explain::explain(&options, &settings, &plan));
        return Ok(ExitStatus::Passed);
    }
    if run_args.list {
        anstream::println!("{}", explain::list(&plan, run_args.format));
        return Ok(if plan.trials.is_empty() { ExitStatus::NothingRun } else { ExitStatus::Passed });
    }
    let prepared = run::Prepared {
        project,
        documents: &loaded.documents,
        options: &options,
        settings: &settings,
        machine,
    };
    run::run(&prepared, plan, &run_args.report)
}

/// A panic must not leave server processes behind.
fn install_panic_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        crate::target::kill_all();
        default(info);
    }));
}
