//! The two templates of the RAG tool: Python's `str.format` for a chunk, Jinja for a question.

use super::errors::ApiError;
use super::python;
use crate::vector::chunk::Chunk;
use serde_json::{Map, Value};

/// What of a chunk's metadata a model is not shown.
const HIDDEN: [&str; 3] = ["token_count", "metadata_token_count", "vector_db_id"];

/// A chunk as the template shows it: `{index}`, `{chunk.content}`, `{metadata}` and their fields.
///
/// # Errors
/// When the template names something else, or the chunk was inserted without the metadata that files have; both
/// fail in Llama Stack too.
pub(crate) fn chunk(template: &str, index: usize, chunk: &Chunk) -> Result<String, ApiError> {
    let unusable = |why: String| ApiError::Internal(format!("chunk_template: {why}"));
    let Some(noted) = chunk.backend.as_object() else {
        return Err(unusable("the chunk has no chunk_metadata".into()));
    };
    let mut metadata: Map<String, Value> = ["chunk_id", "document_id", "source"]
        .into_iter()
        .map(|name| (name.to_owned(), noted.get(name).cloned().unwrap_or_default()))
        .collect();
    for (name, value) in chunk.metadata.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str())) {
        metadata.insert(name.clone(), value.clone());
    }
    let metadata = Value::Object(metadata);
    let shown = |value: &Value| value.as_str().map_or_else(|| python::repr(value), str::to_owned);
    let field = |name: &str| -> Option<String> {
        Some(match name {
            "index" => index.to_string(),
            "chunk.content" => shown(&chunk.content),
            "chunk.metadata" => python::repr(&Value::Object(chunk.metadata.clone())),
            "chunk.chunk_id" => chunk.id(),
            "chunk.document_id" => chunk.document_id().unwrap_or("None").to_owned(),
            "metadata" => python::repr(&metadata),
            other => shown(metadata.get(other.strip_prefix("metadata[")?.strip_suffix(']')?)?),
        })
    };
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            out.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let (name, after) = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .ok_or_else(|| unusable("a brace stands alone; double it to show it".into()))?;
        out.push_str(&field(name).ok_or_else(|| unusable(format!("`{{{name}}}` names nothing")))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The prompt that asks a model for a question, from a template over `messages`.
///
/// # Errors
/// When the template cannot be rendered.
pub(crate) fn prompt(template: &str, messages: &[String]) -> Result<String, ApiError> {
    let environment = minijinja::Environment::new();
    let context = minijinja::context! { messages => messages.to_vec() };
    let rendered = environment.render_str(template, context);
    rendered.map_err(|error| ApiError::Internal(format!("query_generator_config.template: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(template: &str) -> Result<String, String> {
        let of = Chunk::from_json(&json!({
            "content": "The secret string is foobazbar.",
            "metadata": {"topic": "it's", "token_count": 9, "document_id": "file-1"},
            "chunk_metadata": {"chunk_id": "c", "document_id": "file-1", "source": null},
        }));
        chunk(template, 1, &of).map_err(|error| error.to_string())
    }

    /// What Llama Stack 0.3.0 showed for such a chunk.
    #[test]
    fn chunks_are_shown_as_upstream_does() {
        let default = "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n";
        let want = "Result 1\nContent: The secret string is foobazbar.\nMetadata: {'chunk_id': 'c', 'document_id': \
                    'file-1', 'source': None, 'topic': \"it's\"}\n";
        assert_eq!(shown(default).unwrap(), want);
        assert_eq!(shown("{{{index}}} {metadata[topic]}").unwrap(), "{1} it's");
    }

    #[test]
    fn other_names_and_lone_braces_are_refused() {
        assert_eq!(shown("{nope}").unwrap_err(), "chunk_template: `{nope}` names nothing");
        assert_eq!(
            shown("{index} }").unwrap_err(),
            "chunk_template: a brace stands alone; double it to show it"
        );
        let bare = Chunk::from_json(&json!({"content": "x"}));
        assert!(chunk("{index}", 1, &bare).is_err());
    }

    #[test]
    fn prompts_are_jinja() {
        let template = "{% for message in messages %}[{{ message }}]{% endfor %}";
        assert_eq!(prompt(template, &["a".into(), "b".into()]).unwrap(), "[a][b]");
        assert!(prompt("{% for %}", &[]).is_err());
    }
}
