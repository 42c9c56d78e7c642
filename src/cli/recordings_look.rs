//! `recordings list` and `recordings show`.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::ListFormat;
use super::exit::ExitStatus;
use super::recordings::{Desk, ListArgs, Refused, ShowArgs};
use super::recordings_text::{age, files, indented, json as pretty, since, size, table};
use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, curl};
use crate::record::library::{self, NotFound, Volume, survey};
use crate::record::show::{ShownEvent, events, joined};
use crate::record::{AnswerBody, Entry, FileFormat, Owner, RecordingProblem, WireBody};

/// Trials that a line of the list names.
const TRIALS_SHOWN: usize = 1;

pub(super) fn list(desk: &Desk, args: &ListArgs) -> Result<ExitStatus, Refused> {
    let now = Timestamp::now();
    let from = args.since.as_deref().map(|text| since(text, now)).transpose()?;
    let found = survey(desk.opened()?, |volume| (volume.size, volume.entry));
    let has = |text: &str, part: &Option<String>| part.as_ref().is_none_or(|part| text.contains(part));
    let wanted = |(_, entry): &&(u64, Entry)| {
        let trial =
            |part: &String| entry.owners.iter().filter_map(|o| o.id.as_ref()).any(|id| id.contains(part));
        let at = || entry.timestamp.parse::<Timestamp>().ok();
        args.provider.as_ref().is_none_or(|name| *name == entry.provider)
            && has(&entry.endpoint, &args.endpoint)
            && has(&entry.model, &args.model)
            && args.trial.as_ref().is_none_or(trial)
            && from.is_none_or(|from| at().is_some_and(|at| at >= from))
    };
    let shown: Vec<_> = found.items.iter().filter(wanted).collect();
    if desk.format == ListFormat::Json {
        let rows: Vec<_> = shown.iter().map(|(size, entry)| entry_json(entry, *size)).collect();
        anstream::println!("{}", pretty(&rows));
    } else {
        let heading = ["file", "provider", "endpoint", "model", "status", "stream", "size", "age", "trials"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(shown.iter().map(|(bytes, entry)| {
            vec![
                entry.file.clone(),
                entry.provider.clone(),
                entry.endpoint.clone(),
                if entry.model.is_empty() { "-".to_owned() } else { entry.model.clone() },
                entry.status.to_string(),
                if entry.is_streaming { "yes" } else { "no" }.to_owned(),
                size(*bytes),
                age(&entry.timestamp, now),
                trials(&entry.owners),
            ]
        }));
        anstream::println!("{}", table(&rows, &[6, 7]));
        let bytes = shown.iter().map(|(bytes, _)| bytes).sum();
        anstream::println!("{}, {}", files(shown.len()), size(bytes));
    }
    warn(&found.problems);
    Ok(ExitStatus::Passed)
}

/// Files that are no recordings, on the error stream.
pub(super) fn warn(problems: &[RecordingProblem]) {
    for problem in problems {
        anstream::eprintln!("warning: {problem}");
    }
}

fn trials(owners: &[Owner]) -> String {
    let mut ids = owners.iter().filter_map(|owner| owner.id.as_deref());
    let shown: Vec<_> = ids.by_ref().take(TRIALS_SHOWN).collect();
    match (shown.as_slice(), ids.count()) {
        ([], _) => "-".to_owned(),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

pub(super) fn entry_json(entry: &Entry, size: u64) -> Value {
    json!({
        "file": entry.file, "format": format_word(entry), "provider": entry.provider, "method": entry.method,
        "path": entry.path, "endpoint": entry.endpoint, "model": entry.model, "status": entry.status,
        "is_streaming": entry.is_streaming, "size": size, "recorded_at": entry.timestamp, "key": entry.key,
        "trials": entry.owners,
    })
}

fn format_word(entry: &Entry) -> &'static str {
    match entry.format {
        FileFormat::Native => "native",
        FileFormat::Upstream => "upstream",
    }
}

/// The recording that `name` means.
pub(super) fn open(desk: &Desk, name: &str) -> Result<Volume, Refused> {
    let dir = desk.opened()?;
    let keys = || survey(dir, |volume| (volume.entry.file, volume.entry.key)).items;
    let file = library::find(dir, name, keys).map_err(|error| match error {
        NotFound::Ambiguous { files } => {
            format!("{name} stands for {} recordings:\n{}", files.len(), indented(&files.join("\n"), 1))
        }
        NotFound::Unknown { nearest: Some(nearest) } => {
            format!("no recording {name} in {}; did you mean {nearest}?", dir.display())
        }
        NotFound::Unknown { nearest: None } => {
            format!("no recording {name} in {}; `runner recordings list` shows all", dir.display())
        }
    })?;
    match library::volume(dir, &file) {
        Ok(Some(volume)) => Ok(volume),
        Ok(None) => Err(format!("{file} holds no provider call, so it is never replayed")),
        Err(problem) => Err(problem.to_string()),
    }
}

pub(super) fn show(desk: &Desk, args: &ShowArgs) -> Result<ExitStatus, Refused> {
    let volume = open(desk, &args.name)?;
    if args.raw {
        let written = std::io::stdout().write_all(&volume.recording.answer.bytes());
        return written
            .map(|()| ExitStatus::Passed)
            .map_err(|error| format!("cannot print the body: {error}"));
    }
    if args.curl {
        anstream::println!("{}", command(&volume));
    } else if desk.format == ListFormat::Json {
        anstream::println!("{}", pretty(&volume_json(&volume)));
    } else {
        anstream::println!("{}", readable(&volume));
    }
    Ok(ExitStatus::Passed)
}

fn command(volume: &Volume) -> String {
    let request = &volume.recording.request;
    let headers = request.headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    let mut headers: HeaderMap = headers.collect();
    let body = match &request.wire.body {
        WireBody::Empty => Default::default(),
        WireBody::Json(value) => {
            // Upstream keeps no headers, and curl would call the body a form.
            headers.entry("content-type").or_insert(HeaderValue::from_static("application/json"));
            value.to_string().into()
        }
        WireBody::Raw(bytes) => bytes.clone(),
    };
    let origin = request.url.strip_suffix(&request.wire.path).unwrap_or_else(|| origin(&request.url));
    let method = request.wire.method.parse().unwrap_or(Method::POST);
    curl::whole(&Request { method, path: request.wire.path.clone(), headers, body }, origin)
}

/// Scheme and host of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}

fn volume_json(volume: &Volume) -> Value {
    let answer = &volume.recording.answer;
    let event = |event: &ShownEvent| {
        let data = serde_json::from_str(&event.data).unwrap_or_else(|_| Value::from(event.data.clone()));
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        json!({"at_ms": milliseconds(event.at), "gap_ms": milliseconds(event.gap), "event": event.name, "data": data})
    };
    let events = events(answer);
    let mut shown = entry_json(&volume.entry, volume.size);
    shown["is_named"] = volume.is_named.into();
    // As the file would be in our format, whoever wrote it.
    shown["recording"] = serde_json::from_str(&volume.recording.to_json()).unwrap_or_default();
    shown["events"] = events.iter().map(event).collect();
    shown["text"] = joined(&events).into();
    shown
}

fn readable(volume: &Volume) -> String {
    let Volume { entry, recording, .. } = volume;
    let meta = &recording.meta;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("file", format!("{} ({}, {})", entry.file, format_word(entry), size(volume.size)));
    let setup = meta.setup.as_ref().map(|setup| format!(", setup {setup}")).unwrap_or_default();
    row("recorded", format!("{} by {}{setup}", entry.timestamp, meta.tool));
    row("key", entry.key.clone());
    for (i, owner) in meta.trials.iter().enumerate() {
        let answers: Vec<_> = owner.answers.iter().map(ToString::to_string).collect();
        let which = match entry.format {
            FileFormat::Native => format!(" (answer {})", answers.join(", ")),
            FileFormat::Upstream => String::new(),
        };
        let id = owner.id.as_deref().unwrap_or("(no trial in particular)");
        row(if i == 0 { "trials" } else { "" }, format!("{id}{which}"));
    }
    let request = &recording.request;
    let mut text = table(&rows, &[]);
    text.push_str(&format!("\n\n{} {}  (provider {})\n", request.wire.method, request.url, entry.provider));
    text.push_str(&headers(&request.headers));
    let body = match &request.wire.body {
        WireBody::Empty => String::new(),
        WireBody::Json(value) => format!("{value:#}"),
        WireBody::Raw(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.push_str(&format!("{}\n\n", indented(&body, 1)).trim_start_matches('\n').replace("\n\n\n", "\n\n"));
    text.push_str(&answer(volume));
    text.trim_end().to_owned()
}

fn headers(headers: &[(String, String)]) -> String {
    headers.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect()
}

/// Long lists of numbers, as embeddings are, with their beginning and length alone.
fn shortened(value: Value) -> Value {
    const NUMBERS_SHOWN: usize = 4;
    match value {
        Value::Array(items) if items.len() > 2 * NUMBERS_SHOWN && items.iter().all(Value::is_number) => {
            let first: Vec<_> = items.iter().take(NUMBERS_SHOWN).map(ToString::to_string).collect();
            Value::from(format!("{}, … {} numbers", first.join(", "), items.len()))
        }
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(members) => members.into_iter().map(|(key, member)| (key, shortened(member))).collect(),
        other => other,
    }
}

fn answer(volume: &Volume) -> String {
    let answer = &volume.recording.answer;
    let events = events(answer);
    let mut text = format!("{}", answer.status);
    if let AnswerBody::Chunks(chunks) = &answer.body {
        let took: std::time::Duration = chunks.iter().map(|chunk| chunk.gap).sum();
        let took = took.as_secs_f64();
        text.push_str(&format!(", {} events in {} chunks, {took:.3}s", events.len(), chunks.len()));
    }
    text.push('\n');
    text.push_str(&headers(&answer.headers));
    if events.is_empty() {
        let bytes = answer.bytes();
        let body = match (serde_json::from_slice::<Value>(&bytes), std::str::from_utf8(&bytes)) {
            (Ok(value), _) => format!("{:#}", shortened(value)),
            (Err(_), Ok(text)) => text.to_owned(),
            (Err(_), Err(_)) => format!("({} bytes that are no text)", bytes.len()),
        };
        text.push_str(&indented(&body, 1));
        text.push('\n');
    }
    for event in &events {
        let name = event.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
        text.push_str(&format!("  +{:.3}s  {name}{}\n", event.gap.as_secs_f64(), event.data));
    }
    if let Some(reason) = &answer.cut {
        text.push_str(&format!("  (the connection broke here: {reason})\n"));
    }
    if let Some(joined) = joined(&events) {
        text.push_str(&format!("\ntext of the stream\n{}\n", indented(&joined, 1)));
    }
    text
}
