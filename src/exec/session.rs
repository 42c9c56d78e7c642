//! The stack under test with its record/replay proxy: started together, stopped together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::traffic::Traffic;
use super::wiring::{Address, Wiring, replay_env, start_proxy, tagged, wire, wired_name};
use crate::http::client::{Transport, TransportError};
use crate::http::{HeaderMap, Method, Request};
use crate::plan::expression::Scope;
use crate::plan::template::{FillError, Template};
use crate::record::{self, Mode, Policy, ReplaySpeed};
use crate::schema::StackDefinition;
use crate::schema::case::TargetKind;
use crate::source::Problems;
use crate::stack::{ConfigError, RunConfig, Stack, StackError};
use crate::target::{self, LaunchSpec, Running, StackSource, StartError, TargetSpec};

/// How long a stack may take to answer when its definition does not say.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server that runs already may take to say anything.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Makes Llama Stack record or replay inside its own process, when it is set to anything but `live`.
const MODE_VARIABLE: &str = "LLAMA_STACK_TEST_INFERENCE_MODE";

/// Everything that decides what is started.
#[derive(Debug, Clone)]
pub struct SessionSpec<'a> {
    pub target: TargetSpec,
    /// How `server:` starts a process.
    pub stack: &'a StackDefinition,
    pub env: BTreeMap<String, String>,
    pub mode: Mode,
    pub recordings: PathBuf,
    pub replay_speed: ReplaySpeed,
    /// What may be forwarded to providers.
    pub policy: Policy,
    pub setup: Option<String>,
    pub secrets: Vec<String>,
    /// Ids of the providers that the chosen models belong to, as `openai`.
    pub wanted_providers: Vec<String>,
    /// The project's root: where relative paths of the configuration and the child process start.
    pub root: PathBuf,
    /// This binary, for stacks that are `runner serve`.
    pub runner: PathBuf,
}

impl SessionSpec<'_> {
    /// Whether provider traffic passes through the proxy: not in a live run, unless it has a limit to hold.
    pub(super) fn is_wired(&self) -> bool {
        self.mode != Mode::Live || self.policy.limits_forwarding()
    }

    /// A budget cannot hold where somebody else told the stack where its providers are.
    fn refuse_a_budget(&self, url: &str) -> Result<(), SessionError> {
        if self.mode == Mode::Replay || !self.policy.has_budget() {
            return Ok(());
        }
        Err(SessionError::NoBudget { url: url.to_owned() })
    }
}

/// A stack that answers.
#[derive(Debug)]
pub struct Session {
    pub transport: Transport,
    pub kind: TargetKind,
    pub traffic: Traffic,
    pub scope_is_known: bool,
    pub max_parallel: Option<usize>,
    /// Things a user should know that are no errors.
    pub notes: Vec<String>,
    running: Option<Running>,
    /// Holds the child's state; removed when the session ends.
    _state: Option<tempfile::TempDir>,
}

/// Why there is no stack to test.
#[derive(Debug)]
pub enum SessionError {
    Config(ConfigError),
    /// The stack config names a file that cannot be read.
    ConfigFile {
        path: PathBuf,
        reason: String,
    },
    /// A budget is given for a stack whose providers cannot be wired.
    NoBudget {
        url: String,
    },
    /// Nothing answers at the URL.
    Unreachable {
        url: String,
        reason: String,
    },
    Stack(StackError),
    Start(StartError),
    Recordings(record::StartError),
    /// Files among the recordings that cannot be used: replaying without them would look like a miss.
    BadRecordings(Vec<String>),
    Transport(TransportError),
    Template(FillError),
    Io(String),
}

impl std::fmt::Display for SessionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::ConfigFile { path, reason } => write!(
                f,
                "the stack config {} cannot be read: {reason}; a path is taken from the project's root",
                path.display()
            ),
            Self::Unreachable { url, reason } => write!(
                f,
                "no stack answers at {url}: {reason}; start it, or let runner start one: --stack-config=server:CONFIG"
            ),
            Self::NoBudget { url } => write!(
                f,
                "a budget cannot hold for the stack at {url}: it was not started here, so its requests to providers do \
                 not pass through the proxy; `runner proxy` takes --max-requests and --max-tokens, too"
            ),
            Self::Stack(error) => write!(f, "{error}"),
            Self::Start(error) => write!(f, "{error}"),
            Self::Recordings(error) => write!(f, "{error}"),
            Self::BadRecordings(problems) => match problems.as_slice() {
                [one] => f.write_str(one),
                many => write!(f, "{} recordings are unusable:\n{}", many.len(), many.join("\n")),
            },
            Self::Transport(error) => write!(f, "{error}"),
            Self::Template(error) => write!(f, "{:?}: {}", error.span, error.message),
            Self::Io(message) => f.write_str(message),
        }
    }
}

impl SessionError {
    /// Whether the user's definition is wrong, rather than the target unable to start.
    pub fn is_definition(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::ConfigFile { .. }
                | Self::NoBudget { .. }
                | Self::Template(_)
                | Self::Recordings(_)
                | Self::BadRecordings(_)
        )
    }
}

impl Session {
    pub async fn start(spec: SessionSpec<'_>) -> Result<Self, SessionError> {
        match spec.target.clone() {
            TargetSpec::Url(url) => {
                spec.refuse_a_budget(&url)?;
                let session = Self::reach(&url, Vec::new())?;
                // Any answer will do: which routes a server has is for the cases to say.
                match session.transport.send(&probe(&spec.stack.ready.get), ANSWER_WITHIN).await {
                    Err(TransportError::Connection(reason)) => Err(SessionError::Unreachable { url, reason }),
                    _ => Ok(session),
                }
            }
            TargetSpec::Server { config, port } => Self::serve(spec, &config, port).await,
            TargetSpec::InProcess(source) => Self::embed(spec, &source).await,
        }
    }

    fn reach(url: &str, notes: Vec<String>) -> Result<Self, SessionError> {
        Ok(Self {
            transport: Transport::network(url).map_err(SessionError::Transport)?,
            kind: TargetKind::Url,
            traffic: Traffic::unseen(),
            scope_is_known: false,
            max_parallel: None,
            notes,
            running: None,
            _state: None,
        })
    }

    async fn embed(spec: SessionSpec<'_>, source: &StackSource) -> Result<Self, SessionError> {
        let mut env = spec.env.clone();
        env.extend(replay_env(&spec));
        let mut config = match source {
            StackSource::Distribution(name) => RunConfig::distribution(name, &env),
            StackSource::AdHoc(list) => RunConfig::ad_hoc(list, &env),
            StackSource::File(path) => {
                RunConfig::from_yaml(&read_config(&spec.root, path)?, &path.display().to_string(), &env)
            }
        }
        .map_err(SessionError::Config)?;
        let mut traffic = Traffic::unseen();
        if spec.is_wired() {
            let addresses: Vec<(String, Address)> = config
                .provider_addresses()
                .map(|provider| (wired_name(provider.provider_id).to_owned(), Address::of(provider.url)))
                .collect();
            let upstreams = addresses.iter().map(|(name, at)| at.upstream(name, None)).collect();
            let proxy = start_proxy(&spec, upstreams).await?;
            for (provider, (name, at)) in config.provider_addresses().zip(&addresses) {
                *provider.url = format!("{}{}", proxy.url(name), at.path);
            }
            traffic = Traffic::seen_by(proxy);
        }
        let stack = Stack::start(config).await.map_err(SessionError::Stack)?;
        let missing = traffic.missing_at_boot();
        let mut notes: Vec<String> = missing
            .iter()
            .map(|name| {
                format!("{name}: its model list is not recorded, so the stack knows none of its models; record it: \
                         --inference-mode=record-if-missing")
            })
            .collect();
        let others = stack.warnings();
        let others =
            others.iter().filter(|warning| !missing.iter().any(|name| name == wired_name(&warning.about)));
        notes.extend(others.map(ToString::to_string));
        Ok(Self {
            transport: Transport::InProcess(stack.router()),
            kind: TargetKind::InProcess,
            traffic,
            scope_is_known: true,
            max_parallel: None,
            notes,
            running: None,
            _state: None,
        })
    }

    async fn serve(spec: SessionSpec<'_>, config: &str, port: Option<u16>) -> Result<Self, SessionError> {
        if let Ok(TargetSpec::InProcess(StackSource::File(path))) = TargetSpec::parse(config) {
            read_config(&spec.root, &path)?;
        }
        let ready = spec.stack.ready.get.value.clone();
        if let Some(port) = port {
            let url = format!("http://127.0.0.1:{port}");
            if target::probe(&url, &ready).await {
                spec.refuse_a_budget(&url)?;
                let note = format!(
                    "reusing the server that answers at {url}; it was not started here, so its providers are not \
                     recorded or replayed"
                );
                let mut session = Self::reach(&url, vec![note])?;
                session.kind = TargetKind::Server;
                return Ok(session);
            }
        }
        let port = match port {
            Some(port) => port,
            None => target::free_port()
                .map_err(|e| SessionError::Io(format!("no free port on 127.0.0.1: {e}")))?,
        };
        let state = tempfile::Builder::new().prefix("runner-").tempdir().map_err(|error| {
            SessionError::Io(format!("cannot make a directory for the server's state: {error}"))
        })?;
        let path = spec.root.join(config);
        let file = path.is_file().then_some(path);
        let Wiring { env, traffic, rewritten, providers, taggable } = wire(&spec, file.as_deref()).await?;
        let config = match (rewritten, file) {
            (Some(text), _) => {
                let copy = state.path().join("run.yaml");
                std::fs::write(&copy, text).map_err(|error| {
                    SessionError::Io(format!("the copy {} cannot be written: {error}", copy.display()))
                })?;
                copy.display().to_string()
            }
            (None, Some(path)) => path.display().to_string(),
            (None, None) => config.to_owned(),
        };
        let values = [
            ("config", config),
            ("port", port.to_string()),
            ("runner", spec.runner.display().to_string()),
            ("state_dir", state.path().display().to_string()),
        ];
        let scope: Scope = values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let launch = launch_spec(&spec, &scope, env, port, state.path().join("server.log"))?;
        let running = match target::launch(launch).await {
            Ok(running) => running,
            Err(error) => {
                // The message names the log in it.
                let _ = state.keep();
                return Err(SessionError::Start(error));
            }
        };
        let (traffic, all_tagged) = tagged(traffic, &providers, taggable);
        Ok(Self {
            transport: Transport::network(running.base_url()).map_err(SessionError::Transport)?,
            kind: TargetKind::Server,
            traffic,
            scope_is_known: spec.stack.traceparent.unwrap_or(false) || all_tagged,
            max_parallel: spec.stack.max_parallel.as_ref().and_then(|most| usize::try_from(most.value).ok()),
            notes: Vec::new(),
            running: Some(running),
            _state: Some(state),
        })
    }

    /// Ends what was started here; a reused server is left alone.
    pub async fn stop(self) {
        if let Some(running) = self.running {
            running.stop().await;
        }
    }

    /// The last lines of the server's output, when one was started and has ended by itself.
    pub fn died(&mut self) -> Option<String> {
        let running = self.running.as_mut()?;
        let status = running.exited()?;
        Some(format!("the server ended during the run ({status}):\n{}", running.tail().join("\n")))
    }
}

fn read_config(root: &Path, path: &Path) -> Result<String, SessionError> {
    std::fs::read_to_string(root.join(path))
        .map_err(|error| SessionError::ConfigFile { path: path.to_owned(), reason: error.to_string() })
}

fn probe(path: &str) -> Request {
    let (headers, body) = (HeaderMap::new(), bytes::Bytes::new());
    Request { method: Method::GET, path: path.to_owned(), headers, body }
}

fn launch_spec(
    spec: &SessionSpec<'_>,
    scope: &Scope,
    mut env: Vec<(String, String)>,
    port: u16,
    log: PathBuf,
) -> Result<LaunchSpec, SessionError> {
    let fill = |text: &str, span: &crate::source::Span| {
        let mut problems = Problems::default();
        Template::text(text, span, &mut problems).fill_text(scope).map_err(SessionError::Template)
    };
    let command = spec.stack.launch.iter().map(|part| fill(part, &part.span)).collect::<Result<_, _>>()?;
    for (name, value) in spec.stack.env.iter() {
        // The user's environment wins over the definition's.
        if !env.iter().any(|(key, _)| *key == name.value) {
            env.push((name.value.clone(), fill(&value.0, &name.span)?));
        }
    }
    // The last pair of a name counts. Whoever sets the variable means this run, whose recordings are the proxy's.
    env.push((MODE_VARIABLE.to_owned(), Mode::Live.to_string()));
    Ok(LaunchSpec {
        command,
        env,
        port,
        ready_path: spec.stack.ready.get.value.clone(),
        within: spec.stack.ready.within.unwrap_or(READY_WITHIN),
        log,
        cwd: spec.root.clone(),
        secrets: spec.secrets.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_s_mode_is_not_the_server_s() {
        let text = "name: s\nlaunch: [serve, '${{ port }}']\nready: {get: /up}\n";
        let mut problems = Problems::default();
        let file = crate::source::SourceFile::inline("stacks/s.yaml", text);
        let stack = crate::schema::parse::<StackDefinition>(&file, &mut problems).expect("parses");
        let spec = SessionSpec {
            target: TargetSpec::parse("server:starter").expect("parses"),
            stack: &stack,
            env: BTreeMap::new(),
            mode: Mode::Replay,
            recordings: PathBuf::new(),
            replay_speed: ReplaySpeed::default(),
            policy: Policy::default(),
            setup: None,
            secrets: Vec::new(),
            wanted_providers: Vec::new(),
            root: PathBuf::new(),
            runner: PathBuf::new(),
        };
        let scope = Scope::from_iter([("port".to_owned(), 1234.into())]);
        let given = vec![(MODE_VARIABLE.to_owned(), "replay".to_owned())];
        let launch = launch_spec(&spec, &scope, given, 1234, PathBuf::new()).expect("is complete");
        assert_eq!(launch.command, ["serve", "1234"]);
        let last = launch.env.iter().rev().find(|(name, _)| name == MODE_VARIABLE);
        assert_eq!(last.map(|(_, value)| value.as_str()), Some("live"));
    }
}
