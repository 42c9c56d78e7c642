//! Chunks: what a vector store keeps, and how a text becomes a row of overlapping ones.

use super::tokens;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The name Llama Stack gives to the tokenizer it cuts with.
const TOKENIZER: &str = "DEFAULT_TIKTOKEN_TOKENIZER";

/// A piece of content with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chunk {
    /// A text, a content item, or a list of them.
    pub(crate) content: Value,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) embedding: Option<Vec<f64>>,
    /// The id that it was given, if any.
    pub(crate) stored_id: Option<String>,
    /// `chunk_metadata`: for the store itself, never shown to a model.
    pub(crate) backend: Value,
}

impl Chunk {
    /// Reads a chunk that fits the API's schema. An id in the metadata is the chunk's id.
    pub(crate) fn from_json(chunk: &Value) -> Self {
        let field = |name: &str| chunk.get(name).cloned().unwrap_or_default();
        let mut metadata = match field("metadata") {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        };
        let text = |value: Value| value.as_str().map(str::to_owned);
        let named = metadata.shift_remove("chunk_id").and_then(text);
        let embedding = field("embedding");
        Self {
            content: field("content"),
            metadata,
            embedding: embedding.as_array().map(|numbers| numbers.iter().filter_map(Value::as_f64).collect()),
            stored_id: named.or_else(|| text(field("chunk_id"))),
            backend: field("chunk_metadata"),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "content": self.content,
            "metadata": self.metadata,
            "embedding": self.embedding,
            "chunk_id": self.stored_id,
            "chunk_metadata": self.backend,
        })
    }

    /// The given id, or one made from document and content; a chunk of no document gets a new one each time.
    pub(crate) fn id(&self) -> String {
        if let Some(id) = &self.stored_id {
            return id.clone();
        }
        let document = match self.metadata.get("document_id").and_then(Value::as_str) {
            Some(document) => document.to_owned(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        let content = self.content.as_str().map_or_else(|| self.content.to_string(), str::to_owned);
        chunk_id(&document, &content, None)
    }

    /// The document it is of: what the metadata says, or else what the store noted.
    pub(crate) fn document_id(&self) -> Option<&str> {
        let noted = || self.backend.get("document_id")?.as_str();
        self.metadata.get("document_id").and_then(Value::as_str).or_else(noted)
    }

    /// The texts of the content, images left out.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match &self.content {
            Value::String(text) => vec![text],
            Value::Array(items) => {
                items.iter().filter_map(|item| item.as_str().or_else(|| item.get("text")?.as_str())).collect()
            }
            item => item.get("text").and_then(Value::as_str).into_iter().collect(),
        }
    }
}

/// The first half of a SHA-256 in the form of a UUID, as Llama Stack makes it.
fn chunk_id(document: &str, text: &str, window: Option<&str>) -> String {
    let mut input = format!("{document}:{text}");
    if let Some(window) = window {
        input = format!("{input}:{window}");
    }
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(Sha256::digest(input.as_bytes())) {
        *to = from;
    }
    uuid::Uuid::from_bytes(half).to_string()
}

/// A document to cut.
pub(crate) struct Document<'a> {
    pub(crate) id: &'a str,
    pub(crate) text: &'a str,
    /// What every chunk carries.
    pub(crate) metadata: &'a Map<String, Value>,
    /// How many tokens the metadata is, written out.
    pub(crate) metadata_tokens: usize,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// Cuts a document into windows of `length` tokens, each beginning `length - overlap` after the one before.
///
/// # Errors
/// When the windows would not advance; the text is Python's.
pub(crate) fn overlapped(
    document: &Document<'_>,
    length: i64,
    overlap: i64,
) -> Result<Vec<Chunk>, &'static str> {
    let Ok(step) = usize::try_from(length - overlap) else { return Ok(Vec::new()) };
    if step == 0 {
        return Err("range() arg 3 must not be zero");
    }
    let tokens = tokens::tokens(document.text);
    let length = usize::try_from(length).unwrap_or_default();
    let starts = (0..tokens.len()).step_by(step);
    Ok(starts.map(|from| window(document, &tokens, from, length)).collect())
}

fn window(document: &Document<'_>, tokens: &[&str], from: usize, length: usize) -> Chunk {
    let tokens = &tokens[from..tokens.len().min(from.saturating_add(length))];
    let text = tokens.concat();
    let window = format!("{from}-{}", from + tokens.len());
    let id = chunk_id(&text, document.text, Some(&window));
    let mut metadata = document.metadata.clone();
    metadata.shift_remove("chunk_id");
    metadata.insert("document_id".into(), document.id.into());
    metadata.insert("token_count".into(), tokens.len().into());
    metadata.insert("metadata_token_count".into(), document.metadata_tokens.into());
    let given = |name: &str| document.metadata.get(name).cloned();
    let backend = json!({
        "chunk_id": id,
        "document_id": document.id,
        "source": given("source"),
        "created_timestamp": given("created_timestamp").unwrap_or_else(|| document.now.into()),
        "updated_timestamp": document.now,
        "chunk_window": window,
        "chunk_tokenizer": TOKENIZER,
        "chunk_embedding_model": null,
        "chunk_embedding_dimension": null,
        "content_token_count": tokens.len(),
        "metadata_token_count": document.metadata_tokens,
    });
    Chunk { content: text.into(), metadata, embedding: None, stored_id: Some(id), backend }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, length: i64, overlap: i64) -> Result<Vec<Chunk>, &'static str> {
        let metadata = json!({"topic": "t"});
        let document = Document {
            id: "file-1",
            text,
            metadata: metadata.as_object().unwrap(),
            metadata_tokens: 5,
            now: 7,
        };
        overlapped(&document, length, overlap)
    }

    fn contents(text: &str, length: i64, overlap: i64) -> Vec<String> {
        cut(text, length, overlap).unwrap().iter().map(|chunk| chunk.texts().concat()).collect()
    }

    #[test]
    fn windows_overlap() {
        assert_eq!(contents("a b c d e", 3, 1), ["a b c", " c d e", " e"]);
        assert_eq!(contents("a b", 800, 400), ["a b"]);
        assert_eq!(contents("", 800, 400), [""; 0]);
        assert_eq!(contents("a b", 3, 5), [""; 0]);
        assert_eq!(cut("a b", 3, 3), Err("range() arg 3 must not be zero"));
    }

    /// The id that Llama Stack 0.3.0 gave to the same text.
    #[test]
    fn a_chunk_is_described_as_upstream_does() {
        let chunk = cut("The secret string is foobazbar.", 800, 400).unwrap().remove(0);
        assert_eq!(chunk.metadata["document_id"], "file-1");
        let keys: Vec<&str> = chunk.metadata.keys().map(String::as_str).collect();
        assert_eq!(keys, ["topic", "document_id", "token_count", "metadata_token_count"]);
        assert_eq!(chunk.backend["created_timestamp"], 7);
        let text = "The secret string is foobazbar.";
        assert_eq!(chunk_id(text, text, Some("0-9")), "5628b437-5d42-ff93-f211-968b568069fb");
    }

    #[test]
    fn ids_come_from_the_metadata_first() {
        let read = |chunk: Value| Chunk::from_json(&chunk);
        let named =
            read(json!({"content": "x", "metadata": {"chunk_id": "a", "document_id": "d"}, "chunk_id": "b"}));
        assert_eq!((named.id().as_str(), named.metadata.len()), ("a", 1));
        let plain = read(json!({"content": "x", "metadata": {"document_id": "d"}}));
        assert_eq!(plain.id(), plain.id());
        assert_eq!(plain.to_json()["chunk_id"], Value::Null);
        let none = read(json!({"content": "x"}));
        assert_ne!(none.id(), none.id());
        assert_eq!(none.document_id(), None);
    }
}
