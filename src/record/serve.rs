//! Answering one provider request: from a recording, or from the provider while recording it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::calls::{Arrival, CallLog, CallResult, InFlight, tokens_in};
use super::forward::{Forwarder, end_to_end, outbound_headers};
use super::key::{WireBody, WireRequest};
use super::miss::Miss;
use super::recording::{Answer, AnswerBody, AnswerChunk, Meta, RecordedRequest, Recording};
use super::redact::{Scrubber, keeps_request_header, keeps_response_header};
use super::scope::{ActiveTrials, Caller};
use super::store::{Hit, Recorder, Replay};

/// Bodies beyond this are refused (requests) or passed on without being recorded (answers). Bytes.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Chunks of an answer that may wait for a slow client.
const CHUNKS_AHEAD: usize = 256;

/// Status of a miss: outside what providers send, and still an error to every client.
const MISS_STATUS: u16 = 599;

/// Where answers come from. Replaying holds no client, so it cannot reach a provider.
#[derive(Debug)]
pub(crate) enum Engine {
    Replay(Arc<Replay>),
    Record { recorder: Arc<Recorder>, client: Forwarder, if_missing: bool },
    Live { client: Forwarder },
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) providers: Vec<Upstream>,
    pub(crate) scrubber: Scrubber,
    pub(crate) setup: Option<String>,
    pub(crate) trials: Arc<ActiveTrials>,
    pub(crate) log: Arc<CallLog>,
}

/// A provider's address, taken apart.
pub(crate) struct Upstream {
    pub(crate) name: String,
    /// Scheme and host.
    origin: String,
    /// Path of the base address without a final slash.
    base_path: String,
    api_key: Option<String>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}{}", self.name, self.origin, self.base_path)
    }
}

impl Upstream {
    /// `None` when `base_url` is no http address.
    pub(crate) fn new(name: &str, base_url: &str, api_key: Option<String>) -> Option<Self> {
        let url = reqwest::Url::parse(base_url).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            origin: url.origin().ascii_serialization(),
            base_path: url.path().trim_end_matches('/').to_owned(),
            api_key,
        })
    }
}

/// A request on its way: everything that answering it needs.
struct Exchange {
    arrival: Arrival,
    wire: WireRequest,
    url: String,
    method: Method,
    /// As they came from the stack.
    headers: HeaderMap,
    body: Bytes,
    api_key: Option<String>,
}

/// Axum's entry point.
pub(crate) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let exchange = match accept(&shared, request).await {
        Ok(exchange) => exchange,
        Err(refused) => return *refused,
    };
    match &shared.engine {
        Engine::Replay(replay) => {
            let replay = Arc::clone(replay);
            let caller = exchange.arrival.caller.clone();
            let wire = exchange.wire;
            let found = blocking(move || replay.get(&wire, &caller)).await;
            answer(&shared.log, &exchange.arrival, found)
        }
        Engine::Record { recorder, client, if_missing } => {
            if *if_missing {
                let (store, caller, wire) =
                    (Arc::clone(recorder), exchange.arrival.caller.clone(), exchange.wire.clone());
                if let Ok(Ok(hit)) = blocking(move || store.get(&wire, &caller)).await {
                    return answer(&shared.log, &exchange.arrival, Ok(Ok(hit)));
                }
            }
            forward(&shared, client, Some(recorder), exchange).await
        }
        Engine::Live { client } => forward(&shared, client, None, exchange).await,
    }
}

/// Reads a request and works out whose it is and where it goes.
async fn accept(shared: &Shared, request: Request) -> Result<Exchange, Box<Response>> {
    let (at, since) = (jiff::Timestamp::now(), Instant::now());
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let (name, rest) = split_provider(target);
    let Some(provider) = shared.providers.iter().find(|provider| provider.name == name) else {
        let known: Vec<_> = shared.providers.iter().map(|provider| provider.name.as_str()).collect();
        let message =
            format!("no provider `{name}` here; the first part of the path is one of: {}", known.join(", "));
        return Err(Box::new(error(StatusCode::NOT_FOUND, "unknown_provider", &message)));
    };
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        let message = format!("the request body is cut off or larger than {LARGEST_BODY} bytes");
        return Err(Box::new(error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &message)));
    };
    let path = format!("{}{rest}", provider.base_path);
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
    let mut wire = WireRequest {
        provider: provider.name.clone(),
        method: parts.method.as_str().to_owned(),
        path: path.clone(),
        body: WireBody::decode(content_type, body.clone()),
    };
    shared.scrubber.request(&mut wire);
    let arrival = Arrival {
        provider: provider.name.clone(),
        method: wire.method.clone(),
        path: wire.path.clone(),
        body: wire.body.json().cloned(),
        caller: shared.trials.resolve(&parts.headers),
        at,
        since,
    };
    Ok(Exchange {
        arrival,
        wire,
        url: format!("{}{path}", provider.origin),
        method: parts.method,
        headers: parts.headers,
        body,
        api_key: provider.api_key.clone(),
    })
}

/// `/name/rest?query` as `name` and `/rest?query`.
fn split_provider(target: &str) -> (&str, String) {
    let target = target.strip_prefix('/').unwrap_or(target);
    let end = target.find(['/', '?']).unwrap_or(target.len());
    let (name, rest) = target.split_at(end);
    (name, if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
}

/// Runs file access where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// Answers from what a lookup found, and logs the call.
fn answer(log: &CallLog, arrival: &Arrival, found: Result<Result<Hit, Box<Miss>>, String>) -> Response {
    match found {
        Ok(Ok(hit)) => {
            let tokens = tokens_in(&hit.answer.bytes());
            let result = CallResult::Hit { file: hit.file, normalisers: hit.normalisers, scope: hit.scope };
            log.push(arrival.call(hit.answer.status, result, tokens));
            replayed(hit.answer)
        }
        Ok(Err(miss)) => {
            let message = miss.to_string();
            log.push(arrival.call(MISS_STATUS, CallResult::Miss(miss), None));
            let status = StatusCode::from_u16(MISS_STATUS).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            error(status, "replay_miss", &message)
        }
        Err(reason) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let response = error(status, "runner_proxy", &reason);
            log.push(arrival.call(status.as_u16(), CallResult::Failed { reason }, None));
            response
        }
    }
}

/// The recorded answer, in the recorded pieces.
fn replayed(answer: Answer) -> Response {
    let body = match answer.body {
        AnswerBody::Whole(bytes) if answer.cut.is_none() => Body::from(bytes),
        AnswerBody::Whole(bytes) => pieces(vec![bytes], answer.cut),
        AnswerBody::Chunks(chunks) => {
            pieces(chunks.into_iter().map(|chunk| chunk.bytes).collect(), answer.cut)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A body in these pieces; with a `cut`, the connection breaks after the last.
fn pieces(chunks: Vec<Bytes>, cut: Option<String>) -> Body {
    let end = cut.map(|reason| Err(std::io::Error::other(reason)));
    flushed(stream::iter(chunks.into_iter().map(Ok).chain(end)))
}

/// A body from `chunks`, in which an error breaks the connection only after what came before it was written out: the
/// server flushes when a body has nothing ready, and drops what it holds when a body fails.
fn flushed(chunks: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Body {
    Body::from_stream(chunks.then(|chunk| async move {
        if chunk.is_err() {
            tokio::task::yield_now().await;
        }
        chunk
    }))
}

/// An error as OpenAI's clients understand it, marked as not worth a retry.
fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": kind}});
    (status, [("x-should-retry", "false")], axum::Json(body)).into_response()
}

/// Sends the request on. A task of its own carries it to the end, so a client that goes away loses no recording.
async fn forward(
    shared: &Arc<Shared>,
    client: &Forwarder,
    recorder: Option<&Arc<Recorder>>,
    exchange: Exchange,
) -> Response {
    let (head, response) = oneshot::channel();
    let job = Forwarding {
        shared: Arc::clone(shared),
        client: client.clone(),
        recorder: recorder.cloned(),
        exchange,
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
        let _ = head.send(response);
        let drained = drain(upstream, to_client, sent).await;
        self.finish(status, &headers, drained).await;
    }

    /// Records and logs a call whose answer has ended.
    async fn finish(self, status: StatusCode, headers: &HeaderMap, drained: Drained) {
        let Self { shared, recorder, exchange, in_flight, .. } = self;
        let arrival = &exchange.arrival;
        let answer = assemble(status, headers, drained.chunks, drained.cut);
        let tokens = tokens_in(&answer.bytes());
        let result = match recorder {
            None => CallResult::Forwarded,
            Some(_) if drained.too_large => CallResult::Failed {
                reason: format!("not recorded: the answer is larger than {LARGEST_BODY} bytes"),
            },
            Some(recorder) => {
                let headers = exchange.headers.iter().filter(|(name, _)| keeps_request_header(name.as_str()));
                let recording = Recording {
                    request: RecordedRequest {
                        wire: exchange.wire,
                        url: exchange.url,
                        headers: texts(headers),
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

/// Reads an answer to its end, passing each chunk on as it comes, for as long as somebody wants it.
async fn drain(
    upstream: reqwest::Response,
    to_client: mpsc::Sender<Result<Bytes, std::io::Error>>,
    sent: Instant,
) -> Drained {
    let mut drained = Drained { chunks: Vec::new(), cut: None, too_large: false };
    let (mut last, mut size) = (sent, 0);
    let mut stream = upstream.bytes_stream();
    while let Some(next) = stream.next().await {
        let now = Instant::now();
        match next {
            Ok(bytes) => {
                size += bytes.len();
                drained.too_large |= size > LARGEST_BODY;
                if !drained.too_large {
                    let gap = micros(now.duration_since(last));
                    drained.chunks.push(AnswerChunk { gap, bytes: bytes.clone() });
                }
                let _ = to_client.send(Ok(bytes)).await;
            }
            Err(source) => {
                let reason = without_url(&source);
                let _ = to_client.send(Err(std::io::Error::other(reason.clone()))).await;
                drained.cut = Some(reason);
                break;
            }
        }
        last = now;
    }
    drained
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
    let streams =
        ["text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json"];
    let body = AnswerBody::Chunks(chunks);
    let mut answer = Answer { status: status.as_u16(), headers: kept, body, cut };
    if !streams.contains(&media_type.as_str()) {
        answer.body = AnswerBody::Whole(answer.bytes());
    }
    answer
}

fn texts<'a>(headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Vec<(String, String)> {
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
