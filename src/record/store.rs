//! A directory of recordings to look up in. Replaying and recording are two types: [`Replay`] can only look up;
//! [`super::Recorder`] is the only one that writes.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::catalogue::{Catalogue, Choice, ScopeTier};
use super::entry::{self, Entry};
use super::index::{cache_directory, synchronise};
use super::key::WireRequest;
use super::miss::{self, Miss, MissReason};
use super::normalise;
use super::problem::RecordingProblem;
use super::recording::Answer;
use super::scope::Caller;
use super::upstream::merge_model_lists;

/// Recordings that can be looked up and nothing else.
#[derive(Debug)]
pub struct Replay {
    shelf: Shelf,
}

/// A recording that answers a request.
#[derive(Debug)]
pub struct Hit {
    pub answer: Answer,
    /// Relative to the recordings directory. For merged model lists, the first of them.
    pub file: String,
    /// Names of the normalisers that the match needed; empty for an exact match.
    pub normalisers: Vec<&'static str>,
    pub scope: ScopeTier,
}

/// What [`Replay`] and [`Recorder`] share: the directory and what is known of it.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) dir: PathBuf,
    pub(crate) catalogue: RwLock<Catalogue>,
}

impl Replay {
    /// Opens a directory. Unusable files, or a directory that is missing, are returned as problems.
    pub fn open(dir: &Path) -> (Self, Vec<RecordingProblem>) {
        Self::open_with_cache(dir, cache_directory().as_deref())
    }

    /// As [`Replay::open`], with the index of a read-only directory kept below `cache`, or in memory.
    pub(crate) fn open_with_cache(dir: &Path, cache: Option<&Path>) -> (Self, Vec<RecordingProblem>) {
        let synced = synchronise(dir, cache);
        (Self { shelf: Shelf::new(dir, synced.entries) }, synced.problems)
    }

    /// The answer to `request`; counts as one of the caller's answers.
    ///
    /// # Errors
    /// A [`Miss`] when no recording answers it.
    pub fn get(&self, request: &WireRequest, caller: &Caller) -> Result<Hit, Box<Miss>> {
        let explain =
            |(reason, key): (MissReason, String)| Box::new(self.shelf.explain(request, caller, reason, &key));
        self.shelf.find(request, caller).map_err(explain)
    }

    /// Everything in the directory, in order of file names.
    pub fn entries(&self) -> Vec<Entry> {
        self.shelf.entries()
    }
}

impl Shelf {
    pub(crate) fn new(dir: &Path, entries: Vec<Entry>) -> Self {
        Self { dir: dir.to_path_buf(), catalogue: RwLock::new(Catalogue::new(entries)) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<_> = self.read().entries().map(|entry| Entry::clone(entry)).collect();
        entries.sort_by(|a, b| a.file.cmp(&b.file));
        entries
    }

    fn load(&self, file: &str) -> Result<entry::Loaded, MissReason> {
        match entry::load(&self.dir.join(file)) {
            Ok(Some(loaded)) => Ok(loaded),
            // It was a recording when the directory was read.
            Ok(None) => Err(MissReason::Unusable { problem: format!("{file} is no longer a recording") }),
            Err(kind) => {
                let problem = RecordingProblem { file: self.dir.join(file), kind }.to_string();
                Err(MissReason::Unusable { problem })
            }
        }
    }

    /// The answer, or why there is none and the request's exact key.
    pub(crate) fn find(&self, request: &WireRequest, caller: &Caller) -> Result<Hit, (MissReason, String)> {
        let (key, levels) = entry::keys_of(request);
        // Bound so that the lock is gone before any file is read.
        let choice = self.read().choose(&key, &levels, caller);
        self.serve(request, choice).map_err(|reason| (reason, key))
    }

    fn explain(&self, request: &WireRequest, caller: &Caller, reason: MissReason, key: &str) -> Miss {
        let candidates = miss::candidates(self.read().entries(), request, caller);
        miss::explain(&self.dir, request, key, reason, &candidates)
    }

    fn serve(&self, request: &WireRequest, choice: Choice) -> Result<Hit, MissReason> {
        match choice {
            Choice::Nothing => Err(MissReason::NotRecorded),
            Choice::Ambiguous { entries } => {
                Err(MissReason::Ambiguous { files: entries.iter().map(|entry| entry.file.clone()).collect() })
            }
            Choice::One { entry, level, scope } => {
                let loaded = self.load(&entry.file)?;
                let normalisers = confirm(request, &loaded.request, level)?;
                Ok(Hit { answer: loaded.answer, file: entry.file.clone(), normalisers, scope })
            }
            Choice::ModelLists { entries, level } => {
                let lists =
                    entries.iter().map(|entry| self.load(&entry.file)).collect::<Result<Vec<_>, _>>()?;
                let first = lists.first().ok_or(MissReason::NotRecorded)?;
                let normalisers = confirm(request, &first.request, level)?;
                let answers: Vec<_> = lists.into_iter().map(|loaded| loaded.answer).collect();
                Ok(Hit {
                    answer: merge_model_lists(&answers),
                    file: entries[0].file.clone(),
                    normalisers,
                    scope: ScopeTier::Unscoped,
                })
            }
        }
    }
}

/// Confirms a match on the full requests, since an index may be older than a file, and names what it needed.
fn confirm(
    request: &WireRequest,
    recorded: &WireRequest,
    level: usize,
) -> Result<Vec<&'static str>, MissReason> {
    if level == 0 && request == recorded {
        return Ok(Vec::new());
    }
    match normalise::needed(request, recorded) {
        Some(needed) => Ok(needed.iter().map(|normaliser| normaliser.name).collect()),
        None => {
            Err(MissReason::Unusable { problem: "the recording changed since the index was made".to_owned() })
        }
    }
}
