//! The terminal: progress while it runs, a line per trial, failures and skips at the end.

use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{expectations, recordings, text};
use crate::exec::event::{Event, Outcome, Summary, TrialReport};
use crate::plan::expectations::ListKind;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Failures and the last line.
    Quiet,
    /// A line per trial.
    Normal,
    /// Also each trial's provider requests.
    Verbose,
}

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleOptions {
    pub verbosity: Verbosity,
    pub color: bool,
    /// A progress bar below the lines; only where a person looks at a terminal.
    pub progress: bool,
    /// How many of the slowest trials are listed at the end.
    pub durations: usize,
}

/// The console reporter. Lines go to `out`, the bar to stderr.
pub struct Console {
    options: ConsoleOptions,
    out: Box<dyn Write + Send>,
    bar: ProgressBar,
    running: Vec<String>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Console({:?})", self.options)
    }
}

impl Console {
    pub fn new(options: ConsoleOptions, out: Box<dyn Write + Send>) -> Self {
        let target =
            if options.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { options, out, bar: ProgressBar::with_draw_target(Some(0), target), running: Vec::new() }
    }

    pub fn on(&mut self, event: &Event, finished: &[TrialReport]) -> std::io::Result<()> {
        match event {
            Event::RunStarted(info) => {
                self.bar.set_length(info.trials as u64);
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}") {
                    self.bar.set_style(style);
                }
                self.bar.enable_steady_tick(Duration::from_millis(200));
                let suite =
                    info.suite.as_deref().map_or_else(|| "all cases".to_owned(), |s| format!("suite {s}"));
                let setup = info.setup.as_deref().map(|s| format!(", setup {s}")).unwrap_or_default();
                if self.options.verbosity == Verbosity::Quiet {
                    return Ok(());
                }
                let mut jobs = text::count(info.jobs, "job");
                if let Some(seed) = info.seed {
                    jobs.push_str(&format!(", --shuffle={seed}"));
                }
                self.print(&format!(
                    "{suite}{setup}: {} against {} ({}, {jobs})",
                    text::count(info.trials, "trial"),
                    info.target,
                    info.mode
                ))
            }
            Event::TrialStarted { id } => {
                self.running.push(id.clone());
                self.show_running();
                Ok(())
            }
            Event::StepFinished { .. } | Event::Exchanged(_) => Ok(()),
            Event::TrialFinished(report) => {
                self.running.retain(|id| *id != report.id);
                self.bar.inc(1);
                self.show_running();
                self.trial(report)
            }
            Event::RunFinished(summary) => {
                self.bar.finish_and_clear();
                self.end(summary, finished)
            }
        }
    }

    fn show_running(&self) {
        if let Some(id) = self.running.last() {
            self.bar.set_message(id.clone());
        }
    }

    fn print(&mut self, line: &str) -> std::io::Result<()> {
        let out = &mut self.out;
        self.bar.suspend(|| writeln!(out, "{line}"))
    }

    fn painted(&self, word: &str, color: AnsiColor) -> String {
        if !self.options.color {
            return word.to_owned();
        }
        let style = Style::new().bold().fg_color(Some(color.into()));
        format!("{style}{word}{style:#}")
    }

    fn trial(&mut self, report: &TrialReport) -> std::io::Result<()> {
        let failing = !report.outcome.failures().is_empty();
        if self.options.verbosity == Verbosity::Quiet && !failing {
            return Ok(());
        }
        let (word, color) = match &report.outcome {
            Outcome::Passed => ("PASS", AnsiColor::Green),
            Outcome::Failed(_) => ("FAIL", AnsiColor::Red),
            Outcome::Skipped(_) => ("SKIP", AnsiColor::Yellow),
            Outcome::XFailed(_) => ("XFAIL", AnsiColor::Yellow),
            Outcome::XPassed(_) => ("XPASS", AnsiColor::Magenta),
            Outcome::Broken(_) => ("BROKEN", AnsiColor::Red),
            Outcome::Quarantined(..) => ("QFAIL", AnsiColor::Yellow),
        };
        let mark = self.painted(&format!("{word:>6}"), color);
        let reason = report.outcome.reason().filter(|_| !failing).map(str::to_owned);
        let reason = reason.or_else(|| in_quarantine(report)).map(|r| format!("  {r}")).unwrap_or_default();
        let again =
            if report.attempts > 1 { format!(" (attempt {})", report.attempts) } else { String::new() };
        self.print(&format!("{mark} {:>7} {}{again}{reason}", text::seconds(report.took), report.id))?;
        if self.options.verbosity == Verbosity::Verbose {
            for used in &report.matches {
                self.print(&format!("               {}", text::provider_use(used)))?;
            }
        }
        Ok(())
    }

    fn slowest(&mut self, finished: &[TrialReport]) -> std::io::Result<()> {
        let mut trials: Vec<&TrialReport> = finished.iter().collect();
        trials.sort_by(|a, b| b.took.cmp(&a.took).then_with(|| a.id.cmp(&b.id)));
        trials.truncate(self.options.durations);
        if !trials.is_empty() {
            self.print("\nslowest:")?;
        }
        trials
            .iter()
            .try_for_each(|trial| self.print(&format!("  {:>8}  {}", text::seconds(trial.took), trial.id)))
    }

    fn end(&mut self, summary: &Summary, finished: &[TrialReport]) -> std::io::Result<()> {
        let quiet = self.options.verbosity == Verbosity::Quiet;
        for trial in finished {
            let failures = if quiet { trial.outcome.failures() } else { trial.outcome.all_failures() };
            if failures.is_empty() {
                continue;
            }
            let title = match &trial.outcome {
                Outcome::Quarantined(..) => {
                    self.painted(&format!("--- {} (quarantined) ---", trial.id), AnsiColor::Yellow)
                }
                _ => self.painted(&format!("--- {} ---", trial.id), AnsiColor::Red),
            };
            self.print(&format!("\n{title}"))?;
            for failure in failures {
                self.print(text::failure(failure).trim_end())?;
            }
            // A miss has said all of it already.
            if !trial.matches.is_empty() && !trial.outcome.is_miss() {
                self.print("  provider requests of this trial:")?;
                for used in &trial.matches {
                    self.print(&format!("    {}", text::provider_use(used)))?;
                }
            }
        }
        for miss in &summary.stray_misses {
            self.print(&format!("\nreplay miss outside any trial:\n{miss}"))?;
        }
        for failure in &summary.unclean {
            self.print(&format!("\n{}", text::failure(failure).trim_end()))?;
        }
        let surplus = expectations::lines(finished);
        if !surplus.is_empty() && !quiet {
            self.print(&format!("\n{}", surplus.join("\n")))?;
        }
        let skips = text::skip_reasons(finished);
        if !skips.is_empty() && !quiet {
            self.print("\nskipped:")?;
            for (count, reason) in skips {
                self.print(&format!("  {count:>4}  {reason}"))?;
            }
        }
        self.slowest(finished)?;
        let more = recordings::lines(summary, self.options.verbosity);
        if !more.is_empty() {
            self.print(&format!("\n{}", more.join("\n")))?;
        }
        let unmet = summary.recordings.unmet.len();
        let bad =
            summary.failed + summary.broken + summary.stray_misses.len() + unmet + summary.unclean.len() > 0;
        let line = self.painted(&summary.line(), if bad { AnsiColor::Red } else { AnsiColor::Green });
        let interrupted = if summary.interrupted { " (interrupted)" } else { "" };
        self.print(&format!("\n{line} in {}{interrupted}", text::seconds(summary.took)))
    }
}

/// That a trial passed in quarantine, and why it is there.
fn in_quarantine(report: &TrialReport) -> Option<String> {
    let passed = report.outcome == Outcome::Passed;
    let entry = report.listed.iter().find(|entry| passed && entry.kind == ListKind::Quarantine)?;
    Some(format!("in quarantine: {}", entry.because))
}
