//! Finding files, located YAML nodes, and problems with excerpts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod nearest;
pub mod node;
pub mod parallel;
pub mod problem;
pub mod project;
mod scalar;
mod yaml;
#[cfg(test)]
mod yaml_tests;

pub use node::{Node, NodeValue};
pub use problem::{Problem, Problems};

/// One text file, kept whole so that problems can quote it.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The project's root, for other files that it names; empty for what lies outside.
    pub root: PathBuf,
    /// Relative to the project's root where it lies below it; what a user would type.
    pub path: PathBuf,
    pub text: String,
}

impl SourceFile {
    /// Reads a file; the problem names the path and the system's reason.
    pub fn read(path: &Path, shown_as: &Path) -> Result<Arc<Self>, Problem> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let root = path.ancestors().nth(shown_as.components().count());
                let root = root.filter(|_| path.ends_with(shown_as)).unwrap_or(Path::new("")).to_owned();
                Ok(Arc::new(Self { root, path: shown_as.to_owned(), text }))
            }
            Err(error) => Err(Problem::new(format!("cannot read {}: {error}", shown_as.display()))),
        }
    }

    /// A file that exists only in memory; for tests and built-in documents.
    pub fn inline(path: &str, text: &str) -> Arc<Self> {
        Arc::new(Self { root: PathBuf::new(), path: path.into(), text: text.to_owned() })
    }
}

/// A byte range in one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    pub file: Arc<SourceFile>,
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// One-based line and column (in characters) of the start.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.file.text[..self.start.min(self.file.text.len())];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column)
    }

    /// `file:line`, as a terminal makes it clickable.
    pub fn file_line(&self) -> String {
        format!("{}:{}", self.file.path.display(), self.line_column().0)
    }

    /// The lines from this span's first to the one before `next` indents back, at most `max` lines.
    pub fn excerpt(&self, max: usize) -> String {
        let (line, column) = self.line_column();
        let mut lines = Vec::new();
        for (offset, text) in self.file.text.lines().skip(line - 1).take(max).enumerate() {
            let indent = text.len() - text.trim_start().len();
            let ends_here = offset > 0 && !text.trim().is_empty() && indent < column.saturating_sub(1);
            if ends_here {
                break;
            }
            lines.push(format!("{:>5} | {text}", line + offset));
        }
        while lines.len() > 1 && lines.last().is_some_and(|last| last.ends_with("| ")) {
            lines.pop();
        }
        lines.join("\n")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.file.path.display())
    }
}

/// A value together with where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Located<T> {
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// A problem that points at this value.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(message).at(&self.span)
    }
}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
