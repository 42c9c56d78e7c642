//! Reads upstream's recordings: Python client calls, turned back into what went over the wire.
//!
//! Two layouts share one shape: flat `responses/<hash12>.json` without a test id, and per-folder
//! `recordings/<sha256>.json` with one. A file holds keyword arguments and serialised client objects
//! (`__type__`/`__data__`), so method, path and body framing have to be derived; the rules are below.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::canonical::{self, Style};
use super::key::{WireBody, WireRequest, sha256_hex};
use super::problem::ProblemKind;
use super::recording::{Answer, AnswerBody, AnswerChunk};
use super::rules::flatten_extra_body;

/// What an upstream file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Upstream {
    /// A call to a provider.
    Call(Box<UpstreamCall>),
    /// Recorded, but never sent to a provider over HTTP, as a tool's result; says what.
    Skipped(&'static str),
}

/// One provider call in wire terms.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamCall {
    pub request: WireRequest,
    pub url: String,
    /// Upstream's test id, as `tests/integration/agents/test_agents.py::test_custom_tool[…]`.
    pub test_id: Option<String>,
    pub answer: Answer,
    /// A list of models, to be merged with the other lists of the same provider.
    pub is_model_list: bool,
}

/// Reads one file. `value` is the whole file.
///
/// # Errors
/// [`ProblemKind::NotARecording`], with what is missing.
pub fn read(value: Value) -> Result<Upstream, ProblemKind> {
    read_call(value).map_err(|message| ProblemKind::NotARecording { message })
}

fn read_call(mut file: Value) -> Result<Upstream, String> {
    if !file.is_object() {
        return Err("not a JSON object".to_owned());
    }
    let test_id = file["test_id"].as_str().map(str::to_owned);
    let mut request = file["request"].take();
    let mut response = file["response"].take();
    if !request.is_object() {
        return Err("no `request` object".to_owned());
    }
    if request.get("tool_name").is_some() {
        return Ok(Upstream::Skipped("a tool's result"));
    }
    if request.get("payload").is_some() {
        return Ok(Upstream::Skipped("a raw call without a client"));
    }
    let url = request["url"].as_str().ok_or("no `request.url`")?.to_owned();
    let endpoint = request["endpoint"].as_str().ok_or("no `request.endpoint`")?.to_owned();
    if !response.is_object() {
        return Err("no `response` object".to_owned());
    }
    let mut body = match request["body"].take() {
        Value::Object(body) => body,
        Value::Null => Map::new(),
        other => return Err(format!("`request.body` is {other}, not an object")),
    };
    flatten_extra_body(&mut body);
    let path = wire_path(&url, &endpoint, &body);
    let is_read = matches!(path.rsplit('/').next(), Some("models" | "ps" | "tags")) && body.is_empty();
    let wire = WireRequest {
        provider: provider_of(&url),
        method: if is_read { "GET" } else { "POST" }.to_owned(),
        path,
        body: if is_read { WireBody::Empty } else { WireBody::Json(Value::Object(body)) },
    };
    let is_model_list = is_read && wire.path.ends_with("/models");
    let answer = wire_answer(&wire, &mut response)?;
    Ok(Upstream::Call(Box::new(UpstreamCall { request: wire, url, test_id, answer, is_model_list })))
}

/// The path on the wire. Upstream glues a fixed endpoint to the client's base address, so `…/v1` + `/v1/chat/completions`
/// stands for `…/v1/chat/completions`.
fn wire_path(url: &str, endpoint: &str, body: &Map<String, Value>) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let Some(base) = path.strip_suffix(endpoint) else { return path.to_owned() };
    let operation = match endpoint {
        // `embed` of the Ollama client is filed under the name of an older endpoint, which takes `prompt`.
        "/api/embeddings" if body.contains_key("input") => "/api/embed",
        other => other,
    };
    let operation = operation.strip_prefix("/v1").unwrap_or(operation);
    // An early recorder filed chat completions under `completions`.
    let operation = match operation {
        "/completions" if body.contains_key("messages") => "/chat/completions",
        other => other,
    };
    format!("{base}{operation}")
}

/// The provider an address belongs to; the host itself when nothing is known about it.
pub fn provider_of(url: &str) -> String {
    const HOSTS: [(&str, &str); 11] = [
        ("api.openai.com", "openai"),
        ("api.together.xyz", "together"),
        ("api.fireworks.ai", "fireworks"),
        ("api.cerebras.ai", "cerebras"),
        ("api.groq.com", "groq"),
        ("api.anthropic.com", "anthropic"),
        ("api.sambanova.ai", "sambanova"),
        ("api.llama.com", "llama-openai-compat"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("integrate.api.nvidia.com", "nvidia"),
        ("__databricks__", "databricks"),
    ];
    const LOCAL_PORTS: [(&str, &str); 3] = [("11434", "ollama"), ("8000", "vllm"), ("8080", "tgi")];
    const DOMAINS: [(&str, &str); 4] = [
        (".azure.com", "azure"),
        (".databricks.com", "databricks"),
        (".databricks.net", "databricks"),
        (".ml.cloud.ibm.com", "watsonx"),
    ];
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let local = matches!(name, "localhost" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "host.docker.internal");
    let by_port = LOCAL_PORTS.iter().find(|(p, _)| *p == port && (local || port == "11434"));
    let by_host = HOSTS.iter().find(|(h, _)| *h == name);
    let by_domain = DOMAINS.iter().find(|(domain, _)| name.ends_with(domain));
    by_host.or(by_domain).or(by_port).map_or(host, |(_, provider)| provider).to_owned()
}

fn wire_answer(request: &WireRequest, response: &mut Value) -> Result<Answer, String> {
    if response["is_exception"] == json!(true) {
        return Ok(exception(response));
    }
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let is_streaming = response["is_streaming"].as_bool().unwrap_or(false);
    let body = response.get_mut("body").ok_or("no `response.body`")?.take();
    let is_ollama = request.path.contains("/api/");
    match body {
        Value::Array(items) if is_streaming => Ok(stream(status, items, is_ollama)),
        _ if is_streaming => {
            Err("`response.is_streaming` is true, but `response.body` is no list".to_owned())
        }
        Value::Array(items) => Ok(json_answer(status, &json!({"object": "list", "data": plain_all(items)}))),
        other => Ok(json_answer(status, &plain(other))),
    }
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        wait: Duration::ZERO,
        body: AnswerBody::Whole(body.to_string().into()),
        cut: None,
    }
}

/// One chunk per event; upstream kept no times.
fn stream(status: u16, items: Vec<Value>, is_ollama: bool) -> Answer {
    let frame = |text: String| AnswerChunk { gap: Duration::ZERO, bytes: text.into() };
    let mut chunks: Vec<AnswerChunk> = plain_all(items)
        .into_iter()
        .map(|item| frame(if is_ollama { format!("{item}\n") } else { format!("data: {item}\n\n") }))
        .collect();
    if !is_ollama {
        chunks.push(frame("data: [DONE]\n\n".to_owned()));
    }
    let content_type = if is_ollama { "application/x-ndjson" } else { "text/event-stream" };
    Answer {
        status,
        headers: vec![("content-type".into(), content_type.into())],
        wait: Duration::ZERO,
        body: AnswerBody::Chunks(chunks),
        cut: None,
    }
}

/// A recorded exception, as the HTTP answer that raised it. Those that no answer raised (a Python error) become a 500.
fn exception(response: &mut Value) -> Answer {
    let data = response["exception_data"].take();
    let status = [&response["status"], &data["status_code"]].into_iter().find_map(Value::as_u64);
    let status = status
        .and_then(|status| u16::try_from(status).ok())
        .filter(|s| (400..600).contains(s))
        .unwrap_or(500);
    let message =
        data["message"].as_str().or(response["exception_message"].as_str()).unwrap_or("recorded exception");
    let body = match &data["body"] {
        // The OpenAI client keeps only what is inside `error`.
        Value::Object(body) if body.contains_key("error") || body.contains_key("detail") => {
            data["body"].clone()
        }
        Value::Object(_) => json!({"error": data["body"]}),
        _ => json!({"error": {"message": message, "type": data["type"], "param": null, "code": null}}),
    };
    json_answer(status, &body)
}

fn plain_all(items: Vec<Value>) -> Vec<Value> {
    items.into_iter().map(plain).collect()
}

/// The value without `__type__`/`__data__` wrappers, at any depth.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(mut members)
            if members.contains_key("__type__") && members.contains_key("__data__") =>
        {
            plain(members["__data__"].take())
        }
        Value::Object(members) => members.into_iter().map(|(key, member)| (key, plain(member))).collect(),
        Value::Array(items) => Value::Array(plain_all(items)),
        other => other,
    }
}

/// All models of several lists, each id once, in the order in which they appear.
pub(crate) fn merge_model_lists(answers: &[Answer]) -> Answer {
    let mut seen = std::collections::HashSet::new();
    let mut data = Vec::new();
    for answer in answers {
        let mut list: Value = serde_json::from_slice(&answer.bytes()).unwrap_or_default();
        if let Value::Array(models) = list["data"].take() {
            data.extend(models.into_iter().filter(|model| seen.insert(model["id"].to_string())));
        }
    }
    json_answer(200, &json!({"object": "list", "data": data}))
}

/// Whether a file's name (without extension) is what upstream would look for today. `file` is the whole file.
pub fn is_named_by_hash(file: &Value, stem: &str) -> bool {
    let name = stem.strip_prefix("models-").and_then(|rest| rest.split('-').next()).unwrap_or(stem);
    let Some(request) = file.get("request") else { return false };
    let plain = upstream_hash(request, None);
    if name.len() == 12 && file.get("test_id").is_none() {
        return plain.starts_with(name);
    }
    // Model lists leave the test out.
    name == plain || name == upstream_hash(request, Some(file["test_id"].as_str()))
}

/// The hash that upstream names files by: SHA-256 over the call, and the test id where it takes part.
pub fn upstream_hash(request: &Value, test_id: Option<Option<&str>>) -> String {
    let url = request["url"].as_str().unwrap_or_default();
    // Python's `urlparse` finds no host in an address without `//`, so all of it is the path.
    let path = if url.contains("://") { super::recording::path_of(url) } else { url };
    let mut call = json!({"method": request["method"], "endpoint": path, "body": request["body"]});
    if let Some(test_id) = test_id {
        call["test_id"] = json!(test_id);
    }
    sha256_hex(canonical::to_string(&call, Style::Spaced).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "`json!` builds its arguments in place")]
    fn file(url: &str, endpoint: &str, body: Value, response: Value) -> Value {
        json!({
            "test_id": "tests/integration/a.py::b",
            "request": {"method": "POST", "url": url, "headers": {}, "body": body, "endpoint": endpoint, "model": "m"},
            "response": response,
        })
    }

    fn call(file: Value) -> UpstreamCall {
        match read(file).unwrap() {
            Upstream::Call(call) => *call,
            Upstream::Skipped(why) => panic!("skipped: {why}"),
        }
    }

    fn wire(url: &str, endpoint: &str, body: Value) -> String {
        let call = call(file(url, endpoint, body, json!({"body": {}, "is_streaming": false})));
        format!("{} {} {}", call.request.provider, call.request.method, call.request.path)
    }

    #[test]
    fn calls_become_what_was_on_the_wire() {
        let chat = json!({"model": "m", "messages": []});
        let cases = [
            (
                "http://0.0.0.0:11434/v1/v1/chat/completions",
                "/v1/chat/completions",
                "ollama POST /v1/chat/completions",
            ),
            (
                "http://localhost:11434/v1/chat/completions",
                "/chat/completions",
                "ollama POST /v1/chat/completions",
            ),
            (
                "https://api.openai.com/v1/v1/chat/completions",
                "/v1/chat/completions",
                "openai POST /v1/chat/completions",
            ),
            (
                "https://api.fireworks.ai/inference/v1/v1/chat/completions",
                "/v1/chat/completions",
                "fireworks POST /inference/v1/chat/completions",
            ),
            (
                "__databricks__/serving-endpoints/v1/chat/completions",
                "/v1/chat/completions",
                "databricks POST /serving-endpoints/chat/completions",
            ),
            (
                "https://x-y.cognitiveservices.azure.com/openai/v1/v1/chat/completions",
                "/v1/chat/completions",
                "azure POST /openai/v1/chat/completions",
            ),
            ("http://localhost:8000/v1/v1/completions", "/v1/completions", "vllm POST /v1/chat/completions"),
            (
                "http://gpu.example:9000/v1/v1/chat/completions",
                "/v1/chat/completions",
                "gpu.example:9000 POST /v1/chat/completions",
            ),
        ];
        for (url, endpoint, expected) in cases {
            assert_eq!(wire(url, endpoint, chat.clone()), expected);
        }
        assert_eq!(
            wire("http://localhost:8000/v1/v1/completions", "/v1/completions", json!({"prompt": "x"})),
            "vllm POST /v1/completions"
        );
        assert_eq!(
            wire("http://localhost:11434/api/embeddings", "/api/embeddings", json!({"input": "x"})),
            "ollama POST /api/embed"
        );
        assert_eq!(wire("http://localhost:11434/api/ps", "/api/ps", json!({})), "ollama GET /api/ps");
        assert_eq!(
            wire(
                "https://generativelanguage.googleapis.com/v1beta/openai/v1/models",
                "/v1/models",
                json!({})
            ),
            "gemini GET /v1beta/openai/models"
        );
    }

    #[test]
    fn extra_body_is_merged_as_the_client_does() {
        let body = json!({"prompt": "x", "extra_body": {"guided_choice": ["a"]}});
        let response = json!({"body": {}, "is_streaming": false});
        let call = call(file("http://localhost:8000/v1/v1/completions", "/v1/completions", body, response));
        assert_eq!(call.request.body, WireBody::Json(json!({"prompt": "x", "guided_choice": ["a"]})));
    }

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.bytes().to_vec()).unwrap()
    }

    #[test]
    fn chunk_lists_become_events_with_a_terminator() {
        let chunk = |n: u32| json!({"__type__": "openai.types.X", "__data__": {"n": n, "created": 0}});
        let response = json!({"body": [chunk(1), chunk(2)], "is_streaming": true});
        let call = call(file(
            "http://localhost:11434/v1/v1/chat/completions",
            "/v1/chat/completions",
            json!({}),
            response,
        ));
        assert_eq!(
            text(&call.answer),
            "data: {\"n\":1,\"created\":0}\n\ndata: {\"n\":2,\"created\":0}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(call.answer.header("content-type"), Some("text/event-stream"));
        let AnswerBody::Chunks(chunks) = call.answer.body else { panic!() };
        assert_eq!(chunks.len(), 3);
    }

    #[test]
    fn ollama_lists_become_lines() {
        let response = json!({"body": [{"__type__": "ollama._types.GenerateResponse", "__data__": {"done": true}}], "is_streaming": true});
        let call = call(file(
            "http://localhost:11434/api/generate",
            "/api/generate",
            json!({"prompt": "x"}),
            response,
        ));
        assert_eq!(text(&call.answer), "{\"done\":true}\n");
        assert_eq!(call.answer.header("content-type"), Some("application/x-ndjson"));
    }

    #[test]
    fn recorded_exceptions_keep_status_and_body() {
        let chat = |response| {
            let url = "https://api.openai.com/v1/v1/chat/completions";
            call(file(url, "/v1/chat/completions", json!({"messages": []}), response)).answer
        };
        let sdk = chat(json!({"body": null, "is_streaming": false, "is_exception": true, "exception_data":
            {"category": "provider_sdk", "type": "BadRequestError", "message": "m", "status_code": 400, "body": {"message": "bad", "code": 7}}}));
        assert_eq!((sdk.status, text(&sdk)), (400, r#"{"error":{"message":"bad","code":7}}"#.to_owned()));
        let builtin = chat(json!({"is_exception": true, "exception_message": "boom",
            "exception_data": {"category": "builtin", "type": "ValueError", "message": "boom"}}));
        assert_eq!(builtin.status, 500);
        assert!(text(&builtin).contains("boom"));
    }

    #[test]
    fn model_lists_are_merged() {
        let list = |ids: &[&str]| {
            let models =
                ids.iter().map(|id| json!({"__type__": "openai.types.model.Model", "__data__": {"id": id}}));
            let response = json!({"body": models.collect::<Vec<_>>(), "is_streaming": false});
            let call = call(file("http://localhost:11434/v1/v1/models", "/v1/models", json!({}), response));
            assert!(call.is_model_list);
            call.answer
        };
        let merged = merge_model_lists(&[list(&["a", "b"]), list(&["b", "c"])]);
        assert_eq!(text(&merged), r#"{"object":"list","data":[{"id":"a"},{"id":"b"},{"id":"c"}]}"#);
    }

    #[test]
    fn tool_results_are_skipped_and_other_shapes_are_problems() {
        let tool = json!({"request": {"provider": "tavily", "tool_name": "web_search", "kwargs": {}}, "response": {"body": {}}});
        assert_eq!(read(tool).unwrap(), Upstream::Skipped("a tool's result"));
        for broken in
            [json!([]), json!({"request": {}}), json!({"request": {"url": "http://x/", "endpoint": "/"}})]
        {
            assert!(matches!(read(broken.clone()), Err(ProblemKind::NotARecording { .. })), "{broken}");
        }
    }
}
