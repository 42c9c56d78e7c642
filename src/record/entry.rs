//! What is known of a recording without holding its bodies, and reading it back from its file.

use std::path::Path;

use serde_json::Value;

use super::key::WireRequest;
use super::masked;
use super::normalise;
use super::problem::{ProblemKind, RecordingProblem};
use super::recording::{Answer, Meta, Owner, Recording};
use super::upstream::{self, Upstream};

/// Which program wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileFormat {
    Native,
    Upstream,
}

/// One recording as the index knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Relative to the recordings directory, with `/`.
    pub file: String,
    pub format: FileFormat,
    pub provider: String,
    pub method: String,
    pub path: String,
    pub endpoint: String,
    pub model: String,
    /// The setup it was made with; upstream's files name none.
    pub setup: Option<String>,
    /// When it was recorded (native), or the file's modification time (upstream keeps none); RFC 3339.
    pub timestamp: String,
    pub status: u16,
    pub is_streaming: bool,
    /// One of several lists of models that are served merged.
    pub is_model_list: bool,
    /// The exact key.
    pub key: String,
    /// Leading digits of the keys at every normaliser level, exact first.
    pub levels: Vec<String>,
    /// Equal for equal answers.
    pub answer: String,
    pub owners: Vec<Owner>,
    /// Length of the canonical request, to guess near ones.
    pub request_length: usize,
    /// The request was stored with a mask in it: see `masked`.
    pub is_masked: bool,
}

/// Digits of a level key that an entry holds. A match at a level is confirmed on the full requests.
const LEVEL_DIGITS: usize = 16;

/// The place that an upstream file gets which upstream itself would not find.
const LEFTOVER: u32 = 3;

/// Exact key in full, and the shortened keys of all levels.
pub(crate) fn keys_of(request: &WireRequest) -> (String, Vec<String>) {
    let levels = normalise::levels(request);
    (levels[0].to_string(), levels.iter().map(|key| key.as_str()[..LEVEL_DIGITS].to_owned()).collect())
}

/// A file's content in either format.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) request: WireRequest,
    pub(crate) answer: Answer,
    pub(crate) owners: Vec<Owner>,
    pub(crate) format: FileFormat,
    pub(crate) recorded_at: Option<String>,
    pub(crate) is_model_list: bool,
    /// The request's full address.
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Our format's `meta`; upstream's files have none.
    pub(crate) meta: Option<Meta>,
}

/// Reads one file; `None` for a file that upstream wrote and that holds no provider call.
pub(crate) fn load(path: &Path) -> Result<Option<Loaded>, ProblemKind> {
    let bytes =
        std::fs::read(path).map_err(|error| ProblemKind::Unreadable { message: error.to_string() })?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| ProblemKind::from_json_error(&error))?;
    understand(value, &path.file_stem().unwrap_or_default().to_string_lossy())
}

/// As [`load`], for a file's content; `stem` is its name without the extension.
pub(crate) fn understand(value: Value, stem: &str) -> Result<Option<Loaded>, ProblemKind> {
    if value.get("meta").is_some_and(|meta| meta.get("format").is_some()) {
        let recording = Recording::from_value(value)?;
        return Ok(Some(Loaded {
            request: recording.request.wire,
            answer: recording.answer,
            owners: recording.meta.trials.clone(),
            format: FileFormat::Native,
            recorded_at: Some(recording.meta.recorded_at.clone()),
            is_model_list: false,
            url: recording.request.url,
            headers: recording.request.headers,
            meta: Some(recording.meta),
        }));
    }
    // Upstream only ever finds the file whose name is the request's hash. Others with the same request are left over
    // from older formulas, so they only answer where there is no such file. An `extra_body`, even an empty one, is part
    // of that hash but not of the wire; the newer of two files that differ in nothing else has it.
    let has_extra_body = value["request"]["body"].get("extra_body").is_some();
    let answer = match upstream::is_named_by_hash(&value, stem) {
        true if has_extra_body => 1,
        true => 2,
        false => LEFTOVER,
    };
    match upstream::read(value)? {
        Upstream::Skipped(_) => Ok(None),
        Upstream::Call(call) => Ok(Some(Loaded {
            request: call.request,
            answer: call.answer,
            owners: vec![Owner { id: call.test_id, answers: vec![answer] }],
            format: FileFormat::Upstream,
            recorded_at: None,
            is_model_list: call.is_model_list,
            url: call.url,
            headers: Vec::new(),
            meta: None,
        })),
    }
}

/// The entry of one file, or what is wrong with it.
pub(crate) fn read_entry(dir: &Path, file: &str, modified: &str) -> Result<Option<Entry>, RecordingProblem> {
    let path = dir.join(file);
    match load(&path) {
        Ok(loaded) => Ok(loaded.map(|loaded| Entry::new(file, modified, &loaded))),
        Err(kind) => Err(RecordingProblem { file: path, kind }),
    }
}

impl Entry {
    pub(crate) fn new(file: &str, modified: &str, loaded: &Loaded) -> Self {
        let request = &loaded.request;
        let (key, levels) = keys_of(request);
        Self {
            file: file.to_owned(),
            format: loaded.format,
            provider: request.provider.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            endpoint: normalise::endpoint(&request.path),
            model: request.model().to_owned(),
            setup: loaded.meta.as_ref().and_then(|meta| meta.setup.clone()),
            timestamp: loaded.recorded_at.clone().unwrap_or_else(|| modified.to_owned()),
            status: loaded.answer.status,
            is_streaming: loaded.answer.is_streaming(),
            is_model_list: loaded.is_model_list,
            key,
            levels,
            answer: loaded.answer.fingerprint(),
            owners: loaded.owners.clone(),
            request_length: request.body.json().map_or(0, |body| body.to_string().len()),
            is_masked: masked::has_mask(request),
        }
    }

    /// A file of upstream's that upstream itself would not find.
    pub(crate) fn is_leftover(&self) -> bool {
        self.format == FileFormat::Upstream && self.owners.iter().all(|owner| owner.answers == [LEFTOVER])
    }

    /// The key with all normalisers applied, shortened.
    pub(crate) fn loose(&self) -> &str {
        self.levels.last().map_or("", String::as_str)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A recording of ours in `file`, which also stands for its answer; each owner with its number of the answer.
    pub(crate) fn entry(file: &str, request: WireRequest, owners: &[(Option<&str>, u32)]) -> Entry {
        let (key, levels) = keys_of(&request);
        let owner =
            |(id, answer): &(Option<&str>, u32)| Owner { id: id.map(str::to_owned), answers: vec![*answer] };
        Entry {
            file: file.into(),
            format: FileFormat::Native,
            endpoint: normalise::endpoint(&request.path),
            provider: request.provider,
            method: request.method,
            path: request.path,
            model: String::new(),
            setup: None,
            timestamp: "2025-01-01T00:00:00Z".into(),
            status: 200,
            is_streaming: false,
            is_model_list: false,
            key,
            levels,
            answer: file.into(),
            owners: owners.iter().map(owner).collect(),
            request_length: 0,
            is_masked: false,
        }
    }
}
