//! `index.sqlite`: what the recording files say, kept so that a start need not read them all.
//!
//! Derived and disposable: every row comes from a file, a stale row is found by comparing modification time and size, and
//! a damaged index is deleted and built anew. All changes of one synchronisation are one transaction.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::entry::{Entry, FileFormat, read_entry};
use super::key::sha256_hex;
use super::normalise;
use super::problem::{ProblemKind, RecordingProblem};
use super::scan::{Listed, list, read_all, stat, timestamp};

/// Raised when the tables change, or what is derived from a file; an index of another layout is built anew.
const LAYOUT: u32 = 3;

const FILE_NAME: &str = "index.sqlite";

/// How long to wait for another runner that is writing the same index.
const BUSY: Duration = Duration::from_secs(10);

/// Entries and problems of a directory, and the open index.
#[derive(Debug)]
pub(crate) struct Synced {
    pub(crate) connection: Connection,
    pub(crate) entries: Vec<Entry>,
    pub(crate) problems: Vec<RecordingProblem>,
}

/// Reads the recordings below `dir`, from the index where it is current and from the files where it is not.
///
/// The index lives in `dir`; where that cannot be written, below `cache`; where that cannot either, in memory.
pub(crate) fn synchronise(dir: &Path, cache: Option<&Path>) -> Synced {
    let mut problems = Vec::new();
    let listed = list(dir, &mut problems);
    let updated = update(open(dir, cache), dir, &listed).or_else(|error| {
        // Damage beyond the first page shows only now. Anything else (a full disk, say) must not stop a replay.
        if is_damage(&error.1) && error.0.is_some_and(|path| std::fs::remove_file(path).is_ok()) {
            return update(open(dir, cache), dir, &listed);
        }
        Err((None, error.1))
    });
    match updated.or_else(|_| update(in_memory(), dir, &listed)) {
        Ok((connection, entries, found)) => {
            problems.extend(found);
            Synced { connection, entries, problems }
        }
        Err((_, error)) => {
            let kind =
                ProblemKind::DirectoryUnreadable { message: format!("no index can be made of it: {error}") };
            problems.push(RecordingProblem { file: dir.to_path_buf(), kind });
            Synced { connection: in_memory(), entries: Vec::new(), problems }
        }
    }
}

/// The directory in which indexes of read-only directories are kept: `$XDG_CACHE_HOME/runner` or `~/.cache/runner`.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("runner"))
}

fn in_memory() -> Connection {
    #[expect(
        clippy::expect_used,
        reason = "an empty SQLite database in memory needs nothing that could be missing"
    )]
    let connection = Connection::open_in_memory().expect("SQLite opens in memory");
    // Should this fail too, reading the directory reports it.
    let _ = prepare(&connection);
    connection
}

fn open(dir: &Path, cache: Option<&Path>) -> Connection {
    let writable = std::fs::metadata(dir).is_ok_and(|meta| !meta.permissions().readonly());
    if writable && let Some(connection) = open_file(&dir.join(FILE_NAME)) {
        return connection;
    }
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let name = sha256_hex(absolute.as_os_str().as_encoded_bytes());
    let cached = cache.and_then(|cache| {
        std::fs::create_dir_all(cache).ok()?;
        open_file(&cache.join(format!("recordings-{}.sqlite", &name[..16])))
    });
    cached.unwrap_or_else(in_memory)
}

/// Opens an index file with current tables; a file that is no usable index is replaced.
fn open_file(path: &Path) -> Option<Connection> {
    let attempt = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        prepare(&connection)?;
        Ok(connection)
    };
    match attempt() {
        Ok(connection) => Some(connection),
        Err(error) => {
            if is_damage(&error) {
                std::fs::remove_file(path).ok()?;
                return attempt().ok();
            }
            None
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Makes sure that the tables exist and were written by this version with these normalisers.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // Derived data: losing the last moments in a power cut only costs a rebuild.
    connection.pragma_update(None, "synchronous", "OFF")?;
    let current = format!("{LAYOUT} {}", normalise::fingerprint());
    let found: Option<String> = connection
        .query_row("SELECT value FROM about WHERE name = 'layout'", [], |row| row.get(0))
        .optional()
        .or_else(|error| if error.to_string().contains("no such table") { Ok(None) } else { Err(error) })?;
    if found.as_deref() == Some(&current) {
        return Ok(());
    }
    connection.execute_batch(
        "BEGIN IMMEDIATE;
         DROP TABLE IF EXISTS about; DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS recordings;
         CREATE TABLE about(name TEXT PRIMARY KEY, value TEXT NOT NULL);
         CREATE TABLE files(file TEXT PRIMARY KEY, mtime INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
         CREATE TABLE recordings(
             file TEXT PRIMARY KEY, provider TEXT NOT NULL, method TEXT NOT NULL, endpoint TEXT NOT NULL,
             model TEXT NOT NULL, timestamp TEXT NOT NULL, status INTEGER NOT NULL, is_streaming INTEGER NOT NULL,
             key TEXT NOT NULL, normalised_key TEXT NOT NULL, scope TEXT, sequence INTEGER, path TEXT NOT NULL,
             format TEXT NOT NULL, is_model_list INTEGER NOT NULL, levels TEXT NOT NULL, answer TEXT NOT NULL,
             owners TEXT NOT NULL, request_length INTEGER NOT NULL, is_masked INTEGER NOT NULL, setup TEXT,
             mtime INTEGER NOT NULL, size INTEGER NOT NULL);
         CREATE INDEX recordings_by_key ON recordings(key);",
    )?;
    connection.execute("INSERT INTO about VALUES ('layout', ?1)", [current])?;
    connection.execute_batch("COMMIT")
}

type Updated = (Connection, Vec<Entry>, Vec<RecordingProblem>);

/// Brings the index up to date and reads it. An error comes with the file of the index, when it is in one.
fn update(
    mut connection: Connection,
    dir: &Path,
    listed: &[Listed],
) -> Result<Updated, (Option<PathBuf>, rusqlite::Error)> {
    match refresh_all(&mut connection, dir, listed) {
        Ok((entries, problems)) => Ok((connection, entries, problems)),
        Err(error) => Err((connection.path().filter(|path| !path.is_empty()).map(PathBuf::from), error)),
    }
}

fn refresh_all(
    connection: &mut Connection,
    dir: &Path,
    listed: &[Listed],
) -> rusqlite::Result<(Vec<Entry>, Vec<RecordingProblem>)> {
    let known: HashMap<String, (i64, i64)> = connection
        .prepare("SELECT file, mtime, size FROM files")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let is_current = |file: &Listed| known.get(&file.file) == Some(&(file.modified, file.size));
    // A broken file is never marked as known, so every start reads and reports it again.
    let stale: Vec<Listed> = listed.iter().filter(|file| !is_current(file)).cloned().collect();
    let mut problems = Vec::new();
    let present: std::collections::HashSet<&str> = listed.iter().map(|file| file.file.as_str()).collect();
    let gone: Vec<&String> = known.keys().filter(|file| !present.contains(file.as_str())).collect();
    if !stale.is_empty() || !gone.is_empty() {
        let read = read_all(dir, &stale);
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for file in gone {
            forget(&transaction, file)?;
        }
        for (file, result) in read {
            forget(&transaction, &file.file)?;
            match result {
                Err(problem) => problems.push(problem),
                Ok(entry) => insert(&transaction, &file, entry.as_ref())?,
            }
        }
        transaction.commit()?;
    }
    let entries = connection
        .prepare(
            "SELECT file, format, provider, method, path, endpoint, model, timestamp, status, is_streaming,
             is_model_list, key, levels, answer, owners, request_length, is_masked, setup FROM recordings ORDER BY file",
        )?
        .query_map([], entry_of)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((entries, problems))
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let owners: String = row.get(14)?;
    Ok(Entry {
        file: row.get(0)?,
        format: if row.get_ref(1)?.as_str()? == "native" { FileFormat::Native } else { FileFormat::Upstream },
        provider: row.get(2)?,
        method: row.get(3)?,
        path: row.get(4)?,
        endpoint: row.get(5)?,
        model: row.get(6)?,
        timestamp: row.get(7)?,
        status: row.get(8)?,
        is_streaming: row.get(9)?,
        is_model_list: row.get(10)?,
        key: row.get(11)?,
        levels: row.get_ref(12)?.as_str()?.split(' ').map(str::to_owned).collect(),
        answer: row.get(13)?,
        owners: serde_json::from_str(&owners).unwrap_or_default(),
        request_length: row.get::<_, i64>(15)?.try_into().unwrap_or(0),
        is_masked: row.get(16)?,
        setup: row.get(17)?,
    })
}

fn forget(connection: &Connection, file: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM files WHERE file = ?1")?.execute([file])?;
    connection.prepare_cached("DELETE FROM recordings WHERE file = ?1")?.execute([file])?;
    Ok(())
}

fn insert(connection: &Connection, file: &Listed, entry: Option<&Entry>) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO files VALUES (?1, ?2, ?3)")?.execute(params![
        file.file,
        file.modified,
        file.size
    ])?;
    let Some(entry) = entry else { return Ok(()) };
    let owner = entry.owners.first();
    let length = i64::try_from(entry.request_length).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO recordings VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23)",
        )?
        .execute(params![
            entry.file,
            entry.provider,
            entry.method,
            entry.endpoint,
            entry.model,
            entry.timestamp,
            entry.status,
            entry.is_streaming,
            entry.key,
            entry.loose(),
            owner.and_then(|owner| owner.id.as_deref()),
            owner.and_then(|owner| owner.answers.first()),
            entry.path,
            if entry.format == FileFormat::Native { "native" } else { "upstream" },
            entry.is_model_list,
            entry.levels.join(" "),
            entry.answer,
            serde_json::to_string(&entry.owners).unwrap_or_default(),
            length,
            entry.is_masked,
            entry.setup,
            file.modified,
            file.size,
        ])?;
    Ok(())
}

/// Puts the current state of `file` into the index, within the caller's transaction. `None` when the file is gone.
pub(crate) fn refresh(connection: &Connection, dir: &Path, file: &str) -> rusqlite::Result<Option<Entry>> {
    forget(connection, file)?;
    let Some(listed) = stat(dir, &dir.join(file)) else { return Ok(None) };
    let entry = read_entry(dir, file, &timestamp(listed.modified)).ok().flatten();
    insert(connection, &listed, entry.as_ref())?;
    Ok(entry)
}

/// Our own recordings with `key`, as the index has them.
pub(crate) fn native_files(connection: &Connection, key: &str) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT file FROM recordings WHERE key = ?1 AND format = 'native' ORDER BY file")?
        .query_map([key], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upstream_file(prompt: &str) -> String {
        json!({
            "request": {"method": "POST", "url": "http://localhost:11434/v1/v1/completions", "headers": {},
                "body": {"model": "m", "prompt": prompt}, "endpoint": "/v1/completions", "model": "m"},
            "response": {"body": {"__type__": "T", "__data__": {"id": "rec-1"}}, "is_streaming": false},
        })
        .to_string()
    }

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn sync(dir: &Path) -> (Vec<String>, Vec<String>) {
        let synced = synchronise(dir, None);
        let problems = synced.problems.iter().map(|p| p.to_string().replace(dir.to_str().unwrap(), "DIR"));
        (synced.entries.into_iter().map(|entry| entry.file).collect(), problems.collect())
    }

    #[test]
    fn files_are_found_at_any_depth_and_hidden_ones_are_not() {
        let text = upstream_file("x");
        let dir = directory(&[
            ("a.json", &text),
            ("b/c/d.json", &text),
            (".e.json", &text),
            (".f/g.json", &text),
            ("h.txt", ""),
        ]);
        assert_eq!(sync(dir.path()), (vec!["a.json".into(), "b/c/d.json".into()], vec![]));
    }

    #[test]
    fn the_index_answers_the_documented_query() {
        let dir = directory(&[("a.json", &upstream_file("x"))]);
        sync(dir.path());
        let connection = Connection::open(dir.path().join("index.sqlite")).unwrap();
        let row: (String, String, String) = connection
            .query_row("SELECT endpoint, model, timestamp FROM recordings", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!((row.0.as_str(), row.1.as_str()), ("/v1/completions", "m"));
        assert!(row.2.ends_with('Z'), "{}", row.2);
    }

    #[test]
    fn the_index_gives_back_what_the_files_say() {
        let recording = super::super::library::tests::chat("a", "b", &[("t", 1)]);
        assert!(recording.meta.setup.is_some());
        let dir = directory(&[("a.json", &upstream_file("x")), ("b.json", &recording.to_json())]);
        let read = |listed: Listed| {
            read_entry(dir.path(), &listed.file, &timestamp(listed.modified)).unwrap().unwrap()
        };
        let files: Vec<Entry> = list(dir.path(), &mut Vec::new()).into_iter().map(read).collect();
        assert_eq!(files.len(), 2);
        assert_eq!(synchronise(dir.path(), None).entries, files);
    }

    #[test]
    fn changed_new_and_deleted_files_are_noticed() {
        let dir = directory(&[("a.json", &upstream_file("x")), ("b.json", &upstream_file("y"))]);
        let keys = |dir: &Path| {
            let synced = synchronise(dir, None);
            synced.entries.into_iter().map(|entry| (entry.file, entry.key)).collect::<HashMap<_, _>>()
        };
        let before = keys(dir.path());
        std::fs::write(dir.path().join("a.json"), upstream_file("longer")).unwrap();
        std::fs::remove_file(dir.path().join("b.json")).unwrap();
        std::fs::write(dir.path().join("c.json"), upstream_file("x")).unwrap();
        let after = keys(dir.path());
        assert_ne!(before["a.json"], after["a.json"]);
        assert_eq!(before["a.json"], after["c.json"]);
        assert!(!after.contains_key("b.json"));
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let dir = directory(&[("a.json", &upstream_file("x"))]);
        sync(dir.path());
        let path = dir.path().join("a.json");
        let (meta, size) = (std::fs::metadata(&path).unwrap(), upstream_file("x").len());
        std::fs::write(&path, "#".repeat(size)).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(meta.modified().unwrap()).unwrap();
        assert_eq!(sync(dir.path()), (vec!["a.json".into()], vec![]));
    }

    #[test]
    fn broken_files_are_reported_at_every_start() {
        let dir = directory(&[
            ("cut.json", "{\n  \"request\": {"),
            ("garbage.json", "{\n  oops"),
            ("newer.json", r#"{"request": {}, "response": {}, "meta": {"format": 9}}"#),
            ("other.json", r#"{"name": "package"}"#),
        ]);
        let expected = vec![
            "DIR/cut.json:2:14: recording is truncated: the JSON ends too early; restore the file, or delete it and record again".to_owned(),
            "DIR/garbage.json:2:3: recording is not JSON: key must be a string; restore the file, or delete it and record again".to_owned(),
            "DIR/newer.json: recording has format 9, this program reads format 1; update the program, or record again".to_owned(),
            "DIR/other.json: not a recording: no `request` object; move it out of the recordings directory".to_owned(),
        ];
        assert_eq!(sync(dir.path()).1, expected);
        assert_eq!(sync(dir.path()).1, expected);
    }

    #[test]
    fn a_missing_directory_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let synced = synchronise(&dir.path().join("none"), None);
        assert_eq!(synced.problems.len(), 1);
        assert_eq!(synced.problems[0].kind, ProblemKind::DirectoryMissing);
    }

    #[test]
    fn a_damaged_index_is_built_anew() {
        let dir = directory(&[
            ("a.json", &upstream_file("x")),
            ("index.sqlite", "this is no database, and long enough to show it"),
        ]);
        assert_eq!(sync(dir.path()), (vec!["a.json".into()], vec![]));
        assert_eq!(sync(dir.path()), (vec!["a.json".into()], vec![]));
    }

    #[test]
    fn an_index_damaged_inside_is_built_anew() {
        let dir = directory(&[("a.json", &upstream_file("x"))]);
        sync(dir.path());
        let path = dir.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        // The first page, which says what the tables are, stays.
        bytes[4096..].fill(0xaa);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(sync(dir.path()), (vec!["a.json".into()], vec![]));
        let count =
            |sql| Connection::open(&path).unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM recordings"), 1);
    }

    #[test]
    fn a_read_only_directory_is_indexed_elsewhere() {
        use std::os::unix::fs::PermissionsExt;
        let dir = directory(&[("a.json", &upstream_file("x"))]);
        let cache = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
        let first = synchronise(dir.path(), Some(cache.path()));
        let without = synchronise(dir.path(), None);
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!((first.entries.len(), without.entries.len()), (1, 1));
        assert!(!dir.path().join(FILE_NAME).exists());
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
    }
}
