//! What is wrong, or could be spared, in a recordings directory. Every key and name is computed anew from the files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::catalogue::reachable;
use super::entry::Entry;
use super::foreign::{self, Limits};
use super::index_check;
use super::library::{self, Volume, survey};
use super::problem::RecordingProblem;
use super::redact::Scrubber;
use super::scan;
use super::scope::bare;
use super::scrub;

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The file cannot be read as a recording.
    Unusable,
    /// Scrubbing by the rules of today would change it.
    Secret,
    /// The same request, scope and place in the order as another file, which is the one served, with another answer.
    Conflict,
    /// As a conflict, with the same answer: it can be deleted.
    Shadowed,
    /// The name is not the one that its content has: edited, renamed, or hashed by an older formula.
    Misnamed,
    /// Same request and answer as another file, for other trials: one file could serve them all.
    Duplicate,
    /// `index.sqlite` differs from the files.
    StaleIndex,
    /// In a foreign directory: no plain file with a plain name.
    Stray,
    /// In a foreign directory: more bytes than are let in.
    TooLarge,
}

impl FindingKind {
    pub const ALL: [Self; 9] = [
        Self::Unusable,
        Self::Secret,
        Self::Conflict,
        Self::Shadowed,
        Self::Misnamed,
        Self::Duplicate,
        Self::StaleIndex,
        Self::Stray,
        Self::TooLarge,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unusable => "unusable",
            Self::Secret => "secret",
            Self::Conflict => "conflict",
            Self::Shadowed => "shadowed",
            Self::Misnamed => "misnamed",
            Self::Duplicate => "duplicate",
            Self::StaleIndex => "stale-index",
            Self::Stray => "stray",
            Self::TooLarge => "too-large",
        }
    }

    /// What it means, for a heading.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Unusable => "no recording can be read from the file",
            Self::Secret => "`recordings scrub` would change it",
            Self::Conflict => "never served: another file has the same request and scope, and another answer",
            Self::Shadowed => "never served: another file has the same request, scope and answer",
            Self::Misnamed => "the name is not the hash of the content",
            Self::Duplicate => "same request and answer as another file, for other trials",
            Self::StaleIndex => "index.sqlite is not what the files say",
            Self::Stray => "no recording has such a place, name or form; nothing was read",
            Self::TooLarge => "more bytes than are let in; nothing was read",
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// Relative to the directory.
    pub file: String,
    /// The file that is served in its place, or that it repeats.
    pub other: Option<String>,
    pub detail: Option<String>,
    /// Bytes of the file.
    pub size: u64,
}

/// All that was found, by kind and file.
#[derive(Debug, Serialize)]
pub struct Report {
    pub recordings: usize,
    /// Files without a provider call.
    pub skipped: usize,
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Findings and their bytes by kind; kinds without findings are left out.
    pub fn counts(&self) -> BTreeMap<FindingKind, (usize, u64)> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            let (count, bytes) = counts.entry(finding.kind).or_insert((0, 0));
            *count += 1;
            *bytes += finding.size;
        }
        counts
    }
}

/// What judging a file takes.
#[derive(Debug, Clone)]
struct Checked {
    entry: Arc<Entry>,
    size: u64,
    is_named: bool,
    secrets: Vec<String>,
}

/// As [`verify`], for a directory that somebody else made: nothing in it is read unless all of it could be recordings.
pub fn verify_foreign(dir: &Path, scrubber: &Scrubber, limits: Limits) -> Report {
    match foreign::inspect(dir, limits) {
        findings if findings.is_empty() => verify(dir, scrubber),
        findings => Report { recordings: 0, skipped: 0, bytes: 0, findings },
    }
}

/// Reads and judges every file below `dir`.
pub fn verify(dir: &Path, scrubber: &Scrubber) -> Report {
    let look = |volume: Volume| Checked {
        secrets: secrets(dir, &volume.entry.file, scrubber),
        entry: Arc::new(volume.entry),
        size: volume.size,
        is_named: volume.is_named,
    };
    let found = survey(dir, look);
    let mut findings: Vec<_> = found.problems.iter().map(|problem| unusable(dir, problem)).collect();
    findings.extend(judge(&found.items));
    let keys: HashMap<&str, &str> =
        found.items.iter().map(|c| (c.entry.file.as_str(), c.entry.key.as_str())).collect();
    findings.extend(stale(dir, &keys));
    findings.sort_by(|a, b| (a.kind, &a.file).cmp(&(b.kind, &b.file)));
    Report {
        recordings: found.items.len(),
        skipped: found.skipped,
        bytes: found.items.iter().map(|checked| checked.size).sum(),
        findings,
    }
}

fn secrets(dir: &Path, file: &str, scrubber: &Scrubber) -> Vec<String> {
    let scrubbed = library::json(&dir.join(file)).and_then(|value| scrub::scrub(value, scrubber));
    scrubbed.ok().flatten().map(|scrubbed| scrubbed.places).unwrap_or_default()
}

fn unusable(dir: &Path, problem: &RecordingProblem) -> Finding {
    let file = problem.file.strip_prefix(dir).unwrap_or(&problem.file).to_string_lossy().into_owned();
    let size = std::fs::metadata(&problem.file).map_or(0, |meta| meta.len());
    Finding { kind: FindingKind::Unusable, file, other: None, detail: Some(problem.to_string()), size }
}

fn stale(dir: &Path, keys: &HashMap<&str, &str>) -> Option<Finding> {
    let state = index_check::check(dir, &scan::list(dir, &mut Vec::new()), keys)?;
    let detail = match (state.wrong, state.behind) {
        (0, 0) => return None,
        (0, behind) => format!("{behind} files changed since it was made; the next run brings it up to date"),
        (wrong, _) => format!("{wrong} rows are wrong though their files did not change; delete the index"),
    };
    let size = std::fs::metadata(dir.join("index.sqlite")).map_or(0, |meta| meta.len());
    let file = "index.sqlite".to_owned();
    Some(Finding { kind: FindingKind::StaleIndex, file, other: None, detail: Some(detail), size })
}

/// Findings that follow from the files alone.
fn judge(checked: &[Checked]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut by_key: BTreeMap<&str, Vec<&Checked>> = BTreeMap::new();
    for file in checked {
        by_key.entry(&file.entry.key).or_default().push(file);
        let of = |kind, detail| finding(kind, file, None, detail);
        if !file.secrets.is_empty() {
            findings.push(of(FindingKind::Secret, Some(file.secrets.join(", "))));
        }
        if !file.is_named {
            findings.push(of(FindingKind::Misnamed, None));
        }
    }
    by_key.values().for_each(|alike| findings.extend(compare(alike)));
    findings
}

/// Findings among files with one request.
fn compare(alike: &[&Checked]) -> Vec<Finding> {
    let entries: Vec<_> = alike.iter().map(|checked| Arc::clone(&checked.entry)).collect();
    let served = reachable(&entries);
    let (served, lost): (Vec<&Checked>, Vec<&Checked>) =
        alike.iter().partition(|checked| served.contains(&checked.entry.file));
    let mut findings = Vec::new();
    for file in lost {
        let rivals: Vec<_> = served.iter().filter(|other| share_a_place(&other.entry, &file.entry)).collect();
        let same = rivals.iter().find(|other| other.entry.answer == file.entry.answer);
        let kind = if same.is_some() { FindingKind::Shadowed } else { FindingKind::Conflict };
        let other = same.or(rivals.first()).map(|other| other.entry.file.clone());
        findings.push(finding(kind, file, other, None));
    }
    let mut first: HashMap<&str, &Checked> = HashMap::new();
    for file in served {
        match first.get(file.entry.answer.as_str()) {
            Some(other) => {
                let other = Some(other.entry.file.clone());
                findings.push(finding(FindingKind::Duplicate, file, other, None));
            }
            None => {
                first.insert(&file.entry.answer, file);
            }
        }
    }
    findings
}

/// Whether two files answer for the same trial (or both for none).
fn share_a_place(a: &Entry, b: &Entry) -> bool {
    let scopes = |entry: &Entry| -> Vec<Option<String>> {
        let ids = entry.owners.iter().map(|owner| owner.id.as_deref().map(|id| bare(id).to_owned()));
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() { vec![None] } else { ids }
    };
    let other = scopes(b);
    scopes(a).iter().any(|scope| other.contains(scope))
}

fn finding(kind: FindingKind, file: &Checked, other: Option<String>, detail: Option<String>) -> Finding {
    Finding { kind, file: file.entry.file.clone(), other, detail, size: file.size }
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::{chat, directory, name_of};
    use super::super::recording::Recording;
    use super::*;

    fn check(files: &[(&str, &Recording)], expected: &[&str]) {
        let files: Vec<_> = files.iter().map(|(name, recording)| (*name, recording.to_json())).collect();
        let dir = directory(&files);
        let report = verify(dir.path(), &Scrubber::new(vec!["s3cr3t-value".into()]));
        let line =
            |f: &Finding| format!("{} {} {}", f.kind.as_str(), f.file, f.other.as_deref().unwrap_or("-"));
        assert_eq!(report.findings.iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_sequence_for_one_trial_is_in_order() {
        let (one, two) = (chat("p", "1", &[("t", 1)]), chat("p", "2", &[("t", 2), ("u", 1)]));
        let name = name_of(&one);
        check(&[(&name, &one), (&name.replace(".json", "-2.json"), &two)], &[]);
    }

    #[test]
    fn two_claims_to_one_place_conflict_or_repeat() {
        let (one, other, same) =
            (chat("p", "1", &[("t", 1)]), chat("p", "2", &[("t", 1)]), chat("p", "1", &[("t", 1)]));
        let mut older = other.clone();
        older.meta.recorded_at = "2020-01-01T00:00:00.000Z".into();
        let name = name_of(&one);
        let second = name.replace(".json", "-2.json");
        check(&[(&name, &one), (&second, &older)], &[&format!("conflict {second} {name}")]);
        let mut older = same;
        older.meta.recorded_at = "2020-01-01T00:00:00.000Z".into();
        check(&[(&name, &one), (&second, &older)], &[&format!("shadowed {second} {name}")]);
    }

    #[test]
    fn names_secrets_duplicates_and_problems() {
        let (one, same) = (chat("p", "1", &[("t", 1)]), chat("p", "1", &[("u", 1)]));
        let secret = chat("q", "s3cr3t-value", &[("t", 1)]);
        let (name, other) = (name_of(&one), name_of(&secret));
        check(
            &[(&name, &one), ("responses/wrong.json", &same), (&other, &secret)],
            &[
                &format!("secret {other} -"),
                "misnamed responses/wrong.json -",
                // A name of hexadecimal digits comes before `wrong`.
                &format!("duplicate responses/wrong.json {name}"),
            ],
        );
        let dir = directory(&[("a.json", "{".into())]);
        let report = verify(dir.path(), &Scrubber::default());
        assert_eq!(report.counts().into_iter().collect::<Vec<_>>(), [(FindingKind::Unusable, (1, 1))]);
    }

    #[test]
    fn kinds_are_read_as_they_are_printed() {
        for kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
