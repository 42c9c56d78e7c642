//! Shields and tools, called through the router; MCP servers are real ones on loopback.

use super::mock::{Mock, Seen, get, post, read, send};
use super::{Env, OFFLINE, RunConfig, Stack, StackWarning};
use crate::mcp::{Server, ServerSpec, ToolSet, Transport};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const SAFE: &str = "/v1/safety/run-shield";
const INVOKE: &str = "/v1/tool-runtime/invoke";

async fn started(answer: &'static str, more: &[(&str, &str)]) -> (Mock, Stack) {
    let chat = move |_: &Seen| -> Response {
        let message = json!({"role": "assistant", "content": answer});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        Json(json!({"id": "c", "created": 7, "model": "m", "choices": [choice]})).into_response()
    };
    let mock = Mock::new(&["guard"], chat).await;
    let mut env: Env = [("OLLAMA_URL".to_owned(), format!("{}/ollama", mock.url))].into();
    env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let stack = Stack::start(RunConfig::distribution("starter", &env).unwrap()).await.unwrap();
    (mock, stack)
}

async fn server(tools: ToolSet, token: Option<&str>) -> Server {
    let token = token.map(str::to_owned);
    Server::start(ServerSpec { tools, transport: Transport::StreamableHttp, token }).await.unwrap()
}

fn group(id: &str, uri: &str) -> Value {
    json!({"toolgroup_id": id, "provider_id": "model-context-protocol", "mcp_endpoint": {"uri": uri}})
}

async fn value(stack: &Stack, path: &str) -> Value {
    let (status, text) = get(stack, path).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn error(detail: &str) -> (u16, String) {
    let status = if detail.starts_with("Not implemented") { 501 } else { 400 };
    (status, json!({"detail": detail}).to_string())
}

#[tokio::test]
async fn a_shield_asks_its_model_once_and_says_what_is_wrong() {
    let (mock, stack) = started("\nunsafe\nS1,S2 ", &[("SAFETY_MODEL", "ollama/guard")]).await;
    let ask = json!({"shield_id": "llama-guard", "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(
        post(&stack, SAFE, &ask).await,
        (200, r#"{"violation":{"violation_level":"error","user_message":"I can't answer that. Can I help with something else?","metadata":{"violation_type":"S1,S2"}}}"#.into())
    );
    let sent = mock.take();
    assert_eq!(sent.len(), 1);
    let mut body = sent[0].body.clone();
    let prompt = body["messages"][0]["content"].take();
    assert!(prompt.as_str().unwrap().contains("\n\nUser: hello\n\n<END CONVERSATION>\n"), "{prompt}");
    assert_eq!(
        body.to_string(),
        r#"{"messages":[{"role":"user","content":null}],"model":"guard","stream":false,"temperature":0.0}"#
    );
    let moderate = json!({"input": ["a", "b"], "model": "ollama/guard"});
    let (status, text) = post(&stack, "/v1/moderations", &moderate).await;
    assert_eq!((status, text.contains(r#""flagged":true"#)), (200, true), "{text}");
    assert_eq!(mock.take().len(), 1);
    let (_, text) = post(&stack, "/v1/moderations", &json!({"input": [], "model": "ollama/guard"})).await;
    assert!(text.contains(r#""flagged":false"#), "{text}");
    assert!(mock.take().is_empty());
}

#[tokio::test]
async fn a_shield_that_answers_otherwise_is_refused() {
    let (_mock, stack) = started("maybe", &[("SAFETY_MODEL", "ollama/guard")]).await;
    let ask = |messages: Value| json!({"shield_id": "llama-guard", "messages": messages});
    let one = json!([{"role": "user", "content": "hello"}]);
    assert_eq!(post(&stack, SAFE, &ask(one)).await, error("Invalid value: Unexpected response: maybe"));
    assert_eq!(post(&stack, SAFE, &ask(json!([]))).await, error("Invalid value: Messages must not be empty"));
}

#[tokio::test]
async fn a_shield_that_cannot_run_here_is_left_out_with_a_warning() {
    let (_mock, stack) = started("safe", &[("CODE_SCANNER_MODEL", "code-scanner")]).await;
    let why = "the in-process stack cannot run `inline::code-scanner`, its rules are part of the Python package \
               codeshield. A real Llama Stack can: --stack-config=server:<run.yaml> --stack=llama-stack";
    let warning = StackWarning { about: "shield code-scanner".into(), message: why.into() };
    assert_eq!(stack.warnings(), [warning]);
    assert_eq!(value(&stack, "/v1/shields").await, json!({"data": []}));
    let register = json!({"shield_id": "code-scanner", "provider_id": "code-scanner"});
    assert_eq!(post(&stack, "/v1/shields", &register).await, error(&format!("Not implemented: {why}")));
}

#[tokio::test]
async fn schemas_reach_the_model_as_the_server_wrote_them() {
    let (mock, stack) = started("fine", &[]).await;
    for (tools, set) in [(ToolSet::Schemas, "schemas"), (ToolSet::Outputs, "outputs")] {
        let server = server(tools, None).await;
        post(&stack, "/v1/toolgroups", &group(set, &server.url)).await;
        let listed = value(&stack, &format!("/v1/tools?toolgroup_id={set}")).await["data"].clone();
        let written: Value = serde_json::from_str(include_str!("../mcp/tool_sets.json")).unwrap();
        let wanted = written[set].as_array().unwrap().iter().map(|tool| {
            json!({
                "toolgroup_id": set, "name": tool["name"], "description": tool["description"],
                "input_schema": tool["inputSchema"], "output_schema": tool["outputSchema"],
                "metadata": {"endpoint": server.url},
            })
        });
        assert_eq!(listed.to_string(), Value::Array(wanted.collect()).to_string());
        let offered: Vec<Value> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| json!({"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}))
            .collect();
        let ask = json!({"model": "ollama/guard", "messages": [{"role": "user", "content": "x"}], "tools": offered});
        assert_eq!(post(&stack, "/v1/chat/completions", &ask).await.0, 200);
        let sent = mock.take().remove(0).body;
        for (function, tool) in sent["tools"].as_array().unwrap().iter().zip(written[set].as_array().unwrap())
        {
            assert_eq!(function["function"]["parameters"].to_string(), tool["inputSchema"].to_string());
        }
    }
}

#[tokio::test]
async fn a_group_registered_anew_has_the_new_tools() {
    let (_mock, stack) = started("fine", &[]).await;
    let (old, new) = (server(ToolSet::Default, None).await, server(ToolSet::Outputs, None).await);
    let names = async || {
        let tools = value(&stack, "/v1/tools?toolgroup_id=g").await;
        tools["data"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(post(&stack, "/v1/toolgroups", &group("g", &old.url)).await, (200, "null".into()));
    assert_eq!(names().await, ["greet_everyone", "get_boiling_point"]);
    let taken = "Invalid value: Object of type 'tool_group' and identifier 'g' already exists. Unregister it first if \
                 you want to replace it.";
    assert_eq!(post(&stack, "/v1/toolgroups", &group("g", &new.url)).await, error(taken));
    assert_eq!(send(&stack, "DELETE", "/v1/toolgroups/g", &[], None).await.status(), 204);
    assert_eq!(
        get(&stack, "/v1/tools/greet_everyone").await,
        error("Invalid value: Tool 'greet_everyone' not found")
    );
    post(&stack, "/v1/toolgroups", &group("g", &new.url)).await;
    assert_eq!(names().await, ["get_weather", "calculate"]);
    let call = json!({"tool_name": "calculate", "kwargs": {"x": 5, "y": 3, "operation": "add"}});
    let (status, text) = post(&stack, INVOKE, &call).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["error_code"]), (200, &json!(0)), "{text}");
    let result: Value = serde_json::from_str(answer["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(result["result"], 8.0);
    let wrong = json!({"tool_name": "calculate", "kwargs": {"x": "five"}});
    let (status, text) = post(&stack, INVOKE, &wrong).await;
    assert_eq!((status, text.contains(r#""error_code":1"#)), (200, true), "{text}");
}

#[tokio::test]
async fn credentials_go_from_the_caller_to_the_server() {
    let (_mock, stack) = started("fine", &[]).await;
    let server = server(ToolSet::Default, Some("right")).await;
    assert_eq!(post(&stack, "/v1/toolgroups", &group("g", &server.url)).await.0, 200);
    let list = "/v1/tool-runtime/list-tools?tool_group_id=g";
    let refused = format!(
        "Authentication required: Client error '401 Unauthorized' for url '{}'\nFor more information check: \
         https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401",
        server.url
    );
    assert_eq!(get(&stack, list).await, (401, json!({"detail": refused}).to_string()));
    let data = json!({"mcp_headers": {&server.url: {"Authorization": "Bearer right"}}}).to_string();
    let headers = [("x-llamastack-provider-data", data.as_str())];
    let (status, text) = read(send(&stack, "GET", list, &headers, None).await).await;
    assert_eq!((status.as_u16(), text.contains("greet_everyone")), (200, true), "{text}");
    let call = json!({"tool_name": "greet_everyone", "kwargs": {"url": "x"}});
    assert_eq!(post(&stack, INVOKE, &call).await.0, 401);
    assert_eq!(
        read(send(&stack, "POST", INVOKE, &headers, Some(&call)).await).await.1,
        r#"{"content":[{"type":"text","text":"Hello, world!"}],"error_message":null,"error_code":0,"metadata":null}"#
    );
    let url = server.url.clone();
    drop(server);
    while reqwest::get(&url).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let gone = format!("Failed to connect to MCP server at {url}: Connection refused");
    assert_eq!(post(&stack, INVOKE, &call).await, (502, json!({"detail": gone}).to_string()));
}

#[tokio::test]
async fn groups_that_cannot_be_listed_are_left_out_and_named() {
    let (_mock, stack) = started("fine", &[(OFFLINE, "1")]).await;
    post(&stack, "/v1/toolgroups", &group("far", "https://example.com/mcp")).await;
    let response = send(&stack, "GET", "/v1/tools", &[], None).await;
    let cause = response.headers()["x-stack-cause"].to_str().unwrap().to_owned();
    assert_eq!(
        cause,
        "far: Network error connecting to MCP server at https://example.com/mcp: only \
         servers on this machine are called while provider traffic is replayed"
    );
    let (_, text) = read(response).await;
    let names: Vec<&str> =
        text.split(r#""name":""#).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(names, ["web_search", "insert_into_memory", "knowledge_search"]);
}

#[tokio::test]
async fn web_search_asks_a_configured_address_alone_while_replaying() {
    let found = |_: &Seen| Json(json!({"query": "q", "results": [{"url": "u"}], "x": 1})).into_response();
    let mock = Mock::new(&[], found).await;
    let stack = async |config: Value| {
        let provider =
            json!({"provider_id": "t", "provider_type": "remote::tavily-search", "config": config});
        let config = json!({
            "version": 2, "providers": {"tool_runtime": [provider]},
            "registered_resources": {"tool_groups": [{"toolgroup_id": "builtin::websearch", "provider_id": "t"}]},
        });
        let env = [(OFFLINE.to_owned(), "1".to_owned())].into();
        Stack::start(RunConfig::from_yaml(&config.to_string(), "f", &env).unwrap()).await.unwrap()
    };
    let call = json!({"tool_name": "web_search", "kwargs": {"query": "q"}});
    let here = stack(json!({"api_key": "k", "url": mock.url})).await;
    assert_eq!(
        post(&here, INVOKE, &call).await,
        (200, r#"{"content":"{\"query\": \"q\", \"top_k\": [{\"url\": \"u\"}]}","error_message":null,"error_code":null,"metadata":null}"#.into())
    );
    let sent = mock.take();
    assert_eq!((sent[0].path.as_str(), &sent[0].body), ("/search", &json!({"api_key": "k", "query": "q"})));
    let there = stack(json!({"api_key": "k"})).await;
    let refusal =
        "remote::tavily-search is not asked while provider traffic is replayed: its answers are not recorded";
    assert_eq!(post(&there, INVOKE, &call).await, (502, json!({"detail": refusal}).to_string()));
    let keyless = stack(json!({})).await;
    assert_eq!(
        post(&keyless, INVOKE, &call).await,
        error(
            "Invalid value: Pass Search provider's API Key in the header X-LlamaStack-Provider-Data as { \
             \"tavily_search_api_key\": <your api key>}"
        )
    );
}
