//! What GitHub Actions shows of a run: annotations at the failing lines, and the job's summary.

use std::io::Write;
use std::path::PathBuf;

use super::{expectations, markdown, text};
use crate::exec::event::{Outcome, RunInfo, Summary, TrialReport};

/// GitHub shows this many annotations of a kind for each step and drops the others.
const SHOWN: usize = 10;
/// GitHub refuses a step's summary that is larger.
const SUMMARY_BYTES: usize = 1 << 20;

/// Writes to the job that the process runs in.
#[derive(Debug)]
pub struct Github {
    /// `GITHUB_STEP_SUMMARY`.
    summary: Option<PathBuf>,
}

impl Github {
    pub fn new(summary: Option<PathBuf>) -> Self {
        Self { summary }
    }

    /// The annotations go to `out`, the summary is appended to its file.
    pub fn finish(
        &self,
        out: &mut dyn Write,
        info: &RunInfo,
        trials: &[TrialReport],
        summary: &Summary,
    ) -> std::io::Result<()> {
        out.write_all(annotations(trials).as_bytes())?;
        let Some(path) = &self.summary else { return Ok(()) };
        let mut page = markdown::render(info, trials, summary);
        if page.len() > SUMMARY_BYTES {
            page = markdown::short(info, trials, summary);
            page.truncate(page.floor_char_boundary(SUMMARY_BYTES));
        }
        std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(page.as_bytes())
    }
}

/// Workflow commands: an error for each failure; a warning for each failure in quarantine, each expected failure that passed, and
/// each entry of a list that is not needed any more.
fn annotations(trials: &[TrialReport]) -> String {
    let errors = trials.iter().flat_map(|trial| {
        trial.outcome.failures().iter().map(move |failure| {
            let place = failure.place.as_deref().unwrap_or(&trial.place);
            command("error", place, &trial.id, &text::failure(failure))
        })
    });
    let surplus = expectations::surplus(trials);
    let surplus = surplus.iter().map(|s| command("warning", &s.entry.place, "expectation", &s.advice()));
    let warnings = trials.iter().filter_map(|trial| match &trial.outcome {
        Outcome::Quarantined(reason, failures) => {
            let shown: Vec<_> = failures.iter().map(text::failure).collect();
            let message = format!("failed in quarantine: {reason}\n{}", shown.join("\n"));
            let place = failures.iter().find_map(|failure| failure.place.as_deref()).unwrap_or(&trial.place);
            Some(command("warning", place, &trial.id, &message))
        }
        Outcome::XPassed(reason) => Some(command(
            "warning",
            &trial.place,
            &trial.id,
            &format!("passed, though it was expected to fail: {reason}"),
        )),
        _ => None,
    });
    let all = errors.clone().count();
    let mut lines: String = errors.take(SHOWN).chain(warnings.chain(surplus).take(SHOWN)).collect();
    if all > SHOWN {
        lines.push_str(&format!("::notice::{} more failures are in the log\n", all - SHOWN));
    }
    lines
}

fn command(kind: &str, place: &str, title: &str, message: &str) -> String {
    let (file, line) = place.rsplit_once(':').unwrap_or((place, "1"));
    format!("::{kind} file={},line={line},title={}::{}\n", property(file), property(title), data(message))
}

/// The escapes of GitHub's own toolkit.
fn data(text: &str) -> String {
    text.trim_end().replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::event::{Failure, FailureKind};

    #[test]
    fn commands_name_the_line_and_escape_what_would_end_them() {
        let failure = Failure {
            place: Some("test_cases/b,c.yaml:7".into()),
            ..Failure::new(FailureKind::Miss, "50% off\nx")
        };
        let shown = annotations(&[
            TrialReport::ended("a::x[txt=m:emb=n]", Outcome::Failed(vec![failure])),
            TrialReport::ended("a::y", Outcome::XPassed("slow".into())),
            TrialReport::ended("a::z", Outcome::Passed),
        ]);
        assert_eq!(
            shown,
            "::error file=test_cases/b%2Cc.yaml,line=7,title=a%3A%3Ax[txt=m%3Aemb=n]::test_cases/b,c.yaml:7: 50%25 off%0Ax\n\
             ::warning file=test_cases/a.yaml,line=3,title=a%3A%3Ay::passed, though it was expected to fail: slow\n"
        );
    }

    #[test]
    fn more_failures_than_are_shown_are_counted() {
        let failed = || Outcome::Failed(vec![Failure::new(FailureKind::Mismatch, "t")]);
        let trials: Vec<_> = (0..12).map(|n| TrialReport::ended(&format!("a::{n}"), failed())).collect();
        let shown = annotations(&trials);
        assert_eq!(shown.matches("::error").count(), 10);
        assert!(shown.ends_with("::notice::2 more failures are in the log\n"), "{shown}");
    }
}
