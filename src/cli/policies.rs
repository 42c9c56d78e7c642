//! Flags that limit what is recorded and spent, and what a run demands of its recordings.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::exec::review::Demands;
use crate::plan::keyword::Keyword;
use crate::plan::resolve::Origin;
use crate::plan::{Plan, Settings};
use crate::record::{Mode, Policy};
use crate::source::{Problem, Problems};

/// Upstream's variable: seconds between requests to a provider.
pub(super) const INTERVAL: &str = "LLAMA_STACK_TEST_INTERVAL_SECONDS";

/// What a run may record, and what it demands of recordings.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct PolicyArgs {
    /// Record only for trials whose id matches one of these, each as for -k; all others replay
    #[arg(long, value_name = "EXPR,…", value_delimiter = ',', help_heading = "Recordings")]
    pub record_only: Vec<String>,
    /// Report recordings that answer and are older than this, such as 90d
    #[arg(long, value_name = "AGE", value_parser = age, help_heading = "Recordings")]
    pub max_age: Option<Duration>,
    /// What an older recording does to the run
    #[arg(long, value_enum, default_value = "warn", requires = "max_age", help_heading = "Recordings")]
    pub max_age_is: Severity,
    /// Fail when a recording of the trials that ran was not used
    #[arg(long, help_heading = "Recordings")]
    pub fail_on_unused: bool,
    #[command(flatten)]
    pub budget: BudgetArgs,
}

/// What may be spent.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct BudgetArgs {
    /// Send no more than N requests to providers, lists not counted
    #[arg(long, value_name = "N", help_heading = "Recordings")]
    pub max_requests: Option<u64>,
    /// Send no request that might let the tokens exceed N
    #[arg(long, value_name = "N", help_heading = "Recordings")]
    pub max_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Severity {
    #[default]
    Warn,
    Fail,
}

impl BudgetArgs {
    pub(super) fn policy(self, interval: Duration) -> Policy {
        Policy {
            max_requests: self.max_requests,
            max_tokens: self.max_tokens,
            interval,
            records_chosen_only: false,
        }
    }
}

/// The flags, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Policies {
    record_only: Option<Vec<Keyword>>,
    max_age: Option<Duration>,
    age_fails: bool,
    unused_fails: bool,
    pub(super) forwarding: Policy,
}

/// The flags, applied to a plan.
#[derive(Debug, Clone, Default)]
pub(super) struct Oversight {
    /// The trials that may record; `None` for all.
    pub chosen: Option<BTreeSet<String>>,
    pub demands: Demands,
}

impl Policies {
    /// `interval` is the value of [`INTERVAL`].
    pub(super) fn resolve(args: &PolicyArgs, interval: Option<&str>, problems: &mut Problems) -> Self {
        let mut record_only = Vec::new();
        for text in &args.record_only {
            match Keyword::parse(text) {
                Ok(keyword) => record_only.push(keyword),
                Err(error) => {
                    let (message, at) = (&error.message, error.at + 1);
                    let problem = format!("--record-only: {message} at character {at} of `{text}`");
                    problems.push(Problem::new(problem).help(
                        "expressions as for -k, separated by commas, as `--record-only 'chat and streaming,tools'`",
                    ));
                }
            }
        }
        let interval = match self::interval(interval) {
            Ok(interval) => interval,
            Err(message) => {
                problems.push(Problem::new(message));
                Duration::ZERO
            }
        };
        let chooses = !args.record_only.is_empty();
        Self {
            record_only: chooses.then_some(record_only),
            max_age: args.max_age,
            age_fails: args.max_age_is == Severity::Fail,
            unused_fails: args.fail_on_unused,
            forwarding: Policy { records_chosen_only: chooses, ..args.budget.policy(interval) },
        }
    }

    /// The trials that may record; `None` for all.
    fn chosen(&self, plan: &Plan) -> Option<BTreeSet<String>> {
        let keywords = self.record_only.as_ref()?;
        let matches = |id: &&String| keywords.iter().any(|keyword| keyword.matches(id));
        Some(plan.trials.iter().map(|trial| &trial.id).filter(matches).cloned().collect())
    }

    /// What the flags come to for a plan.
    pub(super) fn oversight(&self, settings: &Settings<'_>, plan: &Plan) -> Oversight {
        let is_own =
            |origin: &Origin| matches!(origin, Origin::Setup(_) | Origin::Suite(_) | Origin::BuiltIn);
        let demands = Demands {
            max_age: self.max_age,
            age_fails: self.age_fails,
            unused_fails: self.unused_fails,
            setup: settings.setup.as_ref().map(|(setup, _)| setup.name.value.clone()),
            known: plan.known.clone(),
            impossible: plan.impossible.clone(),
            known_is_exact: settings.params.iter().all(|(_, resolved)| is_own(&resolved.origin)),
        };
        Oversight { chosen: self.chosen(plan), demands }
    }
}

impl Oversight {
    /// What makes no sense for a plan and a mode.
    pub(super) fn problems(&self, plan: &Plan, mode: Mode) -> Problems {
        let mut problems = Problems::default();
        let Some(chosen) = &self.chosen else { return problems };
        if !matches!(mode, Mode::Record | Mode::RecordIfMissing) {
            problems.push(
                Problem::new(format!("--record-only has nothing to record in mode {mode}"))
                    .help("give a mode that records: --inference-mode=record or record-if-missing"),
            );
        }
        if chosen.is_empty() && !plan.trials.is_empty() {
            let help = "`runner --list` with the same flags shows the trials";
            problems.push(Problem::new("--record-only matches none of the selected trials").help(help));
        }
        problems
    }
}

/// The value of [`INTERVAL`]; none means no pause.
pub(super) fn interval(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let seconds = text.trim().parse::<f64>().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{INTERVAL}: `{text}` is no number of seconds; write one such as 2 or 0.5"))
}

/// `90d`, `12h`, `2w`.
fn age(text: &str) -> Result<Duration, String> {
    let units = [("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let number = |(unit, seconds): (&str, u64)| {
        let number = text.strip_suffix(unit)?.parse::<u32>().ok()?;
        Some(Duration::from_secs(u64::from(number) * seconds))
    };
    units.into_iter().find_map(number).ok_or_else(|| "write an age such as 90d, 2w or 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_intervals_are_read() {
        let day = Duration::from_secs(86_400);
        assert_eq!([age("90d"), age("2w"), age("12h")], [Ok(90 * day), Ok(14 * day), Ok(day / 2)]);
        assert!(["", "d", "90", "-1d", "1.5d"].iter().all(|text| age(text).is_err()));
        assert_eq!(interval(Some("0.5")), Ok(Duration::from_millis(500)));
        assert_eq!(interval(None), Ok(Duration::ZERO));
        for text in ["fast", "-1", "NaN"] {
            let message = interval(Some(text)).unwrap_err();
            assert!(message.starts_with("LLAMA_STACK_TEST_INTERVAL_SECONDS") && message.contains(text));
        }
    }
}
