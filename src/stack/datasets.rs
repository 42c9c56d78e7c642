//! `/v1beta/datasets` and `/v1beta/datasetio`: registering data and reading its rows.

use super::caller;
use super::errors::{ApiError, json_response};
use super::evaluation_types::{APPEND_ROWS, REGISTER_DATASET};
use super::json::text;
use super::pages::{self, POSITION_QUERY};
use super::resources::{self, DATASET};
use super::{Shared, data_url, table};
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

/// The second prefix is the older one.
const PREFIXES: [&str; 2] = ["/v1beta", "/v1"];
/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for prefix in PREFIXES {
        router = router
            .route(&format!("{prefix}/datasets"), resources::all(&DATASET).post(register))
            .route(&format!("{prefix}/datasets/{{*dataset_id}}"), resources::removable(&DATASET))
            .route(&format!("{prefix}/datasetio/iterrows/{{*dataset_id}}"), get(iterrows))
            .route(&format!("{prefix}/datasetio/append-rows/{{*dataset_id}}"), post(append_rows));
    }
    router
}

pub(crate) const LISTED: &[(&str, &str)] = &[
    ("POST", "/v1beta/datasetio/append-rows/{dataset_id:path}"),
    ("POST", "/v1/datasetio/append-rows/{dataset_id:path}"),
    ("GET", "/v1beta/datasetio/iterrows/{dataset_id:path}"),
    ("GET", "/v1/datasetio/iterrows/{dataset_id:path}"),
];

async fn register(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let params = caller::body(&REGISTER_DATASET, &headers, body).await?;
    let given = params.get("dataset_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = given.map_or_else(|| format!("dataset-{}", uuid::Uuid::new_v4()), str::to_owned);
    let metadata = params.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let source = params.get("source").cloned().unwrap_or_default();
    let provider = match metadata.get("provider_id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        Some(named) => named,
        None if text(&source, "uri").starts_with("huggingface") => "huggingface",
        None => "localfs",
    };
    let dataset = json!({
        "identifier": id,
        "provider_resource_id": id,
        "provider_id": provider,
        "type": DATASET.name,
        "owner": null,
        "source": source,
        "purpose": params.get("purpose"),
        "metadata": metadata,
    });
    shared.register_resource(&DATASET, &dataset)?;
    Ok(json_response(StatusCode::OK, &dataset))
}

async fn iterrows(
    State(shared): State<Arc<Shared>>,
    path: MatchedPath,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, ApiError> {
    let query = caller::query(&POSITION_QUERY, query)?;
    // Llama Stack names its own route, in its own notation.
    let url = path.as_str().replace("{*dataset_id}", "{dataset_id:path}");
    Ok(pages::at_positions(shared.rows(&id)?, &query, &url))
}

/// As in Llama Stack, the rows are accepted, and appended to a copy that nobody sees again.
async fn append_rows(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller::body(&APPEND_ROWS, &headers, body).await?;
    shared.rows(&id)?;
    Ok(json_response(StatusCode::OK, &Value::Null))
}

impl Shared {
    /// All rows of a dataset, as the data frame that Llama Stack reads them into shows them.
    pub(crate) fn rows(&self, id: &str) -> Result<Vec<Map<String, Value>>, ApiError> {
        let (dataset, provider) = self.served(&DATASET, id)?;
        if provider.provider_type != "inline::localfs" {
            return Err(ApiError::NotImplemented(format!(
                "the in-process stack cannot read rows through {}",
                provider.provider_type
            )));
        }
        if let Some(rows) = dataset.pointer("/source/rows").and_then(Value::as_array) {
            return Ok(table::from_rows(rows.iter().filter_map(Value::as_object)));
        }
        let uri = dataset.pointer("/source/uri").and_then(Value::as_str).unwrap_or_default();
        let bytes = if uri.ends_with(".csv") {
            read_file(uri)?
        } else if uri.ends_with(".xlsx") {
            return Err(ApiError::NotImplemented("the in-process stack does not read Excel files".into()));
        } else if uri.starts_with("data:") {
            let data = data_url::parse(uri).map_err(ApiError::Value)?;
            if !data.mime_type.starts_with("text/") {
                let text = "Excel file format cannot be determined, you must specify an engine manually.";
                return Err(ApiError::Value(text.into()));
            }
            data.bytes
        } else {
            return Err(ApiError::Value(format!("Unsupported file type: {uri}")));
        };
        table::from_csv(&bytes).map_err(ApiError::Value)
    }
}

/// Reads a file below the folder that the stack runs in. Llama Stack reads any file and any address; here a
/// request must not reach what lies elsewhere.
fn read_file(path: &str) -> Result<Vec<u8>, ApiError> {
    let failed = |error: std::io::Error| ApiError::Internal(format!("{path}: {error}"));
    let root = FilePath::new(".").canonicalize().map_err(failed)?;
    let file = FilePath::new(path).canonicalize().map_err(failed)?;
    if !file.starts_with(&root) {
        return Err(ApiError::Internal(format!("{path}: lies outside of the folder {}", root.display())));
    }
    if file.metadata().map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(ApiError::Internal(format!("{path}: is larger than {MAX_FILE_BYTES} bytes")));
    }
    std::fs::read(&file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_of_the_folder_are_refused() {
        let error = read_file("/etc/hostname").expect_err("outside");
        assert!(error.to_string().contains("lies outside of the folder"), "{error}");
        assert!(read_file("no-such.csv").is_err());
        assert!(!read_file("Cargo.toml").expect("inside").is_empty());
    }
}
