//! Completion in shells. `runner completions SHELL` prints a few lines that let the shell ask this binary at each press of
//! the key, so suites, setups, cases and the flags of model parameters are those of the project at hand.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Arg, Args, Command, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::exit::ExitStatus;
use super::machine::Machine;
use crate::record::Mode;
use crate::schema::Documents;

/// The shell that asks for completions; set by what `runner completions` prints.
const ASKS: &str = "_RUNNER_COMPLETE";

#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArgs {
    /// The shell, as in: source <(runner completions bash)
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &Bash,
            Self::Elvish => &Elvish,
            Self::Fish => &Fish,
            Self::Powershell => &Powershell,
            Self::Zsh => &Zsh,
        }
    }
}

/// Prints what a shell has to read once.
pub(super) fn register(args: &CompletionsArgs) -> Result<ExitStatus, String> {
    let mut script = Vec::new();
    let written = args.shell.completer().write_registration(ASKS, "runner", "runner", "runner", &mut script);
    written.map_err(|error| error.to_string())?;
    anstream::print!("{}", String::from_utf8_lossy(&script));
    Ok(ExitStatus::Passed)
}

/// The shell that asks this process, if one does.
pub(super) fn asked(machine: &Machine) -> Option<&str> {
    machine.var(ASKS)
}

/// Answers a shell: the words that may stand where the cursor is.
pub(super) fn answer(
    shell: &str,
    command: Command,
    documents: &Documents,
    machine: &Machine,
) -> Result<ExitStatus, String> {
    let shell = Shell::from_str(shell, true).map_err(|_| format!("{ASKS}: there is no shell `{shell}`"))?;
    let words = machine.argv.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let mut command = with_names(command, documents);
    let mut text = Vec::new();
    let written = match shell {
        Shell::Bash => bash(&mut command, words, machine, &mut text),
        _ => shell.completer().write_complete(&mut command, words, Some(&machine.cwd), &mut text),
    };
    // A line that cannot be completed is none of the user's mistakes.
    if written.is_ok() {
        io::stdout().write_all(&text).map_err(|error| error.to_string())?;
    }
    Ok(ExitStatus::Passed)
}

/// Bash takes `=` for a word of its own, and replaces only what follows it: `--suite = ba` is as good as `--suite ba`.
fn bash(
    command: &mut Command,
    words: Vec<OsString>,
    machine: &Machine,
    text: &mut Vec<u8>,
) -> io::Result<()> {
    let cursor = machine.var("_CLAP_COMPLETE_INDEX").and_then(|index| index.parse().ok()).unwrap_or(0usize);
    let is_separator = |at: usize| {
        at > 0 && at != cursor && words[at] == "=" && words[at - 1].to_string_lossy().starts_with("--")
    };
    let kept: Vec<usize> = (0..words.len()).filter(|at| !is_separator(*at)).collect();
    let index = kept.iter().filter(|at| **at < cursor).count();
    let words = kept.into_iter().map(|at| words[at].clone()).collect();
    let found = complete(command, words, index, Some(&machine.cwd))?;
    let values: Vec<_> = found.iter().map(|candidate| candidate.get_value().to_string_lossy()).collect();
    write!(text, "{}", values.join(machine.var("_CLAP_IFS").unwrap_or("\n")))
}

/// A value, and what it is.
type Named = (String, Option<String>);

/// The command, with the project's names as the values of its arguments.
fn with_names(command: Command, documents: &Documents) -> Command {
    let named = |name: &str, what: Option<&String>| (name.to_owned(), what.cloned());
    let names: [(&str, Vec<Named>); 5] = [
        (
            "suite",
            documents
                .suites
                .iter()
                .map(|suite| named(&suite.name.value, suite.description.as_ref()))
                .collect(),
        ),
        (
            "setup",
            documents
                .setups
                .iter()
                .map(|setup| named(&setup.name.value, setup.description.as_ref()))
                .collect(),
        ),
        (
            "stack",
            documents
                .stacks
                .iter()
                .map(|stack| named(&stack.name.value, stack.description.as_ref()))
                .collect(),
        ),
        ("inference_mode", Mode::ALL.iter().map(|mode| named(mode.as_str(), None)).collect()),
        ("selectors", selectors(documents).iter().map(|selector| named(selector, None)).collect()),
    ];
    each(command, &|arg| match names.iter().find(|(id, _)| arg.get_id() == *id) {
        Some((_, values)) => {
            let values = values.clone();
            arg.add(ArgValueCandidates::new(move || values.iter().map(candidate).collect()))
        }
        None => arg,
    })
}

fn candidate((value, what): &Named) -> CompletionCandidate {
    CompletionCandidate::new(value).help(what.clone().map(Into::into))
}

/// Changes the arguments of a command and of its subcommands.
fn each(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    command.mut_args(change).mut_subcommands(|command| each(command, change))
}

/// The folders and files below `test_cases/`. Cases are left out: bash takes the `::` before their names for a word.
fn selectors(documents: &Documents) -> BTreeSet<String> {
    let files = documents.cases.iter().map(|file| &file.span.file.path);
    files
        .filter_map(|path| path.strip_prefix("test_cases").ok())
        .flat_map(|path| path.ancestors())
        .map(|path| path.to_string_lossy().into_owned())
        .filter(|path| !path.is_empty())
        .collect()
}
