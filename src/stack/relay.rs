//! Passing a provider's stream on: each event reshaped as it comes, failures as a last event.
//!
//! When the client goes away the response body is dropped, and with it the provider's stream; whatever was
//! gathered until then is stored, as upstream does.

use super::assemble::Assembler;
use super::errors::ApiError;
use super::events::Events;
use super::shapes::{Shape, shaped};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;

/// A provider's stream that has begun.
pub(crate) struct Opened {
    pub(crate) events: Events,
    pub(crate) shape: &'static Shape,
    /// Replaces the id of every event.
    pub(crate) id: Option<String>,
    /// Gathers what is to be stored.
    pub(crate) assembler: Option<Assembler>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Opened, ApiError>> + Send>>;

enum Stage {
    Opening(Opening),
    Flowing(Box<Opened>),
    Done,
}

/// The answer to a streaming request. It is 200 whatever happens: the status goes out before the handler runs.
pub(crate) fn respond(opening: impl Future<Output = Result<Opened, ApiError>> + Send + 'static) -> Response {
    let events = stream::unfold(Stage::Opening(Box::pin(opening)), |stage| async {
        let (event, stage) = step(stage).await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), stage))
    });
    let mut response = Response::new(Body::from_stream(events));
    let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The next event and what follows it; nothing at the end.
async fn step(stage: Stage) -> Option<(String, Stage)> {
    let mut opened = match stage {
        Stage::Opening(opening) => match opening.await {
            Ok(opened) => Box::new(opened),
            Err(error) => return Some((error.event(), Stage::Done)),
        },
        Stage::Flowing(opened) => opened,
        Stage::Done => return None,
    };
    match opened.next().await? {
        Ok(event) => Some((format!("data: {event}\n\n"), Stage::Flowing(opened))),
        Err(error) => Some((error.event(), Stage::Done)),
    }
}

impl Opened {
    /// The next event as the client gets it; nothing at the end. No event follows an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Value, ApiError>> {
        let event = self.events.next().await?;
        Some(event.map(|event| self.passed(event)))
    }

    fn passed(&mut self, event: Value) -> Value {
        let mut event = shaped(self.shape, event);
        if let (Some(id), Some(map)) = (&self.id, event.as_object_mut()) {
            map.insert("id".into(), id.as_str().into());
        }
        if let Some(assembler) = &mut self.assembler {
            assembler.add(&event);
        }
        event
    }
}
