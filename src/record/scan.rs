//! Finding the recording files of a directory, and reading many at once.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::entry::{Entry, read_entry};
use super::problem::{ProblemKind, RecordingProblem};

/// A file as the directory listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) file: String,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
    pub(crate) size: i64,
}

/// Reads files on all cores; the order of the result is that of `files`.
pub(crate) fn read_all(
    dir: &Path,
    files: &[Listed],
) -> Vec<(Listed, Result<Option<Entry>, RecordingProblem>)> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = files.len().div_ceil(workers).max(1);
    let read = |file: &Listed| (file.clone(), read_entry(dir, &file.file, &timestamp(file.modified)));
    std::thread::scope(|scope| {
        let handles: Vec<_> = files
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(read).collect::<Vec<_>>()))
            .collect();
        // A worker that panics leaves its files out of the index, so the next start reads them again.
        handles.into_iter().flat_map(|handle| handle.join().unwrap_or_default()).collect()
    })
}

/// Every `*.json` below `dir`, hidden files and folders left out, in order of names.
pub(crate) fn list(dir: &Path, problems: &mut Vec<RecordingProblem>) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::NotFound => ProblemKind::DirectoryMissing,
                    _ => ProblemKind::DirectoryUnreadable { message: error.to_string() },
                };
                problems.push(RecordingProblem { file: folder, kind });
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // The listing says what most entries are; only a link must be looked at.
            let is_folder =
                entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && path.is_dir());
            if is_folder {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                listed.extend(stat(dir, &path));
            }
        }
    }
    listed.sort_by(|a, b| a.file.cmp(&b.file));
    listed
}

pub(crate) fn stat(dir: &Path, path: &Path) -> Option<Listed> {
    let meta = std::fs::metadata(path).ok()?;
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(Listed {
        file: path.strip_prefix(dir).ok()?.to_string_lossy().replace('\\', "/"),
        modified: i64::try_from(modified).unwrap_or(i64::MAX),
        size: i64::try_from(meta.len()).unwrap_or(i64::MAX),
    })
}

pub(crate) fn timestamp(nanoseconds: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).map(|at| format!("{at:.3}")).unwrap_or_default()
}
