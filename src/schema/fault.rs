//! `faults:` of a case: what goes wrong between the stack and its provider, on purpose.

use std::time::Duration;

use super::record::record;
use crate::source::Located;

record! {
    /// One fault. The calls it meets are chosen by `provider`, `endpoint`, and `first` or `nth`; what happens to them
    /// is one of `status`, `refuse`, `cut_after_events` and `malformed_event`, or nothing but a `delay`.
    pub struct Fault {
        /// Only calls of this provider, as `ollama`.
        provider: Option<Located<String>>,
        /// Only calls whose path ends so, as `/chat/completions`.
        endpoint: Option<Located<String>>,
        /// Only the first so many of these calls; a later one gets its answer.
        first: Option<Located<u64>>,
        /// Only this one of them, counted from 1.
        nth: Option<Located<u64>>,
        /// Keeps the stack waiting before anything is answered.
        delay: Option<Duration>,
        /// An error status instead of the answer.
        status: Option<Located<u64>>,
        /// With `status`: the `retry-after` that comes with it.
        retry_after: Option<Located<Duration>>,
        /// With `status`: the `x-should-retry` that comes with it; OpenAI's clients obey it.
        should_retry: Option<Located<bool>>,
        /// The connection is reset without an answer.
        refuse: Option<Located<bool>>,
        /// The stream breaks off after so many events; a plain answer breaks off in its middle.
        cut_after_events: Option<Located<u64>>,
        /// Half of this event's data is missing, counted from 1; of a plain answer, half of its body.
        malformed_event: Option<Located<u64>>,
    }
}
