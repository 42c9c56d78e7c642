//! What a run does with provider traffic.

use std::fmt;
use std::str::FromStr;

/// In upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Answer from recordings only; never connect to a provider.
    #[default]
    Replay,
    /// Ask the provider every time, and store what it answers.
    Record,
    /// Answer from recordings where there is one, otherwise ask the provider and store.
    RecordIfMissing,
    /// Ask the provider every time, and store nothing.
    Live,
}

impl Mode {
    /// All modes, in the order in which help lists them.
    pub const ALL: [Self; 4] = [Self::Replay, Self::Record, Self::RecordIfMissing, Self::Live];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Record => "record",
            Self::RecordIfMissing => "record-if-missing",
            Self::Live => "live",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownMode(pub String);

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Mode::ALL.map(Mode::as_str).join(", ");
        write!(f, "unknown inference mode `{}`; choose one of: {known}", self.0)
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_as_it_is_written() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        let error = "playback".parse::<Mode>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown inference mode `playback`; choose one of: replay, record, record-if-missing, live"
        );
    }
}
