//! A directory of recordings to look up in. Replaying and recording are two types: [`Replay`] can only look up;
//! [`super::Recorder`] is the only one that writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use super::cache::{Recent, weight_of};
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

/// A recording that was read lately.
#[derive(Debug)]
struct Kept {
    loaded: Arc<Loaded>,
    tokens: Option<Tokens>,
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
    fn request<'a>(&self, prepared: &'a Prepared) -> &'a WireRequest {
        self.other.and_then(|other| prepared.others.get(other)).map_or(&prepared.wire, |other| &other.wire)
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
        self.answer(&prepared, caller, chosen)
    }

    /// The answer that was chosen; reads files.
    pub(crate) fn answer(
        &self,
        prepared: &Prepared,
        caller: &Caller,
        chosen: Chosen,
    ) -> Result<Hit, Box<Miss>> {
        let explain = |reason| Box::new(self.shelf.explain(&prepared.wire, caller, reason, &prepared.key));
        self.shelf.answer(prepared, caller, chosen).map_err(explain)
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
        let mut checked = lock(&kept.checked);
        if checked.elapsed() > TRUSTED {
            if kept.listed != stat(&self.dir, &self.dir.join(file)) {
                return None;
            }
            *checked = Instant::now();
        }
        drop(checked);
        Some(kept)
    }

    fn load(&self, file: &str) -> Result<Arc<Kept>, MissReason> {
        if let Some(kept) = self.kept(file) {
            return Ok(kept);
        }
        let path = self.dir.join(file);
        // Before the content: a file that changes in between is then read again next time.
        let listed = stat(&self.dir, &path);
        let loaded = match entry::load(&path) {
            Ok(Some(loaded)) => loaded,
            // It was a recording when the directory was read.
            Ok(None) => {
                return Err(MissReason::Unusable { problem: format!("{file} is no longer a recording") });
            }
            Err(kind) => {
                let problem = RecordingProblem { file: path, kind }.to_string();
                return Err(MissReason::Unusable { problem });
            }
        };
        let body = loaded.answer.bytes();
        let weight = 1024 + body.len() + loaded.request.body.json().map_or(0, weight_of);
        let kept = Arc::new(Kept {
            tokens: tokens_in(&body),
            loaded: Arc::new(loaded),
            listed,
            checked: Mutex::new(Instant::now()),
        });
        lock(&self.answers).insert(file.to_owned(), Arc::clone(&kept), weight);
        Ok(kept)
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
        let chosen = self.choose(prepared, caller);
        let Choice::One { entry, level, scope } = &chosen.choice else { return Err(chosen) };
        let Some(kept) = self.kept(&entry.file) else { return Err(chosen) };
        let request = chosen.request(prepared);
        match prepared.confirmed(&kept.loaded, || confirm(request, &kept.loaded.request, *level)) {
            Ok(normalisers) => Ok(hit(&kept, &entry.file, normalisers, scope.clone())),
            Err(_) => Err(chosen),
        }
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
                let confirm = || confirm(request, &kept.loaded.request, level);
                let normalisers = prepared.confirmed(&kept.loaded, confirm)?;
                Ok(hit(&kept, &entry.file, normalisers, scope))
            }
            Choice::ModelLists { entries, level } => {
                let lists =
                    entries.iter().map(|entry| self.load(&entry.file)).collect::<Result<Vec<_>, _>>()?;
                let first = lists.first().ok_or(MissReason::NotRecorded)?;
                let normalisers = confirm(request, &first.loaded.request, level)?;
                let answers: Vec<_> = lists.iter().map(|kept| kept.loaded.answer.clone()).collect();
                Ok(Hit {
                    answer: merge_model_lists(&answers),
                    file: entries[0].file.clone(),
                    normalisers,
                    scope: ScopeTier::Unscoped,
                    tokens: None,
                })
            }
        }
    }

    /// A recording in which masks stand where the request has words: see [`masked`].
    fn by_masks(&self, prepared: &Prepared, caller: &Caller) -> Result<Hit, MissReason> {
        let candidates = self.read().masked(&prepared.wire);
        let requests = || prepared.others.iter().chain([prepared]).map(|request| &request.wire);
        let fits = |entry: &&Arc<Entry>| {
            let loaded = self.load(&entry.file).ok();
            loaded.is_some_and(|kept| requests().any(|request| masked::fits(request, &kept.loaded.request)))
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
            Choice::One { entry, scope, .. } => {
                Ok(hit(&*self.load(&entry.file)?, &entry.file, vec![masked::NAME], scope))
            }
            _ => Err(MissReason::NotRecorded),
        }
    }
}

fn hit(kept: &Kept, file: &str, normalisers: Vec<&'static str>, scope: ScopeTier) -> Hit {
    Hit { answer: kept.loaded.answer.clone(), file: file.to_owned(), normalisers, scope, tokens: kept.tokens }
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
