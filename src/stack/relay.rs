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
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use tokio::sync::mpsc;

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
    server_sent(stream::unfold(Stage::Opening(Box::pin(opening)), step))
}

fn server_sent(events: impl Stream<Item = String> + Send + 'static) -> Response {
    let bytes = events.map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    let mut response = Response::new(Body::from_stream(bytes));
    let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn data(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// How many events may be made ahead of their being read.
pub(crate) const AHEAD: usize = 16;

/// The answer to a streaming request whose handler writes events; an error of the handler is the last one. The
/// handler runs as the answer is read, and is dropped with it.
pub(crate) fn written<F>(handler: impl FnOnce(mpsc::Sender<Value>) -> F) -> Response
where
    F: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let (sender, events) = mpsc::channel(AHEAD);
    let handler: Handler = Box::pin(handler(sender));
    server_sent(stream::unfold(
        (Some(handler), events, None),
        |(mut handler, mut events, mut failure)| async {
            loop {
                let Some(running) = &mut handler else {
                    let left = events.recv().await.map(|event| data(&event));
                    let event = left.or_else(|| failure.take().map(|error: ApiError| error.event()))?;
                    return Some((event, (handler, events, failure)));
                };
                tokio::select! {
                    biased;
                    Some(event) = events.recv() => return Some((data(&event), (handler, events, failure))),
                    result = running => {
                        failure = result.err();
                        handler = None;
                    }
                }
            }
        },
    ))
}

type Handler = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>>;

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
        Ok(event) => Some((data(&event), Stage::Flowing(opened))),
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
