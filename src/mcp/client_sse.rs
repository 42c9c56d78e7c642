//! The client's side of the HTTP+SSE transport of protocol version 2024-11-05, which the SDK no longer has: the first
//! event of a stream names the address to POST messages to, the others are the server's messages.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

use super::client::MESSAGE_LIMIT;
use super::client_error::ClientError;
use crate::http::sse::{Event, SseDecoder};

/// An open stream and the address to answer at.
pub(super) struct SseTransport {
    http: reqwest::Client,
    headers: HeaderMap,
    post_to: Url,
    events: Events,
}

impl SseTransport {
    /// Opens the stream and waits for its first event.
    pub(super) async fn open(
        http: reqwest::Client,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Self, ClientError> {
        let request = http.get(url.clone()).headers(headers.clone()).header(ACCEPT, "text/event-stream");
        let response = request.send().await.map_err(|error| ClientError::from_http(&error))?;
        if !response.status().is_success() {
            return Err(ClientError::from_status(response.status()));
        }
        let mut events = Events { response, decoder: SseDecoder::default(), since_event: 0 };
        while let Some(event) = events.next().await? {
            if event.event.as_deref() != Some("endpoint") {
                continue;
            }
            let post_to = url.join(&event.data).ok().filter(|post_to| post_to.origin() == url.origin());
            // Another server must not be sent the caller's credentials.
            let Some(post_to) = post_to else {
                return Err(ClientError::Failed(format!(
                    "the server wants messages at `{}`, which is not an address of its own",
                    event.data
                )));
            };
            return Ok(Self { http, headers, post_to, events });
        }
        Err(ClientError::Failed("the stream ended before its `endpoint` event".to_owned()))
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = ClientError;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), ClientError>> + Send + 'static {
        let request = self.http.post(self.post_to.clone()).headers(self.headers.clone()).json(&message);
        async move {
            let response = request.send().await.map_err(|error| ClientError::from_http(&error))?;
            if response.status().is_success() {
                Ok(())
            } else {
                Err(ClientError::from_status(response.status()))
            }
        }
    }

    /// `None` ends the session, and with it whatever waits for an answer.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        while let Ok(Some(event)) = self.events.next().await {
            if let Ok(message) = serde_json::from_str(&event.data) {
                return Some(message);
            }
        }
        None
    }

    async fn close(&mut self) -> Result<(), ClientError> {
        Ok(())
    }
}

struct Events {
    response: reqwest::Response,
    decoder: SseDecoder,
    since_event: usize,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            let event = self.decoder.next_event();
            if let Some(event) = event.map_err(|fault| ClientError::Failed(fault.to_string()))? {
                self.since_event = 0;
                return Ok(Some(event));
            }
            let chunk = self.response.chunk().await.map_err(|error| ClientError::from_http(&error))?;
            let Some(chunk) = chunk else { return Ok(None) };
            self.since_event += chunk.len();
            if self.since_event > MESSAGE_LIMIT {
                return Err(ClientError::Failed(format!("an event is larger than {MESSAGE_LIMIT} bytes")));
            }
            self.decoder.push(&chunk, Duration::ZERO);
        }
    }
}
