//! HTTP Archives (HAR 1.2), as browsers, mitmproxy and others write them, read as recordings.
//!
//! A HAR holds decoded bodies and no chunks, so a stream becomes one chunk for each event, and content encodings are
//! left out. It also holds credentials; those are used here to find them wherever else they stand.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;

use super::import::Skip;
use super::key::{WireBody, WireRequest};
use super::recording::{
    Answer, AnswerBody, AnswerChunk, Meta, Owner, RecordedRequest, Recording, TOOL, path_of,
};
use super::redact::{keeps_request_header, keeps_response_header};
use super::show::{Framing, framing};
use super::upstream::provider_of;

/// Headers that carry a credential.
const CREDENTIALS: [&str; 6] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];

/// Parameters of an address that carry one.
const SECRET_PARAMETERS: [&str; 6] = ["key", "api_key", "apikey", "api-key", "token", "access_token"];

/// What an archive holds.
#[derive(Debug, Default)]
pub struct Archive {
    /// In order of time. Not yet scrubbed.
    pub recordings: Vec<(String, Recording)>,
    pub skipped: Vec<Skip>,
    /// Credentials that the archive's requests carry, for a scrubber.
    pub secrets: Vec<String>,
}

/// Why a text is no archive. Lines and columns count from 1; both are 0 for JSON of another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnArchive {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for NotAnArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, " not an HTTP archive: {}", self.message),
            line => write!(f, "{line}:{}: not JSON: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for NotAnArchive {}

/// How an archive is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Provider names and their hosts (with or without port), before what is known of public addresses.
    pub providers: Vec<(String, String)>,
    /// The trial that the recordings are for.
    pub trial: Option<String>,
    pub setup: Option<String>,
}

/// Whether a JSON value looks like an archive.
pub fn is_archive(value: &Value) -> bool {
    value["log"]["entries"].is_array()
}

/// Reads an archive. `name` stands for it in what is reported.
///
/// # Errors
/// See [`NotAnArchive`]. Single entries that cannot be used are skipped with a reason.
pub fn read(name: &str, text: &str, options: &Options) -> Result<Archive, NotAnArchive> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        NotAnArchive { line: error.line(), column: error.column(), message }
    })?;
    let Some(entries) = value["log"]["entries"].as_array() else {
        return Err(NotAnArchive { line: 0, column: 0, message: "no `log.entries`".to_owned() });
    };
    let mut entries: Vec<(usize, &Value)> = entries.iter().enumerate().collect();
    entries.sort_by_cached_key(|(index, entry)| (time(entry), *index));
    let mut archive = Archive::default();
    for (index, entry) in entries {
        let label =
            format!("{name}#{index} {} {}", text_of(&entry["request"]["method"]), without_query(entry));
        archive.secrets.extend(secrets(&entry["request"]));
        match recording(entry, options) {
            Ok(recording) => archive.recordings.push((label, recording)),
            Err(because) => archive.skipped.push(Skip { source: label, because }),
        }
    }
    number(&mut archive.recordings);
    Ok(archive)
}

/// Gives each answer its place among those to the same request.
fn number(recordings: &mut [(String, Recording)]) {
    let mut seen = std::collections::HashMap::new();
    for (_, recording) in recordings {
        let count = seen.entry(recording.request.wire.key()).or_insert(0);
        *count += 1;
        recording.meta.trials.iter_mut().for_each(|owner| owner.answers = vec![*count]);
    }
}

fn time(entry: &Value) -> Option<jiff::Timestamp> {
    entry["startedDateTime"].as_str()?.parse().ok()
}

fn without_query(entry: &Value) -> String {
    let url = text_of(&entry["request"]["url"]);
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn recording(entry: &Value, options: &Options) -> Result<Recording, String> {
    let request = &entry["request"];
    let method = text_of(&request["method"]).to_ascii_uppercase();
    if method.is_empty() || matches!(method.as_str(), "OPTIONS" | "CONNECT") {
        return Err("no call to a provider".to_owned());
    }
    let url = text_of(&request["url"]);
    let url = url.split('#').next().unwrap_or_default().to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("not over HTTP".to_owned());
    }
    let provider = provider(&url, &options.providers)?;
    let headers = headers(&request["headers"]);
    let content_type = header(&headers, "content-type").map(str::to_owned);
    let body = WireBody::decode(content_type.as_deref(), request_body(request)?);
    let answer = answer(entry)?;
    let meta = Meta::now(options.setup.clone());
    Ok(Recording {
        request: RecordedRequest {
            wire: WireRequest { provider, method, path: path_of(&url).to_owned(), body },
            url,
            headers: headers.into_iter().filter(|(name, _)| keeps_request_header(name)).collect(),
        },
        answer,
        meta: Meta {
            tool: format!("{TOOL}, from an HTTP archive"),
            recorded_at: time(entry).map_or(meta.recorded_at.clone(), |at| format!("{at:.3}")),
            trials: vec![Owner { id: options.trial.clone(), answers: vec![1] }],
            ..meta
        },
    })
}

/// The name given for the host, or the provider that is known to live there.
fn provider(url: &str, named: &[(String, String)]) -> Result<String, String> {
    let host = authority(url);
    let bare = |text: &str| text.rsplit_once(':').map_or(text, |(name, _)| name).to_owned();
    let by_name = named.iter().find(|(_, wanted)| {
        let wanted = authority(wanted);
        wanted == host || (!wanted.contains(':') && wanted == bare(host))
    });
    if let Some((name, _)) = by_name {
        return Ok(name.clone());
    }
    let known = provider_of(url);
    if known == host {
        return Err(format!("no provider is known at {host}; name it: --provider NAME={host}"));
    }
    Ok(known)
}

/// Host and port of an address, or of what is only that.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    rest[..end].rsplit('@').next().unwrap_or_default()
}

fn request_body(request: &Value) -> Result<Bytes, String> {
    let data = &request["postData"];
    if let Some(text) = data["text"].as_str() {
        let encoded = data["encoding"] == "base64" || data["_encoding"] == "base64";
        return if encoded { decode(text) } else { Ok(text.to_owned().into()) };
    }
    match data["params"].as_array() {
        Some(parameters) if !parameters.is_empty() => {
            if text_of(&data["mimeType"]).starts_with("multipart/") {
                return Err("the archive has the parts of its form, but not its body".to_owned());
            }
            let pair = |p: &Value| format!("{}={}", text_of(&p["name"]), text_of(&p["value"]));
            Ok(parameters.iter().map(pair).collect::<Vec<_>>().join("&").into())
        }
        _ if request["bodySize"].as_i64().is_some_and(|size| size > 0) => {
            Err("the archive does not have the request's body".to_owned())
        }
        _ => Ok(Bytes::new()),
    }
}

fn decode(text: &str) -> Result<Bytes, String> {
    BASE64.decode(text.trim()).map(Bytes::from).map_err(|error| format!("a body is not base64: {error}"))
}

fn answer(entry: &Value) -> Result<Answer, String> {
    let response = &entry["response"];
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    if !(200..600).contains(&status) {
        return Err("no answer came".to_owned());
    }
    let content = &response["content"];
    let body = match content["text"].as_str() {
        Some(text) if content["encoding"] == "base64" => decode(text)?,
        Some(text) => text.to_owned().into(),
        None if content["size"].as_i64().is_some_and(|size| size > 0) => {
            return Err("the archive does not have the answer's body".to_owned());
        }
        None => Bytes::new(),
    };
    let mut headers = headers(&response["headers"]);
    // The body is stored decoded.
    headers.retain(|(name, _)| keeps_response_header(name) && name != "content-encoding");
    let media_type = text_of(&content["mimeType"]);
    if header(&headers, "content-type").is_none() && !media_type.is_empty() {
        headers.push(("content-type".to_owned(), media_type));
    }
    let wait = entry["timings"]["wait"].as_f64().filter(|wait| *wait > 0.0).unwrap_or(0.0);
    let wait = Duration::try_from_secs_f64(wait / 1e3).unwrap_or_default();
    let mut answer = Answer { status, headers, wait, body: AnswerBody::Whole(body.clone()), cut: None };
    if let Some(framing) = framing(&answer) {
        answer.body = AnswerBody::Chunks(chunks(&body, framing, wait));
    }
    Ok(answer)
}

/// One chunk for each event; only the time to the first is known. Gaps are whole microseconds, as files keep them.
fn chunks(body: &Bytes, framing: Framing, wait: Duration) -> Vec<AnswerChunk> {
    let mut ends = Vec::new();
    let mut line = 0;
    for (at, _) in body.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let text = &body[line..at];
        let is_blank = text.is_empty() || text == b"\r";
        if framing == Framing::Lines || is_blank {
            ends.push(at + 1);
        }
        line = at + 1;
    }
    ends.push(body.len());
    ends.dedup();
    let (mut start, mut gap) = (0, Duration::from_micros(u64::try_from(wait.as_micros()).unwrap_or(0)));
    let mut chunks = Vec::new();
    for end in ends.into_iter().filter(|end| *end > 0) {
        chunks.push(AnswerChunk { gap: std::mem::take(&mut gap), bytes: body.slice(start..end) });
        start = end;
    }
    chunks
}

fn headers(list: &Value) -> Vec<(String, String)> {
    let headers = list.as_array().into_iter().flatten();
    let pair = |header: &Value| (text_of(&header["name"]).to_ascii_lowercase(), text_of(&header["value"]));
    headers.map(pair).filter(|(name, _)| !name.is_empty() && !name.starts_with(':')).collect()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Credentials of one request: from headers, cookies and the address.
fn secrets(request: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in headers(&request["headers"]) {
        match name.as_str() {
            "cookie" => {
                found.extend(value.split(';').filter_map(|c| Some(c.split_once('=')?.1.trim().to_owned())));
            }
            _ if CREDENTIALS.contains(&name.as_str()) => {
                let bare = value.split_once(' ').map_or(value.as_str(), |(_, credential)| credential);
                found.push(bare.trim().to_owned());
            }
            _ => {}
        }
    }
    let url = text_of(&request["url"]);
    let query = url.split_once('?').map_or("", |(_, query)| query).split('#').next().unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let secret = |name: &str| SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str());
    found.extend(pairs.filter(|(name, _)| secret(name)).map(|(_, value)| value.to_owned()));
    found
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
