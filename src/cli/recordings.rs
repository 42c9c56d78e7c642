//! `recordings …`: arguments, and which command they mean. The work is done in `record`, printing in the files beside.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::machine::{Machine, parse_dotenv};
use super::{recordings_care as care, recordings_look as look};
use crate::record::Scrubber;
use crate::record::verify::FindingKind;
use crate::secret::Redactor;
use crate::source::project::Project;

#[derive(Debug, Clone, Args)]
pub(super) struct RecordingsArgs {
    /// Where recordings lie [env: LLAMA_STACK_TEST_RECORDING_DIR] [default: recordings]
    #[arg(long, global = true, value_name = "DIR")]
    pub recording_dir: Option<PathBuf>,
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub format: ListFormat,
    /// The project [default: the nearest directory upwards with suites/ and test_cases/]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// List the recordings
    List(ListArgs),
    /// Show a recording: request, answer, events with their gaps
    Show(ShowArgs),
    /// Find what is unusable, unreachable, repeated or secret; exit status 1 when there is something
    Verify(VerifyArgs),
    /// Apply today's redaction rules to recordings that exist (prints what would change)
    Scrub(ScrubArgs),
    /// Count recordings, bytes and tokens
    Stats,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ListArgs {
    /// Only this provider's, as ollama
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Only endpoints with this in them, as embeddings
    #[arg(long, value_name = "SUBSTRING")]
    pub endpoint: Option<String>,
    /// Only models with this in their name
    #[arg(long, value_name = "SUBSTRING")]
    pub model: Option<String>,
    /// Only recordings for trials with this in their id
    #[arg(long, value_name = "SUBSTRING")]
    pub trial: Option<String>,
    /// Only recordings from then on: 7d, 12h, 2025-11-01 or a full time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ShowArgs {
    /// A file, or the beginning of its name or key (four digits or more)
    #[arg(value_name = "FILE|HASH")]
    pub name: String,
    /// The answer's body alone, byte by byte
    #[arg(long, conflicts_with = "curl")]
    pub raw: bool,
    /// The request as a curl command
    #[arg(long)]
    pub curl: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct VerifyArgs {
    /// Findings that do not make the exit status 1 (repeatable)
    #[arg(long, value_name = "KIND", value_parser = finding_kind)]
    pub allow: Vec<FindingKind>,
    /// Print every finding, not only the first of each kind
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ScrubArgs {
    /// Rewrite the files
    #[arg(long)]
    pub write: bool,
}

fn finding_kind(text: &str) -> Result<FindingKind, String> {
    let known = || FindingKind::ALL.map(FindingKind::as_str).join(", ");
    let found = FindingKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("choose of: {}", known()))
}

/// What every command works on.
#[derive(Debug)]
pub(super) struct Desk {
    pub dir: PathBuf,
    pub format: ListFormat,
    pub scrubber: Scrubber,
}

/// Why a command could not do its work: for the user, and not the program's fault.
pub(super) type Refused = String;

/// Runs one of the commands.
pub(super) fn run(args: &RecordingsArgs, machine: &Machine, project: Option<&Project>) -> ExitStatus {
    let desk = Desk::new(args, machine, project);
    let done = match &args.command {
        Command::List(list) => look::list(&desk, list),
        Command::Show(show) => look::show(&desk, show),
        Command::Verify(verify) => care::verify(&desk, verify),
        Command::Scrub(scrub) => care::scrub(&desk, scrub),
        Command::Stats => care::stats(&desk),
    };
    done.unwrap_or_else(|message| {
        anstream::eprintln!("error: {message}");
        ExitStatus::Usage
    })
}

impl Desk {
    fn new(args: &RecordingsArgs, machine: &Machine, project: Option<&Project>) -> Self {
        let mut env = project
            .and_then(|project| std::fs::read_to_string(project.root.join(".env")).ok())
            .and_then(|text| parse_dotenv(&text).ok())
            .unwrap_or_default();
        env.extend(machine.env.clone());
        let variable = env.get("LLAMA_STACK_TEST_RECORDING_DIR").filter(|value| !value.is_empty());
        let given = args.recording_dir.clone().or_else(|| variable.map(PathBuf::from));
        let dir = match (given, project) {
            (Some(dir), _) => machine.cwd.join(dir),
            (None, Some(project)) => project.root.join("recordings"),
            (None, None) => machine.cwd.join("recordings"),
        };
        let secrets = Redactor::from_env(&env).values().to_vec();
        Self { dir, format: args.format, scrubber: Scrubber::new(secrets) }
    }

    /// The directory exists; commands on nothing would otherwise find nothing wrong.
    pub(super) fn opened(&self) -> Result<&std::path::Path, Refused> {
        match std::fs::read_dir(&self.dir) {
            Ok(_) => Ok(&self.dir),
            Err(error) => Err(format!(
                "the recordings directory {} cannot be read: {error}; name one with --recording-dir",
                self.dir.display()
            )),
        }
    }
}
