//! Whole-path tests of fidelity: answers of every shape, as raw bytes from a TCP provider, recorded and replayed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use super::*;

/// Long enough for any machine; reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// How a provider marks the end of a body.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Chunked,
    Length,
    /// By closing the connection, as HTTP/1.0 does.
    Close,
}

use Framing::{Chunked, Close, Length};

/// What a provider answers.
struct Shape {
    name: &'static str,
    status: u16,
    content_type: &'static str,
    /// More header lines.
    headers: &'static [(&'static str, &'static str)],
    framing: Framing,
    pieces: &'static [&'static [u8]],
    /// Whether the connection breaks where more was promised.
    cut: bool,
}

const OK: Shape =
    Shape { name: "", status: 200, content_type: "", headers: &[], framing: Length, pieces: &[], cut: false };
const JSON: Shape = Shape { content_type: "application/json", ..OK };
const SSE: Shape = Shape { content_type: "text/event-stream; charset=utf-8", framing: Chunked, ..OK };

/// `{"a":1}` as gzip makes it, without a time.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabVJT\xb22\xac\x05\x00\xaf\xac\x1bV\x07\x00\x00\x00";

const SHAPES: [Shape; 24] = [
    Shape { name: "json", pieces: &[b"{\"id\": \"x\",\n \"n\": 1.50}"], ..JSON },
    Shape { name: "json without a length", framing: Chunked, pieces: &[b"{\"a\":1}"], ..JSON },
    Shape { name: "json up to the end of the connection", framing: Close, pieces: &[b"{\"a\":1}"], ..JSON },
    Shape {
        name: "sse",
        pieces: &[b"data: {\"a\":1}\n\n", b"data: {\"a\":2}\n\n", b"data: [DONE]\n\n"],
        ..SSE
    },
    Shape {
        name: "sse, crlf",
        pieces: &[b"data: 1\r\n\r\n", b"data: 2\r\n\r", b"\ndata: [DONE]\r\n\r\n"],
        ..SSE
    },
    Shape { name: "sse, cr", pieces: &[b"data: 1\r\rdata: 2\r", b"\rdata: [DONE]\r\r"], ..SSE },
    Shape { name: "sse, comments", pieces: &[b": ping\n\n", b":\ndata: 1\n\n", b": bye\n\n"], ..SSE },
    Shape {
        name: "sse, byte order mark",
        pieces: &[b"\xef\xbb", b"\xbfdata: 1\n\n", b"data: [DONE]\n\n"],
        ..SSE
    },
    Shape {
        name: "sse, fields",
        pieces: &[b"event: delta\nid: 7\nretry: 10\ndata: a\nda", b"ta: b\n\n"],
        ..SSE
    },
    Shape {
        name: "sse, character split",
        pieces: &[b"data: \"\xf0\x9f", b"\x98\x80\"\n\n", b"data: \xff\n\n"],
        ..SSE
    },
    Shape { name: "sse, unfinished", pieces: &[b"data: 1\n\n", b"data: [DONE]"], ..SSE },
    Shape {
        name: "sse, several events a piece",
        pieces: &[b"data: 1\n\ndata: 2\n\nda", b"ta: 3\n\n"],
        ..SSE
    },
    Shape {
        name: "sse, error event",
        pieces: &[b"data: 1\n\n", b"data: {\"error\":{\"message\":\"x\"}}\n\n"],
        ..SSE
    },
    Shape { name: "sse, nothing", pieces: &[], ..SSE },
    Shape { name: "sse, cut", pieces: &[b"data: 1\n\n", b"data: {\"a\""], cut: true, ..SSE },
    Shape { name: "sse, cut at once", pieces: &[], cut: true, ..SSE },
    Shape {
        name: "ndjson",
        content_type: "application/x-ndjson",
        framing: Chunked,
        pieces: &[b"{\"done\":false}\n", b"{\"done\":", b"true}"],
        ..OK
    },
    Shape {
        name: "sound",
        content_type: "audio/mpeg",
        framing: Chunked,
        pieces: &[b"\xff\xfb\x90", b"\x00\x01", b"\x00"],
        ..OK
    },
    Shape { name: "empty", ..JSON },
    Shape { name: "no content", status: 204, ..OK },
    Shape { name: "compressed", headers: &[("content-encoding", "gzip")], pieces: &[GZIP], ..JSON },
    Shape {
        name: "too many requests",
        status: 429,
        headers: &[("retry-after", "2"), ("x-ratelimit-remaining-requests", "0"), ("x-should-retry", "true")],
        pieces: &[b"{\"error\":{\"message\":\"slow down\"}}"],
        ..JSON
    },
    Shape { name: "server error", status: 503, content_type: "text/html", pieces: &[b"<h1>no</h1>\n"], ..OK },
    Shape { name: "json, cut", pieces: &[b"{\"a\":"], cut: true, ..JSON },
];

/// An answer as a client saw it.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: Vec<(String, String)>,
    /// Joined where the transport decides how a body is split.
    pieces: Vec<Bytes>,
    cut: bool,
}

impl Shape {
    fn expected(&self) -> Seen {
        let content_type = Some(("content-type", self.content_type)).filter(|(_, value)| !value.is_empty());
        let headers = content_type.into_iter().chain(self.headers.iter().copied());
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        headers.sort();
        let pieces = self.pieces.iter().map(|piece| Bytes::from_static(piece)).collect();
        Seen { status: self.status, headers, pieces, cut: self.cut }
    }

    /// Writes the answer: each piece in a chunk of its own where there are chunks.
    fn write(&self, to: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nset-cookie: a=b\r\n", self.status);
        let length: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        for (name, value) in &self.expected().headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &match self.framing {
            Chunked => "transfer-encoding: chunked\r\n\r\n".to_owned(),
            Length if self.status == 204 => "\r\n".to_owned(),
            Length => format!("content-length: {}\r\n\r\n", length + usize::from(self.cut)),
            Close => "connection: close\r\n\r\n".to_owned(),
        };
        to.write_all(head.as_bytes())?;
        for piece in self.pieces {
            if self.framing == Chunked {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(piece);
                chunk.extend_from_slice(b"\r\n");
                to.write_all(&chunk)?;
            } else {
                to.write_all(piece)?;
            }
        }
        if self.framing == Chunked && !self.cut {
            to.write_all(b"0\r\n\r\n")?;
        }
        Ok(())
    }
}

/// Reads a request with a body of known length; its bytes.
fn read_request(from: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if bytes.len() >= head.len() + 4 + length {
                return bytes;
            }
        }
        let count = from.read(&mut buffer).unwrap();
        assert!(count > 0, "the request ended early");
        bytes.extend_from_slice(&buffer[..count]);
    }
}

/// A provider that answers one request per connection, in turn, and then has ended.
fn provider(answers: impl Iterator<Item = &'static Shape> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for shape in answers {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&mut stream);
            shape.write(&mut stream).unwrap();
        }
    });
    format!("http://{address}")
}

async fn proxy(mode: Mode, dir: &Path, base_url: &str, replay_speed: ReplaySpeed) -> Proxy {
    let providers = vec![ProviderUpstream { name: "p".into(), base_url: base_url.into(), api_key: None }];
    let dir = dir.to_path_buf();
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

/// A client that keeps no connection, so that one that was cut does not matter to the next request.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

async fn seen(request: reqwest::RequestBuilder, joined: bool) -> Seen {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let ours = ["date", "transfer-encoding", "content-length", "connection", "set-cookie"];
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !ours.contains(&name.as_str()))
        .collect();
    headers.sort();
    let (mut pieces, mut cut) = (Vec::new(), false);
    let mut stream = response.bytes_stream();
    while let Some(next) = stream.next().await {
        match next {
            Ok(piece) => pieces.push(piece),
            Err(_) => {
                cut = true;
                break;
            }
        }
    }
    if joined && !pieces.is_empty() {
        pieces = vec![Bytes::from(pieces.concat())];
    }
    Seen { status, headers, pieces, cut }
}

/// What both passes must look like to the client: while recording, and replayed.
#[tokio::test]
async fn every_shape_of_answer_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let client = client();
    let base_url = provider(SHAPES.iter());
    let recording = proxy(Mode::Record, dir.path(), &base_url, ReplaySpeed::FAST).await;
    let ask = |proxy: &Proxy, shape: &Shape| {
        client.post(proxy.url("p") + "/v1/chat/completions").json(&serde_json::json!({"shape": shape.name}))
    };
    for shape in &SHAPES {
        let recorded = seen(ask(&recording, shape), shape.framing != Chunked).await;
        assert_eq!(recorded, shape.expected(), "{}, while recording", shape.name);
    }
    assert!(recording.settle(LIMIT).await);
    drop(recording);
    for speed in [ReplaySpeed::FAST, ReplaySpeed::REALTIME, "3".parse().unwrap()] {
        let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9", speed).await;
        assert!(replaying.problems().is_empty(), "{:?}", replaying.problems());
        for shape in &SHAPES {
            let replayed = seen(ask(&replaying, shape), shape.framing != Chunked).await;
            assert_eq!(replayed, shape.expected(), "{}, replayed {speed}", shape.name);
        }
        let results: Vec<_> = replaying.take_boot_calls().into_iter().map(|call| call.result).collect();
        let exact = |result: &CallResult| matches!(result, CallResult::Hit { normalisers, .. } if normalisers.is_empty());
        assert!(results.len() == SHAPES.len() && results.iter().all(exact), "{results:?}");
    }
}

#[tokio::test]
async fn a_multipart_request_is_found_whatever_its_boundary() {
    static ANSWER: Shape = Shape { pieces: &[b"{\"id\":\"file-1\"}"], ..JSON };
    let dir = tempfile::tempdir().unwrap();
    let client = client();
    let upload = |proxy: &Proxy, boundary: &str, text: &str| {
        let body = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--{boundary}\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{text}\r\n--{boundary}--\r\n"
        );
        let content_type = format!("multipart/form-data; boundary={boundary}");
        client.post(proxy.url("p") + "/v1/files").header("content-type", content_type).body(body)
    };
    let recording =
        proxy(Mode::Record, dir.path(), &provider(std::iter::once(&ANSWER)), ReplaySpeed::FAST).await;
    upload(&recording, "1b2c3d4e", "text").send().await.unwrap();
    assert!(recording.settle(LIMIT).await);
    drop(recording);
    let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9", ReplaySpeed::FAST).await;
    let again = upload(&replaying, "----WebKitFormBoundaryXyZ", "text").send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), "{\"id\":\"file-1\"}");
    assert_eq!(upload(&replaying, "1b2c3d4e", "other").send().await.unwrap().status(), 599);
    let file = std::fs::read_dir(dir.path().join("responses")).unwrap().next().unwrap().unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("boundary=boundary") && !text.contains("1b2c3d4e"), "{text}");
}

/// OpenAI's clients leave at `[DONE]`; some providers leave the connection open then.
#[tokio::test]
async fn leaving_right_after_done_loses_nothing_even_when_the_provider_stays() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (release, held) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        let unending = Shape { pieces: &[b"data: 1\n\n", b"data: [DONE]\n\n"], cut: true, ..SSE };
        unending.write(&mut stream).unwrap();
        let _ = held.recv();
    });
    let recording = proxy(Mode::Record, dir.path(), &base_url, ReplaySpeed::FAST).await;
    let ask = |proxy: &Proxy| client().post(proxy.url("p") + "/v1/chat/completions").body("{}").send();
    let mut stream = ask(&recording).await.unwrap().bytes_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: 1\n\n");
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: [DONE]\n\n");
    drop(stream);
    assert!(recording.settle(LIMIT).await);
    drop((recording, release));
    let replaying = proxy(Mode::Replay, dir.path(), "http://127.0.0.1:9", ReplaySpeed::FAST).await;
    assert_eq!(ask(&replaying).await.unwrap().text().await.unwrap(), "data: 1\n\ndata: [DONE]\n\n");
}
