//! Starts a server process, waits until it answers, and ends all of it.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::error::StartError;
use super::group::Group;
use super::output::{Output, Secrets};
use super::port::{Prober, port_taken};

const POLL_EVERY: Duration = Duration::from_millis(50);
/// How long a server may take to end after SIGTERM, as upstream allows.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long the output of a killed group may take to be read.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// How a server is started and when it counts as started.
#[derive(Clone)]
pub struct LaunchSpec {
    /// Program and arguments, nothing left to fill in.
    pub command: Vec<String>,
    /// Added to the environment of this process.
    pub env: Vec<(String, String)>,
    /// The loopback port that the command was told to listen at.
    pub port: u16,
    /// The path whose success means that the server is ready.
    pub ready_path: String,
    /// How long that may take.
    pub within: Duration,
    /// Where its output goes; replaced, and its folder made, if need be.
    pub log: PathBuf,
    /// The folder it runs in.
    pub cwd: PathBuf,
    /// Values that must not reach the log or an error message.
    pub secrets: Vec<String>,
}

impl fmt::Debug for LaunchSpec {
    /// Without the values of variables: keys are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("LaunchSpec")
            .field("command", &self.shown_command())
            .field("env", &names)
            .field("port", &self.port)
            .field("ready_path", &self.ready_path)
            .field("within", &self.within)
            .field("log", &self.log)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

impl LaunchSpec {
    fn shown_command(&self) -> String {
        Secrets::new(self.secrets.clone()).mask(self.command.join(" "))
    }
}

/// A server that answered. Dropping it kills its whole process group; [`Running::stop`] is the polite way.
#[derive(Debug)]
pub struct Running {
    // First, so that on a drop the group is killed before its leader is reaped and its number free again.
    group: Group,
    child: Child,
    output: Output,
    base_url: String,
    log: PathBuf,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The direct child's status, where it could be read.
    pub status: Option<ExitStatus>,
    /// Whether it took a SIGKILL, because SIGTERM did not end it in time.
    pub forced: bool,
}

/// Starts the server and returns when it is ready. On an error nothing of it is left running.
pub async fn launch(spec: LaunchSpec) -> Result<Running, StartError> {
    if port_taken(spec.port) {
        return Err(StartError::PortTaken { port: spec.port });
    }
    let base_url = format!("http://127.0.0.1:{}", spec.port);
    let prober = Prober::new(&base_url, &spec.ready_path).map_err(|error| StartError::Io {
        what: "the readiness check cannot be made".to_owned(),
        source: std::io::Error::other(error),
    })?;
    let mut running = spawn(&spec, base_url)?;
    let seen = tokio::select! {
        biased;
        status = running.child.wait() => Seen::Exit(status),
        () = prober.until_ready(POLL_EVERY) => Seen::Ready,
        () = sleep(spec.within) => Seen::Deadline,
    };
    // The answer may be a stranger's, who took the port first: then the child is about to end, or has.
    let seen = match (seen, running.exited()) {
        (Seen::Ready | Seen::Deadline, Some(status)) => Seen::Exit(Ok(status)),
        (seen, _) => seen,
    };
    let command = spec.shown_command();
    match seen {
        Seen::Ready => Ok(running),
        Seen::Exit(Err(error)) => Err(StartError::io("the server process cannot be watched")(error)),
        Seen::Exit(Ok(status)) => {
            let tail = running.kill().await;
            Err(StartError::ExitedAtBoot { command, status, log: spec.log, tail })
        }
        Seen::Deadline => {
            let tail = running.kill().await;
            Err(StartError::NotReady { command, url: prober.url, after: spec.within, log: spec.log, tail })
        }
    }
}

enum Seen {
    Ready,
    Exit(std::io::Result<ExitStatus>),
    Deadline,
}

fn spawn(spec: &LaunchSpec, base_url: String) -> Result<Running, StartError> {
    let Some((program, arguments)) = spec.command.split_first() else {
        let source = std::io::Error::new(ErrorKind::InvalidInput, "`launch` is empty");
        return Err(StartError::io("the server has no command")(source));
    };
    // The system reports a missing folder as it reports a missing program.
    if !spec.cwd.is_dir() {
        let source = std::io::Error::from(ErrorKind::NotFound);
        return Err(StartError::io(format!("the server's folder {}", spec.cwd.display()))(source));
    }
    let log = open_log(&spec.log).map_err(StartError::io(format!("the log {}", spec.log.display())))?;
    let no_pipe = || StartError::io("a pipe for the server's output");
    let (reader, writer) = std::io::pipe().map_err(no_pipe())?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(no_pipe())?)
        .stderr(writer);
    // Takes the command, and with it the writers in here, or the output would never end.
    let (child, group) = Group::start(command).map_err(|source| match source.kind() {
        ErrorKind::NotFound => StartError::NotFound { program: program.clone() },
        _ => StartError::Io { what: format!("`{program}` cannot be started"), source },
    })?;
    let output = Output::drain(reader, log, Secrets::new(spec.secrets.clone()))
        .map_err(StartError::io("the log's thread"))?;
    Ok(Running { group, child, output, base_url, log: spec.log.clone() })
}

/// Readable by its owner alone: servers print what they like.
fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl Running {
    /// `http://127.0.0.1:PORT`
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last lines that it printed, oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.output.tail()
    }

    /// How the direct child ended, if it has: during a run, that is a crash.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends the whole group: SIGTERM, then SIGKILL for what is left after ten seconds.
    pub async fn stop(self) -> Stopped {
        self.stop_within(STOP_WITHIN).await
    }

    async fn stop_within(mut self, limit: Duration) -> Stopped {
        self.group.signal(Signal::SIGTERM);
        // The leader may end first: the output is at its end when the others have, too.
        let ending = async {
            let status = self.child.wait().await.ok();
            self.output.ended().await;
            status
        };
        if let Ok(status) = timeout(limit, ending).await {
            return Stopped { status, forced: false };
        }
        self.group.signal(Signal::SIGKILL);
        Stopped { status: self.child.wait().await.ok(), forced: true }
    }

    /// Kills the group, reads what it printed last, and returns the end of that.
    async fn kill(mut self) -> Vec<String> {
        self.group.signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
        let _ = timeout(DRAIN_WITHIN, self.output.ended()).await;
        self.output.tail()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, Read};
    use std::os::fd::AsRawFd;

    const LONG: Duration = Duration::from_secs(50);
    const SHORT: Duration = Duration::from_millis(200);
    /// Two processes, both of which hold descriptor 3.
    const FAMILY: &str = "sleep 60 & wait";

    /// A shell script as a server. Its descriptor 3 is a pipe to the test: the pipe is at its end when no
    /// process of the script is left.
    struct Script {
        spec: LaunchSpec,
        pipe: PipeReader,
        writer: PipeWriter,
        _folder: tempfile::TempDir,
    }

    impl Script {
        fn new(script: &str, within: Duration) -> Self {
            let (pipe, writer) = std::io::pipe().expect("makes a pipe");
            let folder = tempfile::tempdir().expect("makes a folder");
            let inherit = format!("exec 3>/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
            let spec = LaunchSpec {
                command: ["sh", "-c", &format!("{inherit}\n{script}")].map(str::to_owned).to_vec(),
                env: vec![("GREETING".to_owned(), "hello".to_owned())],
                port: super::super::free_port().expect("finds a port"),
                ready_path: "/v1/health".to_owned(),
                within,
                log: folder.path().join("logs/server.log"),
                cwd: folder.path().to_owned(),
                secrets: vec!["hunter22".to_owned()],
            };
            Self { spec, pipe, writer, _folder: folder }
        }

        async fn fails(&self) -> StartError {
            launch(self.spec.clone()).await.expect_err("does not start")
        }

        /// Launches it. When the script says `up`, the test answers at the port in its stead.
        async fn starts(&self) -> Running {
            let mut pipe = self.pipe.try_clone().expect("clones");
            let port = self.spec.port;
            let answer = async {
                let up = tokio::task::spawn_blocking(move || pipe.read_exact(&mut [0; 3]));
                up.await.expect("joins").expect("reads");
                let health = axum::routing::get(|| async { "ok" });
                let router = axum::Router::new().route("/v1/health", health);
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("binds");
                tokio::spawn(axum::serve(listener, router).into_future());
            };
            let (running, ()) = tokio::join!(launch(self.spec.clone()), answer);
            running.expect("gets ready")
        }

        fn log(&self) -> String {
            std::fs::read_to_string(&self.spec.log).expect("reads the log")
        }

        /// Returns only when no process of the script is left.
        fn all_gone(mut self) {
            drop(self.writer);
            self.pipe.read_to_end(&mut Vec::new()).expect("reads to the end");
        }
    }

    #[track_caller]
    fn says(error: &StartError, parts: &[&str]) {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
    }

    #[tokio::test]
    async fn an_exit_at_boot_shows_status_and_last_output() {
        let script = Script::new("echo $GREETING, bad config >&2; sleep 60 & exit 3", LONG);
        let error = script.fails().await;
        says(&error, &["ended before it was ready (exit status: 3)", "| hello, bad config", "server.log"]);
        script.all_gone();
    }

    #[tokio::test]
    async fn secrets_are_masked_in_log_and_error() {
        let script = Script::new("echo key hunter22; exit 1", LONG);
        let text = script.fails().await.to_string();
        assert!(text.contains("| key ***") && !text.contains("hunter22"), "{text}");
        assert_eq!(script.log(), "key ***\n");
        assert!(!format!("{:?}", script.spec).contains("hunter22"));
    }

    #[tokio::test]
    async fn one_that_never_gets_ready_is_ended_with_its_children() {
        let script = Script::new(FAMILY, SHORT);
        let error = script.fails().await;
        assert!(matches!(error, StartError::NotReady { .. }), "{error}");
        says(&error, &["within 0.2s", "/v1/health", "within: …", "sleep 60"]);
        script.all_gone();
    }

    #[tokio::test]
    async fn a_taken_port_is_named_and_nothing_starts() {
        let script = Script::new("exit 1", LONG);
        let holder = std::net::TcpListener::bind(("127.0.0.1", script.spec.port)).expect("binds");
        says(&script.fails().await, &[&format!("port {} is in use", script.spec.port), "server:CONFIG:PORT"]);
        assert!(!script.spec.log.exists());
        drop(holder);
    }

    #[tokio::test]
    async fn what_cannot_start_says_why() {
        let mut script = Script::new("", LONG);
        script.spec.command = vec!["no-such-server".to_owned()];
        says(&script.fails().await, &["`no-such-server` was not found", "--stack"]);
        script.spec.command.clear();
        says(&script.fails().await, &["no command"]);
        script.spec.command = vec!["sh".to_owned()];
        script.spec.cwd.push("elsewhere");
        says(&script.fails().await, &["the server's folder", "elsewhere"]);
    }

    #[tokio::test]
    async fn a_polite_stop_lets_the_server_finish() {
        let script = Script::new("trap 'echo bye; exit 0' TERM; sleep 60 & echo up >&3; wait", LONG);
        let running = script.starts().await;
        assert_eq!(running.base_url(), format!("http://127.0.0.1:{}", script.spec.port));
        let stopped = running.stop_within(LONG).await;
        assert!(!stopped.forced && stopped.status.is_some_and(|status| status.success()), "{stopped:?}");
        assert_eq!(script.log(), "bye\n");
        script.all_gone();
    }

    #[tokio::test]
    async fn a_stubborn_server_is_killed() {
        let script = Script::new(&format!("trap '' TERM; echo up >&3; {FAMILY}"), LONG);
        let stopped = script.starts().await.stop_within(SHORT).await;
        assert!(stopped.forced && stopped.status.is_some_and(|status| !status.success()), "{stopped:?}");
        script.all_gone();
    }

    #[tokio::test]
    async fn dropping_a_running_server_ends_all_of_it() {
        let script = Script::new(&format!("echo up >&3; {FAMILY}"), LONG);
        drop(script.starts().await);
        script.all_gone();
    }

    #[tokio::test]
    async fn giving_up_on_a_launch_ends_all_of_it() {
        let script = Script::new(&format!("echo up >&3; {FAMILY}"), LONG);
        let mut pipe = script.pipe.try_clone().expect("clones");
        let up = tokio::task::spawn_blocking(move || pipe.read_exact(&mut [0; 3]));
        tokio::select! {
            result = launch(script.spec.clone()) => panic!("nobody answers, yet {result:?}"),
            up = up => up.expect("joins").expect("reads"),
        }
        script.all_gone();
    }

    #[tokio::test]
    async fn a_crash_during_the_run_is_seen() {
        let script = Script::new(&format!("echo last words; echo up >&3; {FAMILY}"), LONG);
        let mut running = script.starts().await;
        assert_eq!(running.exited(), None);
        running.group.signal(Signal::SIGKILL);
        running.child.wait().await.expect("ends");
        assert!(running.exited().is_some_and(|status| !status.success()));
        running.output.ended().await;
        assert_eq!(running.tail(), ["last words"]);
    }
}
