//! Stored chat completions, in SQLite: the table Llama Stack 0.3 has, in memory or in a file.

use super::config::StoreConfig;
use super::pages::Page;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a writer waits for another process that has the file.
const BUSY: Duration = Duration::from_secs(10);

pub(crate) struct Store(Mutex<Connection>);

/// A row.
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) model: String,
    pub(crate) choices: String,
    pub(crate) input_messages: String,
}

#[derive(Debug)]
pub(crate) enum StoreError {
    /// `after` names no row.
    NoSuchCursor(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Opens a database of this name beside the configured file, or one in memory.
pub(crate) fn open(config: &StoreConfig, name: &str) -> Result<Connection, rusqlite::Error> {
    match config {
        StoreConfig::None | StoreConfig::Memory => Connection::open_in_memory(),
        StoreConfig::File(path) => open_file(&path.with_file_name(name)),
    }
}

/// Opens a database file that other processes may use too; its folder is made.
fn open_file(path: &Path) -> Result<Connection, rusqlite::Error> {
    if let Some(folder) = path.parent() {
        // When this fails, opening does too, and says so.
        let _ = std::fs::create_dir_all(folder);
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

impl Store {
    /// Opens the store, or nothing when there is to be none.
    pub(crate) fn open(config: &StoreConfig) -> Result<Option<Self>, rusqlite::Error> {
        let connection = match config {
            StoreConfig::None => return Ok(None),
            StoreConfig::Memory => Connection::open_in_memory()?,
            StoreConfig::File(path) => open_file(path)?,
        };
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS chat_completions (
                 id VARCHAR NOT NULL PRIMARY KEY, created INTEGER, model VARCHAR, choices JSON, input_messages JSON)",
        )?;
        Ok(Some(Self(Mutex::new(connection))))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a completion; one of the same id is replaced and keeps its place.
    pub(crate) fn save(&self, completion: &Value, messages: &Value) -> Result<(), rusqlite::Error> {
        let text = |name: &str| completion.get(name).and_then(Value::as_str);
        self.connection().execute(
            "INSERT INTO chat_completions (id, created, model, choices, input_messages) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET created = excluded.created, model = excluded.model,
                 choices = excluded.choices, input_messages = excluded.input_messages",
            params![
                text("id"),
                completion.get("created").and_then(Value::as_i64),
                text("model"),
                completion.get("choices").unwrap_or(&Value::Null).to_string(),
                messages.to_string(),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Result<Option<Stored>, rusqlite::Error> {
        let sql = format!("{SELECT} WHERE id = ?1");
        self.connection().query_row(&sql, [id], Stored::read).optional()
    }

    /// A page of rows, and whether there are more. Completions of the same second stay in the order they came.
    pub(crate) fn list(&self, page: &Page<'_>) -> Result<(Vec<Stored>, bool), StoreError> {
        let connection = self.connection();
        let (order, beyond) = if page.ascending { ("ASC", ">") } else { ("DESC", "<") };
        let cursor = match page.after {
            None => None,
            Some(id) => {
                let created = connection
                    .query_row("SELECT created FROM chat_completions WHERE id = ?1", [id], |row| {
                        row.get::<_, i64>(0)
                    })
                    .optional()?;
                Some(created.ok_or_else(|| StoreError::NoSuchCursor(id.to_owned()))?)
            }
        };
        let sql = format!(
            "{SELECT} WHERE (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR created {beyond} ?2)
             ORDER BY created {order}, rowid ASC LIMIT ?3"
        );
        // One more than asked for tells whether there are more; a negative limit is none to SQLite.
        let limit = if page.limit > 0 { page.limit.saturating_add(1) } else { -1 };
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params![page.model, cursor, limit], Stored::read)?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let (kept, more) = page.kept(rows.len());
        rows.truncate(kept);
        Ok((rows, more))
    }
}

const SELECT: &str = "SELECT id, created, model, choices, input_messages FROM chat_completions";

impl Stored {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            created: row.get(1)?,
            model: row.get(2)?,
            choices: row.get(3)?,
            input_messages: row.get(4)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store() -> Store {
        let store = Store::open(&StoreConfig::Memory).unwrap().unwrap();
        for (id, created, model) in [("a", 1, "m"), ("b", 2, "n"), ("c", 2, "m"), ("d", 3, "m")] {
            save(&store, id, created, model);
        }
        store
    }

    fn save(store: &Store, id: &str, created: i64, model: &str) {
        store
            .save(&json!({"id": id, "created": created, "model": model, "choices": []}), &json!([]))
            .unwrap();
    }

    fn ids(page: &Page<'_>) -> String {
        let (rows, more) = store().list(page).unwrap();
        let ids: String = rows.into_iter().map(|row| row.id).collect();
        format!("{ids}{}", if more { "+" } else { "" })
    }

    const ALL: Page<'static> = Page { after: None, model: None, ascending: false, limit: 20 };

    #[test]
    fn pages() {
        assert_eq!(ids(&ALL), "dbca");
        assert_eq!(ids(&Page { ascending: true, ..ALL }), "abcd");
        assert_eq!(ids(&Page { limit: 2, ..ALL }), "db+");
        assert_eq!(ids(&Page { limit: 4, ..ALL }), "dbca");
        assert_eq!(ids(&Page { limit: 0, ..ALL }), "dbca");
        assert_eq!(ids(&Page { limit: -1, ..ALL }), "dbc+");
        assert_eq!(ids(&Page { model: Some("m"), ..ALL }), "dca");
        assert_eq!(ids(&Page { after: Some("d"), ..ALL }), "bca");
        assert_eq!(ids(&Page { after: Some("b"), ascending: true, ..ALL }), "d");
    }

    #[test]
    fn an_unknown_cursor_is_an_error() {
        let found = store().list(&Page { after: Some("zz"), ..ALL });
        assert!(matches!(found, Err(StoreError::NoSuchCursor(id)) if id == "zz"));
    }

    #[test]
    fn the_same_id_replaces() {
        let store = store();
        save(&store, "a", 9, "new");
        let row = store.get("a").unwrap().unwrap();
        assert_eq!((row.created, row.model.as_str()), (9, "new"));
        assert_eq!(store.list(&ALL).unwrap().0.len(), 4);
    }

    #[test]
    fn a_file_outlives_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig::File(folder.path().join("new/sql_store.db"));
        save(&Store::open(&config).unwrap().unwrap(), "a", 1, "m");
        assert!(Store::open(&config).unwrap().unwrap().get("a").unwrap().is_some());
    }
}
