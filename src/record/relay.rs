//! Passing a request on to its provider, and the answer back chunk by chunk, while keeping what is to be recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::calls::{Arrival, CallResult, InFlight, tokens_in};
use super::forward::{Forwarder, end_to_end, outbound_headers};
use super::key::{BOUNDARY, multipart_boundary};
use super::prepare::Prepared;
use super::recorder::Recorder;
use super::recording::{Answer, AnswerBody, AnswerChunk, Meta, RecordedRequest, Recording};
use super::redact::{keeps_request_header, keeps_response_header};
use super::scope::Caller;
use super::serve::{FromProvider, LARGEST_BODY, MISS_STATUS, Shared, blocking, error};
use super::spending::Ticket;

/// Chunks of an answer that may wait for a slow client.
const CHUNKS_AHEAD: usize = 256;

/// How long a provider may keep a connection open after `[DONE]` when nobody listens any more.
const AFTER_DONE: Duration = Duration::from_millis(500);

/// Media types whose pieces mean something: they are kept apart.
const STREAMS: [&str; 4] =
    ["text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json"];

/// A request on its way: everything that answering it needs.
pub(crate) struct Exchange {
    pub(crate) arrival: Arrival,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) url: String,
    pub(crate) method: Method,
    /// As they came from the stack.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) api_key: Option<String>,
}

/// Sends the request on. A task of its own carries it to the end, so a client that goes away loses no recording.
pub(crate) async fn forward(
    shared: &Arc<Shared>,
    client: &Forwarder,
    recorder: Option<&Arc<Recorder>>,
    exchange: Exchange,
) -> Response {
    let arrival = &exchange.arrival;
    let body = arrival.body.as_deref();
    let admitted = shared
        .spending
        .admit(&arrival.provider, &arrival.method, &arrival.path, body, exchange.body.len())
        .await;
    let ticket = match admitted {
        Ok(ticket) => ticket,
        Err(over) => {
            let reason = over.to_string();
            let status = StatusCode::from_u16(MISS_STATUS).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let response = error(status, "over_budget", &reason);
            shared.log.push(arrival.call(status.as_u16(), CallResult::OverBudget { reason }, None));
            return response;
        }
    };
    let (head, response) = oneshot::channel();
    let job = Forwarding {
        shared: Arc::clone(shared),
        client: client.clone(),
        recorder: recorder.cloned(),
        exchange,
        ticket,
        in_flight: shared.log.begin(),
    };
    tokio::spawn(job.run(head));
    let lost = |_| error(StatusCode::BAD_GATEWAY, "runner_proxy", "the forwarding task ended early");
    response.await.unwrap_or_else(lost)
}

struct Forwarding {
    shared: Arc<Shared>,
    client: Forwarder,
    recorder: Option<Arc<Recorder>>,
    exchange: Exchange,
    ticket: Ticket,
    in_flight: InFlight,
}

/// An answer as it was drained.
struct Drained {
    chunks: Vec<AnswerChunk>,
    cut: Option<String>,
    /// More than [`LARGEST_BODY`], so `chunks` is not all of it.
    too_large: bool,
}

impl Forwarding {
    async fn run(self, head: oneshot::Sender<Response>) {
        let exchange = &self.exchange;
        let headers = outbound_headers(&exchange.headers, exchange.api_key.as_deref());
        tokio::time::sleep_until(self.ticket.from.into()).await;
        let sent = Instant::now();
        let sending =
            self.client.send(exchange.method.clone(), &exchange.url, headers, exchange.body.clone());
        let upstream = match sending.await {
            Ok(upstream) => upstream,
            Err(source) => {
                let reason =
                    self.shared.scrubber.text(&unreachable_reason(&exchange.arrival.provider, &source));
                let status = StatusCode::BAD_GATEWAY;
                let response = error(status, "provider_unreachable", &reason);
                let result = CallResult::Failed { reason };
                self.shared.log.push(exchange.arrival.call(status.as_u16(), result, None));
                // The stack may be gone, which is its business.
                let _ = head.send(response);
                return;
            }
        };
        let status = upstream.status();
        let headers = end_to_end(upstream.headers());
        let (to_client, from_us) = mpsc::channel(CHUNKS_AHEAD);
        let mut response = Response::new(flushed(ReceiverStream::new(from_us)));
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        response.extensions_mut().insert(FromProvider);
        // Without a body, the head is the end.
        let is_whole = upstream.content_length() == Some(0) || status == StatusCode::NO_CONTENT;
        let mut head = Some((head, response));
        if !is_whole && let Some((head, response)) = head.take() {
            let _ = head.send(response);
        }
        let (drained, end) = drain(upstream, &to_client, sent).await;
        self.finish(status, &headers, drained).await;
        if let Some((head, response)) = head {
            let _ = head.send(response);
        }
        if let Some(end) = end {
            let _ = to_client.send(end).await;
        }
    }

    /// Records and logs a call whose answer has ended.
    async fn finish(self, status: StatusCode, headers: &HeaderMap, drained: Drained) {
        let Self { shared, recorder, exchange, ticket, in_flight, .. } = self;
        let arrival = &exchange.arrival;
        let answer = assemble(status, headers, drained.chunks, drained.cut);
        let tokens = tokens_in(&answer.bytes());
        ticket.close(tokens, status.is_success());
        let result = match recorder {
            None => CallResult::Forwarded,
            Some(_) if drained.too_large => CallResult::Failed {
                reason: format!("not recorded: the answer is larger than {LARGEST_BODY} bytes"),
            },
            Some(recorder) => {
                let headers = exchange.headers.iter().filter(|(name, _)| keeps_request_header(name.as_str()));
                let recording = Recording {
                    request: RecordedRequest {
                        wire: exchange.prepared.wire(),
                        url: exchange.url,
                        headers: without_boundary(texts(headers)),
                    },
                    answer,
                    meta: Meta::now(shared.setup.clone()),
                };
                store(recorder, recording, arrival.caller.clone()).await
            }
        };
        shared.log.push(arrival.call(status.as_u16(), result, tokens));
        drop(in_flight);
    }
}

async fn store(recorder: Arc<Recorder>, recording: Recording, caller: Caller) -> CallResult {
    match blocking(move || recorder.put(recording, &caller)).await {
        Ok(Ok(file)) => CallResult::Recorded { file },
        Ok(Err(error)) => CallResult::Failed { reason: error.to_string() },
        Err(reason) => CallResult::Failed { reason },
    }
}

type Passed = Result<Bytes, std::io::Error>;

/// Reads an answer to its end, passing each chunk on as it comes, for as long as somebody wants it.
///
/// What tells the client that the answer is complete is returned instead of being passed on: the chunk that fills the
/// announced length, or the break. A client that has seen the end can then rely on the recording: it is stored first.
/// Where no length is announced, closing the channel is what tells.
async fn drain(
    upstream: reqwest::Response,
    to_client: &mpsc::Sender<Passed>,
    sent: Instant,
) -> (Drained, Option<Passed>) {
    let announced = upstream.content_length();
    let mut end = None;
    let mut drained = Drained { chunks: Vec::new(), cut: None, too_large: false };
    let (mut last, mut size) = (sent, 0);
    let mut stream = upstream.bytes_stream();
    let mut tail = Tail::default();
    while let Some(next) = following(&mut stream, to_client, tail.is_done()).await {
        let now = Instant::now();
        match next {
            Ok(bytes) => {
                size += bytes.len();
                drained.too_large |= size > LARGEST_BODY;
                if !drained.too_large {
                    let gap = micros(now.duration_since(last));
                    drained.chunks.push(AnswerChunk { gap, bytes: bytes.clone() });
                }
                tail.push(&bytes);
                if announced == Some(size as u64) {
                    end = Some(Ok(bytes));
                } else {
                    let _ = to_client.send(Ok(bytes)).await;
                }
            }
            Err(source) => {
                let reason = without_url(&source);
                end = Some(Err(std::io::Error::other(reason.clone())));
                drained.cut = Some(reason);
                break;
            }
        }
        last = now;
    }
    (drained, end)
}

/// The next piece. A client that leaves after `[DONE]` has all there is, and many do; a provider that keeps the
/// connection open all the same must not keep the recording.
async fn following<S: Stream + Unpin>(
    stream: &mut S,
    to_client: &mpsc::Sender<Result<Bytes, std::io::Error>>,
    done: bool,
) -> Option<S::Item> {
    if !done {
        return stream.next().await;
    }
    tokio::select! {
        biased;
        next = stream.next() => next,
        () = to_client.closed() => tokio::time::timeout(AFTER_DONE, stream.next()).await.ok().flatten(),
    }
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        const KEPT: usize = 16;
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
        self.0.drain(..self.0.len().saturating_sub(KEPT));
    }

    /// Whether the stream said that it is over, as OpenAI's do.
    fn is_done(&self) -> bool {
        self.0.trim_ascii_end().ends_with(b"[DONE]")
    }
}

/// Whole microseconds, as files keep them.
fn micros(gap: Duration) -> Duration {
    Duration::from_micros(u64::try_from(gap.as_micros()).unwrap_or(u64::MAX))
}

/// The answer to store: in chunks when it was a stream, in one piece otherwise.
fn assemble(
    status: StatusCode,
    headers: &HeaderMap,
    chunks: Vec<AnswerChunk>,
    cut: Option<String>,
) -> Answer {
    let kept = texts(headers.iter().filter(|(name, _)| keeps_response_header(name.as_str())));
    let content_type = kept.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    // Where JSON or a body of known length is split is the transport's accident.
    let in_pieces = chunks.len() > 1 && !is_json && !headers.contains_key(CONTENT_LENGTH);
    let is_stream = STREAMS.contains(&media_type.as_str()) || in_pieces;
    let wait = if is_stream { Duration::ZERO } else { chunks.iter().map(|chunk| chunk.gap).sum() };
    let body = AnswerBody::Chunks(chunks);
    let mut answer = Answer { status: status.as_u16(), headers: kept, wait, body, cut };
    if !is_stream {
        answer.body = AnswerBody::Whole(answer.bytes());
    }
    answer
}

/// The headers with the boundary that the recorded body has, in the place of the random one.
fn without_boundary(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    for (_, value) in headers.iter_mut().filter(|(name, _)| name == "content-type") {
        if let Some(boundary) = multipart_boundary(value) {
            *value = value.replace(boundary, BOUNDARY);
        }
    }
    headers
}

pub(crate) fn texts<'a>(
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Vec<(String, String)> {
    headers
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn unreachable_reason(provider: &str, source: &reqwest::Error) -> String {
    format!(
        "provider {provider} cannot be reached: {}; is it running, and is its address right?",
        with_causes(source)
    )
}

fn without_url(source: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = source;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

fn with_causes(source: &reqwest::Error) -> String {
    format!("{source}: {}", without_url(source))
}

/// A body from `chunks`, each written out before the next: the server flushes when a body has nothing ready. An error
/// breaks the connection, and the server would drop what it still holds then.
pub(crate) fn flushed(chunks: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Body {
    Body::from_stream(chunks.enumerate().then(|(number, chunk)| async move {
        if number > 0 || chunk.is_err() {
            tokio::task::yield_now().await;
        }
        chunk
    }))
}
