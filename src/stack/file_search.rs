//! What a file search of a response finds, as the model and the client are told of it.

use super::python;
use super::vector_io::{Hit, SearchOptions};
use crate::responses::Outcome;
use serde_json::{Value, json};

/// The options of a `file_search` tool.
pub(crate) fn options(tool: &Value) -> SearchOptions {
    SearchOptions {
        filters: Some(tool["filters"].clone()).filter(|filters| !filters.is_null()),
        max_num_results: tool["max_num_results"].as_i64(),
        score_threshold: tool.pointer("/ranking_options/score_threshold").and_then(Value::as_f64),
        search_mode: None,
    }
}

/// What is found for a query. The model gets a text per hit, numbered, and is told how to cite.
pub(crate) fn outcome(query: String, hits: &[Hit]) -> Outcome {
    let found = hits.len();
    let mut texts = vec![format!(
        "knowledge_search tool found {found} chunks:\nBEGIN of knowledge_search tool results.\n"
    )];
    texts.extend(hits.iter().enumerate().map(|(at, hit)| {
        let (number, file, score) = (at + 1, file(hit), python::repr(&hit.score.into()));
        let attributes = match hit.attributes.is_empty() {
            true => String::new(),
            false => format!(", attributes: {}", python::repr(&Value::Object(hit.attributes.clone()))),
        };
        let chunk = chunk(hit);
        format!("[{number}] document_id: {file}, score: {score}{attributes} (cite as <|{file}|>)\n{chunk}\n")
    }));
    texts.push("END of knowledge_search tool results.\n".to_owned());
    let cite = if hits.is_empty() { "" } else { CITE };
    texts.push(format!(
        "The above results were retrieved to help answer the user's query: \"{query}\". Use them as supporting \
         information only in answering this query.{cite}\n"
    ));
    let parts: Vec<Value> = texts.into_iter().map(|text| json!({"type": "text", "text": text})).collect();
    let results = hits.iter().map(|hit| {
        json!({
            "attributes": {},
            "file_id": hit.file_id,
            "filename": hit.file_id,
            "score": hit.score,
            "text": chunk(hit),
        })
    });
    Outcome {
        content: Some(parts.into()),
        results: Some(results.collect()),
        queries: vec![query],
        citations: hits.iter().map(|hit| (file(hit).to_owned(), name(hit).to_owned())).collect(),
        ..Outcome::default()
    }
}

const CITE: &str = " Cite sources immediately at the end of sentences before punctuation, using `<|file-id|>` format \
                    (e.g., 'This is a fact <|file-Cn3MSNn72ENTiiq11Qda4A|>.'). Do not add extra punctuation. Use only \
                    the file IDs provided (do not invent new ones).";

fn file(hit: &Hit) -> &str {
    let attribute = || hit.attributes.get("document_id").and_then(Value::as_str).unwrap_or("None");
    if hit.file_id.is_empty() { attribute() } else { &hit.file_id }
}

fn name(hit: &Hit) -> &str {
    let attribute = || hit.attributes.get("filename").and_then(Value::as_str).unwrap_or("unknown");
    if hit.filename.is_empty() { attribute() } else { &hit.filename }
}

fn chunk(hit: &Hit) -> &str {
    hit.content.first().map(String::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_numbered_and_may_be_cited() {
        let attributes = json!({"region": "us", "n": 1.0});
        let hit = Hit {
            file_id: "file-1".into(),
            filename: "a.txt".into(),
            score: 0.00005,
            attributes: attributes.as_object().unwrap().clone(),
            content: vec!["text".into()],
        };
        let outcome = outcome("q".into(), &[hit]);
        let content = outcome.content.unwrap();
        assert_eq!(
            content[0]["text"],
            "knowledge_search tool found 1 chunks:\nBEGIN of knowledge_search tool results.\n"
        );
        assert_eq!(
            content[1]["text"],
            "[1] document_id: file-1, score: 5e-05, attributes: {'region': 'us', 'n': 1.0} (cite as <|file-1|>)\ntext\n"
        );
        assert_eq!(content[2]["text"], "END of knowledge_search tool results.\n");
        assert_eq!(outcome.citations["file-1"], "a.txt");
        assert_eq!(
            outcome.results.unwrap(),
            [
                json!({"attributes": {}, "file_id": "file-1", "filename": "file-1", "score": 0.00005, "text": "text"})
            ]
        );
    }

    #[test]
    fn nothing_found_is_said() {
        let outcome = outcome("q".into(), &[]);
        let last = outcome.content.as_ref().and_then(|content| content.as_array()?.last().cloned()).unwrap();
        assert_eq!(
            last["text"],
            "The above results were retrieved to help answer the user's query: \"q\". Use them as supporting \
             information only in answering this query.\n"
        );
        assert_eq!((outcome.results, outcome.queries), (Some(vec![]), vec!["q".to_owned()]));
    }
}
