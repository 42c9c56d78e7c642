//! Answering a call that a declared fault meets.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::StreamExt;

use super::calls::{Arrival, CallResult};
use super::connection::Breaker;
use super::damage::damage;
use super::fault::{Effect, Fault};
use super::pacing::ReplaySpeed;
use super::recording::{Answer, AnswerBody, AnswerChunk};
use super::relay::{Exchange, texts};
use super::serve::{Shared, error, replayed};

/// Lets the fault's delay pass, and gives the answer that stands in the place of the provider's, if there is one.
pub(crate) async fn instead(
    shared: &Shared,
    exchange: &Exchange,
    fault: &Fault,
    breaker: &Breaker,
) -> Option<Response> {
    if !fault.delay.is_zero() {
        tokio::time::sleep(fault.delay).await;
    }
    let (response, status) = match &fault.effect {
        Effect::Status { code, retry_after, should_retry } => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (refusal(status, *retry_after, *should_retry), *code)
        }
        Effect::Refused => {
            breaker.trip();
            // Never written: the connection is reset instead.
            (Response::new(Body::empty()), 0)
        }
        Effect::Delayed | Effect::CutAfterEvents(_) | Effect::MalformedEvent(_) => return None,
    };
    shared.log.push(exchange.arrival.call(status, CallResult::Faulted, None));
    Some(response)
}

/// An error as a provider would send it.
fn refusal(status: StatusCode, retry_after: Option<Duration>, should_retry: Option<bool>) -> Response {
    let reason = status.canonical_reason().unwrap_or("error");
    let message = format!("{reason} (a fault that the test case declares)");
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let kind = if status == StatusCode::TOO_MANY_REQUESTS { "rate_limit_exceeded" } else { kind };
    let mut response = error(status, kind, &message);
    let headers = response.headers_mut();
    headers.remove("x-should-retry");
    if let Some(retry) = should_retry {
        let value = HeaderValue::from_static(if retry { "true" } else { "false" });
        headers.insert("x-should-retry", value);
    }
    if let Some(after) = retry_after {
        // Whole seconds are all that the standard header can say.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert("retry-after", HeaderValue::from(seconds));
        let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        headers.insert("retry-after-ms", HeaderValue::from(milliseconds));
    }
    response
}

/// The provider's own answer, damaged after it was recorded whole.
pub(crate) async fn damaged(
    shared: &Shared,
    arrival: &Arrival,
    response: Response,
    fault: &Fault,
) -> Response {
    let (parts, body) = response.into_parts();
    let mut answer = Answer {
        status: parts.status.as_u16(),
        headers: texts(without_length(&parts.headers).iter()),
        wait: Duration::ZERO,
        body: AnswerBody::Chunks(Vec::new()),
        cut: None,
    };
    let mut chunks = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(next) = stream.next().await {
        match next {
            Ok(bytes) => chunks.push(AnswerChunk { gap: Duration::ZERO, bytes }),
            Err(source) => {
                answer.cut = Some(source.to_string());
                break;
            }
        }
    }
    answer.body = AnswerBody::Chunks(chunks);
    match damage(&mut answer, &fault.effect) {
        Ok(()) => replayed(answer, arrival.since, ReplaySpeed::FAST).await,
        Err(reason) => {
            let reason = impossible(fault, &reason);
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let response = error(status, "runner_proxy", &reason);
            shared.log.push(arrival.call(status.as_u16(), CallResult::Failed { reason }, None));
            response
        }
    }
}

/// Says that an answer is not such that a fault can happen to it.
pub(crate) fn impossible(fault: &Fault, reason: &str) -> String {
    format!("the declared fault ({fault}) cannot happen: {reason}")
}

/// The length of what is damaged is another one.
fn without_length(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(HeaderName::from_static("content-length"));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let response = refusal(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_millis(1200)), Some(false));
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let sent = ["retry-after", "retry-after-ms", "x-should-retry"].map(header);
        assert_eq!((response.status().as_u16(), sent), (429, ["2", "1200", "false"].map(str::to_owned)));
        assert!(!refusal(StatusCode::BAD_GATEWAY, None, None).headers().contains_key("x-should-retry"));
    }
}
