//! Arguments and machine into what a run does: every choice made once, with its origin.

use std::path::PathBuf;
use std::time::Duration;

use super::again::AgainArgs;
use super::args::{ColorChoice, RunArgs};
use super::machine::{Machine, parse_dotenv};
use super::policies::{INTERVAL, Policies};
use super::shard;
use crate::plan::keyword::{Keyword, KeywordError};
use crate::plan::resolve::{Origin, Resolved, SuiteChoice, first};
use crate::plan::select::Selector;
use crate::plan::shard::{Shard, Split};
use crate::plan::{Inputs, Selection};
use crate::record::{Mode, ReplaySpeed};
use crate::report::console::Verbosity;
use crate::source::project::Project;
use crate::source::{Problem, Problems};
use crate::target::TargetSpec;

/// A run, decided.
#[derive(Debug, Clone)]
pub(super) struct RunOptions {
    pub inputs: Inputs,
    pub selection: Selection,
    /// `-k` as written.
    pub keyword: Option<String>,
    /// The target as written, and what it means.
    pub target: Resolved<String>,
    pub target_spec: TargetSpec,
    pub stack: String,
    pub mode: Resolved<Mode>,
    pub recordings: Resolved<PathBuf>,
    pub replay_speed: ReplaySpeed,
    pub policies: Policies,
    pub jobs: usize,
    pub max_failures: Option<usize>,
    pub timeout: Duration,
    pub again: AgainArgs,
    /// The part of the plan to run, and what splits the plan.
    pub shard: Option<Resolved<Shard>>,
    pub split: Split,
    pub durations: usize,
    pub verbosity: Verbosity,
    pub color: bool,
    pub progress: bool,
}

/// Whether output is coloured: `--color`, then `NO_COLOR` and `FORCE_COLOR`, then the terminal.
pub(super) fn color(choice: ColorChoice, machine: &Machine, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            machine.var("NO_COLOR").is_none() && (machine.var("FORCE_COLOR").is_some() || terminal)
        }
    }
}

impl RunOptions {
    pub(super) fn resolve(
        args: &RunArgs,
        params: Vec<(String, String)>,
        machine: &Machine,
        project: &Project,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let selectors = args
            .selectors
            .iter()
            .filter_map(|text| {
                let parsed = if text.trim().is_empty() {
                    Err("a selector is empty; leave it out to select everything".to_owned())
                } else {
                    Selector::parse(text)
                };
                parsed.map_err(|message| problems.push(Problem::new(message))).ok()
            })
            .collect();
        let keyword = args.keyword.as_deref().and_then(|text| {
            let problem = |error: KeywordError| {
                let help =
                    "words joined by and, or, not and parentheses, as `-k 'chat and not (vision or tools)'`";
                problems.push(Problem::new(format!("{error} of `{text}`")).help(help));
            };
            Keyword::parse(text).map_err(problem).ok()
        });
        let dotenv = if machine.reads_dotenv { dotenv(project, &mut problems) } else { Default::default() };
        let variable = |name: &str| {
            let flag = args.env.iter().rev().find(|(key, _)| key == name);
            let flag = flag.map(|(_, value)| (value.clone(), Origin::Flag("--env".to_owned())));
            let process = machine.var(name).map(|value| (value.to_owned(), Origin::Environment));
            let file = dotenv.get(name).map(|value| (value.clone(), Origin::DotEnv));
            flag.or(process).or(file).filter(|(value, _)| !value.is_empty())
        };
        let flag = |name: &str| Origin::Flag(name.to_owned());
        let target = or_default(
            [args.stack_config.clone().map(|v| (v, flag("--stack-config"))), variable("LLAMA_STACK_CONFIG")],
            "starter".to_owned(),
        );
        let target_spec = TargetSpec::parse(&target.value).map_err(|error| {
            problems.push(Problem::new(format!("{} (from {})", error, target.origin)));
        });
        let mode_variable = variable("LLAMA_STACK_TEST_INFERENCE_MODE").and_then(|(text, origin)| {
            let parsed = text.parse::<Mode>().map_err(|error| {
                problems.push(Problem::new(format!("LLAMA_STACK_TEST_INFERENCE_MODE: {error}")));
            });
            parsed.ok().map(|mode| (mode, origin))
        });
        let mode = or_default(
            [args.inference_mode.map(|m| (m, flag("--inference-mode"))), mode_variable],
            Mode::Replay,
        );
        let recordings = or_default(
            [
                args.recording_dir.clone().map(|dir| (machine.cwd.join(dir), flag("--recording-dir"))),
                variable("LLAMA_STACK_TEST_RECORDING_DIR")
                    .map(|(dir, origin)| (machine.cwd.join(dir), origin)),
            ],
            project.root.join("recordings"),
        );
        let interval = variable(INTERVAL).map(|(text, _)| text);
        let policies = Policies::resolve(&args.policies, interval.as_deref(), &mut problems);
        let shard = shard::chosen(args.shard, machine).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let split = shard::split(&args.shard_by, machine, &mut problems);
        let internet = variable("RUNNER_INTERNET").is_some();
        let inputs = Inputs {
            suite: args.suite.clone().map_or(SuiteChoice::Default, SuiteChoice::Named),
            setup: args.setup.clone(),
            params: params.into_iter().collect(),
            env_flags: args.env.clone(),
            process_env: machine.env.clone(),
            dotenv,
        };
        let Ok(target_spec) = target_spec else { return Err(problems) };
        problems.or(Self {
            inputs,
            keyword: args.keyword.clone(),
            selection: Selection { selectors, keyword, internet, today: machine.today },
            target,
            target_spec,
            stack: args.stack.clone(),
            mode,
            recordings,
            replay_speed: args.replay_speed,
            policies,
            jobs: args.jobs.map_or(machine.cores, usize::from),
            max_failures: if args.exitfirst { Some(1) } else { args.maxfail.map(usize::from) },
            timeout: args.timeout,
            again: args.again.clone(),
            shard,
            split,
            durations: args.durations,
            verbosity: match (args.quiet, args.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            color: color(args.color, machine, machine.stdout_is_terminal),
            progress: machine.stderr_is_terminal && machine.stdout_is_terminal,
        })
    }
}

fn or_default<T>(candidates: [Option<(T, Origin)>; 2], default: T) -> Resolved<T> {
    first(candidates).unwrap_or(Resolved { value: default, origin: Origin::BuiltIn, hides: Vec::new() })
}

fn dotenv(project: &Project, problems: &mut Problems) -> std::collections::BTreeMap<String, String> {
    let path = project.root.join(".env");
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_dotenv(&text).unwrap_or_else(|line| {
            problems.push(Problem::new(format!(".env:{line}: expected KEY=VALUE")));
            Default::default()
        }),
        Err(_) => Default::default(),
    }
}
