//! What can be wrong with a recording file or a recordings directory: data, for the caller to judge.

use std::fmt;
use std::path::PathBuf;

use super::recording::FORMAT;

/// One file (or the directory itself) that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingProblem {
    pub file: PathBuf,
    pub kind: ProblemKind,
}

/// Why it cannot be used. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file ends in the middle of a JSON value.
    Truncated {
        line: usize,
        column: usize,
    },
    NotJson {
        line: usize,
        column: usize,
        message: String,
    },
    /// `meta.format` is newer than this program, or no number that any version ever wrote.
    UnknownFormat {
        found: String,
    },
    /// JSON, but neither our format nor one of upstream's.
    NotARecording {
        message: String,
    },
    Unreadable {
        message: String,
    },
    DirectoryMissing,
    DirectoryUnreadable {
        message: String,
    },
}

impl ProblemKind {
    /// Sorts a parse error into truncated and otherwise broken.
    pub(crate) fn from_json_error(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        if error.is_eof() {
            return Self::Truncated { line, column };
        }
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Self::NotJson { line, column, message }
    }
}

impl fmt::Display for RecordingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.kind {
            ProblemKind::Truncated { line, column } => write!(
                f,
                "{file}:{line}:{column}: recording is truncated: the JSON ends too early; restore the file, or delete it \
                 and record again"
            ),
            ProblemKind::NotJson { line, column, message } => write!(
                f,
                "{file}:{line}:{column}: recording is not JSON: {message}; restore the file, or delete it and record again"
            ),
            ProblemKind::UnknownFormat { found } => write!(
                f,
                "{file}: recording has format {found}, this program reads format {FORMAT}; update the program, or record \
                 again"
            ),
            ProblemKind::NotARecording { message } => {
                write!(f, "{file}: not a recording: {message}; move it out of the recordings directory")
            }
            ProblemKind::Unreadable { message } => {
                write!(f, "{file}: recording cannot be read: {message}; check its permissions")
            }
            ProblemKind::DirectoryMissing => write!(
                f,
                "{file}: recordings directory does not exist; name one with --recording-dir, or create it by running \
                 with --inference-mode=record"
            ),
            ProblemKind::DirectoryUnreadable { message } => {
                write!(
                    f,
                    "{file}: recordings directory cannot be read: {message}; check that it is a directory and its permissions"
                )
            }
        }
    }
}

impl std::error::Error for RecordingProblem {}
