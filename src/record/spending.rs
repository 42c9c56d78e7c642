//! Keeps what is forwarded within its budget and pace: a request that might exceed the budget is not sent.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::calls::Tokens;
use super::policy::Policy;
use super::scope::lock;

/// Bytes of text that make a token, in an estimate that is meant to be too high: English has about four.
const BYTES_PER_TOKEN: u64 = 3;
/// What an image or a file inside a request is taken to cost; its bytes say nothing.
const TOKENS_OF_DATA: u64 = 1_500;
/// What an answer is taken to cost when the request does not limit it and no answer so far was longer.
const UNLIMITED_ANSWER: u64 = 1_024;

/// What was forwarded so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Without those that only read.
    pub requests: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Answers whose provider counted nothing, and what they were taken to have cost at most.
    pub uncounted: u64,
    pub estimated_tokens: u64,
}

impl Spent {
    /// Adds what another run spent.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.uncounted += other.uncounted;
        self.estimated_tokens += other.estimated_tokens;
    }

    /// Counted and estimated tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens + self.estimated_tokens
    }
}

/// Why a request was not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverBudget {
    Requests { most: u64 },
    Tokens { most: u64, spent: u64, needed: u64 },
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests { most } => {
                let noun = if *most == 1 { "request" } else { "requests" };
                write!(f, "the budget of {most} {noun} is used up (--max-requests); it was not sent")
            }
            Self::Tokens { most, spent, needed } => write!(
                f,
                "it may take {needed} tokens, and {spent} of {most} are spent (--max-tokens); it was not sent"
            ),
        }
    }
}

/// The account of a proxy.
#[derive(Debug)]
pub(crate) struct Spending {
    policy: Policy,
    ledger: Mutex<Ledger>,
    /// Changes whenever a request that was sent has ended.
    ended: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ledger {
    spent: Spent,
    /// Tokens that requests on their way may cost.
    reserved: u64,
    /// The longest answer so far, in tokens.
    longest: u64,
    /// The first refusal; nothing is forwarded after it.
    refused: Option<OverBudget>,
    /// When the next request to a provider may leave.
    next: HashMap<String, Instant>,
}

/// Leave to send one request; its reservation ends with it.
#[derive(Debug)]
pub(crate) struct Ticket {
    spending: Arc<Spending>,
    reserved: u64,
    /// When it may leave.
    pub(crate) from: Instant,
}

impl Spending {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, ledger: Mutex::default(), ended: watch::channel(()).0 }
    }

    pub(crate) fn spent(&self) -> Spent {
        lock(&self.ledger).spent
    }

    /// Whether a request was refused, so that none will be forwarded any more.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.ledger).refused.is_some()
    }

    /// Leave to send a request. Waits for those on their way where only what they may cost stands against it.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        provider: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
        size: usize,
    ) -> Result<Ticket, OverBudget> {
        let mut ended = self.ended.subscribe();
        let needed = |longest| if method == "GET" { 0 } else { estimate(path, body, size, longest) };
        loop {
            match self.try_admit(method, &needed) {
                Some(result) => {
                    return result.map(|reserved| Ticket {
                        reserved,
                        from: self.slot(provider, Instant::now()),
                        spending: Arc::clone(self),
                    });
                }
                None => {
                    // The sender lives as long as this account does.
                    let _ = ended.changed().await;
                }
            }
        }
    }

    /// The tokens that were reserved, a refusal, or `None` while that depends on what is on its way.
    fn try_admit(&self, method: &str, needed: &dyn Fn(u64) -> u64) -> Option<Result<u64, OverBudget>> {
        let mut ledger = lock(&self.ledger);
        if let Some(refused) = ledger.refused {
            return Some(Err(refused));
        }
        if method == "GET" {
            return Some(Ok(0));
        }
        let needed = needed(ledger.longest);
        let spent = ledger.spent.tokens();
        let refusal = match (self.policy.max_requests, self.policy.max_tokens) {
            (Some(most), _) if ledger.spent.requests >= most => Some(OverBudget::Requests { most }),
            (_, Some(most)) if spent + ledger.reserved + needed > most => {
                if ledger.reserved > 0 && spent + needed <= most {
                    return None;
                }
                Some(OverBudget::Tokens { most, spent, needed })
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            ledger.refused = Some(refusal);
            // Whoever waits hears of it.
            self.ended.send_replace(());
            return Some(Err(refusal));
        }
        ledger.spent.requests += 1;
        ledger.reserved += needed;
        Some(Ok(needed))
    }

    /// When a request that comes now may leave.
    fn slot(&self, provider: &str, now: Instant) -> Instant {
        if self.policy.interval.is_zero() {
            return now;
        }
        let mut ledger = lock(&self.ledger);
        let from = ledger.next.get(provider).map_or(now, |next| now.max(*next));
        ledger.next.insert(provider.to_owned(), from + self.policy.interval);
        from
    }
}

impl Ticket {
    /// The answer came: what it cost, as far as the provider says. An error without a count costs nothing.
    pub(crate) fn close(mut self, tokens: Option<Tokens>, is_success: bool) {
        let mut ledger = lock(&self.spending.ledger);
        match tokens {
            Some(tokens) => {
                ledger.spent.prompt_tokens += tokens.prompt;
                ledger.spent.completion_tokens += tokens.completion;
                ledger.longest = ledger.longest.max(tokens.completion);
            }
            // Only what may cost something has a reservation.
            None if is_success && self.reserved > 0 => {
                ledger.spent.uncounted += 1;
                ledger.spent.estimated_tokens += self.reserved;
            }
            None => {}
        }
        ledger.reserved -= self.reserved;
        self.reserved = 0;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.spending.ledger).reserved -= self.reserved;
        self.spending.ended.send_replace(());
    }
}

/// What a request may cost at most, roughly: its texts, and as much of an answer as it allows.
fn estimate(path: &str, body: Option<&Value>, size: usize, longest: u64) -> u64 {
    let Some(body) = body else { return size as u64 / BYTES_PER_TOKEN + longest.max(UNLIMITED_ANSWER) };
    let prompt = texts(body);
    if path.contains("embed") {
        return prompt;
    }
    let limits = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
    let declared = limits.iter().find_map(|name| body[*name].as_u64());
    let declared = declared.or_else(|| body["options"]["num_predict"].as_u64());
    let answers = body["n"].as_u64().unwrap_or(1).max(1);
    prompt + answers * declared.unwrap_or_else(|| longest.max(UNLIMITED_ANSWER))
}

fn texts(value: &Value) -> u64 {
    match value {
        Value::String(text) if text.starts_with("data:") => TOKENS_OF_DATA,
        Value::String(text) => (text.len() as u64).div_ceil(BYTES_PER_TOKEN),
        Value::Array(items) => items.iter().map(texts).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.len() as u64).div_ceil(BYTES_PER_TOKEN) + texts(member))
            .sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn account(policy: Policy) -> Arc<Spending> {
        Arc::new(Spending::new(policy))
    }

    fn limited(max_requests: Option<u64>, max_tokens: Option<u64>) -> Arc<Spending> {
        account(Policy { max_requests, max_tokens, ..Policy::default() })
    }

    async fn ask(account: &Arc<Spending>, body: &Value) -> Result<Ticket, OverBudget> {
        account.admit("p", "POST", "/v1/chat/completions", Some(body), 0).await
    }

    fn used(prompt: u64, completion: u64) -> Option<Tokens> {
        Some(Tokens { prompt, completion })
    }

    #[tokio::test]
    async fn the_request_after_the_last_is_refused_and_all_after_it() {
        let account = limited(Some(2), None);
        for _ in 0..2 {
            ask(&account, &json!({})).await.unwrap().close(used(1, 1), true);
        }
        assert!(!account.is_over());
        let refused = ask(&account, &json!({})).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the budget of 2 requests is used up (--max-requests); it was not sent"
        );
        assert!(account.is_over());
        assert_eq!(account.admit("p", "GET", "/v1/models", None, 0).await.unwrap_err(), refused);
        assert_eq!(account.spent().requests, 2);
    }

    #[tokio::test]
    async fn reading_costs_nothing() {
        let account = limited(Some(1), Some(1_000));
        for _ in 0..3 {
            account.admit("p", "GET", "/v1/models", None, 0).await.unwrap().close(None, true);
        }
        assert_eq!(account.spent(), Spent::default());
    }

    #[tokio::test]
    async fn what_might_exceed_the_tokens_is_not_sent() {
        let account = limited(None, Some(100));
        let request = json!({"max_tokens": 60});
        ask(&account, &request).await.unwrap().close(used(10, 20), true);
        // The name `max_tokens` and its number are counted as text.
        let refused = ask(&account, &json!({"max_tokens": 66})).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "it may take 71 tokens, and 30 of 100 are spent (--max-tokens); it was not sent"
        );
    }

    #[tokio::test]
    async fn what_is_on_its_way_is_waited_for() {
        let account = limited(None, Some(100));
        let request = json!({"max_tokens": 60});
        let first = ask(&account, &request).await.unwrap();
        let (second, ()) = tokio::join!(ask(&account, &request), async { first.close(used(2, 3), true) });
        assert!(second.is_ok(), "the first cost less than it might have");
        assert_eq!(account.spent().tokens(), 5);
    }

    #[tokio::test]
    async fn an_answer_without_a_count_is_taken_at_its_most_and_an_error_costs_nothing() {
        let account = limited(None, None);
        ask(&account, &json!({"max_tokens": 60})).await.unwrap().close(None, true);
        ask(&account, &json!({"max_tokens": 60})).await.unwrap().close(None, false);
        drop(ask(&account, &json!({"max_tokens": 60})).await.unwrap());
        let spent = account.spent();
        assert_eq!((spent.requests, spent.uncounted, spent.estimated_tokens), (3, 1, 65));
        assert_eq!(lock(&account.ledger).reserved, 0);
    }

    #[test]
    fn an_estimate_counts_texts_and_what_an_answer_may_be() {
        let chat = |body: Value| estimate("/v1/chat/completions", Some(&body), 0, 0);
        assert_eq!(chat(json!({"max_completion_tokens": 10, "n": 3})), 7 + 1 + 1 + 1 + 30);
        assert_eq!(chat(json!({"options": {"num_predict": 5}})), 3 + 4 + 1 + 5);
        assert_eq!(chat(json!(["a".repeat(300)])), 100 + UNLIMITED_ANSWER);
        assert_eq!(chat(json!("data:image/png;base64,AAAA")), TOKENS_OF_DATA + UNLIMITED_ANSWER);
        assert_eq!(estimate("/v1/completions", Some(&json!("abc")), 0, 5_000), 5_001);
        assert_eq!(estimate("/v1/embeddings", Some(&json!("abcdef")), 0, 0), 2);
    }

    #[test]
    fn requests_to_one_provider_keep_their_distance() {
        let interval = Duration::from_secs(5);
        let account = account(Policy { interval, ..Policy::default() });
        let now = Instant::now();
        let slots = [("a", 0), ("a", 0), ("b", 1), ("a", 7), ("a", 60)]
            .map(|(provider, second)| account.slot(provider, now + Duration::from_secs(second)) - now);
        assert_eq!(slots.map(|slot| slot.as_secs()), [0, 5, 1, 10, 60]);
    }
}
