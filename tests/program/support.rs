//! A project in a temporary directory, the binary that runs in it, and what it printed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::provider::{Asked, Provider};

/// A directory with files, removed at the end.
pub(crate) struct Project {
    folder: TempDir,
    env: Vec<(String, String)>,
}

impl Project {
    /// Nothing at all.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("project-").tempdir().expect("makes a directory");
        Self { folder, env: Vec::new() }
    }

    /// One suite, one setup, one case that asks the in-process stack for its version, no recordings.
    pub(crate) fn new() -> Self {
        Self::empty()
            .file("suites/base.yaml", "name: base\nroots: [\"**\"]\ndefault_setup: local\n")
            .file(
                "setups/local.yaml",
                "name: local\ndescription: A model on this machine\ndefaults: {text_model: llama-cpp/tiny}\n",
            )
            .file(
                "test_cases/chat/version.yaml",
                "cases:\n  - name: version\n    steps:\n      - get: /v1/version\n        expect: [{status: 200}]\n",
            )
            .folder("recordings")
    }

    /// A project whose only cases are these, in `test_cases/a.yaml`.
    pub(crate) fn cases(yaml: &str) -> Self {
        Self::new().without("test_cases/chat").file("test_cases/a.yaml", yaml)
    }

    /// Such a project, and a model for it that answers with what it was asked.
    pub(crate) fn echoed(yaml: &str) -> (Provider, Self) {
        let provider = Provider::chat(Asked::question);
        let project = Self::cases(yaml).talks_to(&provider);
        (provider, project)
    }

    pub(crate) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        let parent = path.parent().expect("lies in the project");
        std::fs::create_dir_all(parent).expect("makes a folder");
        std::fs::write(path, text).expect("writes");
        self
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        std::fs::create_dir_all(self.path(path)).expect("makes a folder");
        self
    }

    pub(crate) fn without(self, path: &str) -> Self {
        let path = self.path(path);
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.expect("removes");
        self
    }

    /// A variable of every run's environment, which is empty otherwise but for `PATH`.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The model of the setup is served by this provider.
    pub(crate) fn talks_to(self, provider: &Provider) -> Self {
        let url = format!("{}/v1", provider.url());
        self.env("LLAMA_CPP_URL", url)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        self.filtered(&std::fs::read_to_string(self.path(path)).expect("reads"))
    }

    /// The events of a report in JSON Lines.
    pub(crate) fn events(&self, path: &str) -> Vec<Value> {
        self.read(path).lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
    }

    /// The binary, ready to be run in the project's directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // What a failed start leaves for its message goes with the project.
        command.env("TMPDIR", self.folder.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.finish(self.command(args))
    }

    /// What a run prints, after its exit status.
    pub(crate) fn says(&self, args: &[&str]) -> String {
        self.run(args).to_string()
    }

    /// Runs a command to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Output {
        self.output(&command.output().expect("starts"))
    }

    /// A run that goes on, with its output piped.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    }

    /// Sends a signal to such a run and waits for its end.
    pub(crate) fn stop(&self, child: Child, with: Signal) -> Output {
        signal(&child, with);
        self.output(&child.wait_with_output().expect("ends"))
    }

    /// What a process printed, filtered.
    pub(crate) fn output(&self, output: &std::process::Output) -> Output {
        let text = |bytes: &[u8]| self.filtered(&String::from_utf8_lossy(bytes));
        Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Text without what differs from run to run: places, ports, times.
    pub(crate) fn filtered(&self, text: &str) -> String {
        let own = text.replace(&shown(self.folder.path()), "[project]");
        let own = own.replace(env!("CARGO_BIN_EXE_runner"), "[runner]");
        FILTERS.iter().fold(own, |text, (from, to)| from.replace_all(&text, *to).into_owned())
    }
}

/// Sends a signal to a process that runs.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("is running");
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

static FILTERS: LazyLock<[(Regex, &str); 7]> = LazyLock::new(|| {
    [
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[port]"),
        (r"\bport \d{4,5}", "port [port]"),
        (r"\[project\]/runner-[A-Za-z0-9]{6}/", "[state]/"),
        (r"\b\d+\.\d\ds", "0.00s"),
        (r"\brunner([ /])\d+\.\d+\.\d+", "runner$1[version]"),
        (r", \d+ jobs?\)", ", [jobs])"),
        (r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", "[traceparent]"),
    ]
    .map(|(from, to)| (Regex::new(from).expect("compiles"), to))
});

/// How a run ended and what it printed, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// As snapshots have it: the exit status, then what was printed.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit {code}")?,
            None => write!(f, "ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}
