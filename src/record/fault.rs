//! Faults that a trial declares: which provider calls they meet, and what becomes of those.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Mutex;
use std::time::Duration;

use super::scope::lock;

/// Something that goes wrong between a stack and its provider, on purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Only calls of this provider.
    pub provider: Option<String>,
    /// Only calls whose path ends in these segments, as `/chat/completions`.
    pub endpoint: Option<String>,
    pub calls: Occurrence,
    /// How long the answer, or what stands in its place, keeps the stack waiting.
    pub delay: Duration,
    pub effect: Effect,
}

/// Which of the calls that a fault is about it meets, counted within an attempt at a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    Every,
    First(NonZeroU32),
    Nth(NonZeroU32),
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// It is only late.
    Delayed,
    /// It gets this status and an error instead of its answer.
    Status {
        code: u16,
        /// Sent as `retry-after` and `retry-after-ms`.
        retry_after: Option<Duration>,
        /// Sent as `x-should-retry`, which OpenAI's clients obey.
        should_retry: Option<bool>,
    },
    /// Its connection is reset without an answer.
    Refused,
    /// The connection breaks after this many events of the answer; a plain answer breaks in its middle.
    CutAfterEvents(usize),
    /// The second half of this event's data is missing; of a plain answer, the second half of its body.
    MalformedEvent(NonZeroUsize),
}

impl Fault {
    fn is_about(&self, provider: &str, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        let endpoint = self.endpoint.as_deref().map(|endpoint| endpoint.trim_matches('/'));
        let ends = |endpoint: &str| path.strip_suffix(endpoint).is_some_and(|before| before.ends_with('/'));
        endpoint.is_none_or(ends) && self.provider.as_deref().is_none_or(|name| name == provider)
    }

    /// Whether the answer itself is needed, to be damaged.
    pub(crate) fn damages(&self) -> bool {
        matches!(self.effect, Effect::CutAfterEvents(_) | Effect::MalformedEvent(_))
    }
}

/// As in `status 429 for the first call to /chat/completions`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.effect {
            Effect::Delayed => write!(f, "delay of {:?}", self.delay)?,
            Effect::Status { code, .. } => write!(f, "status {code}")?,
            Effect::Refused => f.write_str("connection refused")?,
            Effect::CutAfterEvents(1) => f.write_str("cut after one event")?,
            Effect::CutAfterEvents(count) => write!(f, "cut after {count} events")?,
            Effect::MalformedEvent(number) => write!(f, "event {number} malformed")?,
        }
        match self.calls {
            Occurrence::Every => f.write_str(" for calls")?,
            Occurrence::First(count) if count.get() == 1 => f.write_str(" for the first call")?,
            Occurrence::First(count) => write!(f, " for the first {count} calls")?,
            Occurrence::Nth(number) => write!(f, " for call {number}")?,
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, " to {endpoint}")?;
        }
        if let Some(provider) = &self.provider {
            write!(f, " of {provider}")?;
        }
        Ok(())
    }
}

/// The faults of one attempt at a trial, and how often each was met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    declared: Vec<Fault>,
    met: Mutex<Vec<Met>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Met {
    /// Calls that the fault is about.
    calls: u32,
    /// Whether it became of one of them what the fault says.
    happened: bool,
}

impl Faults {
    pub(crate) fn new(declared: Vec<Fault>) -> Self {
        let met = Mutex::new(vec![Met::default(); declared.len()]);
        Self { declared, met }
    }

    /// Counts a call; the first declared fault that meets it happens to it.
    pub(crate) fn meet(&self, provider: &str, path: &str) -> Option<Fault> {
        let mut met = lock(&self.met);
        let mut happens = None;
        for (fault, met) in self.declared.iter().zip(met.iter_mut()) {
            if !fault.is_about(provider, path) {
                continue;
            }
            met.calls += 1;
            let meets = match fault.calls {
                Occurrence::Every => true,
                Occurrence::First(count) => met.calls <= count.get(),
                Occurrence::Nth(number) => met.calls == number.get(),
            };
            if meets && happens.is_none() {
                met.happened = true;
                happens = Some(fault.clone());
            }
        }
        happens
    }

    /// Positions of the faults that never happened.
    pub(crate) fn unmet(&self) -> Vec<usize> {
        let met = lock(&self.met);
        (0..self.declared.len()).filter(|index| !met[*index].happened).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(endpoint: Option<&str>, calls: Occurrence, code: u16) -> Fault {
        Fault {
            provider: None,
            endpoint: endpoint.map(str::to_owned),
            calls,
            delay: Duration::ZERO,
            effect: Effect::Status { code, retry_after: None, should_retry: None },
        }
    }

    fn count(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    /// The statuses that calls to `paths` get; 0 for an untouched call.
    fn statuses(faults: &Faults, paths: &[&str]) -> Vec<u16> {
        let status = |path: &&str| match faults.meet("p", path).map(|fault| fault.effect) {
            Some(Effect::Status { code, .. }) => code,
            _ => 0,
        };
        paths.iter().map(status).collect()
    }

    #[test]
    fn faults_meet_the_calls_they_are_about() {
        let chat = Some("/chat/completions");
        let declared = vec![
            fault(chat, Occurrence::Nth(count(2)), 500),
            fault(chat, Occurrence::First(count(3)), 429),
            fault(Some("embeddings/"), Occurrence::Every, 503),
            Fault { provider: Some("other".into()), ..fault(None, Occurrence::Every, 400) },
        ];
        let faults = Faults::new(declared);
        let (chat, embed) = ("/v1/chat/completions?x=1", "/v1/embeddings");
        let paths = [chat, chat, embed, chat, chat, "/v1/xchat/completions", "/v1/completions", embed];
        assert_eq!(statuses(&faults, &paths), [429, 500, 503, 429, 0, 0, 0, 503]);
        assert_eq!(faults.unmet(), [3]);
        assert_eq!(Faults::default().meet("p", chat), None);
    }

    #[test]
    fn a_fault_says_what_it_is() {
        let texts = [
            (
                fault(Some("/chat/completions"), Occurrence::First(count(1)), 429),
                "status 429 for the first call to /chat/completions",
            ),
            (fault(None, Occurrence::First(count(2)), 500), "status 500 for the first 2 calls"),
            (
                Fault {
                    delay: Duration::from_millis(300),
                    effect: Effect::Delayed,
                    ..fault(None, Occurrence::Every, 0)
                },
                "delay of 300ms for calls",
            ),
            (
                Fault {
                    provider: Some("p".into()),
                    effect: Effect::CutAfterEvents(3),
                    ..fault(None, Occurrence::Nth(count(2)), 0)
                },
                "cut after 3 events for call 2 of p",
            ),
        ];
        for (fault, text) in texts {
            assert_eq!(fault.to_string(), text);
        }
    }
}
