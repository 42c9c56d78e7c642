//! Fetching the images of a message for providers that only take them inline.

use super::errors::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The most that is fetched.
const MAX_BYTES: usize = 32 << 20;

/// Replaces every image address by a data URL; refuses addresses where nothing may be fetched.
pub(crate) async fn inline(
    http: &reqwest::Client,
    messages: &mut Value,
    fetches: bool,
) -> Result<(), ApiError> {
    for message in messages.as_array_mut().into_iter().flatten() {
        let Some(Value::Array(parts)) = message.get_mut("content") else { continue };
        for part in parts {
            let Some(url) = part.pointer_mut("/image_url/url") else { continue };
            if let Some(address) = url.as_str().filter(|url| url.starts_with("http")) {
                if !fetches {
                    let reason = "images are not fetched while provider traffic is replayed; send a data URL";
                    return Err(ApiError::Value(reason.into()));
                }
                // The subtype of what the server says it is; upstream does not look further either.
                let (bytes, kind) = fetch(http, address).await?;
                let format = kind.as_deref().unwrap_or("png").rsplit('/').next().unwrap_or("png");
                *url = format!("data:image/{format};base64,{}", STANDARD.encode(bytes)).into();
            }
        }
    }
    Ok(())
}

/// What lies at an address, and the type its server says it has.
pub(crate) async fn fetch(
    http: &reqwest::Client,
    address: &str,
) -> Result<(Vec<u8>, Option<String>), ApiError> {
    let unreachable = |_| ApiError::Unreachable("All connection attempts failed".into());
    let mut response = http.get(address).send().await.map_err(unreachable)?;
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(ApiError::Value(format!("what is there exceeds {MAX_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, kind))
}
