//! `/v1/files`: what users upload, kept as files in one folder, with their descriptions beside.

use super::Shared;
use super::config::Configured;
use super::errors::{ApiError, Issue, json_response};
use super::fields::{Extra, Model, Ty, body, optional};
use super::pages::Page;
use super::time::now;
use super::{caller, pages, routes};
use axum::Router;
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// The kind of document that describes a file.
const FILE: &str = "file";
const PURPOSES: &[&str] = &["assistants", "batch"];
/// How many are listed when nothing is said.
const MOST_LISTED: i64 = 10_000;
/// How long a file is said to live, in seconds, when the provider's `ttl_secs` says nothing: a year.
const TTL: i64 = 365 * 24 * 60 * 60;

/// Where contents lie.
pub(crate) struct FileStore {
    /// The configured folder; none for one that ends with the stack.
    folder: Option<PathBuf>,
    temporary: Mutex<Option<TempDir>>,
    ttl: i64,
}

impl FileStore {
    pub(crate) fn new(configured: &Configured, provider: Option<&Map<String, Value>>) -> Self {
        let ttl = provider.and_then(|config| config.get("ttl_secs")).and_then(Value::as_i64);
        let folder = configured.files_folder.clone();
        Self { folder, temporary: Mutex::default(), ttl: ttl.unwrap_or(TTL) }
    }

    /// The path of a content; its folder is made.
    fn path(&self, id: &str) -> std::io::Result<PathBuf> {
        if let Some(folder) = &self.folder {
            std::fs::create_dir_all(folder)?;
            return Ok(folder.join(id));
        }
        let mut temporary = self.temporary.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match temporary.as_ref() {
            Some(folder) => folder.path(),
            None => temporary.insert(tempfile::Builder::new().prefix("runner-files-").tempdir()?).path(),
        };
        Ok(folder.join(id))
    }
}

/// A name's documents cannot be read or written.
pub(crate) fn unstored(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(error.to_string())
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found("File", id, "client.files.list()")
}

impl Shared {
    /// The description of a file.
    pub(crate) fn file(&self, id: &str) -> Result<Value, ApiError> {
        self.documents.get(FILE, id)?.ok_or_else(|| not_found(id))
    }

    /// What is in a file. When its content is gone, its description goes too.
    pub(crate) async fn file_content(&self, id: &str) -> Result<Bytes, ApiError> {
        self.file(id)?;
        let path = self.files.path(id).map_err(unstored)?;
        match tokio::fs::read(&path).await {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.documents.remove(FILE, id)?;
                Err(not_found(id))
            }
            Err(error) => Err(unstored(format!("{}: {error}", path.display()))),
        }
    }

    /// Keeps a file. `expires` is in seconds from now; without it the provider's time applies.
    pub(crate) async fn create_file(
        &self,
        filename: &str,
        purpose: &str,
        content: Bytes,
        expires: Option<i64>,
    ) -> Result<Value, ApiError> {
        let id = format!("file-{}", uuid::Uuid::new_v4().simple());
        let path = self.files.path(&id).map_err(unstored)?;
        let size = content.len();
        tokio::fs::write(&path, content)
            .await
            .map_err(|error| unstored(format!("{}: {error}", path.display())))?;
        let created_at = now();
        let file = json!({
            "object": "file",
            "id": id,
            "bytes": size,
            "created_at": created_at,
            "expires_at": created_at + expires.unwrap_or(self.files.ttl),
            "filename": if filename.is_empty() { "uploaded_file" } else { filename },
            "purpose": purpose,
        });
        self.documents.put(FILE, &id, &file)?;
        Ok(file)
    }

    pub(crate) async fn delete_file(&self, id: &str) -> Result<(), ApiError> {
        self.file(id)?;
        let path = self.files.path(id).map_err(unstored)?;
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unstored(format!("{}: {error}", path.display())));
            }
            _ => {}
        }
        self.documents.remove(FILE, id)?;
        Ok(())
    }
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for prefix in routes::PREFIXES {
        router = router
            .route(&format!("{prefix}/files"), get(list).post(upload))
            .route(&format!("{prefix}/files/{{file_id}}"), get(retrieve).delete(remove))
            .route(&format!("{prefix}/files/{{file_id}}/content"), get(content));
    }
    router.layer(DefaultBodyLimit::max(caller::MAX_BODY_BYTES))
}

pub(crate) const LISTED: &[(&str, &str)] = &[
    ("DELETE", "/v1/files/{file_id}"),
    ("DELETE", "/v1/openai/v1/files/{file_id}"),
    ("GET", "/v1/files"),
    ("GET", "/v1/openai/v1/files"),
    ("GET", "/v1/files/{file_id}"),
    ("GET", "/v1/openai/v1/files/{file_id}"),
    ("GET", "/v1/files/{file_id}/content"),
    ("GET", "/v1/openai/v1/files/{file_id}/content"),
    ("POST", "/v1/files"),
    ("POST", "/v1/openai/v1/files"),
];

/// A form as far as it matters here.
#[derive(Default)]
struct Form {
    file: Option<Upload>,
    purpose: Option<Value>,
}

enum Upload {
    File {
        name: String,
        content: Bytes,
    },
    /// A field without a file name.
    Text,
}

/// Reads the form. A body that is none counts as an empty form, as upstream has it.
async fn form(request: Request) -> Result<Form, ApiError> {
    let mut form = Form::default();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
        return Ok(form);
    }
    let unreadable = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
        _ => ApiError::Form,
    };
    let mut multipart = Multipart::from_request(request, &()).await.map_err(|_| ApiError::Form)?;
    while let Some(field) = multipart.next_field().await.map_err(unreadable)? {
        let filename = field.file_name().map(str::to_owned);
        match (field.name(), filename) {
            (Some("file"), Some(name)) => {
                form.file = Some(Upload::File { name, content: field.bytes().await.map_err(unreadable)? });
            }
            (Some("file"), None) => form.file = Some(Upload::Text),
            (Some("purpose"), None) => {
                form.purpose = Some(Field::text(field).await.map_err(unreadable)?.into());
            }
            (Some("purpose"), Some(_)) => form.purpose = Some(Value::Null),
            // `expires_after` too: this provider of Llama Stack 0.3.0 ignores it.
            _ => {}
        }
    }
    Ok(form)
}

async fn upload(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let Form { file, purpose } = form(request).await?;
    let issue = |field: &str, msg: &str, kind| Issue::new(&["body".into(), field.into()], msg, kind);
    let mut issues = Vec::new();
    match &file {
        None => issues.push(issue("file", "Field required", "missing")),
        Some(Upload::Text) => {
            let msg = "Value error, Expected UploadFile, received: <class 'str'>";
            issues.push(issue("file", msg, "value_error"));
        }
        Some(Upload::File { .. }) => {}
    }
    let known = purpose
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|text| PURPOSES.iter().find(|known| **known == text));
    match (&purpose, known) {
        (None, _) => issues.push(issue("purpose", "Field required", "missing")),
        (Some(_), None) => issues.push(issue("purpose", "Input should be 'assistants' or 'batch'", "enum")),
        (Some(_), Some(_)) => {}
    }
    match (file, known) {
        (Some(Upload::File { name, content }), Some(purpose)) => {
            Ok(json_response(StatusCode::OK, &shared.create_file(&name, purpose, content, None).await?))
        }
        _ => Err(ApiError::Request(issues)),
    }
}

static QUERY: Model = body(
    &[
        optional("after", Ty::Str),
        optional("limit", Ty::Int),
        optional("order", Ty::Enum(&["asc", "desc"])),
        optional("purpose", Ty::Enum(PURPOSES)),
    ],
    Extra::Drop,
);

async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&QUERY, query)?;
    let purpose = query.get("purpose").and_then(Value::as_str);
    let fits = |file: &Value| purpose.is_none_or(|purpose| file["purpose"] == purpose);
    let page = Page::of(&query, MOST_LISTED);
    let (files, has_more) = page.of_rows(shared.documents.list(FILE)?, "openai_files", fits)?;
    Ok(pages::stored(&files, has_more))
}

async fn retrieve(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    Ok(json_response(StatusCode::OK, &shared.file(&id)?))
}

async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    shared.delete_file(&id).await?;
    Ok(json_response(StatusCode::OK, &json!({"id": id, "object": "file", "deleted": true})))
}

async fn content(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let file = shared.file(&id)?;
    let bytes = shared.file_content(&id).await?;
    let name = file["filename"].as_str().unwrap_or_default();
    // Headers are Latin-1; upstream fails for a name that is not.
    let shown = name.chars().map(|c| u8::try_from(c).map_err(|_| c)).collect::<Result<Vec<u8>, char>>();
    let shown = shown
        .map_err(|c| unstored(format!("the file's name {name:?} has {c:?}, which no header can hold")))?;
    let shown = [b"attachment; filename=\"".as_slice(), &shown, b"\""].concat();
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_bytes(&shown).map_err(unstored)?);
    Ok(response)
}
