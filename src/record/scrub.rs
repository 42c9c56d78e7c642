//! Applying the rules of redaction to recordings that exist already: made before a rule, or by somebody else.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::diff::diff;
use super::library::stem;
use super::problem::ProblemKind;
use super::recording::{Answer, Recording};
use super::redact::{Scrubber, keeps_request_header, keeps_response_header};
use super::write::write_atomically;

/// A file as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrubbed {
    pub text: String,
    /// Where it differs from the file; never what stood there.
    pub places: Vec<String>,
    /// Why the file cannot be made clean; it must be recorded again.
    pub blocked: Option<String>,
    /// The new name's beginning, where what identifies the request has changed.
    pub renamed: Option<String>,
}

/// What the rules make of one file's content; `None` when it may stay as it is.
///
/// # Errors
/// When the content is no recording.
pub fn scrub(value: Value, scrubber: &Scrubber) -> Result<Option<Scrubbed>, ProblemKind> {
    if value.get("meta").is_some_and(|meta| meta.get("format").is_some()) {
        native(Recording::from_value(value)?, scrubber)
    } else {
        Ok(upstream(value, scrubber))
    }
}

/// Scrubs a recording.
///
/// # Errors
/// Why it is not certain that nothing secret is left.
pub fn apply(scrubber: &Scrubber, recording: &mut Recording) -> Result<(), String> {
    scrubber.recording(recording).map_err(|blocked| blocked.to_string())?;
    if scrubber.finds_in(&recording.to_json()) {
        Err("it would still hold a secret value".to_owned())
    } else {
        Ok(())
    }
}

fn native(before: Recording, scrubber: &Scrubber) -> Result<Option<Scrubbed>, ProblemKind> {
    let mut after = before.clone();
    after.request.headers.retain(|(name, _)| keeps_request_header(name));
    after.answer.headers.retain(|(name, _)| keeps_response_header(name));
    let blocked = apply(scrubber, &mut after).err();
    if after == before && blocked.is_none() {
        return Ok(None);
    }
    let mut places = headers("request", &before.request.headers, &after.request.headers);
    if before.request.url != after.request.url || before.request.wire.path != after.request.wire.path {
        places.push("request url".to_owned());
    }
    if before.request.wire.body != after.request.wire.body {
        places.push("request body".to_owned());
    }
    places.extend(headers("response", &before.answer.headers, &after.answer.headers));
    let body = |answer: &Answer| answer.body.clone();
    if body(&before.answer) != body(&after.answer) {
        places.push("response body".to_owned());
    }
    places.extend(blocked.clone());
    let key = after.request.wire.key();
    let renamed = (key != before.request.wire.key()).then(|| key.short().to_owned());
    Ok(Some(Scrubbed { text: after.to_json(), places, blocked, renamed }))
}

fn headers(part: &str, before: &[(String, String)], after: &[(String, String)]) -> Vec<String> {
    let gone = before.iter().filter(|header| !after.contains(header));
    gone.map(|(name, _)| format!("{part} header {name}")).collect()
}

/// Upstream's files are edited in place: their names are hashes over what upstream called, of which this is a part.
fn upstream(before: Value, scrubber: &Scrubber) -> Option<Scrubbed> {
    let mut after = before.clone();
    if let Some(Value::Object(headers)) = after.pointer_mut("/request/headers") {
        headers.retain(|name, _| keeps_request_header(&name.to_ascii_lowercase()));
    }
    scrubber.json(&mut after);
    if after == before {
        return None;
    }
    let places = diff(&before, &after).differences.into_iter();
    // A member's name may be what was scrubbed, so only the outermost ones are named.
    let outer = |path: &str| path.split('.').take(3).collect::<Vec<_>>().join(".");
    let mut places: Vec<_> = places.map(|difference| scrubber.text(&outer(&difference.path))).collect();
    places.dedup();
    Some(Scrubbed { text: format!("{after:#}\n"), places, blocked: None, renamed: None })
}

/// Puts a scrubbed file in the place of the old one, and returns its name, which may be new.
///
/// # Errors
/// What the file system says, or why the file cannot be made clean; the old file is still there then.
pub fn rewrite(dir: &Path, file: &str, scrubbed: &Scrubbed) -> io::Result<String> {
    if let Some(blocked) = &scrubbed.blocked {
        return Err(io::Error::other(blocked.clone()));
    }
    let Some(name) = scrubbed.renamed.as_deref().filter(|name| !stem(file).starts_with(name)) else {
        write_atomically(&dir.join(file), scrubbed.text.as_bytes(), true)?;
        return Ok(file.to_owned());
    };
    let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut number = 1;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let new = format!("{folder}{name}{suffix}.json");
        match write_atomically(&dir.join(&new), scrubbed.text.as_bytes(), false) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
            Ok(()) => {
                std::fs::remove_file(dir.join(file))?;
                return Ok(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::library::tests::{chat, directory, name_of};
    use super::*;

    fn scrubber() -> Scrubber {
        Scrubber::new(vec!["s3cr3t-value".into()])
    }

    fn value(recording: &Recording) -> Value {
        serde_json::from_str(&recording.to_json()).unwrap()
    }

    #[test]
    fn a_clean_file_stays() {
        assert_eq!(scrub(value(&chat("a", "b", &[])), &scrubber()), Ok(None));
    }

    #[test]
    fn places_are_named_and_values_are_not() {
        let mut recording = chat("say s3cr3t-value", "s3cr3t-value", &[]);
        recording.request.headers.push(("authorization".into(), "Bearer other".into()));
        let found = scrub(value(&recording), &scrubber()).unwrap().unwrap();
        assert_eq!(found.places, ["request header authorization", "request body", "response body"]);
        assert!(!found.text.contains("s3cr3t") && !found.text.contains("other"), "{}", found.text);
        assert!(found.renamed.is_some());
        let again = scrub(serde_json::from_str(&found.text).unwrap(), &scrubber());
        assert_eq!(again, Ok(None), "scrubbing twice changes nothing more");
    }

    #[test]
    fn a_changed_request_gets_a_new_name_and_no_other_file_is_lost() {
        let (dirty, clean) = (chat("say s3cr3t-value", "1", &[]), chat("say <secret>", "2", &[]));
        let dir = directory(&[(&name_of(&dirty), dirty.to_json()), (&name_of(&clean), clean.to_json())]);
        let found = scrub(value(&dirty), &scrubber()).unwrap().unwrap();
        let new = rewrite(dir.path(), &name_of(&dirty), &found).unwrap();
        assert_eq!(new, name_of(&clean).replace(".json", "-2.json"));
        assert!(!dir.path().join(name_of(&dirty)).exists());
        assert_eq!(std::fs::read_to_string(dir.path().join(name_of(&clean))).unwrap(), clean.to_json());
    }

    #[test]
    fn upstream_files_are_edited_where_they_are() {
        let file = json!({"request": {"url": "http://x/v1/y", "headers": {"Authorization": "k"}, "body": {"a": "s3cr3t-value"}},
            "response": {"body": {"s3cr3t-value": 1}}});
        let found = scrub(file, &scrubber()).unwrap().unwrap();
        assert!(!found.text.contains("s3cr3t") && !found.text.contains("Authorization"), "{}", found.text);
        assert_eq!(found.renamed, None);
        assert!(found.places.iter().all(|place| !place.contains("s3cr3t")), "{:?}", found.places);
    }
}
