//! What happened, as data: the one stream of events that every reporter reads.

use std::time::Duration;

use super::review::Review;
use crate::plan::expectations::ListKind;
use crate::plan::template::FillError;
use crate::record::structure::Structure;
use crate::record::{Nearest, Spent, Tokens};
use crate::source::Span;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    RunStarted(RunInfo),
    TrialStarted {
        id: String,
    },
    StepFinished {
        id: String,
        step: usize,
        passed: bool,
        took: Duration,
    },
    /// A request to the stack was answered; told only when somebody asked for it.
    Exchanged(Box<ExchangeReport>),
    TrialFinished(Box<TrialReport>),
    RunFinished(Summary),
}

/// What is about to run.
#[derive(Debug, Clone, Default)]
pub struct RunInfo {
    pub suite: Option<String>,
    pub setup: Option<String>,
    /// The target as the user wrote it.
    pub target: String,
    pub mode: String,
    pub jobs: usize,
    pub trials: usize,
    /// What gives the same random order again.
    pub seed: Option<u32>,
    /// Parameter names and values.
    pub params: Vec<(String, Vec<String>)>,
    /// What models cost, by `provider/model`, as far as the setup says.
    pub prices: Vec<(String, Price)>,
    pub started: jiff::Timestamp,
    /// Which part of a plan this is, when it is a part.
    pub shard: Option<ShardInfo>,
}

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub prompt: f64,
    pub completion: f64,
}

/// A part of a plan that runs elsewhere in other parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardInfo {
    /// From 1.
    pub index: usize,
    pub count: usize,
    /// `hash` or `duration`.
    pub by: String,
    /// Trials of the whole plan.
    pub planned: usize,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// The stack under test is wrong, or a recording is missing.
    Failed(Vec<Failure>),
    Skipped(String),
    /// Failed, as expected.
    XFailed(String),
    /// Passed although a failure was expected.
    XPassed(String),
    /// It could not be found out: the environment is at fault.
    Broken(Vec<Failure>),
    /// Failed or broken, which does not count, for this reason.
    Quarantined(String, Vec<Failure>),
}

impl Outcome {
    /// The word of reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::XFailed(_) => "xfailed",
            Self::XPassed(_) => "xpassed",
            Self::Broken(_) => "broken",
            Self::Quarantined(..) => "quarantined",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skipped(reason)
            | Self::XFailed(reason)
            | Self::XPassed(reason)
            | Self::Quarantined(reason, _) => Some(reason),
            Self::Failed(failures) | Self::Broken(failures) => failures.first().map(|f| f.title.as_str()),
            Self::Passed => None,
        }
    }

    /// Whether all that is wrong is that recordings are missing.
    pub fn is_miss(&self) -> bool {
        let failures = self.all_failures();
        !failures.is_empty() && failures.iter().all(|failure| failure.kind == FailureKind::Miss)
    }

    /// What fails the run.
    pub fn failures(&self) -> &[Failure] {
        match self {
            Self::Failed(failures) | Self::Broken(failures) => failures,
            _ => &[],
        }
    }

    /// What went wrong, whether or not it fails the run.
    pub fn all_failures(&self) -> &[Failure] {
        match self {
            Self::Quarantined(_, failures) => failures,
            _ => self.failures(),
        }
    }
}

/// An entry of a list of known failures that applied to a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub kind: ListKind,
    /// `file:line` of the entry.
    pub place: String,
    pub because: String,
}

/// One reason for which a trial failed, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// One line.
    pub title: String,
    /// `file:line` of the YAML.
    pub place: Option<String>,
    /// The YAML lines, numbered.
    pub excerpt: Option<String>,
    /// More lines, such as a diff.
    pub detail: Option<String>,
    /// The request as a `curl` command.
    pub curl: Option<String>,
    /// Status line and body of the answer, shortened.
    pub answer: Option<String>,
}

impl Failure {
    /// A failure of which only this is known.
    pub(crate) fn new(kind: FailureKind, title: impl Into<String>) -> Self {
        let title = title.into();
        Self { kind, title, place: None, excerpt: None, detail: None, curl: None, answer: None }
    }

    /// With its place in the YAML, and that many lines from there.
    pub(super) fn at(mut self, span: &Span, lines: usize) -> Self {
        self.place = Some(span.file_line());
        self.excerpt = (lines > 0).then(|| span.excerpt(lines));
        self
    }

    /// A template that could not be filled.
    pub(super) fn template(error: &FillError) -> Self {
        Self::new(FailureKind::Template, error.message.as_str()).at(&error.span, 1)
    }
}

/// Which of the four failures it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The stack under test answered otherwise than expected.
    Mismatch,
    /// A provider request had no recording.
    Miss,
    /// The environment: no connection, a time-out, a file that is gone.
    Fault,
    /// A template could not be filled at run time.
    Template,
}

impl FailureKind {
    const ALL: [Self; 4] = [Self::Mismatch, Self::Miss, Self::Fault, Self::Template];

    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Miss => "miss",
            Self::Fault => "fault",
            Self::Template => "template",
        }
    }

    /// The kind of this word; a word that is not known is a mismatch, the one that excuses nothing.
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Mismatch)
    }
}

/// A provider request that a trial caused, and how replay or recording dealt with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderUse {
    pub provider: String,
    pub endpoint: String,
    /// The model that was asked for, where the request names one.
    pub model: Option<String>,
    /// The status that the stack got; 0 when its connection was reset.
    pub status: u16,
    /// Since the trial's last attempt began; `None` outside of trials.
    pub at: Option<Duration>,
    /// To the end of the answer; of a replayed one, to its start.
    pub took: Duration,
    /// `exact`, or the names of the normalisers that were needed, `recorded`, `forwarded`, `miss`.
    pub tier: String,
    /// The recording's file, below the recordings directory.
    pub file: Option<String>,
    /// For a miss: provider, method, path and body of the request, so that `recordings why` can explain it.
    pub request: Option<serde_json::Value>,
    /// For a miss: the recording most like the request, and how it differs. Not written down.
    pub nearest: Option<Nearest>,
    /// When the recording that answered was made, where that is known.
    pub recorded_at: Option<jiff::Timestamp>,
    /// As the provider counted them, in this answer or when it was recorded.
    pub tokens: Option<Tokens>,
}

/// A request to the stack under test, and what its answer is made of.
#[derive(Debug, Clone)]
pub struct ExchangeReport {
    /// The trial's.
    pub id: String,
    /// `file:line` of the step.
    pub place: String,
    pub method: String,
    /// With its query.
    pub path: String,
    /// The path as the case has it, without query: `/v1/files/{id}`.
    pub endpoint: String,
    pub took: Duration,
    pub answer: Structure,
}

/// A trial's requests to the stack, in the order in which they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    pub traces: Vec<RequestTrace>,
    /// How many more there were.
    pub more: usize,
}

/// When a request to the stack was sent, and when its answer came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestTrace {
    /// `file:line` of the step.
    pub place: String,
    pub method: String,
    /// With its query.
    pub path: String,
    /// `None` where no answer came.
    pub status: Option<u16>,
    /// Since the trial's last attempt began.
    pub at: Duration,
    /// To the last byte.
    pub took: Duration,
    pub bytes: usize,
    /// Since it was sent, as all times below.
    pub first_byte: Option<Duration>,
    /// Of a stream: how many chunks came.
    pub chunks: usize,
    /// When they came; of a long stream, of some of them.
    pub arrivals: Vec<Duration>,
    /// Between two chunks.
    pub largest_gap: Option<Duration>,
}

/// One finished trial.
#[derive(Debug, Clone)]
pub struct TrialReport {
    /// The trial's id, with its number where it ran several times.
    pub id: String,
    /// The trial's id in the plan.
    pub trial: String,
    /// What it was run with, as its id says it: `client`, `txt`, …, `row`, each with its value.
    pub axes: Vec<(String, String)>,
    /// `file:line` of the case.
    pub place: String,
    /// Upstream's test id, parameters filled in.
    pub upstream: Option<String>,
    pub outcome: Outcome,
    pub took: Duration,
    pub attempts: u32,
    pub matches: Vec<ProviderUse>,
    /// Of all its provider requests that were counted; `None` where nobody counted.
    pub tokens: Option<Tokens>,
    /// What lists of known failures say about it.
    pub listed: Vec<Listed>,
    /// What it sent to the stack.
    pub requests: Requests,
}

/// The tokens of these requests, as far as they were counted.
pub(super) fn tokens(uses: &[ProviderUse]) -> Option<Tokens> {
    let counted = uses.iter().filter_map(|used| used.tokens);
    counted.reduce(|sum, more| Tokens {
        prompt: sum.prompt + more.prompt,
        completion: sum.completion + more.completion,
    })
}

impl TrialReport {
    /// The file part of the id.
    pub fn file(&self) -> &str {
        self.id.split_once("::").map_or(self.id.as_str(), |(file, _)| file)
    }

    /// The id without its file.
    pub fn name(&self) -> &str {
        self.id.split_once("::").map_or(self.id.as_str(), |(_, name)| name)
    }

    /// A trial that ended so, for tests: at once, at its first attempt, without a provider request.
    #[cfg(test)]
    pub(crate) fn ended(id: &str, outcome: Outcome) -> Self {
        Self {
            id: id.to_owned(),
            trial: id.to_owned(),
            axes: Vec::new(),
            place: "test_cases/a.yaml:3".to_owned(),
            upstream: None,
            outcome,
            took: Duration::ZERO,
            attempts: 1,
            matches: Vec::new(),
            tokens: None,
            listed: Vec::new(),
            requests: Requests::default(),
        }
    }
}

/// The counts at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub xfailed: usize,
    pub xpassed: usize,
    pub broken: usize,
    /// Failed or broken in quarantine.
    pub quarantined: usize,
    /// Passed, but not at the first attempt.
    pub flaky: usize,
    /// Failed trials whose only failures are replay misses.
    pub missed: usize,
    /// Replay misses that no trial could be charged with.
    pub stray_misses: Vec<String>,
    /// Provider requests that are in no trial's report: at boot, of earlier attempts, unattributed or late.
    pub other_matches: Vec<ProviderUse>,
    /// What went wrong when fixtures were taken down that no trial was left to be charged with.
    pub unclean: Vec<Failure>,
    /// What there is to say about the recordings that were used, and those that were not.
    pub recordings: Review,
    /// What was asked of providers.
    pub spent: Spent,
    /// Trials that were not started, after `--maxfail` or Ctrl-C.
    pub not_run: usize,
    pub interrupted: bool,
    pub took: Duration,
}

impl Summary {
    pub fn count(&mut self, report: &TrialReport) {
        let counter = match &report.outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed(failures) => {
                let only_misses = failures.iter().all(|f| f.kind == FailureKind::Miss);
                self.missed += usize::from(only_misses);
                &mut self.failed
            }
            Outcome::Skipped(_) => &mut self.skipped,
            Outcome::XFailed(_) => &mut self.xfailed,
            Outcome::XPassed(_) => &mut self.xpassed,
            Outcome::Broken(_) => &mut self.broken,
            Outcome::Quarantined(..) => &mut self.quarantined,
        };
        *counter += 1;
        self.flaky += usize::from(report.outcome == Outcome::Passed && report.attempts > 1);
    }

    pub fn total(&self) -> usize {
        let run = self.passed + self.failed + self.xfailed + self.xpassed + self.broken + self.quarantined;
        run + self.skipped
    }

    /// `12 passed, 1 failed, 3 skipped`: what is zero is left out, passed and failed are always there.
    pub fn line(&self) -> String {
        let mut parts = vec![format!("{} passed", self.passed), format!("{} failed", self.failed)];
        let more = [
            (self.skipped, "skipped"),
            (self.xfailed, "xfailed"),
            (self.xpassed, "xpassed"),
            (self.broken, "broken"),
            (self.quarantined, "quarantined"),
            (self.flaky, "flaky"),
            (self.not_run, "not run"),
        ];
        parts.extend(more.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")));
        parts.join(", ")
    }
}
