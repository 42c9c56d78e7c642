//! A Markdown summary: what ran, counts, a table per file, failures in full, skips with their reasons.

use std::collections::{BTreeMap, BTreeSet};

use super::console::Verbosity;
use super::{expectations, recordings, text, usage};
use crate::exec::event::{Outcome, RunInfo, Summary, TrialReport};

/// The whole page.
pub fn render(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> String {
    [
        head(info, summary),
        table(trials),
        grid(trials),
        usage(info, trials, summary),
        failures(trials),
        of_lists(trials),
        of_recordings(summary),
        skips(trials),
    ]
    .concat()
}

/// The page without its table of trials, which grows with the run.
pub fn short(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> String {
    let parts =
        [head(info, summary), grid(trials), usage(info, trials, summary), failures(trials), of_lists(trials)];
    parts.into_iter().chain([of_recordings(summary), skips(trials)]).collect()
}

fn head(info: &RunInfo, summary: &Summary) -> String {
    let mut out = String::from("# Test report\n\n");
    let suite = info.suite.as_deref().unwrap_or("all cases");
    let setup = info.setup.as_deref().unwrap_or("none");
    out.push_str(&format!(
        "Suite **{suite}**, setup **{setup}**, target `{}`, mode {}.\n\n",
        info.target, info.mode
    ));
    out.push_str(&format!("**{}** in {}\n\n", summary.line(), text::seconds(summary.took)));
    for (name, values) in info.params.iter().filter(|(_, values)| !values.is_empty()) {
        out.push_str(&format!(
            "- {name}: {}\n",
            values.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    out
}

fn table(trials: &[TrialReport]) -> String {
    let mut out = String::from("\n| | trial | seconds | provider requests |\n|---|---|---:|---|\n");
    for trial in trials {
        let tiers: Vec<&str> = trial.matches.iter().map(|used| used.tier.as_str()).collect();
        let time = format!("{:.2}", trial.took.as_secs_f64());
        out.push_str(&format!(
            "| {} | `{}` | {time} | {} |\n",
            mark(&trial.outcome),
            cell(&trial.id),
            cell(&tiers.join(", "))
        ));
    }
    out
}

/// What a provider's trials of one file of cases came to.
#[derive(Debug, Clone, Copy, Default)]
struct Capability {
    passed: usize,
    /// Failed, and not as expected.
    failed: usize,
    ran: usize,
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self {
            Self { failed: 1.., .. } => "❌",
            Self { passed, ran, .. } if passed < ran => "⚠️",
            _ => "✅",
        };
        write!(f, "{mark} {}/{}", self.passed, self.ran)
    }
}

/// Providers against files of cases, as upstream's table of capabilities.
fn grid(trials: &[TrialReport]) -> String {
    let mut cells: BTreeMap<(&str, &str), Capability> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| !matches!(trial.outcome, Outcome::Skipped(_))) {
        let providers: BTreeSet<&str> = trial.matches.iter().map(|used| used.provider.as_str()).collect();
        for provider in providers {
            let cell = cells.entry((provider, trial.file())).or_default();
            cell.passed += usize::from(matches!(trial.outcome, Outcome::Passed | Outcome::XPassed(_)));
            cell.failed += usize::from(!trial.outcome.failures().is_empty());
            cell.ran += 1;
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    let providers: BTreeSet<&str> = cells.keys().map(|(provider, _)| *provider).collect();
    let files: BTreeSet<&str> = cells.keys().map(|(_, file)| *file).collect();
    let mut out =
        String::from("\n## Providers\n\nTrials that asked a provider: passed of those that ran.\n\n| |");
    providers.iter().for_each(|provider| out.push_str(&format!(" {} |", cell(provider))));
    out.push_str(&format!("\n|---|{}\n", "---|".repeat(providers.len())));
    for file in files {
        out.push_str(&format!("| {} |", cell(file)));
        for provider in &providers {
            match cells.get(&(*provider, file)) {
                Some(capability) => out.push_str(&format!(" {capability} |")),
                None => out.push_str(" |"),
            }
        }
        out.push('\n');
    }
    out
}

/// What that cost.
fn usage(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> String {
    let found = usage::by_model(trials, summary);
    if found.is_empty() {
        return String::new();
    }
    let priced = !info.prices.is_empty();
    let (title, rule) = if priced { (" cost |", "---:|") } else { ("", "") };
    let mut out = format!(
        "\n| provider | model | requests | replayed | missed | prompt tokens | answer tokens |{title}\n\
         |---|---|---:|---:|---:|---:|---:|{rule}\n",
    );
    for ((provider, model), used) in found {
        let name = format!("{provider}/{model}");
        let price = info.prices.iter().find(|(of, _)| *of == name).map(|(_, price)| *price);
        let shown = || price.map_or_else(|| " |".to_owned(), |price| format!(" ${:.4} |", used.cost(price)));
        let cost = priced.then(shown);
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |{}\n",
            cell(provider),
            cell(model),
            used.requests,
            used.replayed,
            used.missed,
            used.prompt_tokens,
            used.completion_tokens,
            cost.unwrap_or_default()
        ));
    }
    out
}

fn failures(trials: &[TrialReport]) -> String {
    let mut out = String::new();
    let failed: Vec<&TrialReport> = trials.iter().filter(|t| !t.outcome.all_failures().is_empty()).collect();
    if !failed.is_empty() {
        out.push_str("\n## Failures\n");
    }
    for trial in failed {
        out.push_str(&format!("\n### `{}`\n\n", trial.id));
        if let Outcome::Quarantined(reason, _) = &trial.outcome {
            out.push_str(&format!("In quarantine: {}\n\n", cell(reason)));
        }
        for failure in trial.outcome.all_failures() {
            out.push_str(&format!("````text\n{}````\n", text::failure(failure)));
        }
    }
    out
}

fn of_lists(trials: &[TrialReport]) -> String {
    let lines = expectations::lines(trials);
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("- {line}\n")).collect();
    format!("\n## Expectations that were not met\n\n{items}")
}

fn of_recordings(summary: &Summary) -> String {
    let mut out = String::new();
    let more = recordings::lines(summary, Verbosity::Normal);
    if !more.is_empty() {
        out.push_str(&format!(
            "\n## Recordings\n\n{}\n",
            more.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
        ));
    }
    out
}

fn skips(trials: &[TrialReport]) -> String {
    let mut out = String::new();
    let skips = text::skip_reasons(trials);
    if !skips.is_empty() {
        out.push_str("\n## Skipped\n\n| trials | reason |\n|---:|---|\n");
        for (count, reason) in skips {
            out.push_str(&format!("| {count} | {} |\n", cell(reason)));
        }
    }
    out
}

fn mark(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✅ passed",
        Outcome::Failed(_) => "❌ failed",
        Outcome::Skipped(_) => "➖ skipped",
        Outcome::XFailed(_) => "➖ xfailed",
        Outcome::XPassed(_) => "⚠️ xpassed",
        Outcome::Broken(_) => "❌ broken",
        Outcome::Quarantined(..) => "🚧 quarantined",
    }
}

/// Text inside a table cell: a bar or a line break would end it.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
