//! What the APIs keep: JSON documents by kind and id, in SQLite, in memory or in a file.

use super::config::StoreConfig;
use super::errors::ApiError;
use super::store;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store of documents. Calls are short and block; none is held across an `await`.
pub(crate) struct Documents(Mutex<Connection>);

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Internal(format!("the store: {error}"))
    }
}

impl Documents {
    /// Opens the store beside the one of completions: a file `documents.db` in the same folder, or memory.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, rusqlite::Error> {
        let connection = store::open(config, "documents.db")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS documents (
                 seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
                 UNIQUE (kind, id))",
        )?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a document; one of the same kind and id is replaced and keeps its place.
    pub(crate) fn put(&self, kind: &str, id: &str, body: &Value) -> Result<(), rusqlite::Error> {
        self.connection()
            .prepare_cached(
                "INSERT INTO documents (kind, id, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            )?
            .execute(params![kind, id, body.to_string()])?;
        Ok(())
    }

    /// Stores a document unless there is one of the same kind and id. Whether it was stored.
    pub(crate) fn add(&self, kind: &str, id: &str, body: &Value) -> Result<bool, rusqlite::Error> {
        let added = self
            .connection()
            .prepare_cached("INSERT OR IGNORE INTO documents (kind, id, body) VALUES (?1, ?2, ?3)")?
            .execute(params![kind, id, body.to_string()])?;
        Ok(added > 0)
    }

    pub(crate) fn get(&self, kind: &str, id: &str) -> Result<Option<Value>, rusqlite::Error> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT body FROM documents WHERE kind = ?1 AND id = ?2")?;
        statement.query_row([kind, id], |row| row.get::<_, Value>(0)).optional()
    }

    /// All documents of a kind, in the order in which they were first stored.
    pub(crate) fn list(&self, kind: &str) -> Result<Vec<Value>, rusqlite::Error> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT body FROM documents WHERE kind = ?1 ORDER BY seq")?;
        statement.query_map([kind], |row| row.get::<_, Value>(0))?.collect()
    }

    /// Whether there was such a document.
    pub(crate) fn remove(&self, kind: &str, id: &str) -> Result<bool, rusqlite::Error> {
        let removed =
            self.connection().execute("DELETE FROM documents WHERE kind = ?1 AND id = ?2", [kind, id])?;
        Ok(removed > 0)
    }

    /// Changes a document while nobody else can; `None` when there is none.
    pub(crate) fn update<T>(
        &self,
        kind: &str,
        id: &str,
        change: impl FnOnce(&mut Value) -> T,
    ) -> Result<Option<T>, rusqlite::Error> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found = transaction
            .query_row("SELECT body FROM documents WHERE kind = ?1 AND id = ?2", [kind, id], |row| {
                row.get::<_, Value>(0)
            })
            .optional()?;
        let Some(mut body) = found else { return Ok(None) };
        let result = change(&mut body);
        transaction.execute(
            "UPDATE documents SET body = ?3 WHERE kind = ?1 AND id = ?2",
            params![kind, id, body.to_string()],
        )?;
        transaction.commit()?;
        Ok(Some(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn documents() -> Documents {
        let documents = Documents::open(&StoreConfig::Memory).unwrap();
        for id in ["b", "a"] {
            documents.put("pet", id, &json!({"id": id})).unwrap();
        }
        documents
    }

    #[test]
    fn a_document_is_stored_replaced_and_removed() {
        let documents = documents();
        documents.put("pet", "b", &json!({"id": "b", "z": 1, "a": 2})).unwrap();
        let listed = documents.list("pet").unwrap();
        assert_eq!(serde_json::to_string(&listed).unwrap(), r#"[{"id":"b","z":1,"a":2},{"id":"a"}]"#);
        assert_eq!(documents.get("other", "b").unwrap(), None);
        assert!(documents.remove("pet", "b").unwrap());
        assert!(!documents.remove("pet", "b").unwrap());
        assert_eq!(documents.get("pet", "b").unwrap(), None);
    }

    #[test]
    fn a_change_is_kept_and_its_result_returned() {
        let documents = documents();
        let change = |body: &mut Value| std::mem::replace(&mut body["id"], json!("c"));
        assert_eq!(documents.update("pet", "a", change).unwrap(), Some(json!("a")));
        assert_eq!(documents.get("pet", "a").unwrap(), Some(json!({"id": "c"})));
        assert_eq!(documents.update("pet", "none", |_| ()).unwrap(), None);
    }

    #[test]
    fn a_file_outlives_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig::File(folder.path().join("new/sql_store.db"));
        Documents::open(&config).unwrap().put("pet", "a", &json!(1)).unwrap();
        assert_eq!(Documents::open(&config).unwrap().get("pet", "a").unwrap(), Some(json!(1)));
    }
}
