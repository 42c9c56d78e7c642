//! Whole-path tests: a provider on loopback, a proxy that records it, a proxy that replays, and a client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::*;

/// Long enough for any machine; reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(20);

const KEY: &str = "sk-real-key-0123456789";

/// A request as the provider saw it, waiting for its answer.
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Bytes,
    reply: oneshot::Sender<Response<Body>>,
}

/// A provider whose answers the test gives one by one.
struct Provider {
    base_url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Provider {
    async fn start() -> Self {
        let (sender, seen) = mpsc::unbounded_channel::<Seen>();
        let answer = |State(sender): State<mpsc::UnboundedSender<Seen>>, request: axum::extract::Request| async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let (reply, response) = oneshot::channel();
            sender.send(Seen { path: parts.uri.to_string(), headers: parts.headers, body, reply }).unwrap();
            response.await.unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, seen }
    }

    async fn next(&mut self) -> Seen {
        tokio::time::timeout(LIMIT, self.seen.recv()).await.expect("a request").unwrap()
    }
}

impl Seen {
    fn json(self, status: u16, body: &Value) {
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-request-id", "req-1")
            .header("set-cookie", "session=1");
        self.reply.send(response.body(Body::from(body.to_string())).unwrap()).unwrap();
    }

    /// Begins a stream; what is sent into the channel becomes one chunk each.
    fn stream(self) -> mpsc::Sender<Result<Bytes, std::io::Error>> {
        let (chunks, receiver) = mpsc::channel(1);
        let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
        self.reply.send(response.body(Body::from_stream(ReceiverStream::new(receiver))).unwrap()).unwrap();
        chunks
    }
}

fn options(mode: Mode, dir: &Path, base_url: &str) -> ProxyOptions {
    ProxyOptions {
        mode,
        dir: dir.to_path_buf(),
        providers: vec![ProviderUpstream {
            name: "openai".into(),
            base_url: base_url.into(),
            api_key: Some(KEY.into()),
        }],
        setup: Some("gpt".into()),
        secrets: vec![KEY.into()],
        mask_hosts: vec![],
        port: 0,
        replay_speed: ReplaySpeed::FAST,
        policy: crate::record::Policy::default(),
        after_answer: crate::record::AfterAnswer::default(),
    }
}

async fn proxy(mode: Mode, dir: &Path, base_url: &str) -> Proxy {
    start(options(mode, dir, base_url)).await.unwrap()
}

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

async fn replay(dir: &Path) -> Proxy {
    let proxy = proxy(Mode::Replay, dir, NOWHERE).await;
    assert!(proxy.problems().is_empty(), "{:?}", proxy.problems());
    proxy
}

fn post(proxy: &Proxy, path: &str, body: &Value) -> reqwest::RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(proxy.url("openai") + path).bearer_auth("dummy-credential").json(body)
}

fn chat(prompt: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": true})
}

/// Sends a chat request whose answer is not awaited here.
fn ask(proxy: &Proxy, prompt: &str) -> tokio::task::JoinHandle<reqwest::Response> {
    let request = post(proxy, "/chat/completions", &chat(prompt));
    tokio::spawn(async move { request.send().await.unwrap() })
}

async fn chunks_of(response: reqwest::Response) -> Vec<Bytes> {
    response.bytes_stream().map(|chunk| chunk.unwrap()).collect().await
}

/// Records one JSON answer to `prompt`.
async fn record_json(proxy: &Proxy, provider: &mut Provider, prompt: &str, answer: &Value) {
    let asked = ask(proxy, prompt);
    provider.next().await.json(200, answer);
    assert_eq!(asked.await.unwrap().json::<Value>().await.unwrap(), *answer);
    assert!(proxy.settle(LIMIT).await);
}

/// The files below `dir`, with their text.
fn files(dir: &Path) -> Vec<(String, String)> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
    };
    let mut files: Vec<_> = std::fs::read_dir(dir.join("responses")).unwrap().map(read).collect();
    files.sort();
    files
}

fn setup() -> tempfile::TempDir {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tempfile::tempdir().unwrap()
}

fn tag(id: &str) -> TrialTag {
    TrialTag { id: id.into(), aliases: vec![] }
}

#[tokio::test]
async fn a_stream_is_passed_on_as_it_comes_and_replayed_in_the_same_chunks() {
    let dir = setup();
    let mut provider = Provider::start().await;
    // A character split over two chunks, two events in one chunk, no final newline.
    let sent: [&[u8]; 4] =
        [b"data: {\"a\":\"\xc3", b"\xa9\"}\n\n", b"data: 1\n\ndata: 2\n\n", b"data: [DONE]"];
    {
        let proxy = proxy(Mode::Record, dir.path(), &provider.base_url).await;
        let asked = ask(&proxy, "hi");
        let seen = provider.next().await;
        assert_eq!(seen.path, "/v1/chat/completions");
        assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), chat("hi"));
        let stream = seen.stream();
        let mut received = asked.await.unwrap().bytes_stream();
        for chunk in sent {
            stream.send(Ok(Bytes::from_static(chunk))).await.unwrap();
            // The next chunk is only sent once this one has arrived.
            assert_eq!(received.next().await.unwrap().unwrap(), chunk);
        }
        drop(stream);
        assert!(received.next().await.is_none());
        assert!(proxy.settle(LIMIT).await);
        let calls = proxy.take_boot_calls();
        assert!(
            matches!(&calls[..], [call] if matches!(call.result, CallResult::Recorded { .. })),
            "{calls:?}"
        );
    }
    let proxy = replay(dir.path()).await;
    let response = ask(&proxy, "hi").await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(chunks_of(response).await, sent);
    let [call] = &proxy.take_boot_calls()[..] else { panic!("one call") };
    assert!(matches!(&call.result, CallResult::Hit { normalisers, .. } if normalisers.is_empty()));
}

#[tokio::test]
async fn a_client_that_hangs_up_loses_nothing() {
    let dir = setup();
    let mut provider = Provider::start().await;
    let proxy = proxy(Mode::Record, dir.path(), &provider.base_url).await;
    let asked = ask(&proxy, "hi");
    let stream = provider.next().await.stream();
    stream.send(Ok("data: 1\n\n".into())).await.unwrap();
    drop(asked.await.unwrap());
    stream.send(Ok("data: 2\n\n".into())).await.unwrap();
    drop(stream);

    let early = ask(&proxy, "early");
    let seen = provider.next().await;
    early.abort();
    assert!(early.await.unwrap_err().is_cancelled());
    seen.json(200, &json!({"late": true}));

    assert!(proxy.settle(LIMIT).await);
    drop(proxy);
    let proxy = replay(dir.path()).await;
    assert_eq!(chunks_of(ask(&proxy, "hi").await.unwrap()).await, ["data: 1\n\n", "data: 2\n\n"]);
    assert_eq!(ask(&proxy, "early").await.unwrap().json::<Value>().await.unwrap(), json!({"late": true}));
}

#[tokio::test]
async fn a_connection_cut_by_the_provider_is_cut_in_replay_too() {
    let dir = setup();
    let mut provider = Provider::start().await;
    {
        let proxy = proxy(Mode::Record, dir.path(), &provider.base_url).await;
        let asked = ask(&proxy, "hi");
        let stream = provider.next().await.stream();
        stream.send(Ok("data: 1\n\n".into())).await.unwrap();
        let mut received = asked.await.unwrap().bytes_stream();
        assert_eq!(received.next().await.unwrap().unwrap(), "data: 1\n\n");
        stream.send(Err(std::io::Error::other("gone"))).await.unwrap();
        assert!(received.next().await.unwrap().is_err());
        assert!(proxy.settle(LIMIT).await);
    }
    let proxy = replay(dir.path()).await;
    let mut received = ask(&proxy, "hi").await.unwrap().bytes_stream();
    assert_eq!(received.next().await.unwrap().unwrap(), "data: 1\n\n");
    assert!(received.next().await.unwrap().is_err());
}

#[tokio::test]
async fn errors_are_recorded_with_status_and_harmless_headers_only() {
    let dir = setup();
    let mut provider = Provider::start().await;
    let error = json!({"error": {"message": "slow down"}});
    {
        let proxy = proxy(Mode::Record, dir.path(), &provider.base_url).await;
        let asked = ask(&proxy, "hi");
        provider.next().await.json(429, &error);
        assert_eq!(asked.await.unwrap().status(), 429);
        assert!(proxy.settle(LIMIT).await);
    }
    let proxy = replay(dir.path()).await;
    let response = ask(&proxy, "hi").await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-request-id"]),
        (429, &"req-1".parse().unwrap())
    );
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(response.json::<Value>().await.unwrap(), error);
}

#[tokio::test]
async fn no_credential_reaches_a_file() {
    let dir = setup();
    let mut provider = Provider::start().await;
    let proxy = proxy(Mode::Record, dir.path(), &provider.base_url).await;
    let asked = tokio::spawn(post(&proxy, &format!("/echo?key={KEY}"), &json!({"note": KEY})).send());
    provider.next().await.json(200, &json!({"you_sent": KEY}));
    assert_eq!(asked.await.unwrap().unwrap().json::<Value>().await.unwrap()["you_sent"], KEY);
    let streamed = ask(&proxy, "split");
    let stream = provider.next().await.stream();
    let (head, tail) = KEY.split_at(9);
    for part in [head, tail] {
        stream.send(Ok(Bytes::copy_from_slice(part.as_bytes()))).await.unwrap();
    }
    drop(stream);
    chunks_of(streamed.await.unwrap()).await;
    assert!(proxy.settle(LIMIT).await);
    let files = files(dir.path());
    assert_eq!(files.len(), 2);
    for (name, text) in files {
        for forbidden in [KEY, tail, "dummy-credential", "uthorization", "cookie"] {
            assert!(!text.contains(forbidden), "{name} holds {forbidden}: {text}");
        }
        assert!(text.contains("<secret>"), "{text}");
    }
}

#[tokio::test]
async fn a_miss_names_the_nearest_recording_and_what_differs() {
    let dir = setup();
    let mut provider = Provider::start().await;
    {
        let proxy = proxy(Mode::Record, dir.path(), &provider.base_url).await;
        record_json(&proxy, &mut provider, "the capital of France", &json!({"a": 1})).await;
        record_json(&proxy, &mut provider, "something else entirely", &json!({"a": 2})).await;
    }
    let proxy = replay(dir.path()).await;
    let _trial = proxy.begin(tag("t"));
    let response = ask(&proxy, "the capital of Spain").await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-should-retry"]),
        (599, &"false".parse().unwrap())
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "replay_miss");

    let [call] = &proxy.take_calls("t")[..] else { panic!("one call") };
    let CallResult::Miss(miss) = &call.result else { panic!("a miss: {call:?}") };
    let nearest = miss.nearest.as_ref().unwrap();
    assert_eq!(nearest.differences.len(), 1, "{miss}");
    assert_eq!(nearest.differences[0].path, "$.messages[0].content");
    assert_eq!(body["error"]["message"], miss.to_string());
    let text = miss.to_string().replace(&miss.key, "KEY").replace(&nearest.file, "FILE");
    assert_eq!(
        text,
        "no recording answers POST /v1/chat/completions (provider openai)\n  key      KEY\n  nearest  FILE\n  \
         differs  $.messages[0].content: request \"the capital of Spain\", recording \"the capital of France\"\n  \
         hint     if the request changed on purpose, record it: --inference-mode=record-if-missing"
    );
}

#[tokio::test]
async fn record_if_missing_asks_the_provider_once() {
    let dir = setup();
    let mut provider = Provider::start().await;
    let proxy = proxy(Mode::RecordIfMissing, dir.path(), &provider.base_url).await;
    record_json(&proxy, &mut provider, "hi", &json!({"a": 1})).await;
    assert_eq!(ask(&proxy, "hi").await.unwrap().json::<Value>().await.unwrap(), json!({"a": 1}));
    record_json(&proxy, &mut provider, "ho", &json!({"a": 2})).await;
    let results: Vec<_> = proxy.take_boot_calls().into_iter().map(|call| call.result).collect();
    assert!(
        matches!(
            &results[..],
            [CallResult::Recorded { .. }, CallResult::Hit { .. }, CallResult::Recorded { .. }]
        ),
        "{results:?}"
    );
}

#[tokio::test]
async fn live_forwards_and_stores_nothing() {
    let dir = setup();
    let mut provider = Provider::start().await;
    let proxy = proxy(Mode::Live, dir.path(), &provider.base_url).await;
    let usage = json!({"usage": {"prompt_tokens": 5, "completion_tokens": 7}});
    record_json(&proxy, &mut provider, "hi", &usage).await;
    let [call] = &proxy.take_boot_calls()[..] else { panic!("one call") };
    assert_eq!(call.result, CallResult::Forwarded);
    assert_eq!(call.tokens, Some(Tokens { prompt: 5, completion: 7 }));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Records `answers` in order for trial `id`, all to one request, in one run.
async fn record_run(dir: &Path, provider: &mut Provider, runs: &[(&str, &[u32])]) {
    let proxy = proxy(Mode::Record, dir, &provider.base_url).await;
    for (id, answers) in runs {
        let _trial = proxy.begin(tag(id));
        for answer in *answers {
            record_json(&proxy, provider, "same", &json!({"answer": answer})).await;
        }
    }
}

/// What replay answers to `count` requests of trial `id`.
async fn replayed(dir: &Path, id: &str, count: usize) -> Vec<u64> {
    let proxy = replay(dir).await;
    let _trial = proxy.begin(tag(id));
    let mut answers = Vec::new();
    for _ in 0..count {
        let body: Value = ask(&proxy, "same").await.unwrap().json().await.unwrap();
        answers.push(body["answer"].as_u64().unwrap());
    }
    answers
}

#[tokio::test]
async fn each_trial_gets_its_own_answers_back_in_order() {
    let dir = setup();
    let mut provider = Provider::start().await;
    record_run(dir.path(), &mut provider, &[("a", &[1, 2, 1]), ("b", &[2, 3])]).await;
    assert_eq!(replayed(dir.path(), "a", 4).await, [1, 2, 1, 1]);
    assert_eq!(replayed(dir.path(), "b", 3).await, [2, 3, 3]);
    let names: Vec<_> = files(dir.path()).into_iter().map(|(name, _)| name[12..].to_owned()).collect();
    assert_eq!(names, ["-2.json", "-3.json", ".json"], "equal answers share a file");
}

#[tokio::test]
async fn recording_again_replaces_only_what_that_trial_had() {
    let dir = setup();
    let mut provider = Provider::start().await;
    record_run(dir.path(), &mut provider, &[("a", &[1, 2]), ("b", &[2])]).await;
    record_run(dir.path(), &mut provider, &[("a", &[5])]).await;
    assert_eq!(replayed(dir.path(), "a", 2).await, [5, 5]);
    assert_eq!(replayed(dir.path(), "b", 1).await, [2]);
    assert_eq!(files(dir.path()).len(), 2);
    // A retry within a run is a new attempt, and replaces the first one's answers.
    record_run(dir.path(), &mut provider, &[("a", &[6, 7]), ("a", &[8])]).await;
    assert_eq!(replayed(dir.path(), "a", 2).await, [8, 8]);
    assert_eq!(replayed(dir.path(), "b", 1).await, [2]);
}

#[tokio::test]
async fn a_half_written_file_of_a_killed_run_is_never_read() {
    let dir = setup();
    let mut provider = Provider::start().await;
    record_run(dir.path(), &mut provider, &[("a", &[1])]).await;
    std::fs::write(dir.path().join("responses/.abc123.tmp"), "{\"request\":").unwrap();
    assert_eq!(replayed(dir.path(), "a", 1).await, [1]);
}

#[tokio::test]
async fn two_recorders_in_one_directory_lose_nothing() {
    let dir = setup();
    let mut provider = Provider::start().await;
    let one = proxy(Mode::Record, dir.path(), &provider.base_url).await;
    let two = proxy(Mode::Record, dir.path(), &provider.base_url).await;
    let (_a, _b) = (one.begin(tag("a")), two.begin(tag("b")));
    for answer in 1..=3 {
        record_json(&one, &mut provider, "same", &json!({"answer": answer})).await;
        record_json(&two, &mut provider, "same", &json!({"answer": answer * 10})).await;
    }
    assert_eq!(replayed(dir.path(), "a", 3).await, [1, 2, 3]);
    assert_eq!(replayed(dir.path(), "b", 3).await, [10, 20, 30]);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let dir = setup();
    let replaying = replay(dir.path()).await;
    let url = replaying.url("openai").replace("/openai", "/opneai/v1/models");
    let unknown = reqwest::get(url).await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("one of: openai"));
    let logged = replaying.take_boot_calls();
    assert!(matches!(&logged[..], [call] if matches!(call.result, CallResult::Failed { .. })), "{logged:?}");

    let live = proxy(Mode::Live, dir.path(), NOWHERE).await;
    let unreachable = ask(&live, "hi").await.unwrap();
    assert_eq!(unreachable.status(), 502);
    assert!(unreachable.text().await.unwrap().contains("provider openai cannot be reached"));
}

#[tokio::test]
async fn a_connection_ends_with_its_answer_where_the_stack_must_not_keep_it() {
    let dir = setup();
    for (keep_alive, announced) in [(None, None), (Some(true), None), (Some(false), Some("close"))] {
        let options =
            ProxyOptions { after_answer: keep_alive.into(), ..options(Mode::Replay, dir.path(), NOWHERE) };
        let answer = ask(&start(options).await.unwrap(), "hi").await.unwrap();
        let header = answer.headers().get("connection").map(|value| value.to_str().unwrap());
        assert_eq!(header, announced, "keep_alive: {keep_alive:?}");
    }
}

#[tokio::test]
async fn bad_options_are_refused() {
    let dir = setup();
    let mut options = options(Mode::Replay, dir.path(), "localhost:80");
    let message = start(options.clone()).await.unwrap_err().to_string();
    assert!(message.contains("provider openai: `localhost:80` is no http address"), "{message}");
    options.providers[0] = ProviderUpstream { name: "a/b".into(), base_url: NOWHERE.into(), api_key: None };
    assert!(start(options.clone()).await.unwrap_err().to_string().contains("`a/b` cannot be used"));
    options.providers.clear();
    let running = start(options.clone()).await.unwrap();
    options.port = running.address().port();
    let taken = start(options).await.unwrap_err().to_string();
    assert!(taken.contains(&format!("127.0.0.1:{}", running.address().port())), "{taken}");
}

#[tokio::test]
async fn calls_are_attributed_to_their_trials() {
    let dir = setup();
    let proxy = replay(dir.path()).await;
    let send = |header: Option<String>| {
        let request = post(&proxy, "/chat/completions?x=1", &chat("hi"));
        async move {
            match header {
                Some(value) => request.header("traceparent", value).send().await.unwrap(),
                None => request.send().await.unwrap(),
            }
        }
    };
    send(None).await;
    let (_a, _b) = (proxy.begin(tag("a")), proxy.begin(tag("b")));
    send(Some(traceparent("b"))).await;
    send(None).await;
    let boot = proxy.take_boot_calls();
    assert!(matches!(&boot[..], [call] if call.path == "/v1/chat/completions" && call.query == "x=1"));
    assert!(proxy.take_calls("a").is_empty());
    let own = proxy.take_calls("b");
    assert!(matches!(&own[..], [call] if call.body.as_deref() == Some(&chat("hi"))));
    let unknown = proxy.take_unattributed_calls();
    assert!(matches!(&unknown[..], [call] if call.suspects == ["a", "b"]));
    assert!(proxy.take_unattributed_calls().is_empty());
    let _: Arc<ActiveTrials> = Arc::clone(proxy.trials());
}
