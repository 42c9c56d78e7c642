//! Records what a stack says to its inference providers, and replays it, at the wire.
//!
//! # Architecture
//!
//! ```text
//! stack ──▶ proxy ──▶ serve ──▶ store, recorder ──▶ catalogue   which recording answers
//!             │         │          │           └──▶ index       what the files say, cached
//!             │         │          └──▶ entry ──▶ format | upstream   the two file formats
//!             │         └──▶ relay ──▶ forward                  the only outbound client
//!             └──▶ scope                                        which trial asks
//! ```
//!
//! | file | concern |
//! |---|---|
//! | [`canonical`], `key` | JSON text as Python writes it; what identifies a request |
//! | [`normalise`], `rules` | what may differ between a request and its recording, and how |
//! | `scope` | which trial caused a request |
//! | `recording`, `format`, [`upstream`] | an exchange as a value; our file format; upstream's two |
//! | `redact`, `hosts`, `split_text`, `opaque`, `chunks` | what is never stored: finding and masking it |
//! | `masked` | matching a recording with masks where the secret is not known |
//! | `prepare`, `cache` | a request with its keys, computed once; what was read lately, bounded in bytes |
//! | `write` | atomic writes |
//! | `entry`, `scan`, `index`, `problem` | a directory of recordings: read, cached, and what is wrong with it |
//! | `catalogue`, `store`, `recorder` | choosing an answer, looking it up, adding one |
//! | `miss`, `diff` | why nothing answers, and what comes nearest |
//! | `proxy`, `connection`, `serve` | the server, a client's connection, one request |
//! | `fault`, `damage`, `faulty` | faults that trials declare, what they leave of an answer, answering with them |
//! | `admin`, `tally` | what a stand-alone proxy is asked and told |
//! | `pacing` | when the pieces of a replayed answer go out |
//! | `relay`, `forward`, `calls` | passing a request on, the client, the log |
//! | [`foreign`] | a directory that somebody else made, before it is read |
//! | [`changes`] | what became of a directory's files between two moments |
//! | `policy`, `spending`, `unused` | what may be forwarded, the account of it, recordings that a run left aside |
//!
//! A replaying proxy holds a [`Replay`], which can neither write nor connect; [`Recorder`] is the only type with `put`.

pub mod canonical;
pub mod changes;
pub mod compare;
pub mod figures;
pub mod foreign;
pub mod har;
pub mod import;
pub mod library;
pub mod live;
pub mod normalise;
pub mod prune;
pub mod request_file;
pub mod runs;
pub mod scrub;
pub mod show;
pub mod structure;
pub mod upstream;
pub mod verify;
pub mod why;

mod admin;
mod cache;
mod calls;
#[cfg(test)]
mod canonical_python;
mod catalogue;
mod chunks;
mod connection;
mod damage;
mod diff;
mod entry;
mod fault;
#[cfg(test)]
mod fault_path;
mod faulty;
#[cfg(test)]
mod fidelity;
mod format;
mod forward;
#[cfg(test)]
mod har_tests;
mod hosts;
#[cfg(test)]
mod import_shared;
mod index;
mod index_check;
mod key;
mod masked;
mod miss;
mod mode;
#[cfg(test)]
mod normalise_properties;
mod opaque;
mod pacing;
mod policy;
mod prepare;
mod problem;
mod proxy;
mod recorder;
mod recording;
mod redact;
mod relay;
mod rules;
mod scan;
mod scope;
#[cfg(test)]
mod secrets_on_disk;
mod serve;
mod setups;
#[cfg(test)]
mod shared_recordings;
mod spending;
mod split_text;
mod store;
mod tally;
mod unused;
#[cfg(test)]
mod whole_path;
mod write;

pub use calls::{CallResult, ProviderCall, Tokens};
pub use catalogue::ScopeTier;
pub use connection::AfterAnswer;
pub use diff::{Change, Difference};
pub use entry::{Entry, FileFormat};
pub use fault::{Effect, Fault, Occurrence};
pub(crate) use key::sha256_hex;
pub use key::{Key, WireBody, WireRequest};
pub use miss::{Miss, MissReason, Nearest};
pub use mode::{Mode, UnknownMode};
pub use pacing::{ReplaySpeed, UnknownSpeed};
pub use policy::Policy;
pub use problem::{ProblemKind, RecordingProblem};
pub use proxy::{ProviderUpstream, Proxy, ProxyOptions, StartError, start, start_stand_alone};
pub use recorder::{PutError, Recorder};
pub use recording::{Answer, AnswerBody, AnswerChunk, FORMAT, Meta, Owner, RecordedRequest, Recording};
pub use redact::{Blocked, Scrubber};
pub use scope::{ActiveTrials, Attempt, Caller, Terms, TrialGuard, TrialTag, traceparent, trial_api_key};
pub use setups::setups_recorded;
pub use spending::Spent;
pub use store::{Hit, Replay};
pub use unused::{Coverage, Unused};

/// The variable with more hosts that recordings must not name: globs, separated by commas.
pub const MASK_HOSTS: &str = "RUNNER_MASK_HOSTS";

/// The globs in [`MASK_HOSTS`].
pub fn mask_hosts(env: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    let globs = env.get(MASK_HOSTS).into_iter().flat_map(|list| list.split(','));
    globs.map(|glob| glob.trim().to_owned()).filter(|glob| !glob.is_empty()).collect()
}
