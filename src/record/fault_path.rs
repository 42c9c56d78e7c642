//! Whole-path tests of declared faults: a provider on loopback, recorded once, and a client that meets the faults.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

const STREAM: &str = "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: {\"n\":3}\n\ndata: [DONE]\n\n";

/// A provider that answers one path with a stream, another with JSON.
async fn provider() -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/v1/chat/completions", post(async || ([(CONTENT_TYPE, "text/event-stream")], STREAM)))
        .route("/v1/embeddings", post(async || axum::Json(serde_json::json!({"data": [1, 2, 3]}))));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base_url
}

fn on(faults: Vec<Fault>) -> Terms {
    Terms { faults, ..Terms::default() }
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
    start(options).await.unwrap()
}

/// A client that asks again and again.
struct Client<'a> {
    proxy: &'a Proxy,
    client: reqwest::Client,
}

impl<'a> Client<'a> {
    fn new(proxy: &'a Proxy) -> Self {
        Self { proxy, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Status and body; `…` where the body breaks off, `reset` without any answer.
    async fn ask(&self, path: &str) -> String {
        let request = self.client.post(format!("{}{path}", self.proxy.url("p"))).body("{}");
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                assert!(error.is_request() && !error.is_connect(), "{error:?}");
                return "reset".to_owned();
            }
        };
        let mut text = format!("{} ", response.status().as_u16());
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => text += std::str::from_utf8(&chunk).unwrap(),
                Ok(None) => return text,
                Err(_) => return text + "…",
            }
        }
    }
}

const CHAT: &str = "/v1/chat/completions";
const EMBED: &str = "/v1/embeddings";

fn fault(endpoint: &str, calls: Occurrence, effect: Effect) -> Fault {
    Fault { provider: None, endpoint: Some(endpoint.into()), calls, delay: Duration::ZERO, effect }
}

fn tag() -> TrialTag {
    TrialTag { id: "t".into(), aliases: vec![] }
}

fn status(code: u16) -> Effect {
    Effect::Status { code, retry_after: Some(Duration::from_secs(1)), should_retry: None }
}

async fn recorded() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let recording = proxy(Mode::Record, dir.path(), &provider().await).await;
    let client = Client::new(&recording);
    assert_eq!(client.ask(CHAT).await, format!("200 {STREAM}"));
    assert_eq!(client.ask(EMBED).await, "200 {\"data\":[1,2,3]}");
    assert!(recording.settle(LIMIT).await);
    dir
}

#[tokio::test]
async fn faults_happen_to_recordings_and_then_the_recording_comes() {
    let dir = recorded().await;
    let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9").await;
    let nth = |n| Occurrence::Nth(NonZeroU32::new(n).unwrap());
    let faults = vec![
        fault(CHAT, nth(1), status(429)),
        fault(CHAT, nth(2), Effect::Refused),
        fault(CHAT, nth(3), Effect::CutAfterEvents(2)),
        fault(CHAT, nth(4), Effect::MalformedEvent(NonZeroUsize::new(2).unwrap())),
        fault(EMBED, nth(1), Effect::CutAfterEvents(1)),
        fault(EMBED, nth(2), Effect::MalformedEvent(NonZeroUsize::MIN)),
        fault("/rerank", Occurrence::Every, status(500)),
    ];
    let guard = replaying.begin_on(tag(), on(faults));
    let client = Client::new(&replaying);
    let refused = client.ask(CHAT).await;
    assert!(refused.starts_with("429 {\"error\":{\"message\":\"Too Many Requests"), "{refused}");
    assert_eq!(client.ask(CHAT).await, "reset");
    assert_eq!(client.ask(CHAT).await, "200 data: {\"n\":1}\n\ndata: {\"n\":2}\n\n…");
    let malformed = STREAM.replace("data: {\"n\":2}", "data: {\"n");
    assert_eq!(client.ask(CHAT).await, format!("200 {malformed}"));
    assert_eq!(client.ask(CHAT).await, format!("200 {STREAM}"));
    assert_eq!(client.ask(EMBED).await, "200 {\"data\":…");
    assert_eq!(client.ask(EMBED).await, "200 {\"data\":");
    assert_eq!(client.ask(EMBED).await, "200 {\"data\":[1,2,3]}");
    assert_eq!(guard.unmet_faults(), [6]);

    let calls = replaying.take_calls("t");
    let told: Vec<_> = calls.iter().map(|c| (c.status, c.result.to_string(), c.fault.is_some())).collect();
    assert_eq!(told[0], (429, "declared fault".into(), true));
    assert_eq!(told[1], (0, "declared fault".into(), true));
    assert_eq!(told[2], (200, "exact".into(), true));
    assert_eq!(told[4], (200, "exact".into(), false));
    drop(guard);

    let again = replaying.begin(tag());
    assert_eq!(client.ask(CHAT).await, format!("200 {STREAM}"), "faults end with their trial");
    drop(again);
}

#[tokio::test]
async fn a_fault_that_cannot_happen_is_no_success() {
    let dir = recorded().await;
    let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9").await;
    let far = fault(CHAT, Occurrence::Every, Effect::CutAfterEvents(9));
    let _guard = replaying.begin_on(tag(), on(vec![far]));
    let answer = Client::new(&replaying).ask(CHAT).await;
    assert!(answer.starts_with("500 ") && answer.contains("the answer has 4 events"), "{answer}");
    let [call] = &replaying.take_calls("t")[..] else { panic!("one call") };
    assert!(matches!(&call.result, CallResult::Failed { .. }), "{call:?}");
}

#[tokio::test]
async fn while_recording_the_client_gets_the_fault_and_the_file_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let recording = proxy(Mode::Record, dir.path(), &provider().await).await;
    let first = Occurrence::First(NonZeroU32::MIN);
    let guard = recording.begin_on(tag(), on(vec![fault(CHAT, first, Effect::CutAfterEvents(1))]));
    let client = Client::new(&recording);
    assert_eq!(client.ask(CHAT).await, "200 data: {\"n\":1}\n\n…");
    assert!(recording.settle(LIMIT).await);
    assert!(guard.unmet_faults().is_empty());
    drop((guard, client));
    drop(recording);
    let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9").await;
    assert_eq!(Client::new(&replaying).ask(CHAT).await, format!("200 {STREAM}"));
}

#[tokio::test]
async fn a_delayed_answer_is_whole_and_late() {
    let dir = recorded().await;
    let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9").await;
    let delay = Duration::from_millis(20);
    let late = Fault { delay, ..fault(CHAT, Occurrence::Every, Effect::Delayed) };
    let _guard = replaying.begin_on(tag(), on(vec![late]));
    let asked = Instant::now();
    assert_eq!(Client::new(&replaying).ask(CHAT).await, format!("200 {STREAM}"));
    assert!(asked.elapsed() >= delay);
}
