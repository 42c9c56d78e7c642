//! JSON Lines: one event a line, versioned; the source of truth that other reports can be made from.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::exec::event::{
    Event, Failure, Price, ProviderUse, RequestTrace, RunInfo, ShardInfo, Summary, TrialReport,
};
use crate::exec::review::Review;

/// Version of the lines' shape; it grows when a key changes its meaning.
pub(crate) const FORMAT: u32 = 1;

/// What the first line of exchanges says that its file holds.
pub(crate) const EXCHANGES: &str = "exchanges";

/// Which events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// What became of trials and their steps.
    Trials,
    /// What each answer of the stack was made of.
    Exchanges,
}

/// Writes each event as it comes, flushed, so that a killed run leaves what it knew.
#[derive(Debug)]
pub struct Jsonl<W: Write> {
    out: W,
    lines: Lines,
}

impl<W: Write> Jsonl<W> {
    pub fn new(out: W, lines: Lines) -> Self {
        Self { out, lines }
    }

    pub fn lines(&self) -> Lines {
        self.lines
    }

    pub fn on(&mut self, event: &Event) -> std::io::Result<()> {
        let wanted = match event {
            Event::RunStarted(_) => true,
            Event::Exchanged(_) => self.lines == Lines::Exchanges,
            _ => self.lines == Lines::Trials,
        };
        if !wanted {
            return Ok(());
        }
        let mut line = line(event);
        if self.lines == Lines::Exchanges && matches!(event, Event::RunStarted(_)) {
            line["lines"] = EXCHANGES.into();
        }
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }
}

fn line(event: &Event) -> Value {
    match event {
        Event::RunStarted(info) => run_started(info),
        Event::TrialStarted { id } => json!({"event": "trial_started", "id": id}),
        Event::StepFinished { id, step, passed, took } => {
            json!({"event": "step_finished", "id": id, "step": step, "passed": passed, "seconds": took.as_secs_f64()})
        }
        Event::Exchanged(exchange) => {
            let mut line = json!({
                "event": "exchange", "id": exchange.id, "place": exchange.place, "method": exchange.method,
                "path": exchange.path, "endpoint": exchange.endpoint, "seconds": exchange.took.as_secs_f64(),
            });
            // Keys of its own: status, media type, whether it was cut, events in order, fields with their types.
            let answer = serde_json::to_value(&exchange.answer).unwrap_or_default();
            if let (Some(line), Value::Object(answer)) = (line.as_object_mut(), answer) {
                line.extend(answer);
            }
            line
        }
        Event::TrialFinished(report) => trial_finished(report),
        Event::RunFinished(summary) => run_finished(summary),
    }
}

pub(super) fn run_started(info: &RunInfo) -> Value {
    let mut line = json!({
        "event": "run_started", "format": FORMAT, "tool": concat!("runner ", env!("CARGO_PKG_VERSION")),
        "suite": info.suite, "setup": info.setup, "target": info.target, "mode": info.mode,
        "jobs": info.jobs, "trials": info.trials,
        "params": info.params.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "started": info.started.to_string(), "shard": info.shard.as_ref().map(shard),
    });
    if !info.prices.is_empty() {
        let price = |price: &Price| json!({"prompt": price.prompt, "completion": price.completion});
        let prices = info.prices.iter().map(|(model, of)| (model.clone(), price(of)));
        line["prices"] = Value::Object(prices.collect());
    }
    if let Some(seed) = info.seed {
        line["seed"] = seed.into();
    }
    line
}

pub(super) fn trial_finished(report: &TrialReport) -> Value {
    let axes = report.axes.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    let mut line = json!({
        "event": "trial_finished", "id": report.id, "axes": Value::Object(axes.collect()),
        "outcome": report.outcome.word(),
        "reason": report.outcome.reason(), "seconds": report.took.as_secs_f64(), "upstream": report.upstream,
        "attempts": report.attempts, "place": report.place,
        "tokens": report.tokens.map(|t| tokens(t.prompt, t.completion)),
        "requests": report.requests.traces.iter().map(request).collect::<Vec<_>>(),
        "matches": report.matches.iter().map(provider_use).collect::<Vec<_>>(),
        "failures": report.outcome.all_failures().iter().map(failure).collect::<Vec<_>>(),
    });
    if report.requests.more > 0 {
        line["more_requests"] = report.requests.more.into();
    }
    if !report.listed.is_empty() {
        let listed = report.listed.iter();
        let listed = listed.map(|l| json!({"kind": l.kind.word(), "place": l.place, "because": l.because}));
        line["listed"] = listed.collect();
    }
    line
}

pub(super) fn run_finished(summary: &Summary) -> Value {
    json!({
        "event": "run_finished", "passed": summary.passed, "failed": summary.failed, "skipped": summary.skipped,
        "xfailed": summary.xfailed, "xpassed": summary.xpassed, "broken": summary.broken, "quarantined": summary.quarantined, "flaky": summary.flaky,
        "missed": summary.missed, "stray_misses": summary.stray_misses, "not_run": summary.not_run,
        "interrupted": summary.interrupted,
        "unclean": summary.unclean.iter().map(failure).collect::<Vec<_>>(),
        "recordings": review(&summary.recordings),
        "forwarded": {"requests": summary.spent.requests, "uncounted": summary.spent.uncounted,
            "estimated_tokens": summary.spent.estimated_tokens,
            "tokens": tokens(summary.spent.prompt_tokens, summary.spent.completion_tokens)},
        "matches": summary.other_matches.iter().map(provider_use).collect::<Vec<_>>(), "seconds": summary.took.as_secs_f64(),
    })
}

/// Seconds, to the microsecond: more digits would only make files large.
fn seconds(time: Duration) -> Value {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    (f64::from(micros) / 1e6).into()
}

fn request(trace: &RequestTrace) -> Value {
    let mut line = json!({
        "place": trace.place, "method": trace.method, "path": trace.path, "status": trace.status,
        "at": seconds(trace.at), "seconds": seconds(trace.took), "bytes": trace.bytes,
    });
    if let Some(first) = trace.first_byte {
        line["first_byte"] = seconds(first);
    }
    if trace.chunks > 0 {
        line["chunks"] = trace.chunks.into();
        line["arrivals"] = trace.arrivals.iter().copied().map(seconds).collect();
    }
    if let Some(gap) = trace.largest_gap {
        line["largest_gap"] = seconds(gap);
    }
    line
}

fn shard(shard: &ShardInfo) -> Value {
    json!({"index": shard.index, "count": shard.count, "by": shard.by, "planned": shard.planned})
}

fn tokens(prompt: u64, completion: u64) -> Value {
    json!({"prompt": prompt, "completion": completion, "total": prompt + completion})
}

fn review(review: &Review) -> Value {
    let unused = review.unused.iter();
    let unused: Vec<_> =
        unused.map(|u| json!({"file": u.file, "trial": u.owner, "orphan": u.is_orphan})).collect();
    let stale = review.stale.iter();
    let stale: Vec<_> = stale
        .map(|s| json!({"file": s.file, "recorded_at": s.recorded_at.to_string(), "trial": s.trial}))
        .collect();
    json!({"unused": unused, "stale": stale, "undated": review.undated, "unmet": review.unmet})
}

fn provider_use(used: &ProviderUse) -> Value {
    let mut line = json!({
        "provider": used.provider, "endpoint": used.endpoint, "model": used.model, "tier": used.tier,
        "file": used.file, "status": used.status, "at": used.at.map(seconds), "seconds": seconds(used.took),
        "tokens": used.tokens.map(|t| tokens(t.prompt, t.completion)),
    });
    if let Some(request) = &used.request {
        line["request"] = request.clone();
    }
    line
}

fn failure(failure: &Failure) -> Value {
    json!({
        "kind": failure.kind.word(), "title": failure.title, "place": failure.place, "excerpt": failure.excerpt, "detail": failure.detail,
        "curl": failure.curl, "answer": failure.answer,
    })
}
