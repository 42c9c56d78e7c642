//! What is particular to Ollama: it is greeted at start, and an untagged model means `:latest`.

use super::client::Remote;
use super::errors::ApiError;

/// Whether Ollama runs; asked once at start, as Llama Stack does.
pub(crate) async fn greet(remote: &Remote) -> Result<(), String> {
    let answer = remote.get(&format!("{}/api/ps", remote.address), &[]).await;
    answer
        .map(|_| ())
        .map_err(|cause| format!("Ollama does not run there ({cause}); start it with `ollama serve`"))
}

/// The name of a model that was not found as it is written.
pub(crate) fn available(
    wanted: &str,
    has: impl Fn(&str) -> bool,
    names: &[&str],
) -> Result<String, ApiError> {
    let latest = format!("{wanted}:latest");
    if has(&latest) {
        return Ok(latest);
    }
    let names = names.join(", ");
    Err(ApiError::Value(format!("'{wanted}' model is not supported. Supported models are: {names}")))
}
