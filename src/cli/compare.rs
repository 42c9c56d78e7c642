//! `compare`: runs of the same cases side by side.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::ExitStatus;
use super::machine::Machine;
use super::merge;
use crate::report::compare::{Comparison, Side};
use crate::report::compare_text;
use crate::report::merge::{Merged, Part};

#[derive(Debug, Clone, Args)]
#[command(after_help = STATUS)]
pub(super) struct CompareArgs {
    /// A run: what --report PATH.jsonl wrote, with what --report exchanges=PATH wrote beside it if answers are to be
    /// compared: a folder, or files joined by commas. NAME is what it is called; the first run is the yardstick
    #[arg(value_name = "[NAME=]RUN", required = true, num_args = 2..)]
    pub runs: Vec<String>,
    /// text, markdown or json
    #[arg(long, value_enum, default_value = "text")]
    pub format: CompareFormat,
    /// End with status 1 also when answers differ in shape
    #[arg(long)]
    pub fail_on_shapes: bool,
}

const STATUS: &str = "\
A trial that some run does not have counts as a difference. Runs with the same
models are compared trial by trial; others by case, client and row.

Exit status: 0 all trials end alike, 1 they do not, or a run was cut off or lacks
a shard, 4 a run cannot be read";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    Text,
    Markdown,
    Json,
}

pub(super) fn compare(args: &CompareArgs, machine: &Machine) -> ExitStatus {
    let mut sides = Vec::new();
    let mut problems = Vec::new();
    for run in &args.runs {
        match side(run, machine) {
            Ok(side) => sides.push(side),
            Err(more) => problems.extend(more),
        }
    }
    let mut names = BTreeSet::new();
    for side in sides.iter().filter(|side| !names.insert(side.name.clone())) {
        problems.push(format!("two runs are called `{}`; write NAME=RUN", side.name));
    }
    if !problems.is_empty() {
        problems.iter().for_each(|problem| anstream::eprintln!("error: {problem}"));
        return ExitStatus::Usage;
    }
    let comparison = Comparison::of(&sides);
    match args.format {
        CompareFormat::Text => anstream::print!("{}", compare_text::text(&comparison)),
        CompareFormat::Markdown => anstream::print!("{}", compare_text::markdown(&comparison)),
        CompareFormat::Json => anstream::println!("{:#}", compare_text::json(&comparison)),
    }
    let mut whole = true;
    for side in &sides {
        side.run.notes.iter().for_each(|note| anstream::eprintln!("note: {}: {note}", side.name));
        for gap in &side.run.gaps {
            whole = false;
            anstream::eprintln!("error: {}: {gap}", side.name);
        }
    }
    let shapes = comparison.shapes.as_ref().is_some_and(|shapes| !shapes.differences.is_empty());
    if whole && comparison.differing().next().is_none() && !(args.fail_on_shapes && shapes) {
        ExitStatus::Passed
    } else {
        ExitStatus::TestsFailed
    }
}

/// One run: all files of a word.
fn side(word: &str, machine: &Machine) -> Result<Side, Vec<String>> {
    let (name, paths) = match word.split_once('=') {
        Some((name, paths)) => (name.to_owned(), paths),
        None => (word.trim_end_matches('/').trim_end_matches(".jsonl").to_owned(), word),
    };
    let paths: Vec<PathBuf> = paths.split(',').map(PathBuf::from).collect();
    let read = merge::read(&paths, machine)?;
    if read.runs.is_empty() {
        return Err(vec![format!("{word}: no run is in it; --report PATH.jsonl writes one")]);
    }
    let exchanges = read.exchanges.into_iter().flat_map(|part: Part| part.run.exchanges).collect();
    Ok(Side { name, run: Merged::of(read.runs), exchanges })
}
