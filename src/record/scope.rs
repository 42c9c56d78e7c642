//! Which trial caused a provider request.
//!
//! A request is attributed, in this order, by a W3C `traceparent` whose trace id stands for a trial, by an
//! `Authorization` tagged with a trial, and by elimination when exactly one trial is active. Otherwise it stays
//! unattributed and remembers which trials could have sent it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::fault::{Fault, Faults};
use super::key::hex;

/// Every trial-tagged credential starts so; a provider never sees one.
const TAG_PREFIX: &str = "runner-trial-";

/// Upstream's test ids are recorded with and without it.
const UPSTREAM_PREFIX: &str = "tests/integration/";

/// A trial as recordings know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrialTag {
    pub id: String,
    /// Upstream test ids whose recordings this trial may use as its own.
    pub aliases: Vec<String>,
}

/// One execution of a trial. A retry is another attempt, and starts again from the first recorded answer.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Unique within a proxy; 0 is the attempt that stands for no trial.
    pub(crate) number: u64,
    pub(crate) tag: Option<TrialTag>,
    /// How many answers this attempt took, by lookup key.
    taken: Mutex<HashMap<String, usize>>,
    pub(crate) faults: Faults,
    /// Answered from recordings only, whatever the mode.
    pub(crate) replays: bool,
}

/// How a trial's provider calls are dealt with.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// What happens to them on purpose.
    pub faults: Vec<Fault>,
    /// They are answered from recordings only, whatever the mode.
    pub replays: bool,
}

impl Attempt {
    /// The trial's id; `None` for the attempt that stands for no trial.
    pub fn trial(&self) -> Option<&str> {
        self.tag.as_ref().map(|tag| tag.id.as_str())
    }

    /// Whether recordings of `owner` are this trial's own.
    pub(crate) fn is_owner(&self, owner: &str) -> bool {
        let owner = bare(owner);
        self.names().any(|name| bare(name) == owner)
    }

    /// The trial's id and its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tag.iter().flat_map(|tag| std::iter::once(&tag.id).chain(&tag.aliases)).map(String::as_str)
    }

    /// How many answers were taken for `key` so far.
    pub(crate) fn taken(&self, key: &str) -> usize {
        lock(&self.taken).get(key).copied().unwrap_or(0)
    }

    /// Counts one more answer for `key`, and says how many there were before.
    pub(crate) fn take(&self, key: &str) -> usize {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(key) {
            *count += 1;
            return *count - 1;
        }
        taken.insert(key.to_owned(), 1);
        0
    }
}

/// A test id without upstream's optional prefix.
pub(crate) fn bare(id: &str) -> &str {
    id.strip_prefix(UPSTREAM_PREFIX).unwrap_or(id)
}

/// Who sent a request, as far as that can be known.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The trial's attempt, or the one that stands for no trial.
    pub attempt: Arc<Attempt>,
    /// Without a trial: the attempts that were active, in the order in which they began.
    pub suspects: Vec<Arc<Attempt>>,
    /// No trial had begun yet.
    pub boot: bool,
}

/// The trials that run at present.
#[derive(Debug, Default)]
pub struct ActiveTrials {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    begun: u64,
    active: Vec<Arc<Attempt>>,
    /// The latest attempt of every trial, by trace id: a late request still belongs to its trial.
    by_trace: HashMap<String, Arc<Attempt>>,
    nobody: Arc<Attempt>,
}

/// Keeps a trial active until dropped.
#[derive(Debug)]
#[must_use = "the trial ends when the guard is dropped"]
pub struct TrialGuard {
    trials: Arc<ActiveTrials>,
    attempt: Arc<Attempt>,
}

impl ActiveTrials {
    /// `others_replay`: requests that no trial can be named for are answered from recordings only.
    pub fn new(others_replay: bool) -> Self {
        let nobody = Arc::new(Attempt { replays: others_replay, ..Attempt::default() });
        Self { inner: Mutex::new(Inner { nobody, ..Inner::default() }) }
    }

    /// Begins an attempt at a trial.
    pub fn begin(self: &Arc<Self>, tag: TrialTag) -> TrialGuard {
        self.begin_on(tag, Terms::default())
    }

    /// Begins an attempt at a trial whose provider calls are dealt with on these terms.
    pub fn begin_on(self: &Arc<Self>, tag: TrialTag, terms: Terms) -> TrialGuard {
        let mut inner = lock(&self.inner);
        inner.begun += 1;
        let trace = trace_id(&tag.id);
        let (number, faults, replays) = (inner.begun, Faults::new(terms.faults), terms.replays);
        let attempt = Arc::new(Attempt { number, tag: Some(tag), taken: Mutex::default(), faults, replays });
        inner.active.push(Arc::clone(&attempt));
        inner.by_trace.insert(trace, Arc::clone(&attempt));
        TrialGuard { trials: Arc::clone(self), attempt }
    }

    /// Attributes a request by its headers.
    pub fn resolve(&self, headers: &HeaderMap) -> Caller {
        let inner = lock(&self.inner);
        let named = trace_ids(headers).into_iter().flatten().find_map(|id| inner.by_trace.get(id));
        let attempt = match (named, inner.active.as_slice()) {
            (Some(attempt), _) | (None, [attempt]) => Arc::clone(attempt),
            (None, active) => {
                return Caller {
                    attempt: Arc::clone(&inner.nobody),
                    suspects: active.to_vec(),
                    boot: inner.begun == 0,
                };
            }
        };
        Caller { attempt, suspects: Vec::new(), boot: false }
    }
}

impl TrialGuard {
    /// The attempt that this guard keeps active.
    pub fn attempt(&self) -> &Arc<Attempt> {
        &self.attempt
    }

    /// Positions of the declared faults that no provider call has met yet.
    pub fn unmet_faults(&self) -> Vec<usize> {
        self.attempt.faults.unmet()
    }
}

impl Drop for TrialGuard {
    fn drop(&mut self) {
        lock(&self.trials.inner).active.retain(|attempt| attempt.number != self.attempt.number);
    }
}

/// The trace ids in a request's `traceparent` and in its trial-tagged credential. A stack may trace on its own account, so
/// an id that belongs to no trial does not hide the other.
fn trace_ids(headers: &HeaderMap) -> [Option<&str>; 2] {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let from_trace = text("traceparent").and_then(|value| value.split('-').nth(1));
    let from_credential = CREDENTIAL_HEADERS.iter().find_map(|name| text(name).and_then(credential_trace));
    [from_trace, from_credential]
}

/// Headers in which clients send an API key.
pub(crate) const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "x-api-key", "api-key"];

fn credential_trace(value: &str) -> Option<&str> {
    let value = value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")).unwrap_or(value);
    value.trim().strip_prefix(TAG_PREFIX)
}

/// Whether a credential is a trial's tag rather than a key.
pub(crate) fn is_trial_credential(value: &str) -> bool {
    credential_trace(value).is_some()
}

/// The API key that tags a request with a trial: put where a client would have its key.
pub fn trial_api_key(trial_id: &str) -> String {
    format!("{TAG_PREFIX}{}", trace_id(trial_id))
}

/// The `traceparent` header value that tags a request with a trial.
pub fn traceparent(trial_id: &str) -> String {
    let digest = Sha256::digest(trial_id.as_bytes());
    format!("00-{}-{}-01", hex(&digest[..16]), hex(&digest[16..24]))
}

fn trace_id(trial_id: &str) -> String {
    hex(&Sha256::digest(trial_id.as_bytes())[..16])
}

/// A lock that survives a panic elsewhere: the data behind it is counters and lists, valid at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(id: &str) -> TrialTag {
        TrialTag { id: id.into(), aliases: vec![format!("tests/integration/{id}.py")] }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    fn who(trials: &ActiveTrials, headers: &HeaderMap) -> String {
        let caller = trials.resolve(headers);
        let suspects: Vec<_> = caller.suspects.iter().filter_map(|s| s.trial()).collect();
        format!("{} [{}] {}", caller.attempt.trial().unwrap_or("?"), suspects.join(","), caller.boot)
    }

    #[test]
    fn a_request_is_attributed_by_tag_then_by_elimination() {
        let trials = Arc::new(ActiveTrials::default());
        let none = HeaderMap::new();
        assert_eq!(who(&trials, &none), "? [] true");
        let a = trials.begin(tag("a"));
        assert_eq!(who(&trials, &none), "a [] false");
        let b = trials.begin(tag("b"));
        assert_eq!(who(&trials, &none), "? [a,b] false");
        assert_eq!(who(&trials, &headers("traceparent", &traceparent("b"))), "b [] false");
        let bearer = format!("Bearer {}", trial_api_key("a"));
        assert_eq!(who(&trials, &headers("authorization", &bearer)), "a [] false");
        assert_eq!(who(&trials, &headers("authorization", "Bearer sk-other")), "? [a,b] false");
        assert_eq!(who(&trials, &headers("traceparent", "00-1-2-01")), "? [a,b] false");
        drop(a);
        assert_eq!(who(&trials, &none), "b [] false");
        drop(b);
        assert_eq!(who(&trials, &none), "? [] false");
        assert_eq!(who(&trials, &headers("traceparent", &traceparent("b"))), "b [] false");
    }

    #[test]
    fn a_foreign_trace_does_not_hide_a_tagged_credential() {
        let trials = Arc::new(ActiveTrials::default());
        let (_a, _b) = (trials.begin(tag("a")), trials.begin(tag("b")));
        let mut both = headers("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        both.extend(headers("authorization", &format!("Bearer {}", trial_api_key("b"))));
        assert_eq!(who(&trials, &both), "b [] false");
    }

    #[test]
    fn a_retry_counts_from_the_start() {
        let trials = Arc::new(ActiveTrials::default());
        let first = trials.begin(tag("a"));
        assert_eq!(
            (first.attempt().take("k"), first.attempt().take("k"), first.attempt().taken("k")),
            (0, 1, 2)
        );
        drop(first);
        assert_eq!(trials.begin(tag("a")).attempt().take("k"), 0);
    }

    #[test]
    fn aliases_match_with_and_without_upstreams_prefix() {
        let trials = Arc::new(ActiveTrials::default());
        let guard = trials.begin(TrialTag {
            id: "x".into(),
            aliases: vec!["a.py::b".into(), "tests/integration/c.py::d".into()],
        });
        let own = |owner| guard.attempt().is_owner(owner);
        assert!(own("x") && own("a.py::b") && own("tests/integration/a.py::b") && own("c.py::d"));
        assert!(!own("a.py") && !own("tests/integration/x.py"));
    }

    #[test]
    fn a_traceparent_has_the_w3c_form() {
        let value = traceparent("a::b[txt=m]");
        let lengths: Vec<_> = value.split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
        assert_eq!(value, traceparent("a::b[txt=m]"));
    }
}
