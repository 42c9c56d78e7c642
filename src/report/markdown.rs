//! A Markdown summary: what ran, counts, a table per file, failures in full, skips with their reasons.

use std::collections::{BTreeMap, BTreeSet};

use super::console::Verbosity;
use super::{expectations, recordings, text};
use crate::exec::event::{Outcome, RunInfo, Summary, TrialReport};

/// The whole page.
pub fn render(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> String {
    [
        head(info, summary),
        table(trials),
        grid(trials),
        failures(trials),
        of_lists(trials),
        of_recordings(summary),
        skips(trials),
    ]
    .concat()
}

/// The page without its table of trials, which grows with the run.
pub fn short(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> String {
    let parts = [head(info, summary), grid(trials), failures(trials), of_lists(trials)];
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

/// Providers against the folders of cases, as upstream's table of capabilities: how many trials that asked the
/// provider passed, of those that did not skip.
fn grid(trials: &[TrialReport]) -> String {
    let mut cells: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| !matches!(trial.outcome, Outcome::Skipped(_))) {
        let folder = trial.file().split('/').next().unwrap_or_default();
        let providers: BTreeSet<&str> = trial.matches.iter().map(|used| used.provider.as_str()).collect();
        for provider in providers {
            let (passed, all) = cells.entry((provider, folder)).or_default();
            *passed += usize::from(matches!(trial.outcome, Outcome::Passed | Outcome::XPassed(_)));
            *all += 1;
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    let providers: BTreeSet<&str> = cells.keys().map(|(provider, _)| *provider).collect();
    let folders: BTreeSet<&str> = cells.keys().map(|(_, folder)| *folder).collect();
    let mut out = String::from(
        "\n## Providers\n\nTrials that asked a provider, by folder: passed of those that ran.\n\n| |",
    );
    providers.iter().for_each(|provider| out.push_str(&format!(" {} |", cell(provider))));
    out.push_str(&format!("\n|---|{}\n", "---:|".repeat(providers.len())));
    for folder in folders {
        out.push_str(&format!("| {} |", cell(folder)));
        for provider in &providers {
            match cells.get(&(*provider, folder)) {
                Some((passed, all)) => out.push_str(&format!(" {passed}/{all} |")),
                None => out.push_str(" |"),
            }
        }
        out.push('\n');
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
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
