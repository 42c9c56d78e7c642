//! What a trial's stack said to its providers, as the proxy saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::event::{Failure, FailureKind, Outcome, ProviderUse};
use crate::check::ProviderRequestSeen;
use crate::http::{HeaderMap, HeaderValue};
use crate::plan::TrialPlan;
use crate::record::{CallResult, ProviderCall, Proxy, TrialGuard, TrialTag, traceparent};

/// How long a provider may take to end an answer that the stack has already made its own from.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);

/// The proxy's log, sorted by trial. Without a proxy nothing is seen.
#[derive(Debug)]
pub struct Traffic {
    proxy: Option<Proxy>,
    calls: Mutex<BTreeMap<String, Vec<ProviderCall>>>,
    /// Calls that belong to no trial for certain.
    unattributed: Mutex<Vec<ProviderCall>>,
    /// Keys of the misses that a trial was charged with.
    charged: Mutex<BTreeSet<String>>,
}

impl Traffic {
    /// For targets whose providers cannot be wired, and for live runs.
    pub fn unseen() -> Self {
        Self {
            proxy: None,
            calls: Mutex::default(),
            unattributed: Mutex::default(),
            charged: Mutex::default(),
        }
    }

    pub fn seen_by(proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..Self::unseen() }
    }

    /// Begins a trial; its calls are its own until the guard is dropped.
    pub(super) fn begin(&self, trial: &TrialPlan) -> Option<TrialGuard> {
        lock(&self.calls).remove(&trial.id);
        let proxy = self.proxy.as_ref()?;
        // Calls of an attempt before this one.
        proxy.take_calls(&trial.id);
        Some(
            proxy.begin(TrialTag { id: trial.id.clone(), aliases: trial.upstream.iter().cloned().collect() }),
        )
    }

    /// Lets the wire tell which trial a request belongs to.
    pub(super) fn tag(&self, trial: &str, headers: &mut HeaderMap) {
        if self.proxy.is_some()
            && let Ok(value) = HeaderValue::from_str(&traceparent(trial))
        {
            headers.insert("traceparent", value);
        }
    }

    fn refresh(&self, trial: &str) {
        if let Some(proxy) = &self.proxy {
            lock(&self.calls).entry(trial.to_owned()).or_default().extend(proxy.take_calls(trial));
        }
    }

    /// How many calls a trial made so far.
    pub(super) fn count(&self, trial: &str) -> usize {
        self.refresh(trial);
        lock(&self.calls).get(trial).map_or(0, Vec::len)
    }

    /// A trial's calls from number `from` on, as checks look at them.
    pub(super) fn seen(&self, trial: &str, from: usize) -> Vec<ProviderRequestSeen> {
        self.refresh(trial);
        let calls = lock(&self.calls);
        let calls = calls.get(trial).map_or(&[][..], Vec::as_slice);
        calls.iter().skip(from).map(seen).collect()
    }

    /// A trial's calls, as reports show them.
    pub(super) fn uses(&self, trial: &str) -> Vec<ProviderUse> {
        self.refresh(trial);
        lock(&self.calls).get(trial).map_or_else(Vec::new, |calls| calls.iter().map(usage).collect())
    }

    /// A trial with a miss has failed, whatever its checks said: the stack answered from an error that no
    /// provider ever gave.
    pub(super) fn settle(&self, trial: &str, outcome: Outcome) -> Outcome {
        self.refresh(trial);
        let mut misses: Vec<Failure> =
            lock(&self.calls).get(trial).into_iter().flatten().filter_map(miss).collect();
        lock(&self.charged).extend(lock(&self.calls).get(trial).into_iter().flatten().filter_map(key_of));
        if misses.is_empty() {
            return outcome;
        }
        if let (Outcome::Failed(failures) | Outcome::Broken(failures), Some(first)) =
            (&outcome, misses.first_mut())
        {
            let then: Vec<String> = failures
                .iter()
                .map(|f| format!("then {}: {}", f.place.as_deref().unwrap_or("the trial"), f.title))
                .collect();
            let detail = first.detail.take().unwrap_or_default();
            first.detail = Some(format!("{}\n{}", detail.trim_end(), then.join("\n")));
        }
        super::trial::outcome_of(misses)
    }

    /// Waits until what was forwarded is answered and stored, so that the log is complete.
    pub(super) async fn complete(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.settle(COMPLETE_WITHIN).await;
        }
    }

    /// Whether a miss may be this trial's, without it being certain. Asked once for each miss.
    pub(super) fn is_suspected(&self, trial: &str) -> bool {
        let Some(proxy) = &self.proxy else { return false };
        let mut unattributed = lock(&self.unattributed);
        unattributed.extend(proxy.take_unattributed_calls());
        let mut suspected = false;
        for call in unattributed.iter_mut().filter(|call| miss(call).is_some()) {
            let before = call.suspects.len();
            call.suspects.retain(|suspect| suspect != trial);
            suspected |= call.suspects.len() < before;
        }
        suspected
    }

    /// Misses that no trial was charged with; those before the first trial are the stack's boot.
    pub(super) fn stray_misses(&self) -> Vec<String> {
        let Some(proxy) = &self.proxy else { return Vec::new() };
        let mut stray = lock(&self.unattributed);
        stray.extend(proxy.take_unattributed_calls());
        let charged = lock(&self.charged);
        let uncharged =
            |call: &&ProviderCall| !call.boot && key_of(call).is_some_and(|key| !charged.contains(&key));
        stray.iter().filter(uncharged).filter_map(miss).filter_map(|f| f.detail).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seen(call: &ProviderCall) -> ProviderRequestSeen {
    ProviderRequestSeen {
        method: call.method.clone(),
        path: call.path.clone(),
        provider: call.provider.clone(),
        body: call.body.as_deref().cloned().unwrap_or_default(),
    }
}

fn usage(call: &ProviderCall) -> ProviderUse {
    let (tier, file) = match &call.result {
        CallResult::Hit { file, normalisers, .. } if normalisers.is_empty() => {
            ("exact".to_owned(), Some(file.clone()))
        }
        CallResult::Hit { file, normalisers, .. } => (normalisers.join(", "), Some(file.clone())),
        CallResult::Recorded { file } => ("recorded".to_owned(), Some(file.clone())),
        CallResult::Forwarded => ("forwarded".to_owned(), None),
        CallResult::Miss(_) => ("miss".to_owned(), None),
        CallResult::Failed { .. } => ("failed".to_owned(), None),
    };
    ProviderUse { provider: call.provider.clone(), endpoint: call.path.clone(), tier, file }
}

/// A call that got no answer from a provider or a recording: why.
fn miss(call: &ProviderCall) -> Option<Failure> {
    let asked = format!("{} {} to {}", call.method, call.path, call.provider);
    let (kind, title, detail) = match &call.result {
        CallResult::Miss(miss) => {
            (FailureKind::Miss, format!("replay miss: {asked} has no recording"), miss.to_string())
        }
        CallResult::Failed { reason } => (FailureKind::Fault, format!("{asked} failed"), reason.clone()),
        _ => return None,
    };
    Some(Failure { kind, title, place: None, excerpt: None, detail: Some(detail), curl: None, answer: None })
}

/// What identifies the request of a miss.
fn key_of(call: &ProviderCall) -> Option<String> {
    match &call.result {
        CallResult::Miss(miss) => Some(miss.key.clone()),
        _ => None,
    }
}
