//! The command line as clap knows it: fixed flags here, parameter flags from the YAML.

use std::path::PathBuf;

use clap::{Arg, Args, Command, FromArgMatches, Subcommand, ValueEnum};

use super::again::AgainArgs;
use super::check::{CheckArgs, SchemaArgs};
use super::compare::CompareArgs;
use super::completions::CompletionsArgs;
use super::init::InitArgs;
use super::machine::Machine;
use super::man::ManArgs;
use super::mutate::MutateArgs;
use super::policies::{BudgetArgs, PolicyArgs};
use super::recordings::RecordingsArgs;
use super::rerecord::RerecordArgs;
use super::shard::ShardBy;
use crate::plan::params::Parameter;
use crate::plan::shard::Shard;
use crate::record::{Mode, ReplaySpeed};
use crate::report::ReportSpec;
use crate::schema::Documents;

/// The definition in stacks/ that starts this program's own stack.
pub(super) const DEFAULT_STACK: &str = "runner";

/// Runs declarative YAML test cases against an LLM stack, with provider traffic recorded or replayed.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    name = "runner",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub listing: ListArgs,
    #[command(subcommand)]
    pub command: Option<Action>,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Action {
    /// Print every resolved value and where it came from
    Explain(Box<RunArgs>),
    /// Serve the in-process stack on a port of 127.0.0.1
    Serve(ServeArgs),
    /// Serve only the record/replay proxy, for a stack that somebody else starts
    Proxy(ProxyArgs),
    /// Check every suite, setup, stack and case without running anything
    Check(CheckArgs),
    /// Print the JSON Schema of a kind of file
    Schema(SchemaArgs),
    /// Run trials with their answers corrupted, one place at a time, and list what no check notices
    Mutate(Box<MutateArgs>),
    /// Record anew the trials whose provider requests changed since their recordings
    Rerecord(Box<RerecordArgs>),
    /// Look at recordings and look after them
    Recordings(RecordingsArgs),
    /// Print the jobs that CI runs, from ci_matrix.yaml
    Matrix(MatrixArgs),
    /// Make one report of the JSON Lines of several runs: shards, setups
    Merge(MergeArgs),
    /// Lay runs of the same cases side by side: stacks, versions, setups
    Compare(CompareArgs),
    /// Make a small project that is green at once, with a workflow for CI
    Init(InitArgs),
    /// Print what a shell reads to complete this program's arguments
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// Listing instead of running.
#[derive(Debug, Clone, Args)]
pub(super) struct ListArgs {
    /// Print the trials instead of running them
    #[arg(long, help_heading = "What")]
    pub list: bool,
    /// Form of --list
    #[arg(long, value_enum, default_value = "text", requires = "list", help_heading = "What")]
    pub format: ListFormat,
}

/// What a run needs.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArgs {
    /// Folders, files, file::case or trial ids below test_cases/
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,

    /// Run the cases of this suite, with its default setup [default: the suite with `default: true`, or all cases]
    #[arg(long, value_name = "NAME", help_heading = "What")]
    pub suite: Option<String>,
    /// Only trials whose id matches: substrings joined by and, or, not
    #[arg(short = 'k', value_name = "EXPR", help_heading = "What")]
    pub keyword: Option<String>,
    /// Run only this part of the plan, as 2/3 [default: from the variables of CI services]
    #[arg(long, value_name = "INDEX/COUNT", help_heading = "What")]
    pub shard: Option<Shard>,
    /// What decides a trial's shard: hash (of its id), or duration=RUN.jsonl (even by an earlier run's times)
    #[arg(long, value_name = "SPLIT", default_value = "hash", help_heading = "What")]
    pub shard_by: ShardBy,

    /// Models and environment to run with; flags win over it
    #[arg(long, value_name = "NAME", help_heading = "With")]
    pub setup: Option<String>,
    /// Set an environment variable (repeatable)
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = pair, help_heading = "With")]
    pub env: Vec<(String, String)>,

    /// The stack: a URL, server:CONFIG[:PORT], a distribution, a run.yaml, or api=provider,… [env: LLAMA_STACK_CONFIG] [default: starter]
    #[arg(long, value_name = "SPEC", help_heading = "Against")]
    pub stack_config: Option<String>,
    /// How `server:` starts a process: a definition in stacks/
    #[arg(long, value_name = "NAME", default_value = DEFAULT_STACK, help_heading = "Against")]
    pub stack: String,
    /// Do not hold answers against the suite's contract
    #[arg(long, help_heading = "Against")]
    pub no_contract: bool,

    /// replay, record, record-if-missing or live [env: LLAMA_STACK_TEST_INFERENCE_MODE] [default: replay]
    #[arg(long, value_name = "MODE", value_parser = mode, help_heading = "Recordings")]
    pub inference_mode: Option<Mode>,
    /// Where recordings lie [env: LLAMA_STACK_TEST_RECORDING_DIR] [default: recordings]
    #[arg(long, value_name = "DIR", help_heading = "Recordings")]
    pub recording_dir: Option<PathBuf>,
    /// How fast recorded streams come: fast (at once), realtime (as recorded), or a factor (2 is twice as fast)
    #[arg(long, value_name = "SPEED", default_value_t, help_heading = "Recordings")]
    pub replay_speed: ReplaySpeed,
    #[command(flatten)]
    pub policies: PolicyArgs,

    /// Trials at the same time [default: number of cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "How")]
    pub jobs: Option<u16>,
    /// Stop after the first failure
    #[arg(short = 'x', long, conflicts_with = "maxfail", help_heading = "How")]
    pub exitfirst: bool,
    /// Stop after N failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "How")]
    pub maxfail: Option<u16>,
    /// Time-out of a trial that names none, such as 90s
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "120s", help_heading = "How")]
    pub timeout: std::time::Duration,
    #[command(flatten)]
    pub again: AgainArgs,

    /// Print the N slowest trials at the end
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Output")]
    pub durations: usize,
    /// Write a report: PATH.jsonl, PATH.xml (JUnit), PATH.md, PATH.html, PATH.json (CTRF), PATH.tap, or KIND=PATH (repeatable)
    #[arg(long, value_name = "[KIND=]PATH", help_heading = "Output")]
    pub report: Vec<ReportSpec>,
    /// When to use colours
    #[arg(long, value_enum, default_value = "auto", help_heading = "Output")]
    pub color: ColorChoice,
    /// Print only failures and the counts
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Print every trial's provider requests
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,

    /// The project [default: the nearest directory upwards with suites/ and test_cases/]
    #[arg(long, value_name = "DIR", help_heading = "What")]
    pub root: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ServeArgs {
    /// A distribution, a run.yaml, or api=provider,…
    #[arg(long, value_name = "SPEC", default_value = "starter")]
    pub stack_config: String,
    #[arg(long, default_value_t = 8321)]
    pub port: u16,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ProxyArgs {
    /// A provider's name and its address (repeatable); with --stack, all of the stack's unless given
    #[arg(long = "provider", value_name = "NAME=URL", value_parser = pair, required_unless_present = "stack")]
    pub providers: Vec<(String, String)>,
    /// Print the variables that this stack, a definition in stacks/, must have in its environment
    #[arg(long, value_name = "NAME")]
    pub stack: Option<String>,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    #[arg(long, value_name = "MODE", value_parser = mode, default_value = "replay")]
    pub inference_mode: Mode,
    #[arg(long, value_name = "DIR", default_value = "recordings")]
    pub recording_dir: PathBuf,
    /// How fast recorded streams come: fast (at once), realtime (as recorded), or a factor (2 is twice as fast)
    #[arg(long, value_name = "SPEED", default_value_t)]
    pub replay_speed: ReplaySpeed,
    #[command(flatten)]
    pub budget: BudgetArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct MatrixArgs {
    /// The matrix, ours or upstream's [default: ci_matrix.yaml or ci_matrix.json in the project's root]
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// The jobs of this schedule, a cron expression, instead of the default ones
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// Only jobs that files can concern which changed since this commit or branch
    #[arg(long, value_name = "REF")]
    pub changed_since: Option<String>,
    /// Only jobs whose setup has recordings
    #[arg(long)]
    pub recorded: bool,
    /// Where recordings lie [default: recordings]
    #[arg(long, value_name = "DIR", requires = "recorded")]
    pub recording_dir: Option<PathBuf>,
    /// text, github (for `fromJSON`, on one line), or gitlab (a child pipeline)
    #[arg(long, value_enum, default_value = "text")]
    pub format: MatrixFormat,
    /// GitLab: the file with the hidden job that all jobs extend
    #[arg(long, value_name = "PATH", default_value = "runner.gitlab-ci.yml")]
    pub gitlab_include: String,
    /// GitLab: the hidden job; it runs `runner $RUNNER_ARGS`
    #[arg(long, value_name = "JOB", default_value = ".runner")]
    pub gitlab_extends: String,
    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorChoice,
    /// The project [default: the nearest directory upwards with suites/ and test_cases/]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MatrixFormat {
    Text,
    Github,
    Gitlab,
}

#[derive(Debug, Clone, Args)]
pub(super) struct MergeArgs {
    /// What --report PATH.jsonl wrote: files, or folders with such files
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write a report (repeatable), as a run does
    #[arg(long, value_name = "[KIND=]PATH")]
    pub report: Vec<ReportSpec>,
    /// Print the N slowest trials
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub durations: usize,
    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorChoice,
    /// Print every trial, not only failures and the counts
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        Some(_) => Err("there is nothing before the `=`".to_owned()),
        None => Err(format!("there is no `=` in it; write {text}=VALUE")),
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    text.parse::<Mode>().map_err(|error| error.to_string())
}

pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::schema::decode::parse_duration(text)
        .ok_or_else(|| "write a duration such as 500ms, 90s or 2m".to_owned())
}

/// Subcommands that take the flags of a run.
const WITH_PARAMETERS: [&str; 3] = ["explain", "mutate", "rerecord"];

/// Subcommands that look at nothing in a project: reading it first would only take time.
const ALONE: [&str; 7] = ["serve", "schema", "merge", "compare", "init", "completions", "man"];

/// Whether the project has to be read, told by the first word: what the others may be depends on the project.
pub(super) fn needs_project(machine: &Machine) -> bool {
    !machine.argv.get(1).is_some_and(|first| ALONE.iter().any(|name| first == name))
}

/// The command without what a project adds to it.
pub(super) fn bare() -> Command {
    <Cli as clap::CommandFactory>::command().after_help(EXIT_STATUS)
}

/// The command with a flag for every parameter, and help that lists what the project has.
pub(super) fn command(documents: &Documents, parameters: &[Parameter]) -> Command {
    let with_params = |mut command: Command| {
        for parameter in parameters {
            command = command.arg(
                Arg::new(parameter.name.clone())
                    .long(parameter.flag())
                    .value_name("LIST")
                    .help(parameter.describe())
                    .help_heading("Model parameters"),
            );
        }
        command
    };
    let command = bare().after_help(lists(documents));
    WITH_PARAMETERS
        .iter()
        .fold(with_params(command), |command, name| command.mut_subcommand(name, with_params))
}

const EXIT_STATUS: &str = "Exit status: 0 passed, 1 failed, 2 interrupted, 3 internal error, 4 usage or definition error,\n\
     5 nothing was run, 6 the target did not start, 7 the only failures are replay misses,\n\
     8 a trial was flaky (--fail-on-flaky)";

/// Suites and setups with their descriptions.
fn lists(documents: &Documents) -> String {
    let mut text = String::from("Suites:\n");
    for suite in &documents.suites {
        let setup = suite
            .default_setup
            .as_ref()
            .map(|s| format!(" [default setup: {}]", s.value))
            .unwrap_or_default();
        let what = suite.description.as_deref().unwrap_or_default();
        text.push_str(format!("  {:<14} {what}{setup}", suite.name.value).trim_end());
        text.push('\n');
    }
    text.push_str("\nSetups:\n");
    for setup in &documents.setups {
        let what = setup.description.as_deref().unwrap_or_default();
        text.push_str(format!("  {:<14} {what}", setup.name.value).trim_end());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(EXIT_STATUS);
    text
}

/// What was given: the typed arguments, and the parameter flags by name.
pub(super) fn parse(
    command: Command,
    parameters: &[Parameter],
    argv: &[std::ffi::OsString],
) -> Result<(Cli, Vec<(String, String)>), clap::Error> {
    let matches = command.try_get_matches_from(argv)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let with = WITH_PARAMETERS.iter().find_map(|name| matches.subcommand_matches(name)).unwrap_or(&matches);
    let given = parameters
        .iter()
        .filter_map(|p| Some((p.name.clone(), with.try_get_one::<String>(&p.name).ok().flatten()?.clone())))
        .collect();
    Ok((cli, given))
}
