//! MCP's HTTP+SSE transport of protocol version 2024-11-05: `GET /sse` answers with a stream whose first event names
//! the address to POST messages to, and whose other events are the server's messages.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, PollSender};

use super::tools::ToolSet;

/// Messages that may wait on either side of a session.
const WAITING: usize = 32;

type FromClient = mpsc::Sender<RxJsonRpcMessage<RoleServer>>;

/// The open sessions, by id.
#[derive(Clone)]
struct Sessions {
    tools: ToolSet,
    open: Arc<Mutex<HashMap<String, FromClient>>>,
    stop: CancellationToken,
}

/// The routes of the transport. All sessions end when `stop` is cancelled.
pub(super) fn router(tools: ToolSet, stop: CancellationToken) -> Router {
    let sessions = Sessions { tools, open: Arc::default(), stop };
    Router::new().route("/sse", get(open)).route("/messages/", post(message)).with_state(sessions)
}

/// Removes its session when the client's stream is gone, which ends the session's service.
struct Open {
    id: String,
    sessions: Sessions,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sessions.table().remove(&self.id);
    }
}

impl Sessions {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, FromClient>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(State(sessions): State<Sessions>) -> impl IntoResponse {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let (from_client, inbox) = mpsc::channel(WAITING);
    let (to_client, outbox) = mpsc::channel::<TxJsonRpcMessage<RoleServer>>(WAITING);
    sessions.table().insert(id.clone(), from_client);
    let (tools, stop) = (sessions.tools, sessions.stop.clone());
    tokio::spawn(async move {
        let transport = (PollSender::new(to_client), ReceiverStream::new(inbox));
        // A client that goes away before or after its handshake is no failure of the server.
        if let Ok(service) = rmcp::serve_server(tools, transport).await {
            let _ = service.waiting().await;
        }
    });
    let address = Event::default().event("endpoint").data(format!("/messages/?session_id={id}"));
    let guard = Open { id, sessions };
    let messages = ReceiverStream::new(outbox).filter_map(move |message| {
        // Held by the stream, so that it is dropped with it.
        let _ = &guard;
        let event = Event::default().event("message").json_data(&message).ok();
        std::future::ready(event)
    });
    Sse::new(endless(stream::iter([address]).chain(messages), stop)).keep_alive(KeepAlive::default())
}

fn endless(
    events: impl Stream<Item = Event>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    events.map(Ok).take_until(stop.cancelled_owned())
}

#[derive(serde::Deserialize)]
struct To {
    session_id: String,
}

async fn message(State(sessions): State<Sessions>, Query(to): Query<To>, body: String) -> impl IntoResponse {
    let session = sessions.table().get(&to.session_id).cloned();
    let Some(session) = session else { return (StatusCode::NOT_FOUND, "Could not find session") };
    let Ok(message) = serde_json::from_str(&body) else {
        return (StatusCode::BAD_REQUEST, "Could not parse message");
    };
    match session.send(message).await {
        Ok(()) => (StatusCode::ACCEPTED, "Accepted"),
        Err(_) => (StatusCode::GONE, "The session has ended"),
    }
}
