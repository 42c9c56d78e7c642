//! The index of all vector stores: SQLite with sqlite-vec for vectors and FTS5 for words.
//!
//! Each store has three tables that share row numbers: chunks as JSON, their vectors, their words. The searches are
//! Llama Stack 0.3.0's: scores are inverse distances for vectors and BM25 for words.

use super::chunk::Chunk;
use super::fusion::{self, Ranker, Scores};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Vectors that sqlite-vec reserves room for at a time; small, because most stores of a test run are.
const ROOM: usize = 64;

pub(crate) struct Index(Mutex<Connection>);

/// What a store's provider does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `inline::faiss`: squared distances, and no search for words.
    Faiss,
    /// `inline::sqlite-vec`: a chunk of a known id replaces the other's text.
    SqliteVec,
}

/// A chunk found, and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) chunk: Chunk,
    pub(crate) score: f64,
}

/// How many to find, and how good they must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) most: i64,
    pub(crate) score_threshold: f64,
}

#[derive(Debug)]
pub(crate) enum IndexError {
    Sqlite(rusqlite::Error),
    /// A stored chunk is no JSON.
    Broken(serde_json::Error),
}

impl std::fmt::Display for IndexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "{error}"),
            Self::Broken(error) => write!(f, "a stored chunk cannot be read: {error}"),
        }
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for IndexError {
    fn from(error: serde_json::Error) -> Self {
        Self::Broken(error)
    }
}

/// Makes every connection that is opened from now on know `vec0`.
#[expect(unsafe_code, reason = "SQLite takes the entry point of an extension as a C function")]
fn register() {
    static ONCE: Once = Once::new();
    type Entry = unsafe extern "C" fn(
        *mut rusqlite::ffi::sqlite3,
        *mut *mut std::ffi::c_char,
        *const rusqlite::ffi::sqlite3_api_routines,
    ) -> std::ffi::c_int;
    ONCE.call_once(|| {
        // SAFETY: `sqlite3_vec_init` has this signature in C; the crate declares it without arguments. It is linked
        // into this program against the same SQLite, and stays valid for as long as that runs.
        unsafe {
            let entry = std::mem::transmute::<*const (), Entry>(sqlite_vec::sqlite3_vec_init as *const ());
            rusqlite::ffi::sqlite3_auto_extension(Some(entry));
        }
    });
}

impl Index {
    /// An index in the database that `connect` opens, which must happen after SQLite knows of vectors.
    pub(crate) fn open(
        connect: impl FnOnce() -> Result<Connection, rusqlite::Error>,
    ) -> Result<Self, rusqlite::Error> {
        register();
        Ok(Self(Mutex::new(connect()?)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the tables of a store, unless they are there.
    pub(crate) fn create(&self, store: &str, dimension: u32) -> Result<(), IndexError> {
        let t = Tables::of(store);
        Ok(self.connection().execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {c} (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, chunk TEXT);
             CREATE INDEX IF NOT EXISTS {c}_id ON {c} (id);
             CREATE VIRTUAL TABLE IF NOT EXISTS {v} USING vec0(embedding float[{dimension}], chunk_size={ROOM});
             CREATE VIRTUAL TABLE IF NOT EXISTS {w} USING fts5(id, content);",
            c = t.chunks,
            v = t.vectors,
            w = t.words,
        ))?)
    }

    pub(crate) fn remove(&self, store: &str) -> Result<(), IndexError> {
        let t = Tables::of(store);
        Ok(self.connection().execute_batch(&format!(
            "DROP TABLE IF EXISTS {}; DROP TABLE IF EXISTS {}; DROP TABLE IF EXISTS {};",
            t.chunks, t.vectors, t.words
        ))?)
    }

    /// Adds chunks, all or none. Each must have an embedding.
    pub(crate) fn add(&self, store: &str, flavour: Flavour, chunks: &[Chunk]) -> Result<(), IndexError> {
        let t = Tables::of(store);
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for chunk in chunks {
            let (id, json) = (chunk.id(), chunk.to_json().to_string());
            if flavour == Flavour::SqliteVec {
                transaction
                    .execute(&format!("UPDATE {} SET chunk = ?2 WHERE id = ?1", t.chunks), [&id, &json])?;
                transaction.execute(
                    &format!(
                        "DELETE FROM {w} WHERE rowid IN (SELECT seq FROM {c} WHERE id = ?1)",
                        w = t.words,
                        c = t.chunks
                    ),
                    [&id],
                )?;
            }
            transaction
                .execute(&format!("INSERT INTO {} (id, chunk) VALUES (?1, ?2)", t.chunks), [&id, &json])?;
            let seq = transaction.last_insert_rowid();
            let vector = bytes(chunk.embedding.as_deref().unwrap_or_default());
            transaction.execute(
                &format!("INSERT INTO {} (rowid, embedding) VALUES (?1, ?2)", t.vectors),
                params![seq, vector],
            )?;
            transaction.execute(
                &format!("INSERT INTO {} (rowid, id, content) VALUES (?1, ?2, ?3)", t.words),
                params![seq, id, chunk.texts().join(" ")],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes chunks by their ids.
    pub(crate) fn delete(&self, store: &str, ids: &[String]) -> Result<(), IndexError> {
        let t = Tables::of(store);
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for id in ids {
            // One row for each occurrence of the id in the list, so that the same text added twice stays once.
            let seq = transaction
                .query_row(
                    &format!("SELECT seq FROM {} WHERE id = ?1 ORDER BY seq LIMIT 1", t.chunks),
                    [id],
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            let Some(seq) = seq else { continue };
            transaction.execute(&format!("DELETE FROM {} WHERE seq = ?1", t.chunks), [seq])?;
            transaction.execute(&format!("DELETE FROM {} WHERE rowid = ?1", t.vectors), [seq])?;
            transaction.execute(&format!("DELETE FROM {} WHERE rowid = ?1", t.words), [seq])?;
        }
        Ok(transaction.commit()?)
    }

    /// The nearest chunks, best first; the score of one that lies at the very place is infinite.
    pub(crate) fn by_vector(
        &self,
        store: &str,
        flavour: Flavour,
        vector: &[f64],
        bounds: Bounds,
    ) -> Result<Vec<Found>, IndexError> {
        let t = Tables::of(store);
        let connection = self.connection();
        let mut statement = connection.prepare(&format!(
            "WITH near AS MATERIALIZED (SELECT rowid, distance FROM {} WHERE embedding MATCH ?1 AND k = ?2)
             SELECT c.chunk, near.distance FROM near JOIN {} AS c ON c.seq = near.rowid
             ORDER BY near.distance, near.rowid",
            t.vectors, t.chunks
        ))?;
        let rows = statement.query_map(params![bytes(vector), bounds.most], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (json, distance) = row?;
            let distance = if flavour == Flavour::Faiss { distance * distance } else { distance };
            let score = 1.0 / distance;
            if score >= bounds.score_threshold {
                found.push(Found { chunk: Chunk::from_json(&serde_json::from_str(&json)?), score });
            }
        }
        Ok(found)
    }

    /// The chunks that have the words of an FTS5 query, best first: the lowest score, all are below 0.
    pub(crate) fn by_words(
        &self,
        store: &str,
        query: &str,
        bounds: Bounds,
    ) -> Result<Vec<Found>, IndexError> {
        let t = Tables::of(store);
        let connection = self.connection();
        let mut statement = connection.prepare(&format!(
            "SELECT c.chunk, bm25({w}) AS score FROM {w} JOIN {c} AS c ON c.seq = {w}.rowid
             WHERE {w}.content MATCH ?1 ORDER BY score ASC LIMIT ?2",
            w = t.words,
            c = t.chunks
        ))?;
        let rows = statement.query_map(params![query, bounds.most], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (json, score) = row?;
            if score <= -bounds.score_threshold {
                found.push(Found { chunk: Chunk::from_json(&serde_json::from_str(&json)?), score });
            }
        }
        Ok(found)
    }

    /// Both searches, their rankings joined.
    pub(crate) fn by_both(
        &self,
        store: &str,
        vector: &[f64],
        query: &str,
        bounds: Bounds,
        ranker: Ranker,
    ) -> Result<Vec<Found>, IndexError> {
        let near = self.by_vector(store, Flavour::SqliteVec, vector, bounds)?;
        let worded = self.by_words(store, query, bounds)?;
        let scores = |found: &[Found]| -> Scores {
            found.iter().map(|found| (found.chunk.id(), found.score)).collect()
        };
        let mut fused = fusion::fuse(&scores(&near), &scores(&worded), ranker);
        fused.truncate(usize::try_from(bounds.most).unwrap_or_default());
        let of = |(id, score): (String, f64)| {
            let found = near.iter().chain(&worded).find(|found| found.chunk.id() == id)?;
            (score >= bounds.score_threshold).then(|| Found { chunk: found.chunk.clone(), score })
        };
        Ok(fused.into_iter().filter_map(of).collect())
    }
}

/// The names of a store's tables.
struct Tables {
    chunks: String,
    vectors: String,
    words: String,
}

impl Tables {
    fn of(store: &str) -> Self {
        let plain: String = store.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        Self {
            chunks: format!("chunks_{plain}"),
            vectors: format!("vec_chunks_{plain}"),
            words: format!("fts_chunks_{plain}"),
        }
    }
}

/// A vector as sqlite-vec reads it: 32-bit floats, the least significant byte first.
fn bytes(vector: &[f64]) -> Vec<u8> {
    vector.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALL: Bounds = Bounds { most: 10, score_threshold: 0.0 };

    fn chunk(id: &str, text: &str, vector: [f64; 2]) -> Chunk {
        Chunk::from_json(
            &json!({"content": text, "metadata": {"document_id": id}, "embedding": vector, "chunk_id": id}),
        )
    }

    fn index(flavour: Flavour) -> Index {
        let index = Index::open(Connection::open_in_memory).unwrap();
        index.create("vs_1-2", 2).unwrap();
        let chunks = [
            chunk("a", "the quick brown fox", [1.0, 0.0]),
            chunk("b", "a lazy dog", [0.0, 2.0]),
            chunk("c", "quick quick quick", [0.0, 4.0]),
        ];
        index.add("vs_1-2", flavour, &chunks).unwrap();
        index
    }

    fn shown(found: &[Found]) -> Vec<String> {
        found.iter().map(|found| format!("{} {:.3}", found.chunk.id(), found.score)).collect()
    }

    fn near(index: &Index, flavour: Flavour, vector: [f64; 2], bounds: Bounds) -> Vec<String> {
        shown(&index.by_vector("vs_1-2", flavour, &vector, bounds).unwrap())
    }

    #[test]
    fn the_nearest_come_first() {
        let plain = index(Flavour::SqliteVec);
        assert_eq!(near(&plain, Flavour::SqliteVec, [0.0, 0.0], ALL), ["a 1.000", "b 0.500", "c 0.250"]);
        assert_eq!(near(&plain, Flavour::Faiss, [0.0, 0.0], ALL), ["a 1.000", "b 0.250", "c 0.062"]);
        let few = Bounds { most: 2, score_threshold: 0.6 };
        assert_eq!(near(&plain, Flavour::SqliteVec, [0.0, 0.0], few), ["a 1.000"]);
        assert_eq!(near(&plain, Flavour::SqliteVec, [1.0, 0.0], Bounds { most: 1, ..ALL }), ["a inf"]);
    }

    #[test]
    fn words_are_found_and_ranked() {
        let index = index(Flavour::SqliteVec);
        let ids = |query: &str| -> Result<Vec<String>, IndexError> {
            Ok(index.by_words("vs_1-2", query, ALL)?.iter().map(|found| found.chunk.id()).collect())
        };
        assert_eq!(ids("quick").unwrap(), ["c", "a"]);
        assert_eq!(ids("nothing").unwrap(), [""; 0]);
        assert!(ids("quick?").unwrap_err().to_string().contains("syntax error"));
        let both = index.by_both("vs_1-2", &[0.0, 0.0], "quick", ALL, Ranker::default()).unwrap();
        assert_eq!(shown(&both), ["a 0.033", "c 0.032", "b 0.016"]);
    }

    #[test]
    fn a_known_id_replaces_only_in_sqlite_vec() {
        let again = |flavour: Flavour| {
            let index = index(flavour);
            index.add("vs_1-2", flavour, &[chunk("a", "new", [9.0, 9.0])]).unwrap();
            let found = index.by_vector("vs_1-2", flavour, &[0.0, 0.0], ALL).unwrap();
            found.iter().map(|found| found.chunk.texts().concat()).collect::<Vec<_>>()
        };
        assert_eq!(again(Flavour::SqliteVec), ["new", "a lazy dog", "quick quick quick", "new"]);
        assert_eq!(again(Flavour::Faiss), ["the quick brown fox", "a lazy dog", "quick quick quick", "new"]);
    }

    #[test]
    fn chunks_and_stores_are_removed() {
        let index = index(Flavour::Faiss);
        index.delete("vs_1-2", &["a".into(), "none".into()]).unwrap();
        assert_eq!(near(&index, Flavour::Faiss, [0.0, 0.0], ALL), ["b 0.250", "c 0.062"]);
        index.remove("vs_1-2").unwrap();
        index.create("vs_1-2", 2).unwrap();
        assert_eq!(near(&index, Flavour::Faiss, [0.0, 0.0], ALL), [""; 0]);
    }

    #[test]
    fn a_vector_of_another_length_is_refused_and_nothing_kept() {
        let index = index(Flavour::Faiss);
        let mut wrong = chunk("d", "x", [0.0, 0.0]);
        wrong.embedding = Some(vec![1.0]);
        assert!(index.add("vs_1-2", Flavour::Faiss, &[chunk("e", "y", [0.0, 1.0]), wrong]).is_err());
        assert_eq!(near(&index, Flavour::Faiss, [0.0, 0.0], ALL).len(), 3);
    }

    #[test]
    fn a_file_outlives_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.db");
        let open = || Index::open(|| Connection::open(&path)).unwrap();
        let index = open();
        index.create("s", 2).unwrap();
        index.add("s", Flavour::Faiss, &[chunk("a", "x", [1.0, 1.0])]).unwrap();
        drop(index);
        assert_eq!(open().by_vector("s", Flavour::Faiss, &[0.0, 0.0], ALL).unwrap().len(), 1);
    }
}
