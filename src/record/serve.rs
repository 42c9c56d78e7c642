//! Answering one provider request: from a recording, or from the provider while recording it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::calls::{Arrival, CallLog, CallResult};
use super::connection::Breaker;
use super::damage::damage;
use super::faulty;
use super::forward::Forwarder;
use super::miss::Miss;
use super::pacing::{ReplaySpeed, paced, wait};
use super::prepare::Requests;
use super::recorder::Recorder;
use super::recording::{Answer, AnswerBody};
use super::redact::Scrubber;
use super::relay::{Exchange, flushed, forward};
use super::scope::ActiveTrials;
use super::spending::Spending;
use super::store::{Hit, Replay};

/// Bodies beyond this are refused (requests) or passed on without being recorded (answers). Bytes.
pub(crate) const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Status of a miss and of a refusal: outside what providers send, and still an error to every client.
pub(crate) const MISS_STATUS: u16 = 599;

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
    pub(crate) speed: ReplaySpeed,
    pub(crate) trials: Arc<ActiveTrials>,
    pub(crate) spending: Arc<Spending>,
    pub(crate) log: Arc<CallLog>,
    pub(crate) prepared: Requests,
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

/// Axum's entry point.
pub(crate) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let breaker = request.extensions().get::<ConnectInfo<Breaker>>().map(|info| info.0.clone());
    let exchange = match accept(&shared, request).await {
        Ok(exchange) => exchange,
        Err(refused) => return *refused,
    };
    let Some(fault) = exchange.arrival.fault.clone() else { return respond(&shared, exchange).await };
    let breaker = breaker.unwrap_or_default();
    if let Some(response) = faulty::instead(&shared, &exchange, &fault, &breaker).await {
        return response;
    }
    let arrival = exchange.arrival.clone();
    let response = respond(&shared, exchange).await;
    // Recordings were damaged on their way; what the provider said itself is recorded whole first.
    match response.extensions().get::<FromProvider>() {
        Some(FromProvider) if fault.damages() => faulty::damaged(&shared, &arrival, response, &fault).await,
        _ => response,
    }
}

/// Marks an answer that comes from the provider at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromProvider;

async fn respond(shared: &Arc<Shared>, exchange: Exchange) -> Response {
    match &shared.engine {
        Engine::Replay(replay) => {
            let replay = Arc::clone(replay);
            let (prepared, caller) = (exchange.prepared, exchange.arrival.caller.clone());
            let found = match replay.shelf().at_once(&prepared, &caller) {
                Ok(hit) => Ok(Ok(hit)),
                Err(chosen) => blocking(move || replay.shelf().get(&prepared, &caller, chosen)).await,
            };
            answer(shared, &exchange.arrival, found).await
        }
        Engine::Record { recorder, client, if_missing } => {
            let (store, caller, prepared) =
                (Arc::clone(recorder), exchange.arrival.caller.clone(), Arc::clone(&exchange.prepared));
            if caller.attempt.replays {
                let find = move || {
                    let chosen = store.shelf().choose(&prepared, &caller);
                    store.shelf().get(&prepared, &caller, chosen)
                };
                return answer(shared, &exchange.arrival, blocking(find).await).await;
            }
            if *if_missing {
                let find = move || store.shelf().find(&prepared, &caller).ok();
                if let Ok(Some(hit)) = blocking(find).await {
                    return answer(shared, &exchange.arrival, Ok(Ok(hit))).await;
                }
            }
            forward(shared, client, Some(recorder), exchange).await
        }
        Engine::Live { client } => forward(shared, client, None, exchange).await,
    }
}

/// Reads a request and works out whose it is and where it goes.
async fn accept(shared: &Shared, request: Request) -> Result<Exchange, Box<Response>> {
    let (at, since) = (jiff::Timestamp::now(), Instant::now());
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let (name, rest) = split_provider(target);
    let caller = shared.trials.resolve(&parts.headers);
    let method = parts.method.as_str().to_owned();
    let refuse = |status: StatusCode, kind: &str, reason: String| {
        let response = error(status, kind, &reason);
        let (provider, path) = (name.to_owned(), shared.scrubber.text(&rest));
        let arrival = Arrival {
            provider,
            method: method.clone(),
            path,
            body: None,
            caller: caller.clone(),
            at,
            since,
            fault: None,
        };
        shared.log.push(arrival.call(status.as_u16(), CallResult::Failed { reason }, None));
        Box::new(response)
    };
    let Some(provider) = shared.providers.iter().find(|provider| provider.name == name) else {
        let known: Vec<_> = shared.providers.iter().map(|provider| provider.name.as_str()).collect();
        let reason =
            format!("no provider `{name}` here; the first part of the path is one of: {}", known.join(", "));
        return Err(refuse(StatusCode::NOT_FOUND, "unknown_provider", reason));
    };
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        let reason = format!("the request body is cut off or larger than {LARGEST_BODY} bytes");
        return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", reason));
    };
    let path = format!("{}{rest}", provider.base_path);
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
    let parts_of_key = [provider.name.as_str(), method.as_str(), path.as_str()];
    let prepared = shared.prepared.prepare(&shared.scrubber, parts_of_key, content_type, &body);
    let arrival = Arrival {
        provider: provider.name.clone(),
        method: prepared.method.clone(),
        path: prepared.path.clone(),
        body: prepared.json(),
        fault: caller.attempt.faults.meet(&provider.name, &prepared.path),
        caller,
        at,
        since,
    };
    Ok(Exchange {
        arrival,
        prepared,
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
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// Answers from what a lookup found, and logs the call.
async fn answer(
    shared: &Shared,
    arrival: &Arrival,
    found: Result<Result<Hit, Box<Miss>>, String>,
) -> Response {
    let log = &shared.log;
    let damaging = arrival.fault.as_ref().filter(|fault| fault.damages());
    let found = found.and_then(|found| match (found, damaging) {
        (Ok(mut hit), Some(fault)) => damage(&mut hit.answer, &fault.effect)
            .map(|()| Ok(hit))
            .map_err(|reason| faulty::impossible(fault, &reason)),
        (found, _) => Ok(found),
    });
    match found {
        Ok(Ok(hit)) => {
            let tokens = hit.tokens;
            let result = CallResult::Hit {
                file: hit.file,
                normalisers: hit.normalisers,
                scope: hit.scope,
                recorded_at: hit.recorded_at,
            };
            log.push(arrival.call(hit.answer.status, result, tokens));
            replayed(hit.answer, arrival.since, shared.speed).await
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

/// The recorded answer to a request that came at `since`, in the recorded pieces.
pub(crate) async fn replayed(answer: Answer, since: Instant, speed: ReplaySpeed) -> Response {
    wait(answer.wait, since, speed).await;
    let cut = answer.cut.map(|reason| Err(std::io::Error::other(reason)));
    let body = match answer.body {
        AnswerBody::Whole(bytes) if cut.is_none() => Body::from(bytes),
        AnswerBody::Whole(bytes) => flushed(stream::iter([Ok(bytes)].into_iter().chain(cut))),
        AnswerBody::Chunks(chunks) => flushed(paced(chunks, since, speed).chain(stream::iter(cut))),
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

/// An error as OpenAI's clients understand it, marked as not worth a retry.
pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": kind}});
    (status, [("x-should-retry", "false")], axum::Json(body)).into_response()
}
