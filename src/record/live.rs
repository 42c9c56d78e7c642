//! Asking a provider what a recording asked, to see whether it still answers so. Nothing is stored.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;

use super::forward::{Forwarder, outbound_headers};
use super::key::WireBody;
use super::recording::{Answer, AnswerBody, AnswerChunk, RecordedRequest};
use super::redact::keeps_response_header;
use super::serve::LARGEST_BODY;
use super::show::framing;

/// The provider's answer at `base_url` (as `http://localhost:11434` or `https://api.openai.com/v1`), within `limit`.
///
/// # Errors
/// Why there is no answer: an address that is none, no connection, no end in time.
pub async fn ask(
    request: &RecordedRequest,
    base_url: &str,
    api_key: Option<&str>,
    limit: Duration,
) -> Result<Answer, String> {
    let url = address(base_url, &request.wire.path)?;
    let asked = tokio::time::timeout(limit, exchange(request, &url, api_key));
    asked.await.map_err(|_| format!("{base_url} did not answer to the end within {}s", limit.as_secs()))?
}

/// The full address. Recorded paths begin with that of the base address, so it is not repeated.
fn address(base_url: &str, path: &str) -> Result<String, String> {
    let base =
        reqwest::Url::parse(base_url).ok().filter(|url| url.has_host() && url.scheme().starts_with("http"));
    let Some(base) = base else { return Err(format!("`{base_url}` is no http address")) };
    let prefix = base.path().trim_end_matches('/');
    let path = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    Ok(format!("{}{prefix}{path}", base.origin().ascii_serialization()))
}

async fn exchange(request: &RecordedRequest, url: &str, api_key: Option<&str>) -> Result<Answer, String> {
    let unreachable =
        |error: reqwest::Error| format!("the provider cannot be reached: {}", error.without_url());
    let client = Forwarder::new().map_err(unreachable)?;
    let mut headers: HeaderMap = request
        .headers
        .iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        })
        .collect();
    let body = match &request.wire.body {
        WireBody::Empty => Bytes::new(),
        WireBody::Json(value) => {
            headers.entry("content-type").or_insert(HeaderValue::from_static("application/json"));
            value.to_string().into()
        }
        WireBody::Raw(bytes) => bytes.clone(),
    };
    let method =
        request.wire.method.parse().map_err(|_| format!("no HTTP method: {}", request.wire.method))?;
    let sent = Instant::now();
    let response =
        client.send(method, url, outbound_headers(&headers, api_key), body).await.map_err(unreachable)?;
    let kept = response.headers().iter().filter(|(name, _)| keeps_response_header(name.as_str()));
    let headers = kept
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let status = response.status().as_u16();
    let (mut chunks, mut last, mut size, mut cut) = (Vec::new(), sent, 0, None);
    let mut stream = response.bytes_stream();
    while let Some(next) = stream.next().await {
        match next {
            Ok(bytes) => {
                size += bytes.len();
                if size > LARGEST_BODY {
                    return Err(format!("the answer is larger than {LARGEST_BODY} bytes"));
                }
                chunks.push(AnswerChunk { gap: last.elapsed(), bytes });
                last = Instant::now();
            }
            Err(error) => cut = Some(error.without_url().to_string()),
        }
    }
    let mut answer = Answer { status, headers, wait: Duration::ZERO, body: AnswerBody::Chunks(chunks), cut };
    if framing(&answer).is_none() {
        answer.body = AnswerBody::Whole(answer.bytes());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::chat;
    use super::*;

    #[test]
    fn the_base_path_is_not_repeated() {
        let cases = [
            ("http://h:1", "/v1/x", "http://h:1/v1/x"),
            ("http://h:1/v1/", "/v1/x?a=1", "http://h:1/v1/x?a=1"),
            ("https://h/v1", "/v10/x", "https://h/v1/v10/x"),
        ];
        for (base, path, expected) in cases {
            assert_eq!(address(base, path).as_deref(), Ok(expected));
        }
        assert!(address("ftp://h", "/x").is_err() && address("localhost:1", "/x").is_err());
    }

    #[tokio::test]
    async fn a_provider_is_asked_what_was_recorded() {
        let recording = chat("p", "x", &[]);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let echo = |headers: HeaderMap, body: String| async move {
            let key = headers["authorization"].to_str().unwrap().to_owned();
            axum::Json(serde_json::json!({"key": key, "body": body}))
        };
        let router = axum::Router::new().route("/v1/chat/completions", axum::routing::post(echo));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let answer = ask(&recording.request, &base, Some("k"), Duration::from_secs(60)).await.unwrap();
        server.abort();
        let value: serde_json::Value = serde_json::from_slice(&answer.bytes()).unwrap();
        let body = recording.request.wire.body.json().unwrap().to_string();
        assert_eq!((answer.status, value), (200, serde_json::json!({"key": "Bearer k", "body": body})));
        assert!(!answer.is_streaming());
    }
}
