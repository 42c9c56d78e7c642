//! What the stack asked its providers, as assertions and reports need it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::catalogue::ScopeTier;
use super::fault::Fault;
use super::masked;
use super::miss::Miss;
use super::normalise::NORMALISERS;
use super::scope::{Caller, lock};
use super::tally::Tally;

/// One request that the stack sent to a provider, and what became of it.
#[derive(Debug, Clone)]
pub struct ProviderCall {
    pub provider: String,
    pub method: String,
    /// Path at the provider, without query.
    pub path: String,
    /// Without `?`; empty when there is none.
    pub query: String,
    /// The request's body when it is JSON.
    pub body: Option<Arc<Value>>,
    /// Id of the trial that caused it, where that is known.
    pub scope: Option<String>,
    /// Otherwise, ids of the trials that were active.
    pub suspects: Vec<String>,
    /// It came before any trial had begun.
    pub boot: bool,
    pub result: CallResult,
    /// When it came.
    pub at: jiff::Timestamp,
    /// From its arrival to the end of the answer; for replayed answers, to the start of it.
    pub seconds: f64,
    /// The status that the stack got; 0 when its connection was reset.
    pub status: u16,
    /// The declared fault that met it, in words.
    pub fault: Option<String>,
    pub tokens: Option<Tokens>,
}

/// How a provider call was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum CallResult {
    /// From a recording.
    Hit {
        file: String,
        normalisers: Vec<&'static str>,
        scope: ScopeTier,
        /// Not known of upstream's recordings.
        recorded_at: Option<jiff::Timestamp>,
    },
    /// By the provider, and stored.
    Recorded { file: String },
    /// By the provider, not stored (mode `live`).
    Forwarded,
    /// By the proxy itself, unsent: it might have exceeded the budget; says why.
    OverBudget { reason: String },
    /// By the proxy itself: a fault that the trial declares stands in the place of an answer.
    Faulted,
    /// By nobody: no recording answers it.
    Miss(Box<Miss>),
    /// The provider could not be reached, or its answer not stored; says why.
    Failed { reason: String },
}

impl CallResult {
    /// Whether a recording made for the asking trial itself was served.
    pub fn same_scope(&self) -> bool {
        matches!(self, Self::Hit { scope: ScopeTier::Same, .. })
    }
}

/// For reports: `exact`, `matched after dropping nulls and masking ids`, `miss`, …
impl fmt::Display for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit { normalisers, scope, .. } => {
                let masked = (masked::NAME, masked::DOING);
                let named = NORMALISERS.iter().map(|n| (n.name, n.doing)).chain([masked]);
                let doing: Vec<_> =
                    named.filter(|(name, _)| normalisers.contains(name)).map(|(_, doing)| doing).collect();
                match doing.split_last() {
                    None => f.write_str("exact")?,
                    Some((last, [])) => write!(f, "matched after {last}")?,
                    Some((last, rest)) => write!(f, "matched after {} and {last}", rest.join(", "))?,
                }
                match scope {
                    ScopeTier::Same | ScopeTier::Unscoped | ScopeTier::Suspect(_) => Ok(()),
                    ScopeTier::Other(other) => write!(f, ", recorded for {other}"),
                }
            }
            Self::Recorded { .. } => f.write_str("recorded"),
            Self::Forwarded => f.write_str("forwarded"),
            Self::Faulted => f.write_str("declared fault"),
            Self::OverBudget { reason } => write!(f, "refused: {reason}"),
            Self::Miss(_) => f.write_str("miss"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}

/// Tokens as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
}

/// The token counts in an answer: OpenAI's `usage`, or Ollama's counters; in a stream, the last event that has them.
pub(crate) fn tokens_in(body: &[u8]) -> Option<Tokens> {
    let text = std::str::from_utf8(body).ok()?;
    let in_value = |json: &str| {
        let value: Value = serde_json::from_str(json).ok()?;
        let usage = &value["usage"];
        let usage = if usage.is_object() { usage } else { &value["response"]["usage"] };
        let count = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
        let openai = count(["prompt_tokens", "input_tokens"])
            .map(|prompt| (prompt, count(["completion_tokens", "output_tokens"]).unwrap_or(0)));
        let ollama =
            || Some((value["prompt_eval_count"].as_u64()?, value["eval_count"].as_u64().unwrap_or(0)));
        openai.or_else(ollama).map(|(prompt, completion)| Tokens { prompt, completion })
    };
    if let Some(tokens) = in_value(text) {
        return Some(tokens);
    }
    let lines = text.lines().rev().map(|line| line.strip_prefix("data:").unwrap_or(line));
    lines.filter(|line| line.contains("_tokens") || line.contains("eval_count")).find_map(in_value)
}

/// The calls of a run that nobody took yet.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    calls: Mutex<Vec<ProviderCall>>,
    /// Counts calls instead of keeping them.
    stats: Option<Mutex<Tally>>,
    in_flight: watch::Sender<usize>,
}

/// Counts a call that is being forwarded until dropped.
#[derive(Debug)]
pub(crate) struct InFlight(watch::Sender<usize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl CallLog {
    /// A log that only counts, for a proxy whose calls nobody takes.
    pub(crate) fn counting() -> Self {
        Self { stats: Some(Mutex::default()), ..Self::default() }
    }

    pub(crate) fn push(&self, call: ProviderCall) {
        match &self.stats {
            Some(stats) => lock(stats).add(&call),
            None => lock(&self.calls).push(call),
        }
    }

    /// What was counted; null for a log that keeps its calls.
    pub(crate) fn counted(&self) -> Value {
        self.stats.as_ref().map_or(Value::Null, |stats| lock(stats).to_json())
    }

    /// Calls that are being forwarded.
    pub(crate) fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Removes and returns the calls that `wanted` accepts, in the order in which they ended.
    pub(crate) fn take(&self, wanted: impl Fn(&ProviderCall) -> bool) -> Vec<ProviderCall> {
        let mut calls = lock(&self.calls);
        let (taken, rest) = calls.drain(..).partition(wanted);
        *calls = rest;
        taken
    }

    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.send_modify(|count| *count += 1);
        InFlight(self.in_flight.clone())
    }

    /// Waits until no call is being forwarded; false when `limit` passed first.
    pub(crate) async fn settle(&self, limit: Duration) -> bool {
        let mut count = self.in_flight.subscribe();
        tokio::time::timeout(limit, count.wait_for(|count| *count == 0)).await.is_ok_and(|done| done.is_ok())
    }
}

/// What is known of a call when it arrives.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) provider: String,
    pub(crate) method: String,
    /// Path with query.
    pub(crate) path: String,
    pub(crate) body: Option<Arc<Value>>,
    pub(crate) caller: Caller,
    pub(crate) at: jiff::Timestamp,
    pub(crate) since: Instant,
    /// The declared fault that meets it.
    pub(crate) fault: Option<Fault>,
}

impl Arrival {
    /// The finished call.
    pub(crate) fn call(&self, status: u16, result: CallResult, tokens: Option<Tokens>) -> ProviderCall {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        ProviderCall {
            provider: self.provider.clone(),
            method: self.method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: self.body.clone(),
            scope: self.caller.attempt.trial().map(str::to_owned),
            suspects: self.caller.suspects.iter().filter_map(|s| s.trial().map(str::to_owned)).collect(),
            boot: self.caller.boot,
            result,
            at: self.at,
            seconds: self.since.elapsed().as_secs_f64(),
            status,
            fault: self.fault.as_ref().map(Fault::to_string),
            tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_how_it_matched() {
        let hit = |normalisers: &[&'static str], scope| {
            CallResult::Hit { file: "f".into(), normalisers: normalisers.to_vec(), scope, recorded_at: None }
                .to_string()
        };
        assert_eq!(hit(&[], ScopeTier::Same), "exact");
        assert_eq!(hit(&["dropped-nulls"], ScopeTier::Unscoped), "matched after dropping nulls");
        assert_eq!(
            hit(&["dropped-nulls", "masked-ids"], ScopeTier::Other("a::b".into())),
            "matched after dropping nulls and masking ids, recorded for a::b"
        );
    }

    #[test]
    fn tokens_are_found_in_every_kind_of_answer() {
        let expected = Some(Tokens { prompt: 3, completion: 4 });
        let answers = [
            r#"{"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
            r#"{"usage":{"input_tokens":3,"output_tokens":4}}"#,
            r#"{"prompt_eval_count":3,"eval_count":4}"#,
            "data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
            "{\"done\":false}\n{\"done\":true,\"prompt_eval_count\":3,\"eval_count\":4}\n",
        ];
        for answer in answers {
            assert_eq!(tokens_in(answer.as_bytes()), expected, "{answer}");
        }
        assert_eq!(tokens_in(b"{\"usage\":null}"), None);
        assert_eq!(tokens_in(b"\xff"), None);
    }
}
