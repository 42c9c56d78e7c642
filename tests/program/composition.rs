//! Stacks put together from parts: what is missing is named, and what is written in a `run.yaml` is redirected.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::sync::mpsc;

use axum::body::Body;
use axum::response::IntoResponse;
use insta::assert_snapshot;
use nix::sys::signal::Signal;
use tokio::sync::Notify;

use crate::provider::Provider;
use crate::support::{Project, signal};

fn stack_config(spec: &str) -> String {
    Project::new().says(&["--stack-config", spec])
}

#[test]
fn missing_apis_are_named_with_what_to_add() {
    assert_snapshot!(stack_config("inference=remote::ollama,safety=inline::llama-guard,agents=inline::meta-reference"), @"
    exit 4
    --- stderr
    error: stack `inference=remote::ollama,safety=inline::llama-guard,agents=inline::meta-reference`: agents=inline::meta-reference needs the APIs vector_io and tool_runtime, which are not there; add tool_runtime=remote::model-context-protocol,vector_io=inline::faiss
    ");
    let config =
        "version: 2\nproviders:\n  batches: [{provider_id: reference, provider_type: 'inline::reference'}]\n";
    assert_snapshot!(Project::new().file("run.yaml", config).says(&["--stack-config=run.yaml"]), @"
    exit 4
    --- stderr
    error: run.yaml: batches=inline::reference needs the APIs inference and files, which are not there; add inference=remote::ollama,files=inline::localfs
    ");
}

#[test]
fn a_file_of_a_distribution() {
    assert_snapshot!(stack_config("starter::other.yaml"), @"
    exit 4
    --- stderr
    error: `other.yaml` of the distribution `starter` is not built in, only its `run.yaml`: write `starter` or `starter::run.yaml`, or the path of a file (from --stack-config)

    1 problem found; nothing was run
    ");
    let run = Project::new().run(&["--stack-config=starter::run.yaml"]);
    assert_eq!(run.code, Some(0), "{run}");
}

#[test]
fn a_provider_of_the_wrong_api_and_one_that_cannot_run_here() {
    assert_snapshot!(stack_config("safety=inline::faiss"), @"
    exit 4
    --- stderr
    error: stack `safety=inline::faiss`: provider `inline::faiss` has the unknown type `inline::faiss` for the API `safety`; for a provider of your own, use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
    assert_snapshot!(stack_config("inference=inline::meta-reference"), @"
    exit 4
    --- stderr
    error: stack `inference=inline::meta-reference`: provider `inline::meta-reference`: the in-process stack cannot run `inline::meta-reference` for the API `inference`; remove it, or use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
}

/// Every API of this stack, with no more than it needs: its own endpoint answers, one of an API that is not there does not.
#[test]
fn each_api_alone_answers_and_no_other() {
    let evaluates = "inference=ollama,vector_io=faiss,safety=llama-guard,tool_runtime=model-context-protocol,\
                     agents=meta-reference,datasetio=localfs,scoring=basic,eval=meta-reference";
    for (spec, own, other) in [
        ("inference=ollama", "/v1/models", "/v1/files"),
        ("files=localfs", "/v1/files", "/v1/models"),
        ("tool_runtime=model-context-protocol", "/v1/toolgroups", "/v1/shields"),
        ("datasetio=localfs", "/v1beta/datasets", "/v1/scoring-functions"),
        ("datasetio=localfs,scoring=basic", "/v1/scoring-functions", "/v1/models"),
        ("inference=ollama,safety=llama-guard", "/v1/shields", "/v1/toolgroups"),
        ("inference=ollama,vector_io=sqlite-vec,files=localfs", "/v1/vector_stores", "/v1/batches"),
        ("inference=ollama,files=localfs;batches=reference", "/v1/batches", "/v1/vector_stores"),
        (
            "inference=ollama,vector_io=faiss,safety=llama-guard,tool_runtime=model-context-protocol,agents=meta-reference",
            "/v1/responses",
            "/v1beta/datasets",
        ),
        (evaluates, "/v1alpha/eval/benchmarks", "/v1/batches"),
    ] {
        let case = format!(
            "cases:\n  - name: paths\n    steps:\n      - {{get: {own}, expect: [{{status: 200}}]}}\n      \
             - {{get: {other}, expect: [{{status: 404}}]}}\n"
        );
        let run = Project::cases(&case).run(&["-q", "--stack-config", spec]);
        assert_eq!(run.code, Some(0), "{spec}: {run}");
    }
}

#[test]
fn what_is_no_list_of_providers_is_told() {
    assert_snapshot!(stack_config("inference=olama"), @r"
    exit 4
    --- stderr
    error: stack `inference=olama`: provider `olama` has the unknown type `olama` for the API `inference` (did you mean `remote::ollama`?); for a provider of your own, use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
    assert_snapshot!(stack_config("inferense=ollama"), @r"
    exit 4
    --- stderr
    error: stack `inferense=ollama`: Llama Stack has no API `inferense` (did you mean `inference`?)
    ");
    assert_snapshot!(stack_config("inference="), @r"
    exit 4
    --- stderr
    error: `inference=` in the list `inference=` is not `api=provider`: write it as `inference=ollama,vector_io=sqlite-vec` (from --stack-config)

    1 problem found; nothing was run
    ");
    assert_snapshot!(stack_config("files=localfs,files=localfs"), @r"
    exit 4
    --- stderr
    error: stack `files=localfs,files=localfs`: `files=localfs`: there already is a provider `localfs` for this API; give it another id
    ");
    let config = "version: 2\nproviders:\n  inference: [{provider_id: ollama, provider_type: 'remote::ollama', config: [url]}]\n";
    assert_snapshot!(Project::new().file("run.yaml", config).says(&["--stack-config=run.yaml"]), @r"
    exit 4
    --- stderr
    error: run.yaml: providers.inference[0].config: a mapping is needed
    ");
}

const RUN_YAML: &str = "
version: 2
image_name: mine
providers:
  inference:
  - provider_id: llama-cpp   # as it is named in recordings
    provider_type: remote::llama-cpp
    config: {url: 'http://192.0.2.1:9/v1'}
  - provider_id: elsewhere
    provider_type: remote::vllm
    config: {url: '${env.VLLM_URL:=http://192.0.2.1:8/v1}'}
";

/// What a server gets to see of this configuration.
fn handed(args: &[&str]) -> String {
    Project::new()
        .file("run.yaml", RUN_YAML)
        .file(
            "stacks/mine.yaml",
            "name: mine\nlaunch: [sh, -c, 'grep url \"$0\"; exit 3', '${{ config }}']\nready: {get: /}\n",
        )
        .says(&[&["--stack=mine", "--stack-config=server:run.yaml"], args].concat())
}

#[test]
fn addresses_in_a_run_yaml_are_replaced_by_the_proxy() {
    assert_snapshot!(handed(&[]), @r#"
    exit 6
    --- stderr
    error: the server ended before it was ready (exit status: 3)
      command: sh -c grep url "$0"; exit 3 [state]/run.yaml
      its last output (all of it: [state]/server.log):
      |           "url": "http://127.0.0.1:[port]/llama-cpp/v1"
      |           "url": "http://127.0.0.1:[port]/elsewhere/v1"
    "#);
    assert_snapshot!(handed(&["--inference-mode=live"]), @r#"
    exit 6
    --- stderr
    error: the server ended before it was ready (exit status: 3)
      command: sh -c grep url "$0"; exit 3 [project]/run.yaml
      its last output (all of it: [state]/server.log):
      |     config: {url: 'http://192.0.2.1:9/v1'}
      |     config: {url: '${env.VLLM_URL:=http://192.0.2.1:8/v1}'}
    "#);
}

/// A run over a server whose configuration names an address that nobody answers at: the recording does.
#[test]
fn a_server_with_written_addresses_replays() {
    let provider = Provider::chat(|_| "Hello there".to_owned());
    let config = RUN_YAML.replace("http://192.0.2.1:9", &provider.url());
    let case = "
cases:
  - name: greets
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: '${{ text_model }}', messages: [{role: user, content: Hi}]}}
        expect: [{status: 200}, {json: {at: '$.choices[0].message.content', equals: Hello there}}]
";
    let project = Project::cases(case).file("run.yaml", config);
    let project = project.file("stacks/runner.yaml", include_str!("../../stacks/runner.yaml"));
    let run = |mode: &str| project.run(&["--stack-config=server:run.yaml", "-q", "--inference-mode", mode]);
    let recorded = run("record");
    assert_eq!(recorded.code, Some(0), "{recorded}");
    drop(provider);
    let replayed = run("replay");
    assert_eq!(replayed.code, Some(0), "{replayed}");
}

/// `runner serve` and the address that it prints.
fn served(project: &Project) -> (Child, String) {
    let mut child = project.start(&["serve", "--port=0"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("prints");
    let address = line.trim_end().rsplit('/').next().expect("an address").to_owned();
    (child, address)
}

/// Asks for a stream that the provider is in the middle of when the signals come, and returns what came of it.
fn stopped_in_a_stream(signals: usize, goes_on: bool) -> (Option<i32>, String, String) {
    let (asked, is_asked) = mpsc::channel();
    let more = std::sync::Arc::new(Notify::new());
    let waits = more.clone();
    let provider = Provider::start(move |_| {
        let (asked, more) = (asked.clone(), waits.clone());
        async move {
            let chunk = |text: &str| {
                let choice = serde_json::json!({"index": 0, "delta": {"content": text}});
                format!("data: {}\n\n", serde_json::json!({"id": "c", "choices": [choice]}))
            };
            let first = std::iter::once(Ok::<_, std::convert::Infallible>(chunk("first")));
            let last = async move {
                let _ = asked.send(());
                more.notified().await;
                Ok(chunk("last") + "data: [DONE]\n\n")
            };
            let chunks = futures_util::StreamExt::chain(
                futures_util::stream::iter(first),
                futures_util::stream::once(last),
            );
            ([("content-type", "text/event-stream")], Body::from_stream(chunks)).into_response()
        }
    });
    let project = Project::new().talks_to(&provider);
    let (child, address) = served(&project);
    let body =
        r#"{"model": "llama-cpp/tiny", "messages": [{"role": "user", "content": "x"}], "stream": true}"#;
    let mut client = TcpStream::connect(&address).expect("connects");
    write!(
        client,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sends");
    is_asked.recv().expect("the model is asked");
    for _ in 0..signals {
        signal(&child, Signal::SIGTERM);
        // The port is closed as soon as the signal is seen.
        while TcpStream::connect(&address).is_ok() {}
    }
    if goes_on {
        more.notify_one();
    }
    let mut answer = String::new();
    // A connection that is cut is what happens to those who ask twice.
    let _ = client.read_to_string(&mut answer);
    let output = child.wait_with_output().expect("ends");
    (output.status.code(), answer, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn serve_finishes_what_it_streams() {
    let (code, answer, said) = stopped_in_a_stream(1, true);
    assert!(answer.contains("first") && answer.contains("last"), "{answer}");
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn serve_asked_twice_waits_no_longer() {
    let (code, answer, said) = stopped_in_a_stream(2, false);
    assert!(!answer.contains("last"), "{answer}");
    assert_eq!((code, said.as_str()), (Some(2), "error: stopped while requests were still being answered\n"));
}
