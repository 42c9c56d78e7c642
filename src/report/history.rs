//! How trials ended in earlier runs, kept in the state directory and bounded: for `--last-failed`, and to tell flaky trials.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exec::event::{Outcome, TrialReport};
use crate::record::sha256_hex;

/// Results that are kept of each trial.
const MOST_RESULTS: usize = 20;
/// Trials that are kept; those that ran longest ago are forgotten first.
const MOST_TRIALS: usize = 20_000;
/// Version of the file.
const FORMAT: u32 = 1;
const FILE: &str = "history.json";

/// With what a run was made; results of other occasions say nothing about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    pub setup: Option<String>,
    /// The target as the user wrote it.
    pub target: String,
    pub mode: String,
}

impl Occasion {
    /// Whether results of the two can be laid side by side: replayed ones and recorded ones, too.
    fn is_like(&self, other: &Self) -> bool {
        self.setup == other.setup && self.target == other.target
    }
}

/// How a trial ended once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Result {
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub occasion: Occasion,
    /// The word of reports.
    pub outcome: String,
    pub attempts: u32,
    pub seconds: f64,
}

/// The results of a project's trials, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    format: u32,
    trials: BTreeMap<String, Vec<Result>>,
}

impl Default for History {
    fn default() -> Self {
        Self { format: FORMAT, trials: BTreeMap::new() }
    }
}

impl History {
    /// The name of a project's folder in the state directory: its own name, and its place made short.
    pub fn folder_of(root: &Path) -> String {
        let place = sha256_hex(root.as_os_str().as_encoded_bytes());
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        format!("{}-{}", name.chars().map(plain).collect::<String>(), &place[..12])
    }

    /// What a directory holds; nothing where that cannot be read, since history is a help and no record.
    pub fn read(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join(FILE)).unwrap_or_default();
        let read: Option<Self> = serde_json::from_str(&text).ok();
        read.filter(|history| history.format == FORMAT).unwrap_or_default()
    }

    /// The trials whose last result on such an occasion is a failure, whatever the mode was.
    pub fn failed(&self, occasion: &Occasion) -> BTreeSet<String> {
        let failed_last = |id: &str| {
            let last = self.of(id, occasion).last();
            last.is_some_and(|result| ["failed", "broken"].contains(&result.outcome.as_str()))
        };
        self.trials.keys().filter(|id| failed_last(id)).cloned().collect()
    }

    /// A trial's results on such an occasion, whatever the mode was; oldest first.
    pub fn of<'a>(&'a self, trial: &str, occasion: &'a Occasion) -> impl Iterator<Item = &'a Result> {
        let results = self.trials.get(trial).map_or(&[][..], Vec::as_slice);
        results.iter().filter(|result| result.occasion.is_like(occasion))
    }

    fn add(&mut self, reports: &[TrialReport], occasion: &Occasion, at: &str) {
        for report in reports.iter().filter(|report| !matches!(report.outcome, Outcome::Skipped(_))) {
            let results = self.trials.entry(report.trial.clone()).or_default();
            results.push(Result {
                at: at.to_owned(),
                occasion: occasion.clone(),
                outcome: report.outcome.word().to_owned(),
                attempts: report.attempts,
                seconds: report.took.as_secs_f64(),
            });
            let surplus = results.len().saturating_sub(MOST_RESULTS);
            results.drain(..surplus);
        }
        if self.trials.len() > MOST_TRIALS {
            let last = |results: &[Result]| results.last().map(|r| r.at.clone()).unwrap_or_default();
            let mut by_age: Vec<_> = self.trials.iter().map(|(id, r)| (last(r), id.clone())).collect();
            by_age.sort_unstable();
            let surplus = by_age.len() - MOST_TRIALS;
            by_age.iter().take(surplus).for_each(|(_, id)| _ = self.trials.remove(id));
        }
    }
}

/// Writes a run's results at its end.
#[derive(Debug)]
pub struct HistoryKeeper {
    pub dir: PathBuf,
    pub occasion: Occasion,
}

impl HistoryKeeper {
    /// Adds the results to those that are there. Runs that end at the same time wait for each other.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(&self, reports: &[TrialReport]) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let lock = File::create(self.dir.join("history.lock"))?;
        lock.lock()?;
        let mut history = History::read(&self.dir);
        history.add(reports, &self.occasion, &format!("{:.3}", jiff::Timestamp::now()));
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        serde_json::to_writer(&mut file, &history)?;
        file.persist(self.dir.join(FILE)).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasion(setup: &str) -> Occasion {
        Occasion { setup: Some(setup.into()), target: "starter".into(), mode: "replay".into() }
    }

    #[test]
    fn the_last_result_of_the_same_occasion_counts() {
        let dir = tempfile::tempdir().unwrap();
        let keep = |setup: &str, reports: &[TrialReport]| {
            let keeper = HistoryKeeper { dir: dir.path().join("p"), occasion: occasion(setup) };
            keeper.keep(reports).unwrap();
        };
        let failed = || TrialReport::ended("a", Outcome::Failed(Vec::new()));
        keep(
            "s",
            &[
                failed(),
                TrialReport::ended("b", Outcome::Passed),
                TrialReport::ended("c", Outcome::Skipped("x".into())),
            ],
        );
        keep(
            "t",
            &[TrialReport::ended("a", Outcome::Passed), TrialReport::ended("b", Outcome::Broken(Vec::new()))],
        );
        let failed_with = |setup: &str| {
            let failed = History::read(&dir.path().join("p")).failed(&occasion(setup));
            failed.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!((failed_with("s"), failed_with("t")), ("a".to_owned(), "b".to_owned()));
        keep("s", &[TrialReport::ended("a", Outcome::Passed)]);
        assert_eq!(failed_with("s"), "");
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        for round in 0..MOST_RESULTS + 5 {
            history.add(
                &[TrialReport::ended("a", Outcome::Passed)],
                &occasion("s"),
                &format!("2025-01-01T00:00:{round:02}Z"),
            );
        }
        assert_eq!(history.trials["a"].len(), MOST_RESULTS);
        assert_eq!(history.trials["a"][0].at, "2025-01-01T00:00:05Z");
        let many: Vec<_> =
            (0..MOST_TRIALS).map(|n| TrialReport::ended(&format!("t{n}"), Outcome::Passed)).collect();
        history.add(&many, &occasion("s"), "2025-01-02T00:00:00Z");
        assert_eq!(history.trials.len(), MOST_TRIALS);
        assert!(!history.trials.contains_key("a"), "the one that ran longest ago");
    }

    #[test]
    fn what_cannot_be_read_is_no_history() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["{", r#"{"format": 2, "trials": {}}"#] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(History::read(dir.path()), History::default());
        }
    }
}
