//! A Markdown summary: what ran, counts, a table per file, failures in full, skips with their reasons.

use super::text;
use crate::exec::event::{Outcome, RunInfo, Summary, TrialReport};

pub fn render(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> String {
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
    out.push_str("\n| | trial | seconds | provider requests |\n|---|---|---:|---|\n");
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
    let failed: Vec<&TrialReport> = trials.iter().filter(|t| !t.outcome.failures().is_empty()).collect();
    if !failed.is_empty() {
        out.push_str("\n## Failures\n");
    }
    for trial in failed {
        out.push_str(&format!("\n### `{}`\n\n", trial.id));
        for failure in trial.outcome.failures() {
            out.push_str(&format!("````text\n{}````\n", text::failure(failure)));
        }
    }
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
    }
}

/// Text inside a table cell: a bar or a line break would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
