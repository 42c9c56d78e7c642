//! Record and replay of provider traffic at the wire.
pub mod canonical;
mod key;
pub mod normalise;
mod problem;
mod recording;
mod redact;
pub mod upstream;
pub use key::{Key, WireBody, WireRequest};
pub use problem::{ProblemKind, RecordingProblem};
pub use recording::*;
pub use redact::Scrubber;
mod catalogue;
mod entry;
mod scope;
pub use catalogue::ScopeTier;
pub use entry::{Entry, FileFormat};
pub use scope::{ActiveTrials, Attempt, Caller, TrialGuard, TrialTag, traceparent, trial_api_key};
