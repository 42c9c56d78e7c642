//! When a trial's requests were sent and their answers came: what a report draws as a waterfall. Bounded, since a trial
//! may poll for minutes and a stream may have thousands of chunks.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{Event, RequestTrace, Requests};
use super::exchange;
use crate::http::client::{Transport, TransportError};
use crate::http::{Chunk, Request, Response};
use crate::plan::trial::RequestPlan;
use crate::secret::Redactor;
use crate::source::Span;

/// Requests of one trial that are kept.
const MOST_REQUESTS: usize = 64;
/// Arrivals of one stream that are kept.
const MOST_ARRIVALS: usize = 100;
/// Media types whose chunks say something: others come in pieces only for their size.
const STREAMS: [&str; 3] = ["text/event-stream", "application/x-ndjson", "application/jsonl"];

/// Hears every exchange with the stack: keeps its timing for the trial's report, and tells of its answer where asked to.
#[derive(Debug, Default)]
pub struct ExchangeLog {
    listener: Option<(Sender<Event>, Redactor)>,
    trials: Mutex<BTreeMap<String, Attempt>>,
}

/// The attempt at a trial that is under way.
#[derive(Debug)]
struct Attempt {
    began: Instant,
    at: jiff::Timestamp,
    requests: Requests,
}

/// Whose request it is, and where it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub trial: &'a str,
    pub step: &'a Span,
    pub plan: &'a RequestPlan,
    pub timeout: Duration,
}

impl ExchangeLog {
    /// One that also sends [`Event::Exchanged`], without secrets.
    pub fn telling(listener: Sender<Event>, redactor: Redactor) -> Self {
        Self { listener: Some((listener, redactor)), trials: Mutex::default() }
    }

    /// An attempt begins; what an earlier one sent is forgotten.
    pub(super) fn begin(&self, trial: &str) {
        let attempt =
            Attempt { began: Instant::now(), at: jiff::Timestamp::now(), requests: Requests::default() };
        self.lock().insert(trial.to_owned(), attempt);
    }

    /// What the last attempt sent, and when it began; `None` where none did.
    pub(super) fn take(&self, trial: &str) -> (Requests, Option<jiff::Timestamp>) {
        let attempt = self.lock().remove(trial);
        attempt.map_or_else(Default::default, |attempt| (attempt.requests, Some(attempt.at)))
    }

    /// Sends a request of a trial; it is heard also when it fails or is given up.
    pub(super) async fn send(
        &self,
        transport: &Transport,
        request: &Request,
        asked: Asked<'_>,
    ) -> Result<Response, TransportError> {
        let mut sent = Sent::new(self, request, asked);
        let answer = transport.send_until(request, asked.timeout, asked.plan.abort_after).await;
        if let Ok(response) = &answer {
            sent.answered(response);
            exchange::tell(self.listener.as_ref(), asked, request, response);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Attempt>> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way. Its end is noted when this goes, since a trial that runs out of time drops its request.
struct Sent<'a> {
    log: &'a ExchangeLog,
    trial: &'a str,
    sent: Instant,
    trace: RequestTrace,
}

impl<'a> Sent<'a> {
    fn new(log: &'a ExchangeLog, request: &Request, asked: Asked<'a>) -> Self {
        let trace = RequestTrace {
            place: asked.step.file_line(),
            method: request.method.to_string(),
            path: request.path.clone(),
            ..RequestTrace::default()
        };
        Self { log, trial: asked.trial, sent: Instant::now(), trace }
    }

    fn answered(&mut self, response: &Response) {
        self.trace.status = Some(response.status.as_u16());
        self.trace.bytes = response.body.len();
        self.trace.first_byte = response.chunks.first().map(|chunk| chunk.at);
        if STREAMS.contains(&response.media_type().as_str()) {
            self.trace.chunks = response.chunks.len();
            self.trace.largest_gap = largest_gap(&response.chunks);
            self.trace.arrivals = thinned(&response.chunks);
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let mut trials = self.log.lock();
        let Some(attempt) = trials.get_mut(self.trial) else { return };
        if attempt.requests.traces.len() >= MOST_REQUESTS {
            attempt.requests.more += 1;
            return;
        }
        self.trace.at = self.sent.saturating_duration_since(attempt.began);
        self.trace.took = self.sent.elapsed();
        attempt.requests.traces.push(std::mem::take(&mut self.trace));
    }
}

fn largest_gap(chunks: &[Chunk]) -> Option<Duration> {
    chunks.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).max()
}

/// All arrivals, or as many as are kept: the first, the last, and evenly chosen ones between.
fn thinned(chunks: &[Chunk]) -> Vec<Duration> {
    if chunks.len() <= MOST_ARRIVALS {
        return chunks.iter().map(|chunk| chunk.at).collect();
    }
    let last = chunks.len() - 1;
    (0..MOST_ARRIVALS).map(|n| chunks[n * last / (MOST_ARRIVALS - 1)].at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use bytes::Bytes;

    use crate::plan::template::Template;
    use crate::plan::trial::BodyPlan;
    use crate::source::{Problems, SourceFile};

    fn chunks(at: impl IntoIterator<Item = u64>) -> Vec<Chunk> {
        at.into_iter().map(|ms| Chunk { end: 0, at: Duration::from_millis(ms) }).collect()
    }

    #[test]
    fn a_long_stream_is_thinned_and_keeps_both_ends() {
        let kept = thinned(&chunks(0..1_000));
        assert_eq!(kept.len(), MOST_ARRIVALS);
        assert_eq!((kept[0], kept[99]), (Duration::ZERO, Duration::from_millis(999)));
        assert_eq!(thinned(&chunks([1, 5])).len(), 2);
        assert_eq!(largest_gap(&chunks([1, 5, 7])), Some(Duration::from_millis(4)));
        assert_eq!(largest_gap(&chunks([1])), None);
    }

    /// Sends `/stream` and a request that is given up.
    async fn sends(log: &ExchangeLog, rounds: usize) {
        let stream = || async { ([("content-type", "text/event-stream")], "data: 1\n\n") };
        let router =
            Router::new().route("/stream", get(stream)).route("/never", get(std::future::pending::<()>));
        let transport = Transport::InProcess(router);
        let step = Span { file: SourceFile::inline("a.yaml", "x"), start: 0, end: 1 };
        for path in ["/stream", "/never"].into_iter().cycle().take(rounds) {
            let plan = RequestPlan {
                method: http::Method::GET,
                path: Template::text(path, &step, &mut Problems::default()),
                query: Vec::new(),
                headers: Vec::new(),
                body: BodyPlan::None,
                timeout: None,
                abort_after: None,
            };
            let asked = Asked { trial: "t", step: &step, plan: &plan, timeout: Duration::MAX };
            let request = Request {
                method: http::Method::GET,
                path: path.to_owned(),
                headers: http::HeaderMap::new(),
                body: Bytes::new(),
            };
            let sending = log.send(&transport, &request, asked);
            // Dropped where it does not end at once, as at a trial's time-out.
            _ = futures_util::FutureExt::now_or_never(sending);
        }
    }

    #[tokio::test]
    async fn requests_are_kept_with_their_answers_or_without() {
        let log = ExchangeLog::default();
        sends(&log, 1).await;
        assert_eq!(log.take("t").0, Requests::default(), "no attempt is under way");
        log.begin("t");
        sends(&log, 2).await;
        let (requests, at) = log.take("t");
        let shown: Vec<_> = requests
            .traces
            .iter()
            .map(|trace| (trace.path.as_str(), trace.status, trace.bytes, trace.chunks, trace.arrivals.len()))
            .collect();
        assert_eq!(shown, [("/stream", Some(200), 9, 1, 1), ("/never", None, 0, 0, 0)]);
        assert!(at.is_some() && requests.traces[0].place == "a.yaml:1");
    }

    #[tokio::test]
    async fn a_trial_that_polls_keeps_its_first_requests() {
        let log = ExchangeLog::default();
        log.begin("t");
        sends(&log, MOST_REQUESTS + 3).await;
        let (requests, _) = log.take("t");
        assert_eq!((requests.traces.len(), requests.more), (MOST_REQUESTS, 3));
    }
}
