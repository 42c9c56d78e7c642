//! What a step keeps of an answer for later steps.

use super::path::Path;

/// Where a kept value comes from. A singular path gives the value it finds, any other path the list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    Json(Path),
    Events(Path),
    Assembled(Path),
    /// The concatenated string, as for [`Check::Joined`](super::Check::Joined).
    Joined(Path),
    Header(String),
    /// The body as text.
    Body,
    /// The body's bytes as base64 text.
    BodyBase64,
    /// The status as a number.
    Status,
}
