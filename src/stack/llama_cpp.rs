//! What is particular to llama.cpp's server: one model, which both chats and embeds, and says so in its list.

use super::listing::{Listed, metadata};
use serde_json::{Map, Value};

/// An entry of the server's model list.
pub(crate) fn listed((id, entry): (String, &Value)) -> Listed {
    let meta =
        |field: &str| entry.pointer(&format!("/meta/{field}")).filter(|value| !value.is_null()).cloned();
    let metadata = match meta("n_embd") {
        Some(dimension) => metadata(dimension, meta("n_ctx_train").unwrap_or_default()),
        None => Map::new(),
    };
    Listed { id, embedding: false, metadata }
}
