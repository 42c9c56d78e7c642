//! `merge`: the JSON Lines of shards and setups into one report and one exit status.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::MergeArgs;
use super::exit::ExitStatus;
use super::machine::Machine;
use super::{options, run};
use crate::exec::event::Event;
use crate::report::Reporters;
use crate::report::console::{Console, ConsoleOptions, Verbosity};
use crate::report::merge::{Merged, Part};
use crate::report::read::RecordedRun;

pub(super) fn merge(args: &MergeArgs, machine: &Machine) -> Result<ExitStatus, String> {
    let parts = match read(&args.runs, machine) {
        Ok(read) if read.runs.is_empty() => {
            anstream::eprintln!("error: only exchanges are in it, no run; --report PATH.jsonl writes one");
            return Ok(ExitStatus::Usage);
        }
        Ok(read) => read.runs,
        Err(problems) => {
            problems.iter().for_each(|problem| anstream::eprintln!("error: {problem}"));
            return Ok(ExitStatus::Usage);
        }
    };
    let merged = Merged::of(parts);
    let console = Console::new(
        ConsoleOptions {
            verbosity: if args.verbose { Verbosity::Verbose } else { Verbosity::Quiet },
            color: options::color(args.color, machine, machine.stdout_is_terminal),
            progress: false,
            durations: args.durations,
        },
        Box::new(std::io::stdout()),
    );
    let mut reporters = match Reporters::new(console, &args.report) {
        Ok(reporters) => reporters.with_github(run::github(machine)),
        Err(message) => {
            anstream::eprintln!("error: {message}");
            return Ok(ExitStatus::Usage);
        }
    };
    reporters.on(&Event::RunStarted(merged.info));
    for trial in merged.trials {
        reporters.on(&Event::TrialFinished(Box::new(trial)));
    }
    reporters.on(&Event::RunFinished(merged.summary.clone()));
    for note in &merged.notes {
        anstream::eprintln!("note: {note}");
    }
    for gap in &merged.gaps {
        anstream::eprintln!("error: {gap}");
    }
    match reporters.problems() {
        [] if merged.gaps.is_empty() => Ok(ExitStatus::from(&merged.summary)),
        // What is missing may have failed.
        [] => Ok(match ExitStatus::from(&merged.summary) {
            ExitStatus::Interrupted => ExitStatus::Interrupted,
            _ => ExitStatus::TestsFailed,
        }),
        problems => Err(problems.join("\n")),
    }
}

/// Files of JSON Lines, by what is in them.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub runs: Vec<Part>,
    pub exchanges: Vec<Part>,
}

/// Every run, under the path it came from; a folder stands for the `.jsonl` files in it.
pub(super) fn read(paths: &[PathBuf], machine: &Machine) -> Result<Read, Vec<String>> {
    let mut problems = Vec::new();
    let mut files = BTreeSet::new();
    for path in paths {
        match files_of(&machine.cwd.join(path)) {
            Ok(found) if found.is_empty() => {
                problems.push(format!("{} holds no .jsonl file", path.display()));
            }
            Ok(found) => files.extend(found),
            Err(error) => problems.push(format!("{} cannot be read: {error}", path.display())),
        }
    }
    let mut read = Read::default();
    for file in files {
        let name = file.strip_prefix(&machine.cwd).unwrap_or(&file).display().to_string();
        match RecordedRun::load(&file) {
            Ok(run) if run.holds_exchanges => read.exchanges.push(Part { name, run }),
            Ok(run) => read.runs.push(Part { name, run }),
            Err(message) => problems.push(format!("{name}: {message}")),
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

fn files_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_of(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    Ok(found)
}
