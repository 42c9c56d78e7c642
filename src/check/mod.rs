//! Assertions over values, answers and streams.
//!
//! A [`Check`] is generic over the stage of its expected values: text as written in YAML, compiled
//! templates, or filled [`serde_json::Value`]s. [`Check::try_map`] goes from one stage to the next, and
//! [`evaluate`] holds a filled check against what was [`Seen`]. A check that fails is data, a list of
//! [`Mismatch`]es; nothing here does I/O and nothing here panics on what a server sent.
//!
//! Rules that hold everywhere:
//!
//! * Matchers of one check are all applied, and to every node that its path finds.
//! * A path that finds nothing is a mismatch, unless the check says `if_present`, `exists: false`, or a
//!   `count` that allows zero. A misspelt path must not make a test pass.
//! * Numbers compare by value: `1` equals `1.0`.

mod assemble;
mod assemble_choices;
mod contract;
mod describe;
mod error_shape;
mod evaluate;
mod json_schema;
mod judge;
mod keep;
mod kinds;
mod matcher;
mod matching;
mod mismatch;
mod misuse;
mod names;
mod path;
mod provider;
mod scalar;
mod seen;
mod stream;
mod stream_order;
#[cfg(test)]
mod testing;
mod value;

pub use assemble::assemble;
pub use contract::{Contract, Endpoint};
pub use error_shape::error_message;
pub use evaluate::evaluate;
pub use json_schema::{SchemaDocument, SchemaRef};
pub use keep::{Keep, take};
pub use kinds::{Between, Check, ErrorIs, PathCheck, ProviderCall, StreamFormat, StreamIs, Terminal, Which};
pub use matcher::Matcher;
pub use mismatch::Mismatch;
pub use names::Name;
pub use path::{Path, PathError};
pub use scalar::{JsonType, Order, Parse, Pattern, Range, StatusCodes, StatusIs};
pub use seen::{ProviderRequestSeen, Seen};
