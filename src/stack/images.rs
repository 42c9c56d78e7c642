//! Fetching the images of a message for providers that only take them inline.

use super::errors::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The largest image that is fetched.
const MAX_IMAGE_BYTES: usize = 32 << 20;

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
                *url = fetch(http, address).await?.into();
            }
        }
    }
    Ok(())
}

async fn fetch(http: &reqwest::Client, address: &str) -> Result<String, ApiError> {
    let unreachable = |_| ApiError::Unreachable("All connection attempts failed".into());
    let mut response = http.get(address).send().await.map_err(unreachable)?;
    // The subtype of what the server says it is; upstream does not look further either.
    let content_type = response.headers().get(reqwest::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or("image/png");
    let format = content_type.rsplit('/').next().unwrap_or("png").to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MAX_IMAGE_BYTES {
            return Err(ApiError::Value(format!("the image exceeds {MAX_IMAGE_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(format!("data:image/{format};base64,{}", STANDARD.encode(bytes)))
}
