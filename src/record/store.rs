//! A directory of recordings to look up in. Replaying and recording are two types: [`Replay`] can only look up;
//! [`super::Recorder`] is the only one that writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::cache::Recent;
use super::calls::{Tokens, tokens_in};
use super::catalogue::{Catalogue, Choice, ScopeTier};
use super::entry::{self, Entry, Loaded};
use super::index::{cache_directory, synchronise};
use super::key::WireRequest;
use super::masked;
use super::miss::{self, Miss, MissReason};
use super::normalise;
use super::prepare::Prepared;
use super::problem::RecordingProblem;
use super::recording::Answer;
use super::scan::{Listed, stat};
use super::scope::{Caller, lock};
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
    /// As the provider counted them.
    pub tokens: Option<Tokens>,
    /// When it was recorded; upstream's files do not say.
    pub recorded_at: Option<Timestamp>,
}

/// What [`Replay`] and [`Recorder`] share: the directory and what is known of it.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) dir: PathBuf,
    pub(crate) catalogue: RwLock<Catalogue>,
    answers: Mutex<Recent<String, Arc<Kept>>>,
}

/// Bytes of recordings that are kept in memory, roughly.
const KEPT: usize = 18 * 1024 * 1024;

/// How long a file that was read is taken to be unchanged.
const TRUSTED: Duration = Duration::from_secs(1);

/// Recordings with masks that are read for a request which nothing else answers.
const MOST_MASKED: usize = 200;

/// A recording that was read lately. Its request is not kept, only its key.
#[derive(Debug)]
pub(crate) struct Kept {
    file: String,
    answer: Answer,
    /// The exact key of its request.
    key: String,
    tokens: Option<Tokens>,
    recorded_at: Option<Timestamp>,
    listed: Option<Listed>,
    /// When the file was last seen to be as it was read.
    checked: Mutex<Instant>,
}

/// What a lookup chose, before any file is read.
#[derive(Debug)]
pub(crate) struct Chosen {
    choice: Choice,
    /// Which of [`Prepared::others`] it answers; `None` for the masked request.
    other: Option<usize>,
}

impl Chosen {
    fn request<'a>(&self, prepared: &'a Prepared) -> &'a Prepared {
        self.other.and_then(|other| prepared.others.get(other)).unwrap_or(prepared)
    }
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
        let prepared = Prepared::new(request.clone(), Vec::new());
        let chosen = self.shelf.choose(&prepared, caller);
        self.shelf.get(&prepared, caller, chosen)
    }

    /// Everything in the directory, in order of file names.
    pub fn entries(&self) -> Vec<Entry> {
        self.shelf.entries()
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

impl Shelf {
    pub(crate) fn new(dir: &Path, entries: Vec<Entry>) -> Self {
        Self {
            dir: dir.to_path_buf(),
            catalogue: RwLock::new(Catalogue::new(entries)),
            answers: Mutex::new(Recent::new(KEPT)),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<_> = self.read().entries().map(|entry| Entry::clone(entry)).collect();
        entries.sort_by(|a, b| a.file.cmp(&b.file));
        entries
    }

    /// Forgets what was read of a file that changes.
    pub(crate) fn forget(&self, file: &str) {
        lock(&self.answers).remove(file);
    }

    /// A recording that was read lately and has not changed since.
    fn kept(&self, file: &str) -> Option<Arc<Kept>> {
        let kept = lock(&self.answers).get(file)?;
        self.is_current(&kept).then_some(kept)
    }

    fn is_current(&self, kept: &Kept) -> bool {
        let mut checked = lock(&kept.checked);
        if checked.elapsed() > TRUSTED {
            if kept.listed != stat(&self.dir, &self.dir.join(&kept.file)) {
                return false;
            }
            *checked = Instant::now();
        }
        true
    }

    fn read_file(&self, file: &str) -> Result<Loaded, MissReason> {
        let path = self.dir.join(file);
        match entry::load(&path) {
            Ok(Some(loaded)) => Ok(loaded),
            // It was a recording when the directory was read.
            Ok(None) => Err(MissReason::Unusable { problem: format!("{file} is no longer a recording") }),
            Err(kind) => {
                let problem = RecordingProblem { file: path, kind }.to_string();
                Err(MissReason::Unusable { problem })
            }
        }
    }

    fn load(&self, file: &str) -> Result<Arc<Kept>, MissReason> {
        if let Some(kept) = self.kept(file) {
            return Ok(kept);
        }
        // Before the content: a file that changes in between is then read again next time.
        let listed = stat(&self.dir, &self.dir.join(file));
        let loaded = self.read_file(file)?;
        let body = loaded.answer.bytes();
        let weight = 1024 + body.len() * if loaded.answer.is_streaming() { 2 } else { 1 };
        let kept = Arc::new(Kept {
            file: file.to_owned(),
            key: loaded.request.key().to_string(),
            tokens: tokens_in(&body),
            recorded_at: loaded.recorded_at.and_then(|at| at.parse().ok()),
            answer: loaded.answer,
            listed,
            checked: Mutex::new(Instant::now()),
        });
        lock(&self.answers).insert(file.to_owned(), Arc::clone(&kept), weight);
        Ok(kept)
    }

    /// Confirms a match on the full requests, since an index may be older than a file, and names what it needed. `None`
    /// when that needs the file.
    fn confirmed(request: &Prepared, kept: &Arc<Kept>, level: usize) -> Option<Vec<&'static str>> {
        if level == 0 && kept.key == request.key {
            return Some(Vec::new());
        }
        request.confirmed(kept)
    }

    fn confirm(
        &self,
        request: &Prepared,
        kept: &Arc<Kept>,
        level: usize,
    ) -> Result<Vec<&'static str>, MissReason> {
        if let Some(names) = Self::confirmed(request, kept, level) {
            return Ok(names);
        }
        let recorded = self.read_file(&kept.file)?.request;
        let changed = "the recording changed since the index was made".to_owned();
        let needed = normalise::needed(&request.wire(), &recorded);
        let needed = needed.ok_or(MissReason::Unusable { problem: changed })?;
        let names: Vec<_> = needed.iter().map(|normaliser| normaliser.name).collect();
        request.confirm(kept, names.clone());
        Ok(names)
    }

    /// Which recording answers; counts as one of the caller's answers. Reads no file.
    ///
    /// A request with a secret in it is looked up as it came and with less masked, for recordings made without knowing the
    /// secret; these come first where they match exactly, and last where they match only after normalising.
    pub(crate) fn choose(&self, prepared: &Prepared, caller: &Caller) -> Chosen {
        let catalogue = self.read();
        let choose = |request: &Prepared, other| Chosen {
            choice: catalogue.choose(&request.key, &request.levels, caller),
            other,
        };
        let others = || prepared.others.iter().enumerate();
        if let Some((number, other)) = others().rev().find(|(_, other)| catalogue.has(&other.key)) {
            return choose(other, Some(number));
        }
        let chosen = choose(prepared, None);
        let is_nothing = |chosen: &Chosen| matches!(chosen.choice, Choice::Nothing);
        if !is_nothing(&chosen) {
            return chosen;
        }
        let mut more = others().map(|(number, other)| choose(other, Some(number)));
        more.find(|chosen| !is_nothing(chosen)).unwrap_or(chosen)
    }

    /// The answer, when giving it needs no file to be read; otherwise what was chosen, for [`Shelf::answer`].
    pub(crate) fn at_once(&self, prepared: &Prepared, caller: &Caller) -> Result<Hit, Chosen> {
        if let Some(kept) = prepared.settled().filter(|kept| self.is_current(kept)) {
            return Ok(kept.hit(Vec::new(), ScopeTier::Unscoped));
        }
        let chosen = self.choose(prepared, caller);
        let Choice::One { entry, level, scope } = &chosen.choice else { return Err(chosen) };
        let Some(kept) = self.kept(&entry.file) else { return Err(chosen) };
        let request = chosen.request(prepared);
        let Some(normalisers) = Self::confirmed(request, &kept, *level) else { return Err(chosen) };
        if *level == 0 && caller.suspects.is_empty() && self.read().is_settled(&request.key) {
            prepared.settle(&kept);
        }
        Ok(kept.hit(normalisers, scope.clone()))
    }

    /// The answer that was chosen, or a full account of why there is none; reads files.
    pub(crate) fn get(&self, prepared: &Prepared, caller: &Caller, chosen: Chosen) -> Result<Hit, Box<Miss>> {
        let explain = |reason| Box::new(self.explain(&prepared.wire(), caller, reason, &prepared.key));
        self.answer(prepared, caller, chosen).map_err(explain)
    }

    /// The answer, or why there is none and the request's exact key.
    pub(crate) fn find(&self, prepared: &Prepared, caller: &Caller) -> Result<Hit, MissReason> {
        let chosen = self.choose(prepared, caller);
        self.answer(prepared, caller, chosen)
    }

    fn explain(&self, request: &WireRequest, caller: &Caller, reason: MissReason, key: &str) -> Miss {
        let candidates = miss::candidates(self.read().entries(), request, caller);
        miss::explain(&self.dir, request, key, reason, &candidates)
    }

    fn answer(&self, prepared: &Prepared, caller: &Caller, chosen: Chosen) -> Result<Hit, MissReason> {
        let request = chosen.request(prepared);
        match chosen.choice {
            Choice::Nothing => self.by_masks(prepared, caller),
            Choice::Ambiguous { entries } => {
                Err(MissReason::Ambiguous { files: entries.iter().map(|entry| entry.file.clone()).collect() })
            }
            Choice::One { entry, level, scope } => {
                let kept = self.load(&entry.file)?;
                let normalisers = self.confirm(request, &kept, level)?;
                Ok(kept.hit(normalisers, scope))
            }
            Choice::ModelLists { entries, level } => {
                let lists =
                    entries.iter().map(|entry| self.load(&entry.file)).collect::<Result<Vec<_>, _>>()?;
                let first = lists.first().ok_or(MissReason::NotRecorded)?;
                let normalisers = self.confirm(request, first, level)?;
                let answers: Vec<_> = lists.iter().map(|kept| kept.answer.clone()).collect();
                Ok(Hit {
                    answer: merge_model_lists(&answers),
                    file: entries[0].file.clone(),
                    normalisers,
                    scope: ScopeTier::Unscoped,
                    tokens: None,
                    recorded_at: None,
                })
            }
        }
    }

    /// A recording in which masks stand where the request has words: see [`masked`].
    fn by_masks(&self, prepared: &Prepared, caller: &Caller) -> Result<Hit, MissReason> {
        let requests: Vec<_> = prepared.others.iter().chain([prepared]).map(Prepared::wire).collect();
        let candidates = self.read().masked(&requests[0]);
        let fits = |entry: &&Arc<Entry>| {
            let recorded = self.read_file(&entry.file).ok().map(|loaded| loaded.request);
            recorded.is_some_and(|recorded| requests.iter().any(|request| masked::fits(request, &recorded)))
        };
        let found: Vec<_> = candidates.iter().take(MOST_MASKED).filter(fits).cloned().collect();
        let Some(first) = found.first() else { return Err(MissReason::NotRecorded) };
        let differs = |field: fn(&Entry) -> &str| found.iter().any(|entry| field(entry) != field(first));
        if differs(|entry| &entry.key) && differs(|entry| &entry.answer) {
            return Err(MissReason::Ambiguous {
                files: found.iter().map(|entry| entry.file.clone()).collect(),
            });
        }
        match Catalogue::choose_among(&found, &first.key, caller) {
            Choice::One { entry, scope, .. } => Ok(self.load(&entry.file)?.hit(vec![masked::NAME], scope)),
            _ => Err(MissReason::NotRecorded),
        }
    }
}

impl Kept {
    fn hit(&self, normalisers: Vec<&'static str>, scope: ScopeTier) -> Hit {
        Hit {
            answer: self.answer.clone(),
            file: self.file.clone(),
            normalisers,
            scope,
            tokens: self.tokens,
            recorded_at: self.recorded_at,
        }
    }
}
