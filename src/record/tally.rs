//! What a stand-alone proxy counts, where nobody asks for its calls one by one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::calls::{CallResult, ProviderCall};
use super::catalogue::ScopeTier;

/// Different misses and failures that are kept; all are counted.
const MOST_KEPT: usize = 100;

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: u64,
    by_provider: BTreeMap<String, u64>,
    /// Answers from recordings: `exact`, or the normalisers that were needed.
    matches: BTreeMap<String, u64>,
    /// Whose recordings they were.
    scopes: BTreeMap<&'static str, u64>,
    recorded: u64,
    forwarded: u64,
    faulted: u64,
    /// For the budget's sake.
    refused: u64,
    missed: u64,
    failed: u64,
    /// By key.
    misses: BTreeMap<String, Value>,
    failures: Vec<String>,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, call: &ProviderCall) {
        self.requests += 1;
        *self.by_provider.entry(call.provider.clone()).or_default() += 1;
        if let Some(tokens) = call.tokens {
            self.prompt_tokens += tokens.prompt;
            self.completion_tokens += tokens.completion;
        }
        match &call.result {
            CallResult::Hit { normalisers, scope, .. } => {
                let tier = if normalisers.is_empty() { "exact".to_owned() } else { normalisers.join(", ") };
                *self.matches.entry(tier).or_default() += 1;
                let scope = match scope {
                    ScopeTier::Same => "same",
                    ScopeTier::Suspect(_) => "suspect",
                    ScopeTier::Unscoped => "unscoped",
                    ScopeTier::Other(_) => "other",
                };
                *self.scopes.entry(scope).or_default() += 1;
            }
            CallResult::Recorded { .. } => self.recorded += 1,
            CallResult::Forwarded => self.forwarded += 1,
            CallResult::Faulted => self.faulted += 1,
            CallResult::OverBudget { .. } => self.refused += 1,
            CallResult::Miss(miss) => {
                self.missed += 1;
                if self.misses.len() < MOST_KEPT || self.misses.contains_key(&miss.key) {
                    let kept = self.misses.entry(miss.key.clone()).or_insert_with(|| {
                        json!({
                            "method": miss.method, "path": miss.path, "provider": miss.provider, "key": miss.key,
                            "nearest": miss.nearest.as_ref().map(|nearest| nearest.file.as_str()),
                            "message": miss.to_string(), "scope": call.scope, "count": 0,
                        })
                    });
                    kept["count"] = (kept["count"].as_u64().unwrap_or(0) + 1).into();
                }
            }
            CallResult::Failed { reason } => {
                self.failed += 1;
                if self.failures.len() < MOST_KEPT && !self.failures.contains(reason) {
                    self.failures.push(reason.clone());
                }
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "requests": self.requests,
            "by_provider": self.by_provider,
            "matches": self.matches,
            "scopes": self.scopes,
            "recorded": self.recorded,
            "forwarded": self.forwarded,
            "faulted": self.faulted,
            "refused": self.refused,
            "missed": self.missed,
            "failed": self.failed,
            "misses": self.misses.values().collect::<Vec<_>>(),
            "failures": self.failures,
            "tokens": {"prompt": self.prompt_tokens, "completion": self.completion_tokens},
        })
    }
}
