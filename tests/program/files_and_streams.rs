//! What cases can express about files, schemas in files, bodies line by line, and streams that are cut off.

use std::sync::mpsc;

use axum::body::Body;
use axum::response::IntoResponse;
use insta::assert_snapshot;

use crate::provider::Provider;
use crate::support::Project;

/// A stack that gives back what it was sent, as it was sent.
fn echo() -> Provider {
    Provider::start(|asked| async move {
        let kind = asked.headers.get("content-type").cloned();
        match kind {
            Some(kind) => ([("content-type", kind)], asked.body).into_response(),
            None => asked.body.into_response(),
        }
    })
}

const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\x00";

#[test]
fn files_become_values_and_bytes_come_back_equal() {
    let stack = echo();
    let project = Project::cases(
        r#"
cases:
  - name: a
    steps:
      - keep:
          url: {data_url: test_cases/pixel.png}
          bytes: {file_base64: test_cases/pixel.png}
          text: {file: test_cases/notes.txt}
        expect:
          - value: {of: "${{ url }}", equals: "data:image/png;base64,iVBORw0KGgoA"}
          - value: {of: "${{ text }}", equals: "Zoë\n"}
      - post: /echo
        body: {text: "${{ bytes }}"}
        keep: {sent: {body: }, raw: {body_base64: }}
        expect: [{body: {equals: "${{ bytes }}"}}]
      - post: /echo
        body: {multipart: {file: {filename: pixel.png, path: test_cases/pixel.png}}}
        expect: [{status: 200}]
      - post: /lines
        body: {jsonl: [{a: 1}, {a: "${{ text }}"}, plain]}
        expect:
          - header: {name: content-type, equals: application/x-ndjson}
          - body: {equals: "{\"a\":1}\n{\"a\":\"Zoë\\n\"}\nplain\n"}
"#,
    )
    .file("test_cases/pixel.png", PIXEL)
    .file("test_cases/notes.txt", "Zoë\n");
    let output = project.run(&["--stack-config", &stack.url()]);
    assert_eq!(output.code, Some(0), "{output}");
    let uploaded = &stack.asked()[2].body;
    assert!(uploaded.windows(PIXEL.len()).any(|part| part == PIXEL), "the file's bytes are in the body");
}

#[test]
fn a_schema_in_a_file_is_followed_within_the_file() {
    let stack = echo();
    let project = Project::cases(
        r##"
cases:
  - name: a
    steps:
      - post: /echo
        body: {json: {id: x, items: [{n: 1}, {n: two}]}}
        expect:
          - json: {schema: schemas/list.json}
          - json: {at: "$.items[0]", schema: "schemas/list.json#/$defs/item"}
          - json: {at: "$.items[1]", schema: "schemas/list.json#/$defs/item"}
"##,
    )
    .file(
        "schemas/list.json",
        r##"{"type": "object", "required": ["id", "more"], "$defs": {"item": {"properties": {"n": {"$ref": "#/$defs/n"}}},
            "n": {"type": "integer"}}}"##,
    );
    let output = project.run(&["--stack-config", &stack.url()]);
    let found: Vec<&str> =
        output.stdout.lines().filter(|line| line.starts_with("test_cases/a.yaml:")).collect();
    assert_snapshot!(found.join("\n"), @r#"
    test_cases/a.yaml:8: $: expected a value that the schema accepts, got {"id":"x","items":[{"n":1},{"n":"two"}]}
    test_cases/a.yaml:10: $.items[1].n: expected a value that the schema accepts, got "two"
    "#);
}

#[test]
fn mistakes_in_schema_files_and_files_to_keep() {
    let project = Project::cases(
        r##"
cases:
  - name: a
    steps:
      - get: /v1/version
        keep: {a: {file: none.txt}, b: {data_url: ../secret.png}}
        abort_after_events: 0
        expect:
          - json: {schema: schemas/none.json}
          - json: {schema: ../list.json}
          - json: {schema: "schemas/list.json#/$defs/itm"}
          - json: {schema: "schemas/list.json#/$defs/away"}
          - json: {schema: "schemas/broken.json"}
"##,
    )
    .file("schemas/list.json", r#"{"$defs": {"item": {}, "away": {"$ref": "http://example.com/x"}}}"#)
    .file("schemas/broken.json", "{\"type\": ");
    assert_snapshot!(project.run(&[]), @r#"
    exit 4
    --- stderr
    error: not valid YAML: unclosed bracket '{'
     --> schemas/broken.json:1:1
      |
    1 | {"type": 
      | ^
      |
      = help: check indentation, quotes and brackets around this place

    error: there is no file `none.txt`
     --> test_cases/a.yaml:6:26
      |
    6 |         keep: {a: {file: none.txt}, b: {data_url: ../secret.png}}
      |                          ^^^^^^^^
      |
      = help: paths are relative to the project's root

    error: this path leaves the project
     --> test_cases/a.yaml:6:51
      |
    6 |         keep: {a: {file: none.txt}, b: {data_url: ../secret.png}}
      |                                                   ^^^^^^^^^^^^^
      |
      = help: paths are relative to the project's root, without `..`

    error: events are counted from 1
     --> test_cases/a.yaml:7:29
      |
    7 |         abort_after_events: 0
      |                             ^
      |
      = help: a request that nobody waits for has a short `timeout`

    error: cannot read schemas/none.json: No such file or directory (os error 2)
     --> test_cases/a.yaml:9:28
      |
    9 |           - json: {schema: schemas/none.json}
      |                            ^^^^^^^^^^^^^^^^^
      |
      = help: a schema is a mapping, or a path from the project's root

    error: this path leaves the project
      --> test_cases/a.yaml:10:28
       |
    10 |           - json: {schema: ../list.json}
       |                            ^^^^^^^^^^^^
       |
       = help: paths are relative to the project's root, without `..`

    error: schemas/list.json has nothing at `/$defs/itm`
      --> test_cases/a.yaml:11:28
       |
    11 |           - json: {schema: "schemas/list.json#/$defs/itm"}
       |                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: did you mean `item`?

    error: `$ref: http://example.com/x` leaves the schema; only local ones such as #/$defs/X work
      --> test_cases/a.yaml:12:28
       |
    12 |           - json: {schema: "schemas/list.json#/$defs/away"}
       |                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    8 problems found; nothing was run
    "#);
}

/// Tells when it is dropped: when the connection that it streams to is closed.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_stream_is_aborted_after_so_many_events() {
    let (sender, closed) = mpsc::channel();
    let stack = Provider::start(move |asked| {
        let told = asked.what.ends_with("/endless").then(|| Told(sender.clone()));
        async move {
            let Some(told) = told else {
                return ([("content-type", "text/event-stream")], "data: {\"n\": 0}\n\n").into_response();
            };
            let events = (0..).map(move |n| {
                let _ = &told;
                Ok::<_, std::convert::Infallible>(format!("data: {{\"n\": {n}}}\n\n"))
            });
            let body = Body::from_stream(tokio_stream::iter(events));
            ([("content-type", "text/event-stream")], body).into_response()
        }
    });
    let project = Project::cases(
        r#"
cases:
  - name: endless
    steps:
      - post: /endless
        abort_after_events: 3
        keep: {numbers: {events: "$[*].n"}}
        expect: [{stream: {min_events: 3, max_events: 3}}, {events: {at: "$[*].n", as_list: {equals: [0, 1, 2]}}}]
      - expect: [{value: {of: "${{ numbers }}", sorted: strictly_ascending}}]
  - name: too_short
    steps:
      - post: /short
        abort_after_events: 3
        expect: [{status: 200}]
"#,
    );
    let output = project.run(&["--stack-config", &stack.url(), "-j1"]);
    closed.recv().expect("the connection is closed");
    assert_snapshot!(output, @r#"
    exit 1
    --- stdout
    all cases: 2 trials against http://127.0.0.1:[port] (replay, [jobs])
      PASS   0.00s a::endless
      FAIL   0.00s a::too_short

    --- a::too_short ---
    test_cases/a.yaml:12: the answer ended before it could be aborted after 3 events
         12 |       - post: /short
         13 |         abort_after_events: 3
         14 |         expect: [{status: 200}]
      request:
        curl -sS -X POST 'http://127.0.0.1:[port]/short' \
          -H 'accept: application/json' \
          -H 'user-agent: runner/[version]'
      answer:
        HTTP 200 OK text/event-stream
        data: {"n": 0}

    1 passed, 1 failed in 0.00s
    "#);
}
