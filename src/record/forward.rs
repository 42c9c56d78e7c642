//! Sending a request on to its provider. The only outbound client of this module; a replaying proxy has none.

use axum::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;

use super::scope::{CREDENTIAL_HEADERS, is_trial_credential};

/// Headers that concern one connection and are never passed on (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An HTTP client that changes nothing: no redirects, no decompression, no proxy from the environment.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    client: reqwest::Client,
}

impl Forwarder {
    pub(crate) fn new() -> reqwest::Result<Self> {
        let client = crate::http::tls::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client })
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> reqwest::Result<reqwest::Response> {
        self.client.request(method, url).headers(headers).body(body).send().await
    }
}

/// The headers that go to the provider: without those of the connection, with the real key in the place of a trial's tag.
pub(crate) fn outbound_headers(incoming: &HeaderMap, api_key: Option<&str>) -> HeaderMap {
    let mut headers = end_to_end(incoming);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    // What is recorded must be readable and replayable to any client.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let tagged =
        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).is_some_and(is_trial_credential);
    for name in CREDENTIAL_HEADERS.into_iter().filter(|name| tagged(name)).collect::<Vec<_>>() {
        headers.remove(name);
        let value = if name == AUTHORIZATION.as_str() {
            api_key.map(|key| format!("Bearer {key}"))
        } else {
            api_key.map(str::to_owned)
        };
        insert_secret(&mut headers, HeaderName::from_static(name), value);
    }
    let has_credential =
        CREDENTIAL_HEADERS.iter().any(|name| *name != "authorization" && headers.contains_key(*name));
    if api_key.is_some() && !has_credential {
        insert_secret(&mut headers, AUTHORIZATION, api_key.map(|key| format!("Bearer {key}")));
    }
    headers
}

fn insert_secret(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(Ok(mut value)) = value.map(|value| HeaderValue::from_str(&value)) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// All headers but those of the connection, which `connection` may add to.
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let stays = |name: &HeaderName| {
        !HOP_BY_HOP.contains(&name.as_str()) && !named.iter().any(|other| other == name.as_str())
    };
    headers
        .iter()
        .filter(|(name, _)| stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::scope::trial_api_key;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn sent(pairs: &[(&'static str, &str)], api_key: Option<&str>) -> String {
        let headers = outbound_headers(&headers(pairs), api_key);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.join(" ")
    }

    #[test]
    fn connection_headers_stay_behind() {
        let incoming = [
            ("connection", "keep-alive, x-mine"),
            ("x-mine", "1"),
            ("host", "127.0.0.1"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "gzip"),
            ("x-other", "2"),
        ];
        assert_eq!(sent(&incoming, None), "accept-encoding=identity x-other=2");
    }

    #[test]
    fn a_trials_tag_never_reaches_a_provider() {
        let tag = trial_api_key("a");
        let bearer = format!("Bearer {tag}");
        assert_eq!(sent(&[("authorization", &bearer)], None), "accept-encoding=identity");
        assert_eq!(
            sent(&[("authorization", &bearer)], Some("real")),
            "accept-encoding=identity authorization=Bearer real"
        );
        assert_eq!(sent(&[("x-api-key", &tag)], Some("real")), "accept-encoding=identity x-api-key=real");
        assert_eq!(
            sent(&[("authorization", "Bearer dummy")], Some("real")),
            "accept-encoding=identity authorization=Bearer real"
        );
        assert_eq!(
            sent(&[("authorization", "Bearer own")], None),
            "accept-encoding=identity authorization=Bearer own"
        );
    }
}
