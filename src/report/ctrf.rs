//! CTRF, the Common Test Report Format: JSON that many CI tools read. Field names are those of its schema.

use serde_json::{Value, json};

use super::text;
use crate::exec::event::{Outcome, RunInfo, Summary, TrialReport};

/// The version of CTRF's specification that is followed.
const SPEC: &str = "0.0.0";

/// The whole document.
pub fn render(info: &RunInfo, trials: &[TrialReport], summary: &Summary) -> Value {
    let count = |status: &str| trials.iter().filter(|trial| word(&trial.outcome) == status).count();
    let start = info.started.as_millisecond();
    let took = i64::try_from(summary.took.as_millis()).unwrap_or(i64::MAX);
    let mut files: Vec<&str> = trials.iter().map(TrialReport::file).collect();
    files.sort_unstable();
    files.dedup();
    json!({
        "reportFormat": "CTRF",
        "specVersion": SPEC,
        "generatedBy": "runner",
        "results": {
            "tool": {"name": "runner", "version": env!("CARGO_PKG_VERSION")},
            "summary": {
                "tests": trials.len(), "passed": count("passed"), "failed": count("failed"),
                "skipped": count("skipped"), "pending": 0, "other": count("other"), "suites": files.len(),
                "flaky": summary.flaky, "start": start, "stop": start.saturating_add(took),
            },
            "tests": trials.iter().map(test).collect::<Vec<_>>(),
            "environment": {
                "testEnvironment": info.target,
                "extra": {"suite": info.suite, "setup": info.setup, "mode": info.mode},
            },
        },
    })
}

/// CTRF's words. What was expected to fail and did is neither passed nor failed, nor is what failed in quarantine.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed | Outcome::XPassed(_) => "passed",
        Outcome::Failed(_) | Outcome::Broken(_) => "failed",
        Outcome::Skipped(_) => "skipped",
        Outcome::XFailed(_) | Outcome::Quarantined(..) => "other",
    }
}

fn test(trial: &TrialReport) -> Value {
    let (path, line) = match trial.place.rsplit_once(':') {
        Some((path, line)) => (path, line.parse::<u64>().ok()),
        None => (trial.place.as_str(), None),
    };
    let mut test = json!({
        "name": trial.name(),
        "status": word(&trial.outcome),
        "duration": u64::try_from(trial.took.as_millis()).unwrap_or(u64::MAX),
        "suite": [trial.file()],
        "filePath": path,
        "rawStatus": trial.outcome.word(),
        "retries": trial.attempts.saturating_sub(1),
        "flaky": trial.outcome == Outcome::Passed && trial.attempts > 1,
    });
    if let Some(line) = line {
        test["line"] = line.into();
    }
    if let Some(reason) = trial.outcome.reason() {
        test["message"] = reason.into();
    }
    let failures = trial.outcome.all_failures();
    if !failures.is_empty() {
        test["trace"] = failures.iter().map(text::failure).collect::<Vec<_>>().join("\n").into();
    }
    if let Some(upstream) = &trial.upstream {
        test["extra"] = json!({"upstream": upstream});
    }
    test
}
