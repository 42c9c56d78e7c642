//! Why a server did not start.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there is no server to test. The text says what to do.
#[derive(Debug)]
pub enum StartError {
    /// Something else listens at the port, and it is not a server that is ready.
    PortTaken { port: u16 },
    /// The program is not on PATH.
    NotFound { program: String },
    /// The process ended before it was ready.
    ExitedAtBoot { command: String, status: ExitStatus, log: PathBuf, tail: Vec<String> },
    /// The process runs, but did not answer with success in time.
    NotReady { command: String, url: String, after: Duration, log: PathBuf, tail: Vec<String> },
    /// Something the machine refused; `what` names it.
    Io { what: String, source: std::io::Error },
}

impl StartError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken { port } => write!(
                f,
                "port {port} is in use by something that is not a ready server: stop it, name another port \
                 (`server:CONFIG:PORT`), or name none to get a free one"
            ),
            Self::NotFound { program } => write!(
                f,
                "`{program}` was not found: install it or put it on PATH, \
                 or choose with `--stack` another way to start the server"
            ),
            Self::ExitedAtBoot { command, status, log, tail } => {
                write!(f, "the server ended before it was ready ({status})\n  command: {command}")?;
                write_tail(f, log, tail)
            }
            Self::NotReady { command, url, after, log, tail } => {
                write!(
                    f,
                    "the server did not get ready within {}s: no success from {url}. \
                     Give it longer (`ready: {{within: …}}` of its stack), or see what it waits for\n  command: {command}",
                    after.as_secs_f64()
                )?;
                write_tail(f, log, tail)
            }
            Self::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

fn write_tail(f: &mut fmt::Formatter<'_>, log: &std::path::Path, tail: &[String]) -> fmt::Result {
    let log = log.display();
    if tail.is_empty() {
        return write!(f, "\n  it printed nothing (log: {log})");
    }
    write!(f, "\n  its last output (all of it: {log}):")?;
    tail.iter().try_for_each(|line| write!(f, "\n  | {line}"))
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
