//! `runner check`: everything that can be wrong with a project, without running anything; `runner schema`: what its
//! files may look like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Loaded;
use super::args::{ColorChoice, ListFormat};
use super::exit::ExitStatus;
use super::machine::Machine;
use super::options;
use crate::plan::resolve::SuiteChoice;
use crate::plan::{Inputs, Selection, build, expectations, lint, resolve};
use crate::report::text::count;
use crate::schema::{FileKind, verify_schemas};
use crate::source::parallel::in_parallel;
use crate::source::{Problem, Problems};

#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// Form of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: ListFormat,
    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorChoice,
    /// The project [default: the nearest directory upwards with suites/ and test_cases/]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct SchemaArgs {
    /// The kind of file, by the folder it lies in
    #[arg(value_parser = FileKind::ALL.map(FileKind::name))]
    pub kind: String,
}

/// Prints the JSON Schema of a kind of file.
pub(super) fn schema(args: &SchemaArgs) -> Result<ExitStatus, String> {
    let kind = FileKind::of(&args.kind).ok_or("a kind that the arguments know is unknown here")?;
    let text = serde_json::to_string_pretty(&kind.schema()).map_err(|error| error.to_string())?;
    anstream::println!("{text}");
    Ok(ExitStatus::Passed)
}

/// Checks the whole project and prints what is wrong.
pub(super) fn check(args: &CheckArgs, machine: &Machine, loaded: &Loaded) -> ExitStatus {
    let Some(project) = &loaded.project else {
        anstream::eprintln!("{}", super::NO_PROJECT);
        return ExitStatus::Usage;
    };
    let documents = &loaded.documents;
    let mut problems = loaded.problems.clone();
    let (plans, known) = every_plan(loaded, &mut problems);
    expectations::stale(documents, &known, machine.today, &mut problems);
    lint::documents(documents, &loaded.parameters, &mut problems);
    for suite in &documents.suites {
        super::contract(project, suite, &mut problems);
    }
    verify_schemas(project, &mut problems);
    let cases = documents.cases.iter().map(|file| file.cases.len()).sum();
    let checked = [
        (documents.suites.len(), "suite"),
        (documents.setups.len(), "setup"),
        (documents.stacks.len(), "stack"),
        (cases, "case"),
        (plans, "plan"),
    ];
    let wrong = !problems.is_empty();
    match args.format {
        ListFormat::Json => {
            let mut report: serde_json::Map<String, Value> =
                checked.iter().map(|(number, what)| (format!("{what}s"), json!(number))).collect();
            report.insert("problems".to_owned(), problems.sorted().into_iter().map(problem).collect());
            anstream::println!("{:#}", Value::Object(report));
        }
        ListFormat::Text if wrong => {
            let color = options::color(args.color, machine, machine.stderr_is_terminal);
            anstream::eprintln!("{}", problems.render(color));
        }
        ListFormat::Text => {
            let checked: Vec<String> = checked.iter().map(|(number, what)| count(*number, what)).collect();
            anstream::println!("{}: nothing is wrong", checked.join(", "));
        }
    }
    if wrong { ExitStatus::Usage } else { ExitStatus::Passed }
}

/// The ids of all trials, by setup.
type Known = BTreeMap<Option<String>, BTreeSet<String>>;

/// Plans every suite with every setup, and without either; how many there were, and what they know.
fn every_plan(loaded: &Loaded, problems: &mut Problems) -> (usize, Known) {
    let documents = &loaded.documents;
    let suites = documents.suites.iter().map(|suite| Some(suite.name.value.clone()));
    let setups = documents.setups.iter().map(|setup| Some(setup.name.value.clone()));
    let setups: Vec<_> = setups.chain([None]).collect();
    let mut inputs = Vec::new();
    for suite in suites.chain([None]) {
        let choice = suite.map_or(SuiteChoice::All, SuiteChoice::Named);
        let with = |setup: &Option<String>| Inputs {
            suite: choice.clone(),
            setup: setup.clone(),
            ..Inputs::default()
        };
        inputs.extend(setups.iter().map(with));
    }
    let plans = in_parallel(&inputs, |inputs| {
        let mut problems = Problems::default();
        let settings = resolve::resolve(documents, &loaded.parameters, inputs, &mut problems);
        let setup = settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone());
        let plan = build(documents, &settings, &Selection::default());
        (setup, plan.map(|plan| plan.known), problems)
    });
    let mut known = Known::new();
    for (setup, plan, more) in plans {
        problems.extend(more);
        match plan {
            Ok(trials) => known.entry(setup).or_default().extend(trials),
            Err(more) => problems.extend(more),
        }
    }
    (inputs.len(), known)
}

fn problem(problem: &Problem) -> Value {
    let place = problem.span.as_ref().map(|span| (span.file.path.display().to_string(), span.line_column()));
    let (file, line, column) = match place {
        Some((file, (line, column))) => (Some(file), Some(line), Some(column)),
        None => (None, None, None),
    };
    json!({"message": problem.message, "file": file, "line": line, "column": column, "help": problem.help})
}
