//! A recordings directory read completely, for looking after it. Replay never comes here: it has the index.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::entry::{self, Entry, FileFormat, Loaded};
use super::normalise;
use super::problem::{ProblemKind, RecordingProblem};
use super::recording::{FORMAT, Meta, RecordedRequest, Recording};
use super::scan::{self, Listed, timestamp};
use super::upstream::is_named_by_hash;

/// One recording file with all that it holds.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Bytes of the file.
    pub size: u64,
    pub entry: Entry,
    /// Upstream's files in our terms: what went over the wire, owners from the test id.
    pub recording: Recording,
    /// Whether the file has the name that its format prescribes for its content.
    pub is_named: bool,
}

/// What a whole directory gave.
#[derive(Debug)]
pub struct Survey<T> {
    /// One for each recording, in order of file names.
    pub items: Vec<T>,
    /// Files without a provider call, as upstream's tool results.
    pub skipped: usize,
    pub problems: Vec<RecordingProblem>,
}

/// Reads every recording below `dir` and keeps of each what `keep` makes of it; bodies are held one at a time.
pub fn survey<T: Send>(dir: &Path, keep: impl Fn(Volume) -> T + Sync) -> Survey<T> {
    let mut problems = Vec::new();
    let listed = scan::list(dir, &mut problems);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let read = |file: &Listed| match read(dir, file) {
        Ok(volume) => Ok(volume.map(&keep)),
        Err(kind) => Err(RecordingProblem { file: dir.join(&file.file), kind }),
    };
    let share = listed.len().div_ceil(workers).max(1);
    let found: Vec<_> = std::thread::scope(|scope| {
        let part =
            |files| scope.spawn(move || Iterator::map(<[Listed]>::iter(files), read).collect::<Vec<_>>());
        let handles: Vec<_> = listed.chunks(share).map(part).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, _>| {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        handles.into_iter().flat_map(join).collect()
    });
    let mut survey = Survey { items: Vec::with_capacity(found.len()), skipped: 0, problems };
    for result in found {
        match result {
            Ok(Some(item)) => survey.items.push(item),
            Ok(None) => survey.skipped += 1,
            Err(problem) => survey.problems.push(problem),
        }
    }
    survey
}

/// One recording of a directory; `None` for a file without a provider call.
///
/// # Errors
/// What is wrong with the file.
pub fn volume(dir: &Path, file: &str) -> Result<Option<Volume>, RecordingProblem> {
    let path = dir.join(file);
    let problem = |kind| RecordingProblem { file: path.clone(), kind };
    let Some(listed) = scan::stat(dir, &path) else {
        return Err(problem(ProblemKind::Unreadable { message: "no such file".to_owned() }));
    };
    read(dir, &listed).map_err(problem)
}

fn read(dir: &Path, listed: &Listed) -> Result<Option<Volume>, ProblemKind> {
    let value = json(&dir.join(&listed.file))?;
    of(value, &listed.file, &timestamp(listed.modified), u64::try_from(listed.size).unwrap_or(0))
}

/// The JSON in a file.
pub(crate) fn json(path: &Path) -> Result<Value, ProblemKind> {
    let bytes =
        std::fs::read(path).map_err(|error| ProblemKind::Unreadable { message: error.to_string() })?;
    serde_json::from_slice(&bytes).map_err(|error| ProblemKind::from_json_error(&error))
}

/// A file's content, wherever it comes from. `modified` in RFC 3339.
pub(crate) fn of(value: Value, file: &str, modified: &str, size: u64) -> Result<Option<Volume>, ProblemKind> {
    let stem = stem(file);
    let named_by_upstream = is_named_by_hash(&value, stem);
    let Some(loaded) = entry::understand(value, stem)? else { return Ok(None) };
    let entry = Entry::new(file, modified, &loaded);
    let is_named = match entry.format {
        FileFormat::Upstream => named_by_upstream,
        FileFormat::Native => is_named_by_key(stem, &entry.key),
    };
    let meta = loaded.meta.unwrap_or_else(|| Meta {
        format: FORMAT,
        tool: "llama-stack".to_owned(),
        recorded_at: modified.to_owned(),
        setup: None,
        trials: loaded.owners,
        normaliser: normalise::fingerprint(),
    });
    let request = RecordedRequest { wire: loaded.request, url: loaded.url, headers: loaded.headers };
    Ok(Some(Volume { size, entry, recording: Recording { request, answer: loaded.answer, meta }, is_named }))
}

/// A recording that is in no directory yet. `name` stands for it in reports.
pub fn of_recording(name: &str, recording: Recording) -> Volume {
    let loaded = Loaded {
        request: recording.request.wire.clone(),
        answer: recording.answer.clone(),
        owners: recording.meta.trials.clone(),
        format: FileFormat::Native,
        recorded_at: Some(recording.meta.recorded_at.clone()),
        is_model_list: false,
        url: String::new(),
        headers: Vec::new(),
        meta: Some(recording.meta.clone()),
    };
    Volume { size: 0, entry: Entry::new(name, "", &loaded), recording, is_named: true }
}

impl Volume {
    /// Brings the entry in line with a recording that was changed.
    pub fn refresh(&mut self) {
        let fresh = of_recording(&self.entry.file, self.recording.clone()).entry;
        let (format, is_model_list) = (self.entry.format, self.entry.is_model_list);
        let owners = std::mem::take(&mut self.entry.owners);
        self.entry = Entry { format, is_model_list, owners, ..fresh };
    }
}

/// Our names: twelve digits of the key, and `-2`, `-3` … for further answers to the same request.
fn is_named_by_key(stem: &str, key: &str) -> bool {
    let (digits, number) = stem.split_once('-').unwrap_or((stem, "2"));
    digits.len() == 12 && key.starts_with(digits) && number.parse::<u32>().is_ok_and(|number| number > 1)
}

/// A file's name without folders and extension.
pub(crate) fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".json").unwrap_or(name)
}

/// Why a name stands for no recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// Several files fit.
    Ambiguous { files: Vec<String> },
    /// No file fits; the most similar name, if any is similar.
    Unknown { nearest: Option<String> },
}

/// The file that `name` means: a path below `dir`, a path to a file in it, a file's name, or the beginning of a name or
/// of a key (four digits or more, asked of `key_of`, which maps the files of the directory to their keys).
///
/// # Errors
/// See [`NotFound`].
pub fn find(
    dir: &Path,
    name: &str,
    keys: impl FnOnce() -> Vec<(String, String)>,
) -> Result<String, NotFound> {
    let below = |path: PathBuf| {
        let path = path.canonicalize().ok()?;
        let relative = path.strip_prefix(dir.canonicalize().ok()?).ok()?.to_string_lossy().into_owned();
        (path.is_file() && relative.ends_with(".json")).then_some(relative)
    };
    if let Some(file) = below(dir.join(name)).or_else(|| below(PathBuf::from(name))) {
        return Ok(file);
    }
    let keys = keys();
    let wanted = stem(name);
    let exact: Vec<_> = keys.iter().filter(|(file, _)| stem(file) == wanted).collect();
    let is_prefix = wanted.len() >= 4;
    let starts = |text: &str| is_prefix && text.starts_with(wanted);
    let begun: Vec<_> = keys.iter().filter(|(file, key)| starts(stem(file)) || starts(key)).collect();
    match (exact.as_slice(), begun.as_slice()) {
        ([(file, _)], _) | ([], [(file, _)]) => Ok(file.clone()),
        ([], []) => {
            let near = |(file, _): &&(String, String)| strsim::damerau_levenshtein(stem(file), wanted);
            let nearest = keys.iter().min_by_key(near).filter(|pair| near(pair) <= wanted.len().max(3) / 3);
            Err(NotFound::Unknown { nearest: nearest.map(|(file, _)| file.clone()) })
        }
        ([], several) | (several, _) => {
            Err(NotFound::Ambiguous { files: several.iter().map(|(file, _)| file.clone()).collect() })
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A directory with these files.
    pub(crate) fn directory(files: &[(&str, String)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    /// A native chat recording.
    pub(crate) fn chat(prompt: &str, answer: &str, owners: &[(&str, u32)]) -> Recording {
        use super::super::key::{WireBody, WireRequest};
        use super::super::recording::{Answer, AnswerBody, Owner};
        let path = "/v1/chat/completions";
        let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": prompt}]});
        let owner = |(id, answer): &(&str, u32)| Owner {
            id: Some((*id).to_owned()).filter(|id| !id.is_empty()),
            answers: vec![*answer],
        };
        Recording {
            request: RecordedRequest {
                wire: WireRequest {
                    provider: "ollama".into(),
                    method: "POST".into(),
                    path: path.into(),
                    body: WireBody::Json(body),
                },
                url: format!("http://localhost:11434{path}"),
                headers: vec![("content-type".into(), "application/json".into())],
            },
            answer: Answer {
                status: 200,
                wait: std::time::Duration::ZERO,
                headers: vec![("content-type".into(), "application/json".into())],
                body: AnswerBody::Whole(format!(r#"{{"text":"{answer}"}}"#).into()),
                cut: None,
            },
            meta: Meta { trials: owners.iter().map(owner).collect(), ..Meta::now(Some("ollama".into())) },
        }
    }

    /// Where our recorder would put it.
    pub(crate) fn name_of(recording: &Recording) -> String {
        format!("responses/{}.json", recording.request.wire.key().short())
    }

    #[test]
    fn a_survey_has_every_recording_and_every_problem() {
        let good = chat("a", "b", &[("t", 1)]);
        let file = name_of(&good);
        let dir = directory(&[
            (&file, good.to_json()),
            ("responses/other.json", good.to_json()),
            ("bad.json", "{".into()),
            (
                "tool.json",
                r#"{"request":{"provider":"tavily","tool_name":"x"},"response":{"body":{}}}"#.into(),
            ),
        ]);
        let survey =
            survey(dir.path(), |volume| (volume.entry.file, volume.is_named, volume.recording == good));
        assert_eq!(survey.items, [(file, true, true), ("responses/other.json".into(), false, true)]);
        assert_eq!((survey.skipped, survey.problems.len()), (1, 1));
    }

    #[test]
    fn names_are_resolved() {
        let recording = chat("a", "b", &[]);
        let (file, key) = (name_of(&recording), recording.request.wire.key().to_string());
        let dir =
            directory(&[(&file, recording.to_json()), ("responses/ffff0000aaaa.json", recording.to_json())]);
        let keys =
            || vec![(file.clone(), key.clone()), ("responses/ffff0000aaaa.json".to_owned(), key.clone())];
        let find = |name: &str| find(dir.path(), name, keys);
        for name in [&file, stem(&file), dir.path().join(&file).to_str().unwrap()] {
            assert_eq!(find(name), Ok(file.clone()), "{name}");
        }
        assert_eq!(find("ffff"), Ok("responses/ffff0000aaaa.json".into()));
        assert!(matches!(find(&key[..5]), Err(NotFound::Ambiguous { files }) if files.len() == 2));
        let nearest = Some("responses/ffff0000aaaa.json".to_owned());
        assert_eq!(find("ffff0000aaab"), Err(NotFound::Unknown { nearest }));
        assert_eq!(find("zzz"), Err(NotFound::Unknown { nearest: None }));
    }

    #[test]
    fn our_names_are_twelve_digits_and_a_number() {
        let key = "0123456789abcdef";
        for (stem, expected) in [
            ("0123456789ab", true),
            ("0123456789ab-2", true),
            ("0123456789ab-1", false),
            ("0123456789ab-x", false),
            ("0123456789a", false),
            ("1123456789ab", false),
        ] {
            assert_eq!(is_named_by_key(stem, key), expected, "{stem}");
        }
    }
}
