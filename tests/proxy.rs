//! `runner proxy` as a program: a stack that somebody else started records through it, and replays later.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for any machine; reached only when something is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// A running `runner proxy` and what it printed first.
struct Running {
    child: Child,
    line: String,
}

impl Running {
    fn start(root: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_runner"))
            .arg("proxy")
            .args(args)
            .current_dir(root)
            .env_remove("OPENAI_API_KEY")
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("prints");
        Self { child, line: line.trim_end().to_owned() }
    }

    /// `127.0.0.1:PORT` in what it printed.
    fn address(&self) -> &str {
        let rest = self.line.split_once("http://").expect("an address").1;
        rest.split('/').next().unwrap_or(rest)
    }

    fn terminate(&self) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("is told to stop");
    }

    fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }
}

/// Sends a request and reads the whole answer.
fn ask(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    send(&mut stream, address, method, path, body);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    answer
}

fn send(stream: &mut TcpStream, host: &str, method: &str, path: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("is sent");
}

/// A provider that streams one answer, its second half only when it is told to.
fn provider(path: &'static str) -> (String, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address").to_string();
    let (go_on, told) = mpsc::channel();
    let (half, is_half) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut lines = BufReader::new(stream.try_clone().expect("clones")).lines();
        let first = lines.next().expect("a line").expect("text");
        assert_eq!(first, format!("POST {path} HTTP/1.1"));
        lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}9\r\ndata: 1\n\n\r\n").as_bytes()).expect("half is sent");
        half.send(()).expect("somebody waits");
        told.recv().expect("is told");
        stream.write_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").expect("the rest is sent");
    });
    (address, go_on, is_half)
}

#[test]
fn what_is_being_recorded_when_it_is_told_to_stop_is_finished_and_replayed() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(root.path().join("test_cases")).expect("is made");
    std::fs::create_dir_all(root.path().join("suites")).expect("is made");
    std::fs::create_dir_all(root.path().join("stacks")).expect("is made");
    let stack = "name: mine\nlaunch: [x]\nready: {get: /health}\nproviders:\n  \
                 openai: {url_env: OPENAI_BASE_URL, default: 'https://api.openai.com/v1', key_env: OPENAI_API_KEY}\n";
    std::fs::write(root.path().join("stacks/mine.yaml"), stack).expect("is written");

    let (address, go_on, is_half) = provider("/v1/chat/completions");
    let upstream = format!("openai=http://{address}/v1");
    let recording = Running::start(
        root.path(),
        &[
            "--stack",
            "mine",
            "--inference-mode",
            "record",
            "--recording-dir",
            "kept",
            "--provider",
            &upstream,
        ],
    );
    let proxy = recording.address().to_owned();
    assert_eq!(recording.line, format!("export OPENAI_BASE_URL=http://{proxy}/openai/v1"));
    assert!(ask(&proxy, "PUT", "/_runner/scope", "some/trial::a").ends_with("{\"scope\":\"some/trial::a\"}"));
    let mut client = TcpStream::connect(&proxy).expect("connects");
    send(&mut client, &proxy, "POST", "/openai/v1/chat/completions", "{}");
    is_half.recv().expect("the provider is at half");
    recording.terminate();
    let told = Instant::now();
    while TcpStream::connect(&proxy).is_ok() {
        assert!(told.elapsed() < LIMIT, "it still lets clients in");
        std::thread::yield_now();
    }
    go_on.send(()).expect("the provider waits");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the answer ends");
    assert!(answer.contains("data: 1") && answer.contains("data: 2"), "{answer}");
    assert_eq!(recording.ended(), Some(0));

    let replaying = Running::start(
        root.path(),
        &[
            "--recording-dir",
            "kept",
            "--provider",
            "openai=http://127.0.0.1:9/v1",
            "--replay-speed",
            "realtime",
        ],
    );
    let proxy = replaying.address().to_owned();
    assert_eq!(replaying.line, format!("openai: http://{proxy}/openai"));
    assert!(ask(&proxy, "GET", "/_runner/health", "").contains("\"mode\":\"replay\""));
    ask(&proxy, "PUT", "/_runner/scope", "some/trial::a");
    let answer = ask(&proxy, "POST", "/openai/chat/completions", "{}");
    assert!(answer.contains("data: 1") && answer.contains("data: 2"), "{answer}");
    let stats = ask(&proxy, "GET", "/_runner/stats", "");
    assert!(stats.contains("\"matches\":{\"exact\":1}") && stats.contains("\"same\":1"), "{stats}");
    replaying.terminate();
    assert_eq!(replaying.ended(), Some(0));
}
