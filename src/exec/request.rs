//! From a request as planned to the bytes that are sent.

use std::path::Path;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::Value;

use super::provider_data;
use crate::http::multipart::{FormPart, encode};
use crate::http::{HeaderMap, HeaderName, HeaderValue, Request};
use crate::plan::expression::Scope;
use crate::plan::template::{FillError, Template};
use crate::plan::trial::{BodyPlan, ContentPlan, PartPlan, RequestPlan};
use crate::schema::case::Client;
use crate::schema::check::FileForm;
use crate::source::{Located, Span};

/// Why a request could not be made; always at a place in the YAML.
pub(super) type RequestError = FillError;

/// Fills every template. `root` is the project's root, for uploaded files; `span` the step's place.
pub(super) fn make(
    plan: &RequestPlan,
    scope: &Scope,
    profile: &HeaderMap,
    root: &Path,
    span: &Span,
) -> Result<Request, RequestError> {
    let mut path = plan.path.fill_text(scope)?;
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in &plan.query {
        // A parameter without a value is left out, so that a row can choose.
        let value = value.fill(scope)?;
        if value.is_null() {
            continue;
        }
        path.push_str(&format!("{separator}{}={}", percent(name), percent(&plain(&value))));
        separator = '&';
    }
    let mut headers = profile.clone();
    let (content_type, body) = body(&plan.body, scope, root)?;
    if let Some(content_type) = content_type {
        headers.insert(http::header::CONTENT_TYPE, header_value(&content_type, span)?);
    }
    for (name, template) in &plan.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| FillError { message: error.to_string(), span: span.clone() })?;
        match template.fill(scope)? {
            Value::Null => _ = headers.remove(&name),
            value => {
                let text = provider_data::merged(&headers, &name, plain(&value));
                headers.insert(name, header_value(&text, span)?);
            }
        }
    }
    Ok(Request { method: plan.method.clone(), path, headers, body })
}

/// The headers that a client profile sends with every request.
pub(super) fn profile(client: Option<Client>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    let agent = match client {
        Some(Client::OpenAi) => {
            // What upstream's fixture gives the OpenAI SDK as its key.
            headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer fake"));
            "OpenAI/Python runner"
        }
        Some(Client::WithModels | Client::LlamaStack) => "LlamaStackClient/Python runner",
        None => concat!("runner/", env!("CARGO_PKG_VERSION")),
    };
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(agent));
    headers
}

fn header_value(text: &str, span: &Span) -> Result<HeaderValue, RequestError> {
    HeaderValue::from_str(text)
        .map_err(|_| FillError { message: format!("`{text}` cannot stand in a header"), span: span.clone() })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Percent-encodes all but unreserved characters of a query (RFC 3986, 2.3).
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn body(plan: &BodyPlan, scope: &Scope, root: &Path) -> Result<(Option<String>, Bytes), RequestError> {
    Ok(match plan {
        BodyPlan::None => (None, Bytes::new()),
        BodyPlan::Json(template) => {
            (Some("application/json".to_owned()), Bytes::from(template.fill(scope)?.to_string()))
        }
        BodyPlan::Jsonl(template) => (Some("application/x-ndjson".to_owned()), jsonl(template, scope)?),
        BodyPlan::Text(template) => {
            (Some("text/plain; charset=utf-8".to_owned()), Bytes::from(template.fill_text(scope)?))
        }
        BodyPlan::Multipart(parts) => {
            let mut encoded = Vec::new();
            for (name, part) in parts {
                encoded.push(form_part(name, part, scope, root)?);
            }
            let (content_type, bytes) = encode(&encoded);
            (Some(content_type), bytes)
        }
    })
}

fn form_part(name: &str, part: &PartPlan, scope: &Scope, root: &Path) -> Result<FormPart, RequestError> {
    Ok(match part {
        PartPlan::Field(template) => {
            FormPart { name: name.to_owned(), file: None, data: Bytes::from(template.fill_text(scope)?) }
        }
        PartPlan::File { filename, content_type, content } => FormPart {
            name: name.to_owned(),
            file: Some((filename.fill_text(scope)?, content_type.clone())),
            data: content_bytes(content, scope, root)?,
        },
    })
}

fn content_bytes(content: &ContentPlan, scope: &Scope, root: &Path) -> Result<Bytes, RequestError> {
    match content {
        ContentPlan::Text(template) => template.fill_text(scope).map(Bytes::from),
        ContentPlan::Jsonl(template) => jsonl(template, scope),
        ContentPlan::Path(path) => read(path, root),
    }
}

fn read(path: &Located<String>, root: &Path) -> Result<Bytes, RequestError> {
    let unreadable = |error| FillError {
        message: format!("cannot read the file {}: {error}", path.value),
        span: path.span.clone(),
    };
    std::fs::read(root.join(&path.value)).map(Bytes::from).map_err(unreadable)
}

/// A file of the project as a value to keep.
pub(super) fn file_value(path: &Located<String>, form: FileForm, root: &Path) -> Result<Value, RequestError> {
    let bytes = read(path, root)?;
    let base64 = || base64::engine::general_purpose::STANDARD.encode(&bytes);
    Ok(Value::String(match form {
        FileForm::Base64 => base64(),
        FileForm::DataUrl => format!("data:{};base64,{}", media_type(&path.value), base64()),
        FileForm::Text => String::from_utf8(bytes.to_vec()).map_err(|_| FillError {
            message: format!("{} is no UTF-8 text; `file_base64` keeps any bytes", path.value),
            span: path.span.clone(),
        })?,
    }))
}

/// The media type that a file's extension tells, for the kinds that models and stacks take.
fn media_type(path: &str) -> &'static str {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "html" => "text/html",
        "txt" | "text" => "text/plain",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        _ => "application/octet-stream",
    }
}

fn jsonl(template: &Template, scope: &Scope) -> Result<Bytes, RequestError> {
    let mut text = String::new();
    match template.fill(scope)? {
        Value::Array(lines) => lines.iter().for_each(|line| text.extend([plain(line), "\n".to_owned()])),
        other => text.push_str(&plain(&other)),
    }
    Ok(Bytes::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use serde_json::json;

    #[test]
    fn templates_are_filled_and_queries_encoded() {
        let file = SourceFile::inline("t.yaml", "x");
        let span = Span { file, start: 0, end: 1 };
        let mut problems = crate::source::Problems::default();
        let mut text = |text: &str| Template::text(text, &span, &mut problems);
        let plan = RequestPlan {
            method: http::Method::GET,
            path: text("/v1/models/${{ id }}"),
            query: vec![("order by".into(), text("a&b")), ("after".into(), Template::Value(Value::Null))],
            headers: vec![("X-N".into(), text("${{ n }}")), ("accept".into(), Template::Value(Value::Null))],
            body: BodyPlan::Json(text("${{ n }}")),
            timeout: None,
            abort_after: None,
        };
        let Value::Object(scope) = json!({"id": "ollama/x", "n": 2}) else { unreachable!() };
        let request = make(&plan, &scope, &profile(None), Path::new("."), &span).expect("is made");
        assert_eq!(request.path, "/v1/models/ollama/x?order%20by=a%26b");
        assert_eq!(&request.body[..], b"2");
        assert_eq!(request.headers.get("x-n").map(HeaderValue::as_bytes), Some(&b"2"[..]));
        assert!(!request.headers.contains_key("accept"));
    }
}
