//! One file per output. Reporters learn what happened from events alone.

pub mod compare;
pub mod compare_text;
pub mod console;
pub mod ctrf;
pub mod expectations;
pub mod github;
pub mod history;
pub mod jsonl;
pub mod junit;
pub mod markdown;
pub mod merge;
pub mod mutation;
pub mod page;
pub mod read;
pub mod recordings;
pub mod rerecord;
pub mod shapes;
pub mod tap;
pub mod text;
pub mod usage;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::exec::event::{Event, RunInfo, Summary, TrialReport};
use crate::source::nearest::suggestion;
use console::Console;
use github::Github;
use history::{History, HistoryKeeper};
use jsonl::{Jsonl, Lines};
use page::Past;

/// A file report, as `--report KIND=PATH` or `--report PATH.ext` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSpec {
    pub kind: ReportKind,
    pub path: PathBuf,
}

/// The forms a report can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    Jsonl,
    /// JSON Lines of what each answer of the stack was made of.
    Exchanges,
    Junit,
    Markdown,
    Html,
    Ctrf,
    Tap,
}

impl ReportKind {
    pub const NAMES: [&str; 7] = ["jsonl", "exchanges", "junit", "markdown", "html", "ctrf", "tap"];

    fn of(name: &str) -> Option<Self> {
        match name {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "exchanges" => Some(Self::Exchanges),
            "junit" | "xml" => Some(Self::Junit),
            "markdown" | "md" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "ctrf" | "json" => Some(Self::Ctrf),
            "tap" => Some(Self::Tap),
            _ => None,
        }
    }
}

impl std::str::FromStr for ReportSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((kind, path)) = text.split_once('=') {
            let found = ReportKind::of(kind);
            let kind = found.ok_or_else(|| {
                format!("there is no report of kind `{kind}`; {}", suggestion(kind, &ReportKind::NAMES))
            })?;
            return Ok(Self { kind, path: path.into() });
        }
        let extension = Path::new(text).extension().and_then(|e| e.to_str()).unwrap_or_default();
        let kind = ReportKind::of(extension).ok_or_else(|| {
            format!(
                "cannot tell the report's kind from `{text}`: write KIND=PATH with one of {}",
                ReportKind::NAMES.join(", ")
            )
        })?;
        Ok(Self { kind, path: text.into() })
    }
}

/// All outputs of a run, fed by one stream of events.
#[derive(Debug)]
pub struct Reporters {
    console: Console,
    lines: Vec<Jsonl<BufWriter<File>>>,
    at_end: Vec<ReportSpec>,
    info: RunInfo,
    finished: Vec<TrialReport>,
    problems: Vec<String>,
    github: Option<Github>,
    history: Option<HistoryKeeper>,
}

impl Reporters {
    /// # Errors
    /// The path and the reason, when a report's file cannot be made: better known before the run than after.
    pub fn new(console: Console, specs: &[ReportSpec]) -> Result<Self, String> {
        let mut lines = Vec::new();
        let mut at_end = Vec::new();
        for spec in specs {
            let file = create(&spec.path)
                .map_err(|e| format!("cannot write the report {}: {e}", spec.path.display()))?;
            match spec.kind {
                ReportKind::Jsonl => lines.push(Jsonl::new(BufWriter::new(file), Lines::Trials)),
                ReportKind::Exchanges => lines.push(Jsonl::new(BufWriter::new(file), Lines::Exchanges)),
                _ => at_end.push(spec.clone()),
            }
        }
        Ok(Self {
            console,
            lines,
            at_end,
            info: RunInfo::default(),
            finished: Vec::new(),
            problems: Vec::new(),
            github: None,
            history: None,
        })
    }

    /// Whether anything here writes down exchanges.
    pub fn want_exchanges(&self) -> bool {
        self.lines.iter().any(|lines| lines.lines() == Lines::Exchanges)
    }

    /// Keeps the results for later runs.
    #[must_use]
    pub fn with_history(mut self, history: Option<HistoryKeeper>) -> Self {
        self.history = history;
        self
    }

    pub fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted(info) => self.info = info.clone(),
            Event::TrialFinished(report) => self.finished.push((**report).clone()),
            _ => {}
        }
        if matches!(event, Event::RunFinished(_)) {
            self.finished.sort_by(|a, b| a.id.cmp(&b.id));
        }
        for lines in &mut self.lines {
            note(&mut self.problems, lines.on(event));
        }
        note(&mut self.problems, self.console.on(event, &self.finished));
        if let Event::RunFinished(summary) = event {
            if let Some(history) = &self.history {
                let place = history.dir.display();
                let kept = history.keep(&self.finished);
                note(&mut self.problems, kept.map_err(|e| std::io::Error::other(format!("{place}: {e}"))));
            }
            for spec in &self.at_end {
                let text = self.render(spec.kind, summary);
                let written = text.and_then(|text| std::fs::write(&spec.path, text));
                note(
                    &mut self.problems,
                    written.map_err(|e| std::io::Error::other(format!("{}: {e}", spec.path.display()))),
                );
            }
            if let Some(github) = &self.github {
                let done = github.finish(&mut std::io::stdout(), &self.info, &self.finished, summary);
                note(&mut self.problems, done);
            }
        }
    }

    /// Shows the run to the GitHub Actions job that it runs in, too.
    #[must_use]
    pub fn with_github(mut self, github: Option<Github>) -> Self {
        self.github = github;
        self
    }

    fn render(&self, kind: ReportKind, summary: &Summary) -> std::io::Result<String> {
        let (info, trials) = (&self.info, &self.finished);
        Ok(match kind {
            ReportKind::Junit => {
                let name = info.suite.as_deref().unwrap_or("runner");
                junit::render(trials, name).map_err(std::io::Error::other)?
            }
            ReportKind::Ctrf => format!("{:#}\n", ctrf::render(info, trials, summary)),
            ReportKind::Tap => tap::render(trials),
            ReportKind::Html => {
                let kept = self.history.as_ref().map(|keeper| (History::read(&keeper.dir), &keeper.occasion));
                let past = kept.as_ref().map(|(history, occasion)| Past { history, occasion });
                page::render(info, trials, summary, past)
            }
            // Both kinds of JSON Lines are written as the run goes on.
            ReportKind::Markdown | ReportKind::Jsonl | ReportKind::Exchanges => {
                markdown::render(info, trials, summary)
            }
        })
    }

    /// The trials that ended, in order of their ids.
    pub fn into_trials(self) -> Vec<TrialReport> {
        self.finished
    }

    /// What could not be written; a report that is missing must not look like a green run.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

fn note(problems: &mut Vec<String>, result: std::io::Result<()>) {
    if let Err(error) = result {
        let text = format!("writing a report failed: {error}");
        if !problems.contains(&text) {
            problems.push(text);
        }
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = File::create(path)?;
    file.flush()?;
    Ok(file)
}
