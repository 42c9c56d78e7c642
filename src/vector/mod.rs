//! What is pure or local in vector stores: text out of files, chunks, filters, fusion of rankings, and the index.
//!
//! `extract` (bytes → text) → [`chunk`] (text → chunks, cut by `tokens`) → [`index`] (SQLite: vectors with
//! sqlite-vec, words with FTS5); a search asks the index, fuses rankings with [`fusion`] and drops what
//! [`filter`] refuses. `sentence` computes vectors of texts by a model in a folder, in builds with the feature
//! `sentence-transformers`. Nothing here knows of requests or providers: the in-process stack calls it.

pub(crate) mod chunk;
pub(crate) mod extract;
pub(crate) mod filter;
pub(crate) mod fusion;
pub(crate) mod index;
pub(crate) mod mime;
#[cfg(feature = "sentence-transformers")]
pub(crate) mod sentence;
pub(crate) mod tokens;

#[cfg(test)]
pub(crate) mod tiny_model;
