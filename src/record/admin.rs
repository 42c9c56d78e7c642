//! `/_runner/…` of a stand-alone proxy: whether it lives, what it counted, and whose requests the next ones are.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Mode;
use super::scope::{TrialGuard, TrialTag, lock};
use super::serve::Shared;

/// The first part of these paths; no provider can have this name.
pub(crate) const NAME: &str = "_runner";

#[derive(Debug)]
struct Admin {
    shared: Arc<Shared>,
    mode: Mode,
    /// Recordings that cannot be used.
    problems: usize,
    scope: Mutex<Option<TrialGuard>>,
}

/// Serves the three of them.
pub(crate) fn routes(shared: &Arc<Shared>, mode: Mode, problems: usize) -> Router {
    let admin = Admin { shared: Arc::clone(shared), mode, problems, scope: Mutex::default() };
    Router::new()
        .route("/_runner/health", get(health))
        .route("/_runner/stats", get(stats))
        .route("/_runner/scope", get(scope).put(set_scope))
        .with_state(Arc::new(admin))
}

async fn health(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let providers: Vec<_> = admin.shared.providers.iter().map(|provider| provider.name.as_str()).collect();
    Json(json!({
        "status": "ok", "mode": admin.mode.as_str(), "providers": providers, "unusable_recordings": admin.problems,
    }))
}

async fn stats(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let mut stats = admin.shared.log.counted();
    stats["in_flight"] = admin.shared.log.in_flight().into();
    stats["scope"] = current(&admin);
    Json(stats)
}

async fn scope(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(json!({ "scope": current(&admin) }))
}

/// The first line names the scope, further lines other names that its recordings may have; nothing clears it. Setting the
/// same scope again begins another attempt, which starts from the first recorded answers.
async fn set_scope(State(admin): State<Arc<Admin>>, body: String) -> Json<Value> {
    let mut names = body.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let mut scope = lock(&admin.scope);
    // The old one ends first, so that two are never active at once.
    *scope = None;
    *scope = names.next().map(|id| admin.shared.trials.begin(TrialTag { id, aliases: names.collect() }));
    drop(scope);
    Json(json!({ "scope": current(&admin) }))
}

fn current(admin: &Admin) -> Value {
    lock(&admin.scope).as_ref().and_then(|guard| guard.attempt().trial()).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use axum::routing::post;

    use super::*;
    use crate::record::{ProviderUpstream, Proxy, ProxyOptions, ReplaySpeed, start_stand_alone};

    const LIMIT: Duration = Duration::from_secs(20);

    /// A provider that numbers its answers.
    async fn provider() -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let answer = move || async move {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            Json(json!({"number": number, "usage": {"prompt_tokens": 2, "completion_tokens": 3}}))
        };
        let router = Router::new().route("/v1/chat/completions", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}/v1")
    }

    async fn proxy(mode: Mode, dir: &Path, base_url: &str) -> Proxy {
        let providers = vec![ProviderUpstream { name: "p".into(), base_url: base_url.into(), api_key: None }];
        let (dir, replay_speed) = (dir.to_path_buf(), ReplaySpeed::FAST);
        let options = ProxyOptions {
            mode,
            dir,
            providers,
            setup: None,
            secrets: vec![],
            mask_hosts: vec![],
            port: 0,
            replay_speed,
            policy: crate::record::Policy::default(),
            after_answer: crate::record::AfterAnswer::default(),
        };
        start_stand_alone(options).await.unwrap()
    }

    struct Client {
        base: String,
        http: reqwest::Client,
    }

    impl Client {
        fn new(proxy: &Proxy) -> Self {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            Self { base: format!("http://{}", proxy.address()), http }
        }

        async fn get(&self, path: &str) -> Value {
            self.http.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
        }

        async fn set_scope(&self, scope: &'static str) -> Value {
            let request = self.http.put(format!("{}/_runner/scope", self.base)).body(scope);
            request.send().await.unwrap().json::<Value>().await.unwrap()["scope"].take()
        }

        /// The number of the answer to `prompt`; null for a miss.
        async fn ask(&self, prompt: &str) -> Value {
            let request = self.http.post(format!("{}/p/chat/completions", self.base));
            let response = request.json(&json!({"prompt": prompt})).send().await.unwrap();
            response.json::<Value>().await.unwrap()["number"].take()
        }
    }

    #[tokio::test]
    async fn the_scope_that_is_set_owns_what_is_recorded_and_gets_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let recording = proxy(Mode::Record, dir.path(), &provider().await).await;
        let client = Client::new(&recording);
        let health = client.get("/_runner/health").await;
        assert_eq!(
            health,
            json!({"status": "ok", "mode": "record", "providers": ["p"], "unusable_recordings": 0})
        );
        assert_eq!(client.set_scope("tests/integration/a.py::a\n").await, "tests/integration/a.py::a");
        assert_eq!(client.ask("x").await, 1);
        assert_eq!(client.set_scope("b").await, "b");
        assert_eq!(client.ask("x").await, 2);
        assert_eq!(client.set_scope(" \n").await, Value::Null);
        assert_eq!(client.ask("y").await, 3);
        assert!(recording.settle(LIMIT).await);
        let stats = client.get("/_runner/stats").await;
        assert_eq!(
            (&stats["recorded"], &stats["tokens"]),
            (&json!(3), &json!({"prompt": 6, "completion": 9}))
        );
        drop(recording);

        let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9/v1").await;
        let client = Client::new(&replaying);
        client.set_scope("b").await;
        assert_eq!(client.ask("x").await, 2);
        client.set_scope("our/trial::a\na.py::a").await;
        assert_eq!(client.get("/_runner/scope").await, json!({"scope": "our/trial::a"}));
        assert_eq!((client.ask("x").await, client.ask("y").await), (json!(1), json!(3)));
        assert_eq!((client.ask("z").await, client.ask("z").await), (Value::Null, Value::Null));
        client.get("/nobody/v1/models").await;

        let mut stats = client.get("/_runner/stats").await;
        let miss = stats["misses"][0].take();
        assert_eq!((&miss["count"], &miss["scope"]), (&json!(2), &json!("our/trial::a")), "{miss}");
        let nearest = miss["nearest"].as_str().unwrap();
        assert!(dir.path().join(nearest).is_file(), "{nearest}");
        assert!(miss["message"].as_str().unwrap().contains("$.prompt"), "{miss}");
        let failure = stats["failures"][0].take();
        assert!(failure.as_str().unwrap().contains("no provider `nobody`"), "{failure}");
        let want = json!({
            "requests": 6, "by_provider": {"p": 5, "nobody": 1}, "matches": {"exact": 3},
            "scopes": {"same": 2, "unscoped": 1}, "recorded": 0, "forwarded": 0, "faulted": 0, "refused": 0, "missed": 2,
            "failed": 1,
            "misses": [null], "failures": [null], "tokens": {"prompt": 6, "completion": 9}, "in_flight": 0,
            "scope": "our/trial::a",
        });
        assert_eq!(stats, want);
    }

    #[tokio::test]
    async fn a_proxy_of_a_run_cannot_be_told_whose_requests_come() {
        let dir = tempfile::tempdir().unwrap();
        let provider = provider().await;
        let providers = vec![ProviderUpstream { name: "p".into(), base_url: provider, api_key: None }];
        let (mode, dir, replay_speed) = (Mode::Live, dir.path().to_path_buf(), ReplaySpeed::FAST);
        let mut options = ProxyOptions {
            mode,
            dir,
            providers,
            setup: None,
            secrets: vec![],
            mask_hosts: vec![],
            port: 0,
            replay_speed,
            policy: crate::record::Policy::default(),
            after_answer: crate::record::AfterAnswer::default(),
        };
        let running = crate::record::start(options.clone()).await.unwrap();
        assert_eq!(Client::new(&running).set_scope("a").await, Value::Null);
        assert_eq!(running.take_boot_calls().len(), 1, "it is a request like any other");
        options.providers[0].name = NAME.to_owned();
        assert!(start_stand_alone(options).await.is_err());
    }

    #[tokio::test]
    async fn stopping_finishes_what_is_being_recorded_and_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (arrived, arrival) = tokio::sync::oneshot::channel();
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        let gates = Arc::new(Mutex::new(Some((arrived, held))));
        let answer = move || {
            let gates = lock(&gates).take();
            async move {
                let (arrived, held) = gates.unwrap();
                arrived.send(()).unwrap();
                held.await.unwrap();
                "late"
            }
        };
        let router = Router::new().route("/x", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let recording = proxy(Mode::Record, dir.path(), &base_url).await;
        let address = recording.address();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = tokio::spawn(client.post(format!("{}/x", recording.url("p"))).send());
        arrival.await.unwrap();
        let stopping = tokio::spawn(recording.stop(LIMIT));
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        assert!(stopping.await.unwrap());
        assert_eq!(asked.await.unwrap().unwrap().text().await.unwrap(), "late");
        assert_eq!(std::fs::read_dir(dir.path().join("responses")).unwrap().count(), 1);
    }
}
