//! JUnit XML as Jenkins' schema has it (`junit-10.xsd` of its xUnit plugin): one test suite per case file, skips with
//! their messages, attempts that did not pass as `flakyFailure` and `rerunFailure`.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

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
    // The root has no count of skips in Jenkins' schema. It is the first element, and quotes in names are escaped.
    let skipped: usize = report.test_suites.iter().map(|suite| suite.skipped).sum();
    Ok(report.to_string()?.replacen(&format!(" skipped=\"{skipped}\""), "", 1))
}

fn case(trial: &TrialReport) -> TestCase {
    let mut case = TestCase::new(trial.name(), status(trial));
    case.set_classname(trial.file()).set_time(trial.took);
    // As output: Jenkins' schema has properties for suites only.
    let upstream = trial.upstream.iter().map(|upstream| format!("upstream: {upstream}"));
    let requests = trial.matches.iter();
    let requests =
        requests.map(|used| format!("provider request: {} {}: {}", used.provider, used.endpoint, used.tier));
    let lines: Vec<String> = upstream.chain(requests).collect();
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn status(trial: &TrialReport) -> TestCaseStatus {
    let mut status = last_attempt(trial);
    for attempt in 1..trial.attempts {
        let mut rerun = TestRerun::new(NonSuccessKind::Failure);
        rerun
            .set_type("attempt")
            .set_message(format!("attempt {attempt} of {} did not pass", trial.attempts));
        status.add_rerun(rerun);
    }
    status
}

fn last_attempt(trial: &TrialReport) -> TestCaseStatus {
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
