//! Whether a directory's index agrees with its files. Reads only; the next start brings an index up to date.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::scan::Listed;

/// How an index differs from the files it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IndexState {
    /// Files that changed, came or went since; the next start notices.
    pub(crate) behind: usize,
    /// Rows that look current and are not: replay would trust them.
    pub(crate) wrong: usize,
}

/// Compares `index.sqlite` in `dir` with what was just read: each file's listing, and its key when it is a recording.
/// `None` without an index, or with one of another layout, which is built anew anyway.
pub(crate) fn check(dir: &Path, files: &[Listed], keys: &HashMap<&str, &str>) -> Option<IndexState> {
    let path = dir.join("index.sqlite");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let known = rows(&connection).ok()?;
    let mut state = IndexState { behind: known.len(), wrong: 0 };
    for file in files {
        match known.get(&file.file) {
            Some((modified, size, key)) if (*modified, *size) == (file.modified, file.size) => {
                state.behind -= 1;
                state.wrong += usize::from(key.as_deref() != keys.get(file.file.as_str()).copied());
            }
            // A changed file was counted already.
            Some(_) => {}
            None => state.behind += usize::from(keys.contains_key(file.file.as_str())),
        }
    }
    Some(state)
}

type Rows = HashMap<String, (i64, i64, Option<String>)>;

fn rows(connection: &Connection) -> rusqlite::Result<Rows> {
    connection
        .prepare("SELECT files.file, files.mtime, files.size, recordings.key FROM files LEFT JOIN recordings ON recordings.file = files.file")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::index::synchronise;
    use super::super::library::tests::{chat, directory, name_of};
    use super::super::scan::list;
    use super::*;

    fn state(dir: &Path, keys: &[(&str, &str)]) -> Option<IndexState> {
        check(dir, &list(dir, &mut Vec::new()), &keys.iter().copied().collect())
    }

    #[test]
    fn an_index_is_absent_current_behind_or_wrong() {
        let recording = chat("a", "b", &[]);
        let (file, key) = (name_of(&recording), recording.request.wire.key().to_string());
        let dir = directory(&[(&file, recording.to_json())]);
        let keys = [(file.as_str(), key.as_str())];
        assert_eq!(state(dir.path(), &keys), None);
        synchronise(dir.path(), None);
        assert_eq!(state(dir.path(), &keys), Some(IndexState::default()));
        assert_eq!(state(dir.path(), &[(&file, "other")]), Some(IndexState { behind: 0, wrong: 1 }));
        std::fs::write(dir.path().join(&file), format!("{}\n", recording.to_json())).unwrap();
        assert_eq!(state(dir.path(), &keys), Some(IndexState { behind: 1, wrong: 0 }));
    }
}
