//! `matrix`: the jobs of CI, for GitHub's `fromJSON`, a GitLab child pipeline, or to be read.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Loaded;
use super::args::{MatrixArgs, MatrixFormat};
use super::exit::ExitStatus;
use super::machine::Machine;
use super::options;
use crate::plan::ci::{self, Job, List};
use crate::record::setups_recorded;
use crate::schema::ci::CiMatrix;
use crate::schema::parse;
use crate::source::{Problem, Problems, SourceFile};

/// The names that are looked for in the project's root.
const FILES: [&str; 3] = ["ci_matrix.yaml", "ci_matrix.yml", "ci_matrix.json"];

pub(super) fn matrix(args: &MatrixArgs, machine: &Machine, loaded: &Loaded) -> ExitStatus {
    match jobs(args, machine, loaded) {
        Ok(jobs) => {
            anstream::println!("{}", print(&jobs, args));
            ExitStatus::Passed
        }
        Err(problems) => {
            let color = options::color(args.color, machine, machine.stderr_is_terminal);
            anstream::eprintln!("{}", problems.render(color));
            ExitStatus::Usage
        }
    }
}

fn jobs(args: &MatrixArgs, machine: &Machine, loaded: &Loaded) -> Result<Vec<Job>, Problems> {
    let mut problems = loaded.problems.clone();
    let Some(project) = &loaded.project else {
        problems
            .push(Problem::new("there is no project here: no directory upwards has suites/ and test_cases/"));
        return Err(problems);
    };
    let file = match &args.file {
        Some(file) => SourceFile::read(&machine.cwd.join(file), file),
        None => match FILES.iter().find(|name| project.root.join(name).is_file()) {
            Some(name) => SourceFile::read(&project.root.join(name), Path::new(name)),
            None => Err(Problem::new("there is no ci_matrix.yaml in the project's root").help(
                "it lists what CI runs, as `default: [{suite: base, setup: ollama, shards: 2}]`; --file names another",
            )),
        },
    };
    let matrix = file.map_err(|problem| problems.push(problem)).ok();
    let matrix = matrix.and_then(|file| parse::<CiMatrix>(&file, &mut problems));
    let Some(matrix) = matrix else { return Err(problems) };
    let list = args.schedule.clone().map_or(List::Default, List::Schedule);
    let mut jobs = ci::jobs(&matrix, &list, &loaded.documents, &mut problems);
    if let Some(reference) = &args.changed_since {
        match changed(&project.root, reference) {
            Ok(files) => jobs.retain(|job| ci::concerns(job, &files, &loaded.documents)),
            Err(message) => problems.push(Problem::new(format!("--changed-since {reference}: {message}"))),
        }
    }
    if args.recorded {
        let dir = args
            .recording_dir
            .as_ref()
            .map_or_else(|| project.root.join("recordings"), |dir| machine.cwd.join(dir));
        match setups_recorded(&dir) {
            Ok(setups) => jobs.retain(|job| job.setup.as_ref().is_some_and(|setup| setups.contains(setup))),
            Err(message) => problems.push(Problem::new(format!("--recorded: {message}"))),
        }
    }
    problems.or(jobs)
}

/// Files that differ from where this branch left `reference`, from the project's root; new ones count too.
fn changed(root: &Path, reference: &str) -> Result<BTreeSet<String>, String> {
    if reference.starts_with('-') {
        return Err("this is no name of a commit".to_owned());
    }
    let range = format!("{reference}...");
    let committed = git(root, &["diff", "--name-only", "--relative", "-z", &range])?;
    let working = git(root, &["diff", "--name-only", "--relative", "-z", "HEAD"])?;
    let new = git(root, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    Ok([committed, working, new]
        .concat()
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect())
}

fn git(root: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git").args(args).current_dir(root).output();
    let output = output.map_err(|error| format!("git cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn print(jobs: &[Job], args: &MatrixArgs) -> String {
    match args.format {
        MatrixFormat::Text => {
            let width = jobs.iter().map(|job| job.name().len()).max().unwrap_or(0);
            let lines = jobs.iter().map(|job| format!("{:<width$}  {}\n", job.name(), job.args().join(" ")));
            let count = crate::report::text::count(jobs.len(), "job");
            lines.chain([count]).collect()
        }
        // One line: `echo "matrix=$(runner matrix)" >> "$GITHUB_OUTPUT"` takes no more.
        MatrixFormat::Github => json!({"include": jobs.iter().map(github).collect::<Vec<_>>()}).to_string(),
        MatrixFormat::Gitlab => gitlab(jobs, args),
    }
}

fn github(job: &Job) -> Value {
    json!({
        "name": job.name(), "args": job.args().join(" "), "suite": job.suite, "setup": job.setup,
        "stack_config": job.stack_config, "stack": job.stack, "inference_mode": job.inference_mode,
        "shard": job.shard.map(|shard| shard.to_string()),
    })
}

/// A pipeline of jobs that extend a hidden job of the file it includes. JSON is YAML.
fn gitlab(jobs: &[Job], args: &MatrixArgs) -> String {
    let mut pipeline = serde_json::Map::new();
    pipeline.insert("include".to_owned(), json!([{"local": args.gitlab_include}]));
    if jobs.is_empty() {
        // GitLab refuses a pipeline without jobs.
        pipeline.insert("nothing-to-run".to_owned(), json!({"script": ["echo no job is concerned"]}));
    }
    for job in jobs {
        let entry = json!({
            "extends": args.gitlab_extends,
            "variables": {"RUNNER_JOB": job.name(), "RUNNER_ARGS": job.args().join(" ")},
        });
        pipeline.insert(job.name(), entry);
    }
    format!("{:#}", Value::Object(pipeline))
}
