//! What is particular to Text Generation Inference: one model, named by `/info`, and answers without an id.

use super::client::Remote;
use serde_json::Value;

pub(crate) async fn model_id(remote: &Remote) -> Result<String, String> {
    let info = remote.get(&format!("{}/info", remote.address), &[]).await?;
    let id = info.get("model_id").and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| "its /info has no `model_id`".to_owned())
}
