//! `runner recordings …` as a user runs it: what is printed, and the exit status.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A folder with `recordings/`, in which the program is run.
struct Place {
    folder: tempfile::TempDir,
}

struct Done {
    status: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        std::fs::create_dir_all(folder.path().join("recordings/responses")).expect("makes recordings/");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("makes the folder");
        std::fs::write(path, text).expect("writes");
    }

    /// Records by import: an upstream file, of which the program computes the name.
    fn import(&self, files: &[Value]) -> Done {
        for (i, file) in files.iter().enumerate() {
            self.write(&format!("upstream/{i}.json"), &file.to_string());
        }
        let done = self.run(&["import", "upstream"]);
        assert_eq!(done.status, 0, "{}", done.err);
        done
    }

    fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, "", &[])
    }

    fn run_with(&self, args: &[&str], stdin: &str, env: &[(&str, &str)]) -> Done {
        use std::io::Write;
        let mut child = Command::new(env!("CARGO_BIN_EXE_runner"))
            .arg("recordings")
            .args(args)
            .current_dir(self.path())
            .env_remove("LLAMA_STACK_TEST_RECORDING_DIR")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().expect("has a pipe").write_all(stdin.as_bytes());
        Done::from(child.wait_with_output().expect("ends"))
    }

    fn json(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--format", "json"]].concat());
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}{}", done.out, done.err))
    }

    fn files(&self) -> Vec<String> {
        let list = self.json(&["list"]);
        list.as_array()
            .expect("a list")
            .iter()
            .map(|row| row["file"].as_str().expect("a file").to_owned())
            .collect()
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is text");
        Self {
            status: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// A streamed chat completion as upstream records it.
fn chat(test: &str, prompt: &str, words: &[&str]) -> Value {
    let chunk = |word: &&str| {
        json!({"__type__": "openai.types.X", "__data__": {"object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"content": word}}]}})
    };
    json!({
        "test_id": test,
        "request": {"method": "POST", "url": "http://0.0.0.0:11434/v1/v1/chat/completions", "headers": {},
            "body": {"model": "llama", "messages": [{"role": "user", "content": prompt}], "stream": true},
            "endpoint": "/v1/chat/completions", "model": "llama"},
        "response": {"body": words.iter().map(chunk).collect::<Vec<_>>(), "is_streaming": true},
    })
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn list_filters_and_says_what_it_shows() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x"]), chat("b.py::two", "ho", &["y"])]);
    let done = place.run(&["list"]);
    has(
        &done.out,
        &[
            "file ",
            "provider",
            "ollama",
            "/v1/chat/completions",
            "llama",
            "200",
            "yes",
            "a.py::one",
            "2 files",
        ],
    );
    for (args, count) in [
        (["--trial", "b.py"], 1),
        (["--provider", "ollama"], 2),
        (["--provider", "olla"], 0),
        (["--endpoint", "chat"], 2),
        (["--model", "gpt"], 0),
        (["--since", "2000-01-01"], 2),
        (["--since", "2999-01-01"], 0),
    ] {
        assert_eq!(
            place.json(&[&["list"][..], &args].concat()).as_array().map(Vec::len),
            Some(count),
            "{args:?}"
        );
    }
    let wrong = place.run(&["list", "--since", "soon"]);
    assert_eq!(wrong.status, 4);
    has(&wrong.err, &["--since soon: write 7d"]);
}

#[test]
fn show_is_readable_raw_or_a_command() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["Hel", "lo"])]);
    let file = &place.files()[0];
    let hash = &file["responses/".len()..][..6];
    let done = place.run(&["show", hash]);
    has(
        &done.out,
        &[
            file,
            "a.py::one",
            "POST http://0.0.0.0:11434/v1/chat/completions",
            "3 events in 3 chunks",
            "+0.000s  [DONE]",
        ],
    );
    has(&done.out, &["text of the stream\n  Hello"]);
    let raw = place.run(&["show", file, "--raw"]);
    assert!(raw.out.starts_with("data: {") && raw.out.ends_with("data: [DONE]\n\n"), "{}", raw.out);
    let curl = place.run(&["show", hash, "--curl"]);
    has(&curl.out, &["curl -sS -X POST 'http://0.0.0.0:11434/v1/chat/completions'", "\"content\":\"hi\""]);
    assert_eq!(place.json(&["show", hash])["text"], "Hello");
    let mut typo = hash.to_owned() + &file["responses/".len() + 6..];
    typo.replace_range(2..3, "z");
    let done = place.run(&["show", &typo]);
    assert_eq!(done.status, 4);
    has(&done.err, &["no recording", &format!("did you mean {file}?")]);
}

#[test]
fn why_explains_requests_files_and_mistakes() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x"])]);
    let file = &place.files()[0];
    let own = place.run(&["why", file]);
    has(&own.out, &[&format!("result   {file}: exact, recorded for this trial"), "served: same request"]);
    let mut request = json!({"provider": "ollama", "path": "/v1/chat/completions", "body":
        {"model": "llama", "messages": [{"role": "user", "content": "hi"}], "stream": true, "user": null}});
    let asked = place.run_with(&["why", "-"], &request.to_string(), &[]);
    has(
        &asked.out,
        &["after dropped-nulls, recorded for another trial, a.py::one", "$.user: null -> (dropped)"],
    );
    request["body"]["messages"][0]["content"] = "hey".into();
    place.write("asked.json", &request.to_string());
    let missed = place.run(&["why", "asked.json"]);
    has(&missed.out, &["miss: no recording is equal", file, "request \"hey\", recording \"hi\""]);
    place.write("asked.json", "{\n \"provider\": \"x\",\n \"path\" 1}");
    let broken = place.run(&["why", "asked.json"]);
    assert_eq!(broken.status, 4);
    has(&broken.err, &["asked.json:3:9: not JSON: expected `:`"]);
    has(&place.run(&["why"]).err, &["name a request file"]);
}

#[test]
fn verify_is_clean_or_names_what_it_finds() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x"]), chat("b.py::two", "ho", &["my-s3cr3t-key"])]);
    let clean = place.run(&["verify"]);
    assert_eq!(clean.status, 0, "{}", clean.out);
    has(&clean.out, &["2 files of recordings", ": clean"]);
    let file = place.files()[0].clone();
    let text = std::fs::read_to_string(place.path().join("recordings").join(&file)).expect("reads");
    place.write(
        "recordings/responses/copy.json",
        &text.replace("a.py::one", "c.py::x").replace("b.py::two", "c.py::x"),
    );
    place.write("recordings/half.json", &text[..text.len() / 2]);
    let found = place.run_with(&["verify"], "", &[("OPENAI_API_KEY", "my-s3cr3t-key")]);
    assert_eq!(found.status, 1);
    has(
        &found.out,
        &[
            "unusable (1 file",
            "half.json:",
            "truncated",
            "misnamed (1 file",
            "responses/copy.json",
            "secret (",
        ],
    );
    has(&found.out, &["duplicate (1 file"]);
    assert!(!found.out.contains("s3cr3t"), "{}", found.out);
    let args = ["verify", "--allow", "unusable", "--allow", "misnamed", "--allow", "duplicate"];
    assert_eq!(place.run(&args).status, 0);
    let done = place.run(&["verify", "--recording-dir", "nowhere"]);
    assert_eq!(done.status, 4);
    has(&done.err, &["nowhere cannot be read", "--recording-dir"]);
}

#[cfg(unix)]
#[test]
fn a_foreign_directory_is_looked_at_before_it_is_read() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x"])]);
    let responses = place.path().join("recordings/responses");
    let index = place.path().join("recordings/index.sqlite");
    if index.exists() {
        std::fs::remove_file(index).expect("removes");
    }
    let clean = place.run(&["verify", "--foreign"]);
    assert_eq!(clean.status, 0, "{}", clean.out);
    has(&clean.out, &["1 file of recordings", ": clean"]);
    let small = place.run(&["verify", "--foreign", "--max-file=10"]);
    assert_eq!(small.status, 1);
    has(&small.out, &["too-large (1 file", "bytes, 10 at most"]);
    assert_eq!(place.run(&["verify", "--max-file=10"]).status, 4, "only a foreign directory has limits");
    has(
        &place.run(&["verify", "--foreign", "--max-file=tiny"]).err,
        &["write a size such as 500kB, 4MB or 1GB"],
    );
    place.write("secret.json", "{\"not\": \"a recording\"}");
    std::os::unix::fs::symlink(place.path().join("secret.json"), responses.join("link.json")).expect("links");
    let link = place.run(&["verify", "--foreign"]);
    assert_eq!(link.status, 1);
    has(&link.out, &["stray (1 file", "responses/link.json: it is a link", "0 files of recordings"]);
    assert!(!link.out.contains("not a recording"), "nothing is read: {}", link.out);
}

#[test]
fn scrub_changes_nothing_until_told_to() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["my-s3cr3t-key"])]);
    let file = place.path().join("recordings").join(&place.files()[0]);
    let env = [("OPENAI_API_KEY", "my-s3cr3t-key")];
    let before = std::fs::read(&file).expect("reads");
    let dry = place.run_with(&["scrub"], "", &env);
    has(&dry.out, &["response body", "1 file would change"]);
    assert_eq!(std::fs::read(&file).expect("reads"), before);
    has(&place.run_with(&["scrub", "--write"], "", &env).out, &["1 file scrubbed"]);
    assert!(!std::fs::read_to_string(&file).expect("reads").contains("s3cr3t"));
    has(&place.run_with(&["scrub"], "", &env).out, &["0 files would change"]);
}

#[test]
fn prune_deletes_only_what_complete_runs_left_over() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x"]), chat("b.py::two", "ho", &["y"])]);
    let files = place.files();
    let run = |failed: u32| {
        let used = json!([{"provider": "ollama", "endpoint": "/v1/chat/completions", "tier": "exact", "file": files[0]}]);
        [
            json!({"event": "run_started", "format": 1, "mode": "replay"}),
            json!({"event": "trial_finished", "id": "t", "outcome": "passed", "matches": used}),
            json!({"event": "run_finished", "failed": failed, "missed": 0, "broken": 0, "stray_misses": [], "not_run": 0,
                "interrupted": false, "matches": []}),
        ]
        .map(|line| line.to_string())
        .join("\n")
    };
    place.write("good.jsonl", &run(0));
    place.write("bad.jsonl", &run(1));
    let dry = place.run(&["prune", "--run", "good.jsonl"]);
    has(&dry.out, &[&files[1], "1 file, ", "not used (--delete removes them); 1 file used"]);
    let refused = place.run(&["prune", "--run", "good.jsonl", "bad.jsonl", "--delete"]);
    assert_eq!((refused.status, place.files().len()), (4, 2));
    has(&refused.err, &["nothing was deleted", "1 of its trials failed", "--force"]);
    let done = place.run(&["prune", "--run", "good.jsonl", "--delete"]);
    assert_eq!((done.status, place.files()), (0, vec![files[0].clone()]));
    let broken = place.run(&["prune", "--run", "upstream/0.json"]);
    assert_eq!(broken.status, 4);
    has(&broken.err, &["upstream/0.json:1:1: no `event`", "--report PATH.jsonl"]);
}

#[test]
fn diff_compares_structure_or_values() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x", "y"])]);
    let file = &place.files()[0];
    let text = std::fs::read_to_string(place.path().join("recordings").join(file)).expect("reads");
    place.write(&format!("other/{file}"), &text.replace("\\\"x\\\"", "\\\"z\\\""));
    let same = place.run(&["diff", "recordings", "other"]);
    assert_eq!(same.status, 0, "{}", same.out);
    has(&same.out, &["1 the same, 0 changed"]);
    let values = place.run(&["diff", "recordings", "other", "--values"]);
    assert_eq!(values.status, 1);
    has(&values.out, &["$[0].choices[0].delta.content: \"x\" in A, \"z\" in B"]);
    place.write(&format!("other/{file}"), &text.replace("data: [DONE]\\n\\n", ": nothing\\n\\n"));
    let changed = place.run(&["diff", "recordings", "other"]);
    assert_eq!(changed.status, 1);
    has(
        &changed.out,
        &["events: chat.completion.chunk, [DONE] in A, chat.completion.chunk in B", "1 changed"],
    );
    has(
        &place.run(&["diff", file, "--live", "--provider", "openai=http://127.0.0.1:9"]).err,
        &["--provider ollama=URL"],
    );
}

/// A provider that answers one request so, and gives back what it was sent.
fn provider(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    let serve = move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut sent = Vec::new();
        // The recorded request ends so.
        while !sent.ends_with(b"\"stream\":true}") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).expect("reads");
            assert!(read > 0, "the request broke off: {}", String::from_utf8_lossy(&sent));
            sent.extend_from_slice(&piece[..read]);
        }
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";
        stream.write_all(format!("{head}{answer}").as_bytes()).expect("answers");
        String::from_utf8(sent).expect("is text")
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn diff_asks_the_live_provider() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x", "y"])]);
    let file = &place.files()[0];
    let asked = |answer| {
        let (url, provider) = provider(answer);
        let address = format!("ollama={url}");
        let args = ["diff", file, "--live", "--provider", &address];
        let done = place.run_with(&args, "", &[("OLLAMA_API_KEY", "k-12345")]);
        (done, provider.join().expect("ends"))
    };
    let (same, sent) = asked(concat!(
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":7,\"delta\":{\"content\":\"other\"}}]}\n\n",
        "data: [DONE]\n\n"
    ));
    assert_eq!(same.status, 0, "{}{}", same.out, same.err);
    has(&same.out, &["B what ollama answers now: no difference"]);
    has(
        &sent.to_lowercase(),
        &["post /v1/chat/completions http/1.1", "authorization: bearer k-12345", "\"content\":\"hi\""],
    );
    let (changed, _) = asked("data: {\"object\":\"chat.completion.chunk\",\"choices\":[]}\n\n");
    assert_eq!(changed.status, 1, "{}{}", changed.out, changed.err);
    has(
        &changed.out,
        &[
            "events: chat.completion.chunk, [DONE] in A",
            "chat.completion.chunk $.choices[]: only in A (object)",
        ],
    );
    assert_eq!(place.files().len(), 1, "nothing is stored");
}

#[test]
fn an_archive_is_imported_without_its_credentials() {
    let place = Place::new();
    let entry = |url: &str| {
        json!({"startedDateTime": "2025-11-01T10:00:00Z",
            "request": {"method": "POST", "url": url, "headers": [{"name": "Authorization", "value": "Bearer sk-very-secret"}],
                "postData": {"mimeType": "application/json", "text": "{\"model\":\"m\"}"}},
            "response": {"status": 200, "headers": [{"name": "Content-Type", "value": "application/json"}],
                "content": {"text": "eyJhIjoic2stdmVyeS1zZWNyZXQifQ==", "encoding": "base64"}}})
    };
    let archive = json!({"log": {"entries": [entry("http://gpu:9000/v1/chat/completions"), entry("http://ads.example/x")]}});
    place.write("traffic.har", &archive.to_string());
    let done = place.run(&["import", "traffic.har", "--provider", "vllm=gpu:9000", "--trial", "t"]);
    assert_eq!(done.status, 0, "{}", done.err);
    has(
        &done.out,
        &[
            "1 recordings became 1 file",
            "no provider is known at ads.example; name it: --provider NAME=ads.example",
        ],
    );
    let file = place.files().remove(0);
    let shown = place.json(&["show", &file]);
    assert_eq!((&shown["provider"], &shown["trials"][0]["id"]), (&json!("vllm"), &json!("t")));
    let text = std::fs::read_to_string(place.path().join("recordings").join(&file)).expect("reads");
    assert!(!text.contains("very-secret"), "{text}");
    has(
        &place.run(&["import", "traffic.har", "--provider", "vllm=gpu:9000", "--trial", "t"]).out,
        &["1 were there"],
    );
    assert_eq!(place.run(&["verify"]).status, 0);
}

#[test]
fn stats_add_up() {
    let place = Place::new();
    place.import(&[chat("a.py::one", "hi", &["x"]), chat("b.py::two", "ho", &["y"])]);
    has(&place.run(&["stats"]).out, &["total", "provider\n", "  ollama", "largest"]);
    assert_eq!(place.json(&["stats"])["by"]["model"]["llama"]["files"], 2);
}

#[test]
fn a_miss_names_the_command_that_records_and_why_explains_it() {
    let place = Place::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // Without its list of models the stack would not ask at all.
    for file in std::fs::read_dir(root.join("recordings/responses")).expect("has recordings").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("reads");
        if text.contains("\"endpoint\": \"/v1/models\"") {
            place.write(&format!("recordings/responses/{}", file.file_name().to_string_lossy()), &text);
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["inference/chat_completion::chat_completion_non_streaming", "--setup=llama-cpp", "-j1"])
        .args(["--env=X_API_KEY=do-not-show", "--env=SHOWN=a b", "--recording-dir"])
        .arg(place.path().join("recordings"))
        .arg("--report")
        .arg(place.path().join("run.jsonl"))
        .current_dir(&root)
        .env_remove("LLAMA_STACK_CONFIG")
        .output()
        .expect("runs");
    let done = Done::from(output);
    assert_eq!(done.status, 7, "{}{}", done.out, done.err);
    let lines: Vec<_> = done.out.lines().map(str::trim).filter(|line| line.starts_with("runner '")).collect();
    assert!(!lines.is_empty(), "{}", done.out);
    for line in lines {
        has(
            line,
            &["runner 'inference/chat_completion::chat_completion_non_streaming[", "]' --setup=llama-cpp"],
        );
        has(line, &["'--env=SHOWN=a b' --inference-mode=record-if-missing --recording-dir=/"]);
        assert!(!line.contains("do-not-show") && !line.contains("--stack"), "{line}");
    }
    let why = place.run(&["why", "--run", "run.jsonl"]);
    assert_eq!(why.status, 0, "{}", why.err);
    has(
        &why.out,
        &[
            "(miss)",
            "POST /v1/chat/completions (provider llama-cpp)",
            "nothing is recorded for this endpoint",
        ],
    );
    let unknown = place.run(&["why", "--run", "run.jsonl", "inference/chat_completion::nothing"]);
    has(&unknown.err, &["the run has no trial inference/chat_completion::nothing"]);
}
