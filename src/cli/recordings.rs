//! `recordings …`: arguments, and which command they mean. The work is done in `record`, printing in the files beside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Loaded;
use super::args::{ListFormat, pair};
use super::exit::ExitStatus;
use super::machine::{Machine, parse_dotenv};
use super::{
    recordings_care as care, recordings_diff, recordings_import, recordings_look as look, recordings_prune,
    recordings_why,
};
use crate::record::Scrubber;
use crate::record::runs::Run;
use crate::record::verify::FindingKind;
use crate::secret::Redactor;

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
    /// Explain which recordings were considered for a request, and why each did or did not match
    Why(WhyArgs),
    /// Find what is unusable, unreachable, repeated or secret; exit status 1 when there is something
    Verify(VerifyArgs),
    /// Find what a set of runs did not use, and delete it with --delete
    Prune(PruneArgs),
    /// Compare two directories, or a recording and what its provider answers now, by structure; exit status 1 for differences
    Diff(DiffArgs),
    /// Turn upstream's recordings or HTTP archives (HAR) into recordings
    Import(ImportArgs),
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
    /// Somebody else made the directory: let nothing in but plain .json files within the limits, and read nothing before
    #[arg(long)]
    pub foreign: bool,
    /// With --foreign: the largest file [default: 4MB]
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "4MB", hide_default_value = true, requires = "foreign")]
    pub max_file: u64,
    /// With --foreign: all files together [default: 100MB]
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "100MB", hide_default_value = true, requires = "foreign")]
    pub max_total: u64,
}

/// `500kB`, `4MB`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    let units = [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("", 1)];
    let number = |(unit, factor): (&str, u64)| {
        text.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(factor)
    };
    units.into_iter().find_map(number).ok_or_else(|| "write a size such as 500kB, 4MB or 1GB".to_owned())
}

#[derive(Debug, Clone, Args)]
pub(super) struct WhyArgs {
    /// A JSON file {provider, method, path, body}, `-` for standard input, or a recording; with --run a trial's id
    #[arg(value_name = "REQUEST|RECORDING|TRIAL")]
    pub what: Option<String>,
    /// The JSON Lines of a run: explains a trial's calls, or every miss when none is named
    #[arg(long, value_name = "FILE.jsonl")]
    pub run: Option<PathBuf>,
    /// Ask as this trial
    #[arg(long, value_name = "ID")]
    pub trial: Option<String>,
    /// How many of the recordings that do not match are shown
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    pub nearest: usize,
}

#[derive(Debug, Clone, Args)]
pub(super) struct PruneArgs {
    /// The JSON Lines of a run (repeatable); a recording that any of them used stays
    #[arg(long, value_name = "FILE.jsonl", required = true, num_args = 1..)]
    pub run: Vec<PathBuf>,
    /// Delete what was not used
    #[arg(long)]
    pub delete: bool,
    /// Delete although the runs had misses or failures, or did not end
    #[arg(long, requires = "delete")]
    pub force: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct DiffArgs {
    /// A directory; with --live a recording
    #[arg(value_name = "A")]
    pub a: String,
    /// Another directory
    #[arg(value_name = "B", conflicts_with = "live")]
    pub b: Option<String>,
    /// Ask the recording's provider again; nothing is stored
    #[arg(long, requires = "provider")]
    pub live: bool,
    /// A provider's name and its address (repeatable)
    #[arg(long, value_name = "NAME=URL", value_parser = pair)]
    pub provider: Vec<(String, String)>,
    /// Compare values too
    #[arg(long)]
    pub values: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ImportArgs {
    /// Directories or files of upstream's, or HTTP archives
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,
    /// A provider's name and its host, for archives (repeatable)
    #[arg(long, value_name = "NAME=HOST", value_parser = pair)]
    pub provider: Vec<(String, String)>,
    /// The trial that an archive's recordings are for [default: none in particular]
    #[arg(long, value_name = "ID")]
    pub trial: Option<String>,
    /// The setup that an archive was recorded with
    #[arg(long, value_name = "NAME")]
    pub setup: Option<String>,
    /// Write nothing
    #[arg(long)]
    pub dry_run: bool,
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
pub(super) struct Desk {
    pub dir: PathBuf,
    pub format: ListFormat,
    pub scrubber: Scrubber,
    /// Values that must not be written.
    pub secrets: Vec<String>,
    pub cwd: PathBuf,
    env: BTreeMap<String, String>,
    /// Providers, and the variables that have their keys.
    key_names: BTreeMap<String, String>,
}

/// Why a command could not do its work: for the user, and not the program's fault.
pub(super) type Refused = String;

/// Reads the JSON Lines of a run.
pub(super) fn read_run(path: &Path) -> Result<Run, Refused> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    Run::read(&text).map_err(|error| format!("{shown}:{error}"))
}

/// Runs one of the commands.
pub(super) fn run(args: &RecordingsArgs, machine: &Machine, loaded: &Loaded) -> ExitStatus {
    let desk = Desk::new(args, machine, loaded);
    let done = match &args.command {
        Command::List(list) => look::list(&desk, list),
        Command::Show(show) => look::show(&desk, show),
        Command::Diff(diff) => recordings_diff::diff(&desk, diff),
        Command::Import(import) => recordings_import::import(&desk, import),
        Command::Why(why) => recordings_why::why(&desk, why),
        Command::Prune(prune) => recordings_prune::prune(&desk, prune),
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
    fn new(args: &RecordingsArgs, machine: &Machine, loaded: &Loaded) -> Self {
        let project = loaded.project.as_ref();
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
        let stacks = loaded.documents.stacks.iter().flat_map(|stack| stack.providers.iter());
        let key_names =
            stacks.filter_map(|(name, wiring)| Some((name.value.clone(), wiring.key_env.clone()?))).collect();
        Self {
            dir,
            cwd: machine.cwd.clone(),
            format: args.format,
            scrubber: Scrubber::new(secrets.clone()),
            secrets,
            env,
            key_names,
        }
    }

    /// A provider's key: from the variable that the stacks name for it, else `OPENAI_API_KEY` for `openai`.
    pub(super) fn api_key(&self, provider: &str) -> Option<String> {
        let usual = || format!("{}_API_KEY", provider.to_ascii_uppercase().replace('-', "_"));
        let name = self.key_names.get(provider).cloned().unwrap_or_else(usual);
        self.env.get(&name).filter(|key| !key.is_empty()).cloned()
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
