//! Turning other recordings into ours: which of them, under which name, beside what is there already.
//!
//! Upstream keeps one answer for each request and test. Of several files with one request and scope only one is ever
//! served, and only that one is imported. Equal answers to one request become one file that names all its trials, and
//! lists of models, which upstream serves merged, become one list.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::catalogue::reachable;
use super::entry::FileFormat;
use super::library::Volume;
use super::recording::{Owner, Recording};
use super::redact::Scrubber;
use super::scope::bare;
use super::upstream::merge_model_lists;
use super::write::write_atomically;

/// What to write, and what not.
#[derive(Debug, Default)]
pub struct Import {
    pub writes: Vec<Write>,
    pub skipped: Vec<Skip>,
    /// Recordings that are here already, for the same trials.
    pub present: usize,
}

/// One file to be written.
#[derive(Debug)]
pub struct Write {
    pub file: String,
    pub recording: Recording,
    /// It adds trials to a file that is there.
    pub extends: bool,
    /// What it was made of.
    pub sources: Vec<String>,
}

/// A source that becomes no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skip {
    pub source: String,
    pub because: String,
}

/// Prepares `candidates` for import beside `existing` recordings of ours. Nothing is read or written.
pub fn plan(candidates: Vec<Volume>, existing: Vec<(String, Recording)>) -> Import {
    let mut import = Import::default();
    let mut shelf = Shelf::new(existing);
    let mut by_key: BTreeMap<String, Vec<Volume>> = BTreeMap::new();
    for candidate in candidates {
        by_key.entry(candidate.entry.key.clone()).or_default().push(candidate);
    }
    for alike in by_key.into_values() {
        for (recording, sources) in answers(alike, &mut import.skipped) {
            match shelf.place(recording) {
                Some((file, recording, extends)) => {
                    // A file that is extended twice is written once, with all.
                    match import.writes.iter_mut().find(|write| write.file == file) {
                        Some(write) => {
                            write.recording = recording;
                            write.sources.extend(sources);
                        }
                        None => import.writes.push(Write { file, recording, extends, sources }),
                    }
                }
                None => import.present += sources.len(),
            }
        }
    }
    import
}

/// The different answers among recordings of one request, with their owners and sources.
fn answers(alike: Vec<Volume>, skipped: &mut Vec<Skip>) -> Vec<(Recording, Vec<String>)> {
    if alike.iter().all(|volume| volume.entry.is_model_list) {
        return merged(alike).into_iter().collect();
    }
    let entries: Vec<_> = alike.iter().map(|volume| Arc::new(volume.entry.clone())).collect();
    let served = reachable(&entries);
    let mut found: Vec<(String, Recording, Vec<String>)> = Vec::new();
    for volume in alike {
        let file = volume.entry.file.clone();
        if !served.contains(&file) {
            let because = "another file has the same request and scope, and is the one served".to_owned();
            skipped.push(Skip { source: file, because });
            continue;
        }
        let recording = native(volume);
        let answer = recording.answer.fingerprint();
        match found.iter_mut().find(|(other, ..)| *other == answer) {
            Some((_, other, sources)) => {
                recording.meta.trials.into_iter().for_each(|owner| add_owner(&mut other.meta.trials, owner));
                sources.push(file);
            }
            None => found.push((answer, recording, vec![file])),
        }
    }
    found.into_iter().map(|(_, recording, sources)| (recording, sources)).collect()
}

/// One list of all models, for nobody in particular.
fn merged(mut lists: Vec<Volume>) -> Option<(Recording, Vec<String>)> {
    lists.sort_by(|a, b| a.entry.file.cmp(&b.entry.file));
    let answers: Vec<_> = lists.iter().map(|list| list.recording.answer.clone()).collect();
    let sources = lists.iter().map(|list| list.entry.file.clone()).collect();
    let mut recording = native(lists.into_iter().next()?);
    recording.answer = merge_model_lists(&answers);
    recording.meta.trials = vec![Owner { id: None, answers: vec![1] }];
    Some((recording, sources))
}

/// A recording in our terms: the address that was on the wire, and places in the order of answers instead of ranks.
fn native(volume: Volume) -> Recording {
    let mut recording = volume.recording;
    if volume.entry.format == FileFormat::Upstream {
        let url = &recording.request.url;
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find('/').map_or(url.len(), |at| host + at);
        recording.request.url = format!("{}{}", &url[..end], recording.request.wire.path);
        recording.meta.trials.iter_mut().for_each(|owner| owner.answers = vec![1]);
        recording.meta.tool = format!("{}, from {}", super::recording::TOOL, recording.meta.tool);
    }
    recording
}

fn add_owner(owners: &mut Vec<Owner>, owner: Owner) {
    match owners.iter_mut().find(|other| other.id == owner.id) {
        Some(other) => {
            other.answers.extend(owner.answers);
            other.answers.sort_unstable();
            other.answers.dedup();
        }
        None => owners.push(owner),
    }
    owners.sort_by(|a, b| a.id.cmp(&b.id));
}

/// The recordings of ours that are there, by key.
struct Shelf {
    by_key: BTreeMap<String, Vec<(String, Recording)>>,
    names: std::collections::HashSet<String>,
}

impl Shelf {
    fn new(existing: Vec<(String, Recording)>) -> Self {
        let names = existing.iter().map(|(file, _)| file.clone()).collect();
        let mut by_key: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (file, recording) in existing {
            by_key.entry(recording.request.wire.key().to_string()).or_default().push((file, recording));
        }
        Self { by_key, names }
    }

    /// Where a recording goes, and whether that file exists; `None` when its trials have an answer already.
    fn place(&mut self, mut recording: Recording) -> Option<(String, Recording, bool)> {
        let key = recording.request.wire.key();
        let here = self.by_key.entry(key.to_string()).or_default();
        let has = |id: Option<&str>| {
            let owners = here.iter().flat_map(|(_, recording)| &recording.meta.trials);
            let mut ids = owners.map(|owner| owner.id.as_deref().map(bare));
            ids.any(|other| other == id.map(bare))
        };
        let mut owners = std::mem::take(&mut recording.meta.trials);
        if owners.is_empty() {
            owners.push(Owner { id: None, answers: vec![1] });
        }
        owners.retain(|owner| !has(owner.id.as_deref()));
        if owners.is_empty() {
            return None;
        }
        let answer = recording.answer.fingerprint();
        if let Some((file, same)) = here.iter_mut().find(|(_, other)| other.answer.fingerprint() == answer) {
            owners.into_iter().for_each(|owner| add_owner(&mut same.meta.trials, owner));
            return Some((file.clone(), same.clone(), true));
        }
        recording.meta.trials = owners;
        let mut number = 1;
        loop {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let file = format!("responses/{}{suffix}.json", key.short());
            if self.names.insert(file.clone()) {
                // Not among `here`: what is imported together was made of different answers or trials already.
                return Some((file, recording, false));
            }
            number += 1;
        }
    }
}

impl Write {
    /// Writes the file below `dir`.
    ///
    /// # Errors
    /// What the file system says, or that the text still holds a secret.
    pub fn write(&self, dir: &Path, scrubber: &Scrubber) -> io::Result<()> {
        let text = self.recording.to_json();
        if scrubber.finds_in(&text) {
            return Err(io::Error::other("it would still hold a secret value"));
        }
        let path = dir.join(&self.file);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        write_atomically(&path, text.as_bytes(), self.extends)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::library::{self, tests::chat};
    use super::*;

    fn upstream_file(name: &str, test: Option<&str>, prompt: &str, answer: &str) -> Volume {
        let mut file = json!({
            "request": {"method": "POST", "url": "http://0.0.0.0:11434/v1/v1/completions", "headers": {},
                "body": {"model": "m", "prompt": prompt}, "endpoint": "/v1/completions", "model": "m"},
            "response": {"body": {"__type__": "T", "__data__": {"id": answer}}, "is_streaming": false},
        });
        file["test_id"] = test.map_or(Value::Null, Value::from);
        library::of(file, name, "2025-01-01T00:00:00.000Z", 1).unwrap().unwrap()
    }

    fn shown(import: &Import) -> Vec<String> {
        let owners = |recording: &Recording| {
            let one = |o: &Owner| format!("{}{:?}", o.id.as_deref().unwrap_or("-"), o.answers);
            recording.meta.trials.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        import.writes.iter().map(|w| format!("{} {}", w.sources.join("+"), owners(&w.recording))).collect()
    }

    #[test]
    fn equal_answers_become_one_file_and_test_ids_its_trials() {
        let files = vec![
            upstream_file("a", Some("t1"), "p", "same"),
            upstream_file("b", Some("t2"), "p", "same"),
            upstream_file("c", Some("t3"), "p", "other"),
            upstream_file("d", None, "q", "x"),
        ];
        let import = plan(files, Vec::new());
        let mut lines = shown(&import);
        lines.sort();
        assert_eq!(lines, ["a+b t1[1] t2[1]", "c t3[1]", "d -[1]"]);
        for write in &import.writes {
            let read = Recording::from_value(serde_json::from_str(&write.recording.to_json()).unwrap());
            assert_eq!(read.as_ref(), Ok(&write.recording), "what is written is read back");
        }
    }

    #[test]
    fn only_what_is_served_is_imported() {
        let files = vec![upstream_file("a", Some("t"), "p", "1"), upstream_file("b", Some("t"), "p", "2")];
        let import = plan(files, Vec::new());
        assert_eq!((shown(&import), import.skipped.len()), (vec!["a t[1]".to_owned()], 1));
    }

    #[test]
    fn importing_again_changes_nothing() {
        let files =
            || vec![upstream_file("a", Some("t1"), "p", "1"), upstream_file("b", Some("t2"), "p", "2")];
        let first = plan(files(), Vec::new());
        let existing = || first.writes.iter().map(|w| (w.file.clone(), w.recording.clone())).collect();
        let again = plan(files(), existing());
        assert_eq!((again.writes.len(), again.present), (0, 2));
        let more = plan(vec![upstream_file("c", Some("t3"), "p", "2")], existing());
        assert_eq!(shown(&more), ["c t2[1] t3[1]"]);
        assert!(more.writes[0].extends);
    }

    #[test]
    fn names_that_are_taken_get_a_number() {
        let (one, two) = (chat("p", "1", &[("t", 1)]), chat("p", "2", &[("u", 1)]));
        let value = serde_json::from_str(&two.to_json()).unwrap();
        let candidate = library::of(value, "x.json", "", 1).unwrap().unwrap();
        let import = plan(vec![candidate], vec![(library::tests::name_of(&one), one.clone())]);
        assert_eq!(import.writes[0].file, library::tests::name_of(&one).replace(".json", "-2.json"));
    }

    #[test]
    fn a_secret_is_never_written() {
        let dir = tempfile::tempdir().unwrap();
        let import = plan(vec![upstream_file("a", None, "p", "s3cr3t-value")], Vec::new());
        let scrubber = Scrubber::new(vec!["s3cr3t-value".into()]);
        assert!(import.writes[0].write(dir.path(), &scrubber).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
