//! What a trial's stack said to its providers, as the proxy saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::event::{Failure, FailureKind, Outcome, ProviderUse};
use super::hint::RecordCommand;
use super::provider_data;
use crate::check::ProviderRequestSeen;
use crate::http::{HeaderMap, HeaderValue};
use crate::plan::expression::Scope;
use crate::record::{
    CallResult, Coverage, Fault, Miss, ProviderCall, Proxy, Spent, Terms, TrialGuard, TrialTag, Unused,
    traceparent,
};

/// How long a provider may take to end an answer that the stack has already made its own from.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);

/// The proxy's log, sorted by trial. Without a proxy nothing is seen.
#[derive(Debug)]
pub struct Traffic {
    proxy: Option<Proxy>,
    calls: Mutex<BTreeMap<String, Vec<ProviderCall>>>,
    /// Calls of the stack's start.
    boot: Mutex<Vec<ProviderCall>>,
    /// Calls that belong to no trial for certain.
    unattributed: Mutex<Vec<ProviderCall>>,
    /// Keys of the misses that a trial was charged with.
    charged: Mutex<BTreeSet<String>>,
    /// Calls of attempts that were repeated.
    repeated: Mutex<Vec<ProviderUse>>,
    /// The only trials that may record; `None` for all.
    chosen: Option<BTreeSet<String>>,
    /// Members of the provider-data header that take a trial's tag.
    tagged: Vec<String>,
    /// The command that would record what is missing, as far as it is known.
    record: Option<RecordCommand>,
}

impl Traffic {
    /// For targets whose providers cannot be wired, and for live runs.
    pub fn unseen() -> Self {
        Self {
            proxy: None,
            calls: Mutex::default(),
            boot: Mutex::default(),
            unattributed: Mutex::default(),
            charged: Mutex::default(),
            repeated: Mutex::default(),
            chosen: None,
            tagged: Vec::new(),
            record: None,
        }
    }

    pub fn seen_by(proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..Self::unseen() }
    }

    /// Whether provider calls pass through here, so that they are seen and declared faults can happen to them.
    pub(super) fn is_seen(&self) -> bool {
        self.proxy.is_some()
    }

    /// Lets misses name the command that would record what they lack.
    #[must_use]
    pub fn recorded_by(mut self, command: RecordCommand) -> Self {
        self.record = Some(command);
        self
    }

    /// Lets trials put their tags into these members of the provider-data header.
    pub(super) fn tagging(mut self, members: Vec<String>) -> Self {
        self.tagged = members;
        self
    }

    /// Whether the stack asked a provider something through the proxy while it started.
    pub(super) fn asked_at_boot(&self, provider: &str) -> bool {
        self.boot_calls().iter().any(|call| call.provider == provider)
    }

    /// Lets only these trials record; all others replay.
    #[must_use]
    pub fn recording_only(mut self, trials: Option<BTreeSet<String>>) -> Self {
        self.chosen = trials;
        self
    }

    /// Whether this trial records while others replay, so that its requests must be told from theirs.
    pub(super) fn is_chosen(&self, trial: &str) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| chosen.contains(trial))
    }

    /// Whether the budget is used up.
    pub(super) fn is_over_budget(&self) -> bool {
        self.proxy.as_ref().is_some_and(Proxy::is_over_budget)
    }

    /// What was forwarded so far.
    pub(super) fn spent(&self) -> Spent {
        self.proxy.as_ref().map(Proxy::spent).unwrap_or_default()
    }

    /// The recordings that a run could have used and did not.
    pub(super) fn unused(&self, run: &Coverage) -> Vec<Unused> {
        self.proxy.as_ref().map(|proxy| proxy.unused(run)).unwrap_or_default()
    }

    /// Begins a trial, or a fixture that trials share; its calls are its own until the guard is dropped.
    pub(super) fn begin(&self, id: &str, aliases: Vec<String>, faults: Vec<Fault>) -> Option<TrialGuard> {
        let before = lock(&self.calls).remove(id).unwrap_or_default();
        let proxy = self.proxy.as_ref()?;
        let late = proxy.take_calls(id);
        lock(&self.repeated).extend(before.iter().chain(&late).map(usage));
        let tag = TrialTag { id: id.to_owned(), aliases };
        let replays = self.chosen.is_some() && !self.is_chosen(id);
        Some(proxy.begin_on(tag, Terms { faults, replays }))
    }

    /// Lets the wire tell which trial a request belongs to.
    pub(super) fn tag(&self, trial: &str, headers: &mut HeaderMap) {
        if self.proxy.is_some()
            && let Ok(value) = HeaderValue::from_str(&traceparent(trial))
        {
            headers.insert("traceparent", value);
        }
        if !self.tagged.is_empty() {
            provider_data::tag(&self.tagged, trial, headers);
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

    /// A trial's calls, as its report shows them; they are in no later report.
    pub(super) fn take_uses(&self, trial: &str, began: Option<jiff::Timestamp>) -> Vec<ProviderUse> {
        self.refresh(trial);
        let calls = lock(&self.calls).get_mut(trial).map(std::mem::take).unwrap_or_default();
        let since = |call: &ProviderCall| Some(call.at.duration_since(began?).unsigned_abs());
        calls.iter().map(|call| ProviderUse { at: since(call), ..usage(call) }).collect()
    }

    /// A trial with a miss has failed, whatever its checks said: the stack answered from an error that no
    /// provider ever gave.
    pub(super) fn settle(&self, trial: &str, scope: &Scope, outcome: Outcome) -> Outcome {
        self.refresh(trial);
        let mut misses: Vec<Failure> =
            lock(&self.calls).get(trial).into_iter().flatten().filter_map(|call| self.miss(call)).collect();
        if misses.is_empty() && matches!(outcome, Outcome::Failed(_)) {
            // Without its provider's list the stack did not know the trial's model.
            let uses = |provider: &str| {
                let is_model = |value: &Value| value.as_str().is_some_and(|text| is_of(provider, text));
                scope.values().any(is_model)
            };
            let boot = self.boot_calls();
            misses.extend(boot.iter().filter(|call| uses(&call.provider)).filter_map(|call| self.miss(call)));
        }
        if misses.is_empty() && matches!(outcome, Outcome::Failed(_)) {
            misses.extend(self.refused_to(trial));
        }
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

    /// Requests that the budget stopped and that may be this trial's, where nobody can tell whose they are.
    fn refused_to(&self, trial: &str) -> Vec<Failure> {
        let Some(proxy) = &self.proxy else { return Vec::new() };
        let mut unattributed = lock(&self.unattributed);
        unattributed.extend(proxy.take_unattributed_calls());
        let refused = |call: &&ProviderCall| {
            matches!(call.result, CallResult::OverBudget { .. }) && call.suspects.iter().any(|id| id == trial)
        };
        unattributed.iter().filter(refused).take(1).filter_map(|call| self.miss(call)).collect()
    }

    fn boot_calls(&self) -> Vec<ProviderCall> {
        let mut boot = lock(&self.boot);
        boot.extend(self.proxy.iter().flat_map(Proxy::take_boot_calls));
        boot.clone()
    }

    /// Providers that replay could not answer for when the stack started.
    pub(super) fn missing_at_boot(&self) -> Vec<String> {
        let missed = |call: ProviderCall| matches!(call.result, CallResult::Miss(_)).then_some(call.provider);
        self.boot_calls().into_iter().filter_map(missed).collect()
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
        for call in unattributed.iter_mut().filter(|call| self.miss(call).is_some()) {
            let before = call.suspects.len();
            call.suspects.retain(|suspect| suspect != trial);
            suspected |= call.suspects.len() < before;
        }
        suspected
    }

    /// Misses that no trial was charged with; those before the first trial are the stack's boot.
    pub fn stray_misses(&self) -> Vec<String> {
        let Some(proxy) = &self.proxy else { return Vec::new() };
        let mut stray = lock(&self.unattributed);
        stray.extend(proxy.take_unattributed_calls());
        let charged = lock(&self.charged);
        let uncharged =
            |call: &&ProviderCall| !call.boot && key_of(call).is_some_and(|key| !charged.contains(&key));
        stray.iter().filter(uncharged).filter_map(|call| self.miss(call)).filter_map(|f| f.detail).collect()
    }

    /// What no trial's report shows: calls at boot, of repeated attempts, of no trial for certain, and late ones.
    pub(super) fn other_uses(&self) -> Vec<ProviderUse> {
        let Some(proxy) = &self.proxy else { return Vec::new() };
        let mut kept = lock(&self.calls);
        // What fixtures asked that trials share, and what came after its trial's report.
        let left: Vec<_> = kept.values_mut().flat_map(std::mem::take).collect();
        let late = left.into_iter().chain(kept.keys().flat_map(|trial| proxy.take_calls(trial)));
        let mut calls: Vec<_> = self.boot_calls().into_iter().chain(late).collect();
        calls.extend(proxy.take_unattributed_calls());
        let mut uses: Vec<_> = calls.iter().chain(lock(&self.unattributed).iter()).map(usage).collect();
        uses.append(&mut lock(&self.repeated));
        uses
    }

    /// A call that got no answer from a provider or a recording: why.
    fn miss(&self, call: &ProviderCall) -> Option<Failure> {
        let asked = format!("{} {} to {}", call.method, call.path, call.provider);
        let (kind, title, detail) = match &call.result {
            CallResult::Miss(miss) => {
                let miss = match &self.record {
                    Some(record) => Miss::clone(miss).recorded_by(&record.for_trial(call.scope.as_deref())),
                    None => Miss::clone(miss),
                };
                let title = format!("replay miss: {asked} has no recording");
                (FailureKind::Miss, title, miss.to_string())
            }
            CallResult::Failed { reason } => (FailureKind::Fault, format!("{asked} failed"), reason.clone()),
            CallResult::OverBudget { reason } => {
                (FailureKind::Fault, format!("stopped by the budget: {asked}"), reason.clone())
            }
            _ => return None,
        };
        let detail = Some(detail);
        Some(Failure { kind, title, place: None, excerpt: None, detail, curl: None, answer: None })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a model's name says that it is this provider's.
fn is_of(provider: &str, model: &str) -> bool {
    model.split_once('/').is_some_and(|(owner, _)| owner.rsplit("::").next() == Some(provider))
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
        CallResult::Faulted => ("no answer".to_owned(), None),
        CallResult::OverBudget { .. } => ("over budget".to_owned(), None),
        CallResult::Miss(_) => ("miss".to_owned(), None),
        CallResult::Failed { .. } => ("failed".to_owned(), None),
    };
    let tier = match &call.fault {
        Some(fault) => format!("{tier}; declared fault: {fault}"),
        None => tier,
    };
    let recorded_at = match call.result {
        CallResult::Hit { recorded_at, .. } => recorded_at,
        _ => None,
    };
    ProviderUse {
        provider: call.provider.clone(),
        endpoint: call.path.clone(),
        model: call.body.as_deref().and_then(|body| body["model"].as_str()).map(str::to_owned),
        status: call.status,
        at: None,
        took: Duration::try_from_secs_f64(call.seconds).unwrap_or_default(),
        tier,
        file,
        request: matches!(call.result, CallResult::Miss(_)).then(|| asked(call)),
        nearest: match &call.result {
            CallResult::Miss(miss) => miss.nearest.clone(),
            _ => None,
        },
        recorded_at,
        tokens: call.tokens,
    }
}

/// A request as `recordings why` takes it; the proxy has scrubbed it.
fn asked(call: &ProviderCall) -> serde_json::Value {
    let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
    let path = format!("{}{query}", call.path);
    serde_json::json!({"provider": call.provider, "method": call.method, "path": path, "body": call.body.as_deref()})
}

/// What identifies the request of a miss.
fn key_of(call: &ProviderCall) -> Option<String> {
    match &call.result {
        CallResult::Miss(miss) => Some(miss.key.clone()),
        _ => None,
    }
}
