//! What is particular to vLLM: a token limit of its own, and no tool choice without tools.

use super::client::Remote;
use super::events::truthy;
use serde_json::{Map, Value};

/// The limit when neither request nor configuration has one.
const MAX_TOKENS: u64 = 4096;

pub(crate) fn adjust(remote: &Remote, params: &mut Map<String, Value>) {
    let given =
        |params: &Map<String, Value>, name: &str| params.get(name).is_some_and(|value| !value.is_null());
    if !given(params, "max_tokens") {
        let limit = remote.config.get("max_tokens").filter(|limit| !limit.is_null()).cloned();
        let limit = limit.unwrap_or_else(|| MAX_TOKENS.into());
        if truthy(&limit) {
            params.insert("max_tokens".into(), limit);
        }
    }
    if !params.get("tools").is_some_and(truthy) && given(params, "tool_choice") {
        params.insert("tool_choice".into(), "none".into());
    }
}
