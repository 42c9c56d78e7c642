//! Stacks that do not start, and recordings that cannot be used.

use std::net::TcpListener;

use insta::assert_snapshot;

use crate::support::Project;

fn stack_config(spec: &str) -> String {
    Project::new().says(&["--stack-config", spec])
}

/// A project whose stack `mine` is started by this command.
fn launching(launch: &str) -> Project {
    let stack = format!("name: mine\nlaunch: {launch}\nready: {{get: /v1/health, within: 300ms}}\n");
    Project::new().file("stacks/mine.yaml", stack)
}

fn launch(launch: &str) -> String {
    launching(launch).says(&["--stack=mine", "--stack-config=server:starter"])
}

#[test]
fn server_that_exits_at_boot() {
    assert_snapshot!(launch("[sh, -c, 'echo boom; exit 3']"), @"
    exit 6
    --- stderr
    error: the server ended before it was ready (exit status: 3)
      command: sh -c echo boom; exit 3
      its last output (all of it: [state]/server.log):
      | boom
    ");
}

/// The log that the message names outlives the run.
#[test]
fn the_log_of_a_server_that_did_not_start_can_be_read() {
    let project = launching("[sh, -c, 'echo boom >&2; exit 3']");
    let output =
        project.command(&["--stack=mine", "--stack-config=server:starter"]).output().expect("starts");
    let message = String::from_utf8_lossy(&output.stderr);
    let log =
        message.split("all of it: ").nth(1).and_then(|rest| rest.split(')').next()).expect("names a log");
    assert_eq!(std::fs::read_to_string(log).expect("is there"), "boom\n");
}

#[test]
fn server_that_never_gets_ready() {
    assert_snapshot!(launch("[sleep, \"60\"]"), @"
    exit 6
    --- stderr
    error: the server did not get ready within 0.3s: no success from http://127.0.0.1:[port]/v1/health. Give it longer (`ready: {within: …}` of its stack), or see what it waits for
      command: sleep 60
      it printed nothing (log: [state]/server.log)
    ");
}

#[test]
fn launch_command_not_found() {
    assert_snapshot!(launch("[no-such-llama, serve]"), @"
    exit 6
    --- stderr
    error: `no-such-llama` was not found: install it or put it on PATH, or choose with `--stack` another way to start the server
    ");
}

#[test]
fn port_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = taken.local_addr().expect("has an address").port();
    assert_snapshot!(stack_config(&format!("server:starter:{port}")), @"
    exit 6
    --- stderr
    error: port [port] is in use by something that is not a ready server: stop it, name another port (`server:CONFIG:PORT`), or name none to get a free one
    ");
}

#[test]
fn nobody_at_the_url() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("binds");
    assert_snapshot!(stack_config(&format!("http://{free}")), @"
    exit 6
    --- stderr
    error: no stack answers at http://127.0.0.1:[port]: tcp connect error: Connection refused (os error 111); start it, or let runner start one: --stack-config=server:CONFIG
    ");
}

#[test]
fn unknown_provider_type() {
    assert_snapshot!(stack_config("inference=remote::olama"), @"
    exit 4
    --- stderr
    error: stack `inference=remote::olama`: provider `remote::olama` has the unknown type `remote::olama` for the API `inference` (did you mean `remote::ollama`?); for a provider of your own, use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
    assert_snapshot!(stack_config("infrence=remote::ollama"), @"
    exit 4
    --- stderr
    error: stack `infrence=remote::ollama`: Llama Stack has no API `infrence` (did you mean `inference`?)
    ");
}

#[test]
fn bad_list() {
    assert_snapshot!(stack_config("inference=ollama,safety"), @"
    exit 4
    --- stderr
    error: `safety` in the list `inference=ollama,safety` is not `api=provider`: write it as `inference=ollama,vector_io=sqlite-vec` (from --stack-config)

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_distribution() {
    assert_snapshot!(stack_config("startr"), @"
    exit 4
    --- stderr
    error: no distribution `startr` is built in (did you mean `starter`?), only starter, ci-tests; give the path of a run.yaml, or use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
}

#[test]
fn bad_port() {
    assert_snapshot!(stack_config("server:starter:http"), @"
    exit 4
    --- stderr
    error: `http` is not a port: write `server:starter:8321` (1 to 65535), or `server:starter` for any free one (from --stack-config)

    1 problem found; nothing was run
    ");
    assert_snapshot!(stack_config("localhost:8321"), @"
    exit 4
    --- stderr
    error: `localhost:8321` is neither a URL nor a distribution: write `http://localhost:8321` for a server that runs, `server:localhost:8321` to start one (from --stack-config)

    1 problem found; nothing was run
    ");
}

#[test]
fn run_yaml_that_is_not_there() {
    assert_snapshot!(stack_config("stacks/run.yaml"), @"
    exit 4
    --- stderr
    error: the stack config stacks/run.yaml cannot be read: No such file or directory (os error 2); a path is taken from the project's root
    ");
    assert_snapshot!(stack_config("server:./run.yaml"), @"
    exit 4
    --- stderr
    error: the stack config ./run.yaml cannot be read: No such file or directory (os error 2); a path is taken from the project's root
    ");
}

#[test]
fn broken_run_yaml() {
    let run = |text: &str| Project::new().file("run.yaml", text).says(&["--stack-config=run.yaml"]);
    assert_snapshot!(run("version: 2\nproviders: [\n"), @"
    exit 4
    --- stderr
    error: run.yaml:2:12: not valid YAML: unclosed bracket '['
    ");
    assert_snapshot!(run("version: 1\n"), @"
    exit 4
    --- stderr
    error: run.yaml: `version` is 1, but only version 2 (Llama Stack 0.3) is read; use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
    assert_snapshot!(run("version: 2\nproviders:\n  inference:\n  - {provider_id: o, provider_type: \"remote::olama\"}\n"), @"
    exit 4
    --- stderr
    error: run.yaml: providers.inference[0]: provider `o` has the unknown type `remote::olama` for the API `inference` (did you mean `remote::ollama`?); for a provider of your own, use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack
    ");
    assert_snapshot!(run("version: 2\nproviders:\n  inference:\n  - {provider_id: v, provider_type: \"remote::vllm\", config: {url: \"${env.VLLM_URL}\"}}\n"), @"
    exit 4
    --- stderr
    error: run.yaml: providers.inference[0].config.url: environment variable VLLM_URL is not set or empty; set it, or write ${env.VLLM_URL:=default}, or ${env.VLLM_URL:+value} to make the field conditional
    ");
}

/// What replay says of a recording with this text.
fn recording(text: &str) -> String {
    Project::new().file("recordings/responses/0123456789ab.json", text).says(&[])
}

#[test]
fn truncated_recording() {
    assert_snapshot!(recording("{\n  \"request\": {\"method\": \"POST\","), @"
    exit 4
    --- stderr
    error: [project]/recordings/responses/0123456789ab.json:2:31: recording is truncated: the JSON ends too early; restore the file, or delete it and record again
    ");
}

#[test]
fn recording_that_is_not_json() {
    assert_snapshot!(recording("<html>\n"), @"
    exit 4
    --- stderr
    error: [project]/recordings/responses/0123456789ab.json:1:1: recording is not JSON: expected value; restore the file, or delete it and record again
    ");
}

#[test]
fn recording_of_a_newer_format() {
    assert_snapshot!(recording("{\"request\": {}, \"response\": {}, \"meta\": {\"format\": 99}}"), @"
    exit 4
    --- stderr
    error: [project]/recordings/responses/0123456789ab.json: recording has format 99, this program reads format 1; update the program, or record again
    ");
}

#[test]
fn json_that_is_no_recording() {
    assert_snapshot!(recording("{}"), @"
    exit 4
    --- stderr
    error: [project]/recordings/responses/0123456789ab.json: not a recording: no `request` object; move it out of the recordings directory
    ");
}

#[test]
fn all_unusable_recordings_at_once() {
    let project = Project::new()
        .file("recordings/responses/000000000000.json", "{")
        .file("recordings/responses/111111111111.json", "no");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: 2 recordings are unusable:
    [project]/recordings/responses/000000000000.json:1:1: recording is truncated: the JSON ends too early; restore the file, or delete it and record again
    [project]/recordings/responses/111111111111.json:1:2: recording is not JSON: expected ident; restore the file, or delete it and record again
    ");
}

#[test]
fn recordings_directory_missing() {
    assert_snapshot!(Project::new().without("recordings").says(&[]), @"
    exit 4
    --- stderr
    error: [project]/recordings: recordings directory does not exist; name one with --recording-dir, or create it by running with --inference-mode=record
    ");
    assert_snapshot!(Project::new().says(&["--recording-dir=recrodings"]), @"
    exit 4
    --- stderr
    error: [project]/recrodings: recordings directory does not exist; name one with --recording-dir, or create it by running with --inference-mode=record
    ");
}

#[test]
fn recordings_directory_unreadable() {
    let project = Project::new().file("taken", "");
    assert_snapshot!(project.says(&["--recording-dir=taken"]), @"
    exit 4
    --- stderr
    error: [project]/taken: recordings directory cannot be read: Not a directory (os error 20); check that it is a directory and its permissions
    ");
}
