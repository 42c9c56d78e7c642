//! Marks like `<|file-abc|>` that a model puts where it used a file.

use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static MARK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"<\|(file-[A-Za-z0-9_-]+)\|>").ok());

/// The text without marks, and an annotation for each mark whose file is known. An annotation's index counts
/// characters of the cleaned text; one blank before a mark goes with it.
pub(super) fn split(text: &str, files: &BTreeMap<String, String>) -> (String, Vec<Value>) {
    let (mut clean, mut annotations, mut end) = (String::new(), Vec::new(), 0);
    for mark in MARK.iter().flat_map(|mark| mark.captures_iter(text)) {
        let (Some(whole), Some(file)) = (mark.get(0), mark.get(1)) else { continue };
        let before = &text[end..whole.start()];
        clean.push_str(before.strip_suffix(' ').unwrap_or(before));
        if let Some(name) = files.get(file.as_str()) {
            annotations.push(json!({
                "type": "file_citation",
                "file_id": file.as_str(),
                "filename": name,
                "index": clean.chars().count(),
            }));
        }
        end = whole.end();
    }
    clean.push_str(&text[end..]);
    (clean, annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_annotations() {
        let files = BTreeMap::from([("file-1_a".to_owned(), "a.txt".to_owned())]);
        let (text, annotations) = split("Zürich <|file-1_a|>. Bern<|file-2|>!", &files);
        assert_eq!(text, "Zürich. Bern!");
        assert_eq!(
            annotations,
            [json!({"type": "file_citation", "file_id": "file-1_a", "filename": "a.txt", "index": 6})]
        );
        assert_eq!(split("no marks", &files), ("no marks".to_owned(), vec![]));
    }
}
