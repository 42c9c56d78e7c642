//! What may be forwarded to providers: how much, how fast, and for whom.

use std::time::Duration;

/// Limits of a proxy that forwards; the default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Requests that may be forwarded. Those that only read (`GET`), such as lists of models, are free.
    pub max_requests: Option<u64>,
    /// Tokens that answers may cost, prompts included.
    pub max_tokens: Option<u64>,
    /// From one request to the next to the same provider, at least.
    pub interval: Duration,
    /// Whether only requests of trials that were begun as recording are recorded, and all others are replayed.
    pub records_chosen_only: bool,
}

impl Policy {
    /// Whether it says anything about what is forwarded, so that a live run has to pass through the proxy.
    pub fn limits_forwarding(&self) -> bool {
        self.has_budget() || !self.interval.is_zero()
    }

    /// Whether there is a budget.
    pub fn has_budget(&self) -> bool {
        self.max_requests.is_some() || self.max_tokens.is_some()
    }
}
