//! Forty secrets, told to a recording proxy in every place and encoding, and then looked for in every byte it wrote.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::*;

/// Long enough for any machine; reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// Values of variables: hard to escape, like other encodings, or numbers.
fn in_variables() -> Vec<String> {
    let shapes = [
        "k{n}-Zx81Qp",
        "p@ss/w+rd={n}&x",
        "quote\"{n}\\back",
        "Ünïcødé-{n}-ß",
        "{n}007007007",
        "c2VjcmV0{n}abc",
        "a b c {n} d",
        "%41{n}%zz-x",
        "deadbeef{n}deadbeef",
        "<tag {n}/>'x'",
        "tab\t{n}\tend",
        "😀-emoji-{n}",
        "/slash/{n}/path/",
        "UPPER_{n}_CASE",
        "dot.{n}.com:8443",
    ];
    (0..30).map(|n| shapes[n % shapes.len()].replace("{n}", &(100 + n).to_string())).collect()
}

/// Keys that no variable holds, put together here so that no scanner takes this file for a leak.
fn by_looks() -> Vec<String> {
    let body = "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T";
    let prefixes = ["sk-", "sk-proj-", "AIza", "gsk_", "tvly-", "ghp_", "github_pat_", "hf_", "xoxb-"];
    let mut keys: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}{}", &body[..35])).collect();
    keys.push(format!("AKIA{}", "ABCDEFGH12345678"));
    keys
}

/// How a secret can be written, by name.
fn encodings(secret: &str) -> Vec<(&'static str, String)> {
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let some_percent = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        text.bytes()
            .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") })
            .collect::<String>()
    };
    let json = serde_json::to_string(secret).unwrap();
    let unicode: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let shifted = |by: &str| STANDARD_NO_PAD.encode(format!("{by}{secret}!"));
    vec![
        ("plain", secret.to_owned()),
        ("base64", STANDARD.encode(secret)),
        ("base64 shifted by one", shifted(":")),
        ("base64 shifted by two", shifted("x:")),
        ("base64, URL-safe", URL_SAFE_NO_PAD.encode(format!("??>{secret}"))),
        ("base64 of base64", STANDARD.encode(STANDARD.encode(secret))),
        ("percent", percent(secret)),
        ("percent where needed", some_percent(secret)),
        ("percent twice", percent(&some_percent(secret))),
        ("JSON", json[1..json.len() - 1].to_owned()),
        ("JSON with \\u", unicode),
        ("hex", hex.clone()),
        ("HEX", hex.to_uppercase()),
    ]
}

/// What must not be in any file: the secret as it is, and its encodings; for base64, what is the same at any end.
fn needles(secret: &str) -> Vec<String> {
    let aligned = (0..3).flat_map(|shift| {
        let text = format!("{}{secret}", "x".repeat(shift));
        let from = [0, 2, 3][shift];
        let to = text.len() * 8 / 6;
        [
            STANDARD_NO_PAD.encode(&text)[from..to].to_owned(),
            URL_SAFE_NO_PAD.encode(&text)[from..to].to_owned(),
        ]
    });
    encodings(secret).into_iter().map(|(_, form)| form).chain(aligned).collect()
}

/// The provider: answers with what the test gave for the path's last part.
type Answers = Arc<std::sync::Mutex<std::collections::HashMap<String, Response<Body>>>>;

async fn provider() -> (String, Answers) {
    let answers = Answers::default();
    let answer = |State(answers): State<Answers>, request: axum::extract::Request| async move {
        let number = request.headers()["x-number"].to_str().unwrap().to_owned();
        let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        answers.lock().unwrap().remove(&number).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&answers));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base_url, answers)
}

fn response(content_type: &str, body: Body) -> Response<Body> {
    Response::builder().header("content-type", content_type).body(body).unwrap()
}

fn chunked(parts: Vec<Result<Bytes, std::io::Error>>) -> Body {
    relay::flushed(stream::iter(parts))
}

/// A JSON string's inside, whatever `form` is.
fn quoted(form: &str) -> String {
    let text = serde_json::to_string(form).unwrap();
    text[1..text.len() - 1].to_owned()
}

/// Answers that hold `form`, by place; the last three cannot be masked.
fn answers(form: &str) -> Vec<(&'static str, Response<Body>)> {
    let bytes = |text: String| Bytes::from(text);
    let half = form.char_indices().nth(form.chars().count() / 2).map_or(0, |(at, _)| at);
    let (head, tail) = form.split_at(half);
    let event =
        |text: &str| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let whole = event(form);
    let middle = whole.len() / 2;
    let split = [whole.as_bytes()[..middle].to_vec(), whole.as_bytes()[middle..].to_vec()];
    let gzip = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(form.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let (sse, ndjson) = ("text/event-stream", "application/x-ndjson");
    let mut all = vec![
        ("response JSON", response("application/json", Body::from(json!({"a": [form], "n": 1}).to_string()))),
        ("response JSON key", response("application/json", Body::from(json!({form: 1}).to_string()))),
        ("response text", response("text/plain", Body::from(format!("it is {form} .")))),
        (
            "response base64 body",
            response("text/plain", Body::from(STANDARD.encode(format!("it is {form} .")))),
        ),
        ("event", response(sse, chunked(vec![Ok(bytes(whole))]))),
        ("split chunks", response(sse, chunked(split.map(|part| Ok(Bytes::from(part))).into()))),
        ("split events", response(sse, chunked(vec![Ok(bytes(event(head))), Ok(bytes(event(tail)))]))),
        (
            "NDJSON",
            response(ndjson, chunked(vec![Ok(bytes(format!("{{\"response\":\"{}\"}}\n", quoted(form))))])),
        ),
        ("cut", response(sse, chunked(vec![Ok(bytes(event(form))), Err(std::io::Error::other("gone"))]))),
        ("binary", response("audio/mpeg", Body::from([&[0xff, 0xfe, 0], form.as_bytes()].concat()))),
        ("compressed", response("text/plain", Body::from(gzip))),
    ];
    if let Ok(value) = axum::http::HeaderValue::from_bytes(form.as_bytes()) {
        let mut with_header = response("application/json", Body::from("{}"));
        with_header.headers_mut().insert("x-request-id", value);
        all.insert(0, ("response header", with_header));
    }
    all
}

/// Requests that hold `form`, by place; the last one cannot be masked.
fn requests(client: &reqwest::Client, url: &str, form: &str) -> Vec<(&'static str, reqwest::RequestBuilder)> {
    let post = |path: &str| client.post(format!("{url}{path}"));
    let upload = |file: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"a\"{file}\r\n\r\n{form}\r\n--xyz--\r\n")
    };
    let multipart =
        |body: String| post("/files").header("content-type", "multipart/form-data; boundary=xyz").body(body);
    let in_path: String = form.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut all = vec![
        (
            "request JSON",
            post("/chat/completions").json(&json!({"messages": [{"content": format!("it is {form} .")}]})),
        ),
        ("request JSON key", post("/chat/completions").json(&json!({form: form}))),
        (
            "JSON in JSON",
            post("/chat/completions").json(&json!({"arguments": json!({"a": form}).to_string()})),
        ),
        (
            "data URL",
            post("/chat/completions")
                .json(&json!({"url": format!("data:text/plain;base64,{}", STANDARD.encode(form))})),
        ),
        (
            "credential member",
            post("/responses")
                .json(&json!({"tools": [{"headers": {"Authorization": format!("Bearer {form}")}}]})),
        ),
        ("request text", post("/text").header("content-type", "text/plain").body(format!("it is {form} ."))),
        ("path", post(&format!("/files/{in_path}/content")).body("")),
        ("query", post(&format!("/models?a=1&other={in_path}&api_key={in_path}")).body("")),
        ("upload field", multipart(upload(""))),
        ("upload file", multipart(upload("; filename=\"a.txt\""))),
    ];
    if let Ok(value) = axum::http::HeaderValue::from_bytes(form.as_bytes()) {
        for name in ["openai-beta", "authorization", "x-api-key", "cookie"] {
            all.insert(
                0,
                (
                    "request header",
                    post("/chat/completions").header(name, value.clone()).json(&json!({"h": name})),
                ),
            );
        }
    }
    all
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let children = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    children.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The texts of a file as a reader of it would see them: its bytes, every JSON text in it, chunks joined, deltas joined, and
/// what of these is base64.
fn readings(bytes: &[u8]) -> Vec<Vec<u8>> {
    fn texts(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::String(text) => out.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
            Value::Object(members) => members.iter().for_each(|(name, member)| {
                out.push(name.clone());
                texts(member, out);
            }),
            other => out.push(other.to_string()),
        }
    }
    let mut found = Vec::new();
    if let Ok(file) = serde_json::from_slice::<Value>(bytes) {
        texts(&file, &mut found);
        let chunks: String = file["response"]["chunks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|chunk| chunk["text"].as_str().unwrap_or_default())
            .collect();
        let event = |line: &str| serde_json::from_str::<Value>(line.strip_prefix("data:")?).ok();
        let deltas = chunks
            .lines()
            .filter_map(event)
            .map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned());
        found.push(deltas.collect());
        found.push(chunks);
    }
    let mut all = vec![bytes.to_vec()];
    for text in found {
        all.extend(
            text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c))
                .filter_map(|word| STANDARD.decode(word).ok()),
        );
        all.push(text.into_bytes());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seeded_secret_is_on_disk() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (base_url, script) = provider().await;
    let seeded: Vec<String> = in_variables().into_iter().chain(by_looks()).collect();
    assert_eq!(seeded.iter().collect::<BTreeSet<_>>().len(), 40);
    let options = ProxyOptions {
        mode: Mode::Record,
        dir: dir.path().to_path_buf(),
        providers: vec![ProviderUpstream { name: "p".into(), base_url, api_key: None }],
        setup: None,
        secrets: in_variables(),
        mask_hosts: vec![],
        port: 0,
        replay_speed: crate::record::ReplaySpeed::FAST,
        policy: crate::record::Policy::default(),
        after_answer: crate::record::AfterAnswer::default(),
    };
    let proxy = start(options).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut places, mut forms, mut number) = (BTreeSet::new(), BTreeSet::new(), 0u32);
    let mut calls = Vec::new();
    // Every encoding of every secret, in another place of the request and of the answer each time.
    for (which, secret) in seeded.iter().enumerate() {
        for (how, (name, form)) in encodings(secret).into_iter().enumerate() {
            forms.insert(name);
            let turn = which * 5 + how;
            let mut requests = requests(&client, &proxy.url("p"), &form);
            let mut answers = answers(&form);
            let (asked, request) = requests.swap_remove(turn % requests.len());
            let (told, answer) = answers.swap_remove(turn % answers.len());
            places.extend([asked, told]);
            number += 1;
            script.lock().unwrap().insert(number.to_string(), answer);
            let sent = request.header("x-number", number.to_string()).send().await.unwrap();
            // Some answers break off on purpose.
            let _ = sent.bytes().await;
            calls.extend(proxy.take_boot_calls());
        }
    }
    assert!(proxy.settle(LIMIT).await);
    calls.extend(proxy.take_boot_calls());
    let blocked = calls.iter().filter(
        |call| matches!(&call.result, CallResult::Failed { reason } if reason.starts_with("not recorded")),
    );
    let blocked = blocked.count();
    let recorded = calls.iter().filter(|call| matches!(&call.result, CallResult::Recorded { .. })).count();
    drop(proxy);
    let written = files(dir.path());
    let needles: Vec<_> =
        seeded.iter().flat_map(|secret| needles(secret)).map(|n| regex::escape(&n)).collect();
    let needles = regex::bytes::Regex::new(&needles.join("|")).unwrap();
    assert!(seeded.iter().all(|secret| needles.is_match(secret.as_bytes())));
    let mut found = Vec::new();
    for file in &written {
        let mut texts = readings(&std::fs::read(file).unwrap());
        texts.push(file.file_name().unwrap().as_encoded_bytes().to_vec());
        let seen = texts.iter().flat_map(|text| needles.find_iter(text));
        found.extend(
            seen.map(|seen| format!("{} in {}", String::from_utf8_lossy(seen.as_bytes()), file.display())),
        );
    }
    println!(
        "{} secrets, {} encodings, {} places: {number} exchanges, {recorded} recorded, {blocked} blocked, {} files, {} found",
        seeded.len(),
        forms.len(),
        places.len(),
        written.len(),
        found.len()
    );
    assert_eq!(found, Vec::<String>::new());
    let odd = |call: &&ProviderCall| !matches!(&call.result, CallResult::Recorded { .. });
    let odd: BTreeSet<_> = calls.iter().filter(odd).map(|call| call.result.to_string()).collect();
    assert_eq!((recorded + blocked, calls.len()), (number as usize, number as usize), "{odd:#?}");
    assert!(blocked > 0 && recorded > number as usize / 2, "{blocked} blocked, {recorded} recorded");
}

#[tokio::test]
async fn a_masked_request_is_answered_with_the_secret_known_or_not() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (base_url, script) = provider().await;
    let secret = "v3ry-s3cr3t";
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |url: String, key: &str| {
        let body =
            json!({"prompt": format!("my key is {key}, keep it"), "host": "https://me.openai.azure.com"});
        client.post(url + "/chat/completions").json(&body).header("x-number", "1").send()
    };
    let begin = |mode, secrets: Vec<String>| {
        let provider = ProviderUpstream { name: "p".into(), base_url: base_url.clone(), api_key: None };
        let dir = dir.path().to_path_buf();
        start(ProxyOptions {
            mode,
            dir,
            providers: vec![provider],
            setup: None,
            secrets,
            mask_hosts: vec![],
            port: 0,
            replay_speed: crate::record::ReplaySpeed::FAST,
            policy: crate::record::Policy::default(),
            after_answer: crate::record::AfterAnswer::default(),
        })
    };
    let proxy = begin(Mode::Record, vec![secret.into()]).await.unwrap();
    script.lock().unwrap().insert("1".into(), response("application/json", Body::from("{\"ok\":true}")));
    assert_eq!(ask(proxy.url("p"), secret).await.unwrap().text().await.unwrap(), "{\"ok\":true}");
    drop(proxy);
    let cases: [(&[&str], &str, &str); 5] = [
        (&[secret], secret, "exact"),
        (&["another-secret"], "another-secret", "exact"),
        (&[], secret, "matched after letting masks stand for any word"),
        (&[], "dummy", "matched after letting masks stand for any word"),
        (&[], "two words", "miss"),
    ];
    for (known, sent, expected) in cases {
        let known = known.iter().map(|value| (*value).to_owned()).collect();
        let proxy = begin(Mode::Replay, known).await.unwrap();
        for _ in 0..2 {
            let _ = ask(proxy.url("p"), sent).await.unwrap();
        }
        let how: Vec<_> = proxy.take_boot_calls().iter().map(|call| call.result.to_string()).collect();
        assert_eq!(how, [expected, expected], "{sent}");
    }
    // Replay knows a secret that is an ordinary word of what was recorded without knowing it.
    let proxy = begin(Mode::Record, vec![]).await.unwrap();
    script.lock().unwrap().insert("1".into(), response("application/json", Body::from("{}")));
    let _ = ask(proxy.url("p"), "ordinary").await.unwrap().bytes().await;
    drop(proxy);
    let proxy = begin(Mode::Replay, vec!["ordinary".into()]).await.unwrap();
    assert_eq!(ask(proxy.url("p"), "ordinary").await.unwrap().text().await.unwrap(), "{}");
}
