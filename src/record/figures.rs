//! Counts and bytes of a recordings directory, by what a user asks about.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Serialize;

use super::calls::tokens_in;
use super::entry::FileFormat;
use super::library::{Volume, survey};
use super::problem::RecordingProblem;

/// Files that are listed as the largest.
const LARGEST: usize = 10;

/// What a group of recordings comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    pub files: usize,
    pub bytes: u64,
    /// As the providers counted them; 0 where they did not.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// The figures of a directory.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    pub total: Amount,
    /// By `provider`, `endpoint`, `model`, `setup`, `format`: each value's amount.
    pub by: BTreeMap<&'static str, BTreeMap<String, Amount>>,
    /// File and bytes, largest first.
    pub largest: Vec<(String, u64)>,
    /// Files that repeat the request and answer of another.
    pub duplicates: Amount,
    /// Files without a provider call.
    pub skipped: usize,
}

/// The dimensions of [`Stats::by`], in the order in which they are shown.
pub const DIMENSIONS: [&str; 5] = ["provider", "endpoint", "model", "setup", "format"];

struct Counted {
    file: String,
    labels: [String; 5],
    amount: Amount,
    identity: (String, String),
}

/// Reads and counts every file below `dir`.
pub fn stats(dir: &Path) -> (Stats, Vec<RecordingProblem>) {
    let found = survey(dir, count);
    (Stats { skipped: found.skipped, ..sum(&found.items) }, found.problems)
}

fn count(volume: Volume) -> Counted {
    let Volume { size, entry, recording, .. } = volume;
    let tokens = tokens_in(&recording.answer.bytes());
    let format = if entry.format == FileFormat::Native { "native" } else { "upstream" };
    let or_none = |text: String| if text.is_empty() { "(none)".to_owned() } else { text };
    Counted {
        file: entry.file,
        labels: [
            entry.provider,
            entry.endpoint,
            or_none(entry.model),
            or_none(recording.meta.setup.unwrap_or_default()),
            format.to_owned(),
        ],
        amount: Amount {
            files: 1,
            bytes: size,
            prompt_tokens: tokens.map_or(0, |tokens| tokens.prompt),
            completion_tokens: tokens.map_or(0, |tokens| tokens.completion),
        },
        identity: (entry.key, entry.answer),
    }
}

fn sum(files: &[Counted]) -> Stats {
    let mut stats = Stats::default();
    let mut seen = HashSet::new();
    for file in files {
        stats.total.add(file.amount);
        for (dimension, label) in DIMENSIONS.into_iter().zip(&file.labels) {
            stats.by.entry(dimension).or_default().entry(label.clone()).or_default().add(file.amount);
        }
        if !seen.insert(&file.identity) {
            stats.duplicates.add(file.amount);
        }
    }
    stats.largest = files.iter().map(|file| (file.file.clone(), file.amount.bytes)).collect();
    stats.largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    stats.largest.truncate(LARGEST);
    stats
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::{chat, directory, name_of};
    use super::super::recording::AnswerBody;
    use super::*;

    #[test]
    fn files_are_counted_by_every_dimension() {
        let mut one = chat("a", "b", &[("t", 1)]);
        let usage = r#"{"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        one.answer.body = AnswerBody::Whole(usage.into());
        let two = chat(&"long ".repeat(100), "c", &[]);
        let dir = directory(&[
            (&name_of(&one), one.to_json()),
            ("responses/again.json", one.to_json()),
            (&name_of(&two), two.to_json()),
        ]);
        let (stats, problems) = stats(dir.path());
        assert!(problems.is_empty());
        assert_eq!((stats.total.files, stats.total.prompt_tokens, stats.total.completion_tokens), (3, 6, 8));
        assert_eq!(stats.duplicates.files, 1);
        assert_eq!(stats.largest[0], (name_of(&two), two.to_json().len() as u64));
        for (dimension, label) in
            DIMENSIONS.into_iter().zip(["ollama", "/v1/chat/completions", "m", "ollama", "native"])
        {
            assert_eq!(stats.by[dimension][label], stats.total, "{dimension}");
        }
    }
}
