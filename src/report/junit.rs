//! JUnit XML in nextest's dialect: one test suite per case file, skips with their messages, flaky reruns.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::text;
use crate::exec::event::{Failure, Outcome, TrialReport};

/// The whole document.
pub fn render(trials: &[TrialReport], name: &str) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new(name);
    let mut files: Vec<&str> = trials.iter().map(TrialReport::file).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let mut suite = TestSuite::new(file);
        for trial in trials.iter().filter(|trial| trial.file() == file) {
            suite.add_test_case(case(trial));
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(trial: &TrialReport) -> TestCase {
    let (file, name) = trial.id.split_once("::").unwrap_or(("", &trial.id));
    let mut case = TestCase::new(name, status(trial));
    case.set_classname(file).set_time(trial.took);
    if let Some(upstream) = &trial.upstream {
        case.add_property(("upstream", upstream.as_str()));
    }
    for used in &trial.matches {
        let value = format!("{} {}: {}", used.provider, used.endpoint, used.tier);
        case.add_property(("provider_request", value.as_str()));
    }
    case
}

fn status(trial: &TrialReport) -> TestCaseStatus {
    match &trial.outcome {
        Outcome::Passed | Outcome::XPassed(_) => TestCaseStatus::success(),
        Outcome::Skipped(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            status
        }
        Outcome::XFailed(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("expected failure: {reason}"));
            status
        }
        // JUnit has no word for a failure that does not count.
        Outcome::Quarantined(reason, failures) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("failed in quarantine: {reason}"));
            status.set_description(shown(failures));
            status
        }
        Outcome::Failed(failures) => non_success(NonSuccessKind::Failure, failures),
        Outcome::Broken(failures) => non_success(NonSuccessKind::Error, failures),
    }
}

fn non_success(kind: NonSuccessKind, failures: &[Failure]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    if let Some(first) = failures.first() {
        status.set_message(first.title.as_str());
    }
    status.set_description(shown(failures));
    status
}

fn shown(failures: &[Failure]) -> String {
    failures.iter().map(text::failure).collect::<Vec<_>>().join("\n")
}
