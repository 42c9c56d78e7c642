//! What is particular to Databricks: models are serving endpoints, listed by the workspace.

use super::client::Remote;
use super::listing;
use serde_json::Value;

pub(crate) async fn model_ids(remote: &Remote, key: &str) -> Result<Vec<String>, String> {
    let bearer = format!("Bearer {key}");
    let url = format!("{}/api/2.0/serving-endpoints", remote.address);
    let answer = remote.get(&url, &[("authorization", &bearer)]).await?;
    listing::ids(answer.get("endpoints").unwrap_or(&Value::Null), "name")
}
