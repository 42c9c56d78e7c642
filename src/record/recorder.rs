//! Adding to a directory of recordings, safely beside other runners that do the same.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::entry::Entry;
use super::index::{self, cache_directory, synchronise};
use super::key::WireRequest;
use super::prepare::Prepared;
use super::problem::RecordingProblem;
use super::recording::{Meta, Owner, Recording};
use super::redact::{Blocked, Scrubber};
use super::scope::{Caller, lock};
use super::store::{Hit, Shelf};
use super::write::{remove_leftovers, write_atomically};

/// After this long, a temporary file belongs to no runner that still writes.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Recordings that can be looked up and added to.
#[derive(Debug)]
pub struct Recorder {
    shelf: Shelf,
    scrubber: Scrubber,
    /// Whether a scope's first answer to a request in this run replaces what was recorded before.
    supersede: bool,
    writing: Mutex<Writing>,
}

#[derive(Debug)]
struct Writing {
    connection: Connection,
    /// How many answers an attempt has recorded for a key in this run.
    written: HashMap<(String, u64), u32>,
}

/// Why an exchange was not recorded.
#[derive(Debug)]
pub enum PutError {
    Io {
        file: PathBuf,
        source: std::io::Error,
    },
    Index(rusqlite::Error),
    /// The exchange holds, or may hold, a secret that cannot be masked.
    Secret {
        /// The file that was not written; the folder when there is no name for it yet.
        file: PathBuf,
        why: String,
    },
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "cannot write recording {}: {source}", file.display()),
            Self::Index(source) => write!(f, "cannot update the recordings index: {source}"),
            Self::Secret { file, why } => write!(f, "not recorded in {}: {why}", file.display()),
        }
    }
}

impl std::error::Error for PutError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Index(source) => Some(source),
            Self::Secret { .. } => None,
        }
    }
}

impl From<rusqlite::Error> for PutError {
    fn from(source: rusqlite::Error) -> Self {
        Self::Index(source)
    }
}

/// One of our files with the same key, while deciding where an answer goes.
struct Sibling {
    file: String,
    recording: Recording,
    changed: bool,
}

impl Recorder {
    /// Opens a directory for recording; it is created when missing. `supersede` for mode `record`, not for
    /// `record-if-missing`.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn open(
        dir: &Path,
        scrubber: Scrubber,
        supersede: bool,
    ) -> Result<(Self, Vec<RecordingProblem>), PutError> {
        std::fs::create_dir_all(dir.join("responses"))
            .map_err(|source| PutError::Io { file: dir.to_path_buf(), source })?;
        remove_leftovers(&dir.join("responses"), ABANDONED);
        let synced = synchronise(dir, cache_directory().as_deref());
        let writing = Mutex::new(Writing { connection: synced.connection, written: HashMap::new() });
        Ok((Self { shelf: Shelf::new(dir, synced.entries), scrubber, supersede, writing }, synced.problems))
    }

    /// The answer to `request` if there is one; counts as one of the caller's answers.
    pub fn find(&self, request: &WireRequest, caller: &Caller) -> Option<Hit> {
        self.shelf.find(&Prepared::new(request.clone(), Vec::new()), caller).ok()
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Everything in the directory, in order of file names.
    pub fn entries(&self) -> Vec<Entry> {
        self.shelf.entries()
    }

    /// Stores an exchange for `caller` and returns its file, relative to the directory.
    ///
    /// An answer that is already there for the same request gains an owner instead of a second file.
    ///
    /// # Errors
    /// See [`PutError`]; nothing was written then, or older recordings are still there too.
    pub fn put(&self, mut recording: Recording, caller: &Caller) -> Result<String, PutError> {
        let blocked =
            |blocked: Blocked| PutError::Secret { file: self.shelf.dir.clone(), why: blocked.to_string() };
        self.scrubber.recording(&mut recording).map_err(blocked)?;
        let key = recording.request.wire.key();
        let owner = caller.attempt.trial().map(str::to_owned);
        let mut writing = lock(&self.writing);
        let Writing { connection, written } = &mut *writing;
        // The write lock on the index also keeps other runners from changing these files at the same time.
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut siblings = self.siblings(&index::native_files(&transaction, key.as_str())?);
        let count = written.entry((key.to_string(), caller.attempt.number)).or_insert(0);
        if *count == 0 && self.supersede {
            siblings.iter_mut().for_each(|sibling| disown(sibling, owner.as_deref()));
        }
        *count = (*count).max(last_answer(&siblings, owner.as_deref())) + 1;
        let file = self.place(&mut siblings, recording, key.short(), owner, *count)?;
        // The new answer first: a crash in between leaves one recording too many, never one too few.
        for sibling in siblings.iter().filter(|sibling| sibling.changed && sibling.file != file) {
            if sibling.recording.meta.trials.is_empty() {
                let path = self.shelf.dir.join(&sibling.file);
                std::fs::remove_file(&path).map_err(|source| PutError::Io { file: path, source })?;
            } else {
                self.write(&sibling.recording, &sibling.file, true)?;
            }
        }
        let mut catalogue = self.shelf.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        let changed = siblings.iter().filter(|sibling| sibling.changed).map(|sibling| &sibling.file);
        for file in changed.chain([&file]) {
            self.shelf.forget(file);
            catalogue.remove(key.as_str(), file);
            if let Some(entry) = index::refresh(&transaction, &self.shelf.dir, file)? {
                catalogue.insert(entry);
            }
        }
        drop(catalogue);
        transaction.commit()?;
        Ok(file)
    }

    fn siblings(&self, files: &[String]) -> Vec<Sibling> {
        let read = |file: &String| {
            let value = serde_json::from_slice(&std::fs::read(self.shelf.dir.join(file)).ok()?).ok()?;
            let recording = Recording::from_value(value).ok()?;
            Some(Sibling { file: file.clone(), recording, changed: false })
        };
        files.iter().filter_map(read).collect()
    }

    /// Writes the answer: into a file that has it already, into one that nobody owns any more, or into a new one.
    fn place(
        &self,
        siblings: &mut [Sibling],
        mut recording: Recording,
        stem: &str,
        owner: Option<String>,
        answer: u32,
    ) -> Result<String, PutError> {
        let fingerprint = recording.answer.fingerprint();
        if let Some(same) = siblings.iter_mut().find(|s| s.recording.answer.fingerprint() == fingerprint) {
            add_owner(&mut same.recording.meta, owner, answer);
            same.changed = true;
            self.write(&same.recording, &same.file, true)?;
            return Ok(same.file.clone());
        }
        add_owner(&mut recording.meta, owner, answer);
        let free = siblings.iter_mut().find(|s| s.changed && s.recording.meta.trials.is_empty());
        if let Some(free) = free {
            self.write(&recording, &free.file, true)?;
            free.recording = recording;
            return Ok(free.file.clone());
        }
        let mut number = 1;
        loop {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let file = format!("responses/{stem}{suffix}.json");
            match self.write(&recording, &file, false) {
                Err(PutError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                    number += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(file),
            }
        }
    }

    fn write(&self, recording: &Recording, file: &str, overwrite: bool) -> Result<(), PutError> {
        let text = recording.to_json();
        let path = self.shelf.dir.join(file);
        if self.scrubber.finds_in(&text) {
            let why = "it would still hold a secret after masking".to_owned();
            return Err(PutError::Secret { file: path, why });
        }
        write_atomically(&path, text.as_bytes(), overwrite)
            .map_err(|source| PutError::Io { file: path, source })
    }
}

fn disown(sibling: &mut Sibling, owner: Option<&str>) {
    let trials = &mut sibling.recording.meta.trials;
    let before = trials.len();
    trials.retain(|trial| trial.id.as_deref() != owner);
    sibling.changed |= trials.len() != before;
}

fn last_answer(siblings: &[Sibling], owner: Option<&str>) -> u32 {
    let owners = siblings.iter().flat_map(|sibling| &sibling.recording.meta.trials);
    owners.filter(|o| o.id.as_deref() == owner).flat_map(|o| &o.answers).copied().max().unwrap_or(0)
}

fn add_owner(meta: &mut Meta, id: Option<String>, answer: u32) {
    match meta.trials.iter_mut().find(|owner| owner.id == id) {
        Some(owner) => owner.answers.push(answer),
        None => meta.trials.push(Owner { id, answers: vec![answer] }),
    }
    meta.trials.sort_by(|a, b| a.id.cmp(&b.id));
}
