//! The proxy: one loopback port, one path prefix for each provider.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::map_response;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Mode;
use super::admin;
use super::calls::{CallLog, ProviderCall};
use super::connection::{AfterAnswer, Breaker, Connections, announce_end};
use super::forward::Forwarder;
use super::pacing::ReplaySpeed;
use super::policy::Policy;
use super::prepare::Requests;
use super::problem::RecordingProblem;
use super::recorder::{PutError, Recorder};
use super::redact::Scrubber;
use super::scope::{ActiveTrials, Terms, TrialGuard, TrialTag};
use super::serve::{Engine, Shared, Upstream, handle};
use super::spending::{Spending, Spent};
use super::store::Replay;
use super::unused::{Coverage, Unused, unused};

/// What a proxy is started with.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    pub mode: Mode,
    /// The recordings directory.
    pub dir: PathBuf,
    pub providers: Vec<ProviderUpstream>,
    /// Name of the setup, kept in what is recorded.
    pub setup: Option<String>,
    /// Values that must not be stored.
    pub secrets: Vec<String>,
    /// Globs of host names that must not be stored either, besides those that are known by rule.
    pub mask_hosts: Vec<String>,
    /// 0 for any free port.
    pub port: u16,
    /// How fast recorded answers are given.
    pub replay_speed: ReplaySpeed,
    /// What may be forwarded, how fast and for whom.
    pub policy: Policy,
    pub after_answer: AfterAnswer,
}

/// A provider and where it really is.
#[derive(Clone)]
pub struct ProviderUpstream {
    /// The path prefix below which the stack reaches it, as `ollama`.
    pub name: String,
    /// As `http://localhost:11434` or `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent instead of what the stack sends.
    pub api_key: Option<String>,
}

impl fmt::Debug for ProviderUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} (key: {})", self.name, self.base_url, self.api_key.is_some())
    }
}

/// Why a proxy did not start.
#[derive(Debug)]
pub enum StartError {
    /// The port cannot be had.
    Bind {
        port: u16,
        source: std::io::Error,
    },
    /// The recordings directory cannot be written.
    Record(PutError),
    Client(reqwest::Error),
    BaseUrl {
        provider: String,
        base_url: String,
    },
    /// A name that cannot be a path prefix, or that two providers have.
    Name {
        provider: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { port, source } => {
                write!(
                    f,
                    "the recording proxy cannot listen on 127.0.0.1:{port}: {source}; choose another port"
                )
            }
            Self::Record(source) => source.fmt(f),
            Self::Client(source) => write!(f, "the recording proxy has no HTTP client: {source}"),
            Self::BaseUrl { provider, base_url } => write!(
                f,
                "provider {provider}: `{base_url}` is no http address; write it as http://host:port or https://host/path"
            ),
            Self::Name { provider } => write!(
                f,
                "provider name `{provider}` cannot be used; names are unique and made of letters, digits, `-`, `_` and `.`"
            ),
        }
    }
}

impl std::error::Error for StartError {}

impl From<PutError> for StartError {
    fn from(source: PutError) -> Self {
        Self::Record(source)
    }
}

/// A running proxy. Dropping it closes its port at once.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    problems: Vec<RecordingProblem>,
    server: JoinHandle<()>,
    /// Dropped, it lets nobody in any more.
    open: Option<oneshot::Sender<()>>,
}

/// Starts a proxy on 127.0.0.1. Unusable recordings do not stop it: see [`Proxy::problems`].
///
/// # Errors
/// See [`StartError`].
pub async fn start(options: ProxyOptions) -> Result<Proxy, StartError> {
    launch(options, CallLog::default(), |_, _, _| Router::new()).await
}

/// Starts a proxy that nobody takes calls from: it counts them, and serves `/_runner/health`, `/_runner/stats` and
/// `/_runner/scope` beside its providers.
///
/// # Errors
/// See [`StartError`].
pub async fn start_stand_alone(options: ProxyOptions) -> Result<Proxy, StartError> {
    launch(options, CallLog::counting(), admin::routes).await
}

async fn launch(
    options: ProxyOptions,
    log: CallLog,
    admin: impl FnOnce(&Arc<Shared>, Mode, usize) -> Router,
) -> Result<Proxy, StartError> {
    let providers = upstreams(&options.providers)?;
    let keys = options.providers.iter().filter_map(|provider| provider.api_key.clone());
    let scrubber = Scrubber::new(options.secrets.into_iter().chain(keys).collect());
    let scrubber = scrubber.with_hosts(&options.mask_hosts);
    let (engine, problems) = engine(options.mode, options.dir, scrubber.clone()).await?;
    let bind = |source| StartError::Bind { port: options.port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let shared = Arc::new(Shared {
        engine,
        providers,
        scrubber,
        setup: options.setup,
        speed: options.replay_speed,
        trials: Arc::new(ActiveTrials::new(options.policy.records_chosen_only)),
        spending: Arc::new(Spending::new(options.policy)),
        log: Arc::new(log),
        prepared: Requests::default(),
    });
    let providers = Router::new().fallback(handle).with_state(Arc::clone(&shared));
    let providers = match options.after_answer {
        AfterAnswer::KeepOpen => providers,
        AfterAnswer::Close => providers.layer(map_response(announce_end)),
    };
    let router = admin(&shared, options.mode, problems.len()).merge(providers);
    let (open, closed) = oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<Breaker>();
    let server = tokio::spawn(async move {
        // Accept errors are retried inside; this only ends when it is told to.
        let server = axum::serve(Connections(listener), service);
        let _ = server.with_graceful_shutdown(async move { drop(closed.await) }).await;
    });
    Ok(Proxy { address, shared, problems, server, open: Some(open) })
}

fn upstreams(providers: &[ProviderUpstream]) -> Result<Vec<Upstream>, StartError> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    for provider in providers {
        let name = &provider.name;
        let is_plain =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !is_plain || name == admin::NAME || upstreams.iter().any(|other| other.name == *name) {
            return Err(StartError::Name { provider: name.clone() });
        }
        let upstream = Upstream::new(name, &provider.base_url, provider.api_key.clone());
        upstreams.push(upstream.ok_or_else(|| StartError::BaseUrl {
            provider: name.clone(),
            base_url: provider.base_url.clone(),
        })?);
    }
    Ok(upstreams)
}

/// Opens the directory as the mode needs it. Only recording and live modes get a client.
async fn engine(
    mode: Mode,
    dir: PathBuf,
    scrubber: Scrubber,
) -> Result<(Engine, Vec<RecordingProblem>), StartError> {
    let client = || Forwarder::new().map_err(StartError::Client);
    let blocking = |error: tokio::task::JoinError| {
        let source = std::io::Error::other(error);
        StartError::Record(PutError::Io { file: PathBuf::new(), source })
    };
    match mode {
        Mode::Live => Ok((Engine::Live { client: client()? }, Vec::new())),
        Mode::Replay => {
            let (replay, problems) =
                tokio::task::spawn_blocking(move || Replay::open(&dir)).await.map_err(blocking)?;
            Ok((Engine::Replay(Arc::new(replay)), problems))
        }
        Mode::Record | Mode::RecordIfMissing => {
            let open = move || Recorder::open(&dir, scrubber, mode == Mode::Record);
            let (recorder, problems) = tokio::task::spawn_blocking(open).await.map_err(blocking)??;
            let if_missing = mode == Mode::RecordIfMissing;
            Ok((Engine::Record { recorder: Arc::new(recorder), client: client()?, if_missing }, problems))
        }
    }
}

impl Proxy {
    /// Where the stack reaches `provider`, without a final slash.
    pub fn url(&self, provider: &str) -> String {
        format!("http://{}/{provider}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Recordings that cannot be used, found when the directory was read.
    pub fn problems(&self) -> &[RecordingProblem] {
        &self.problems
    }

    /// Begins an attempt at a trial; it is active until the guard is dropped.
    pub fn begin(&self, tag: TrialTag) -> TrialGuard {
        self.trials().begin(tag)
    }

    /// Begins an attempt whose provider calls are dealt with on these terms.
    pub fn begin_on(&self, tag: TrialTag, terms: Terms) -> TrialGuard {
        self.trials().begin_on(tag, terms)
    }

    /// What was forwarded so far.
    pub fn spent(&self) -> Spent {
        self.shared.spending.spent()
    }

    /// Whether the budget is used up: a request was refused, and none will be forwarded any more.
    pub fn is_over_budget(&self) -> bool {
        self.shared.spending.is_over()
    }

    /// The recordings that a run could have used and did not.
    pub fn unused(&self, run: &Coverage) -> Vec<Unused> {
        let entries = match &self.shared.engine {
            Engine::Replay(replay) => replay.entries(),
            Engine::Record { recorder, .. } => recorder.entries(),
            Engine::Live { .. } => return Vec::new(),
        };
        let providers: Vec<&str> = self.shared.providers.iter().map(|p| p.name.as_str()).collect();
        unused(&entries, &providers, run)
    }

    /// The trials that are active, for attributing requests.
    pub fn trials(&self) -> &Arc<ActiveTrials> {
        &self.shared.trials
    }

    /// Removes and returns the finished calls that `trial` caused. Call [`Proxy::settle`] first when recording.
    pub fn take_calls(&self, trial: &str) -> Vec<ProviderCall> {
        self.shared.log.take(|call| call.scope.as_deref() == Some(trial))
    }

    /// Removes and returns the finished calls of which the trial is not known, but for those at boot.
    pub fn take_unattributed_calls(&self) -> Vec<ProviderCall> {
        self.shared.log.take(|call| call.scope.is_none() && !call.boot)
    }

    /// Removes and returns the finished calls from before the first trial.
    pub fn take_boot_calls(&self) -> Vec<ProviderCall> {
        self.shared.log.take(|call| call.boot)
    }

    /// Waits until every call that was forwarded has ended and is recorded; false when `limit` passed first.
    pub async fn settle(&self, limit: Duration) -> bool {
        self.shared.log.settle(limit).await
    }

    /// Closes the port and finishes what is being answered and recorded; false when that took longer than `limit`.
    pub async fn stop(mut self, limit: Duration) -> bool {
        self.open = None;
        let answered = tokio::time::timeout(limit, &mut self.server);
        let log = Arc::clone(&self.shared.log);
        let (answered, recorded) = tokio::join!(answered, log.settle(limit));
        answered.is_ok() && recorded
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}
