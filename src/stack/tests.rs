//! The router called directly, against a mock provider. What is expected was seen on a real Llama Stack 0.3.0
//! with the same requests and the same provider answers.

use super::mock::{Mock, Seen, get, post, read, send, sse};
use super::{Env, RunConfig, Stack};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const MODELS: &[&str] = &["llama", "all-minilm:l6-v2", "text-embedding-3-small"];
const CHAT: &str = "/v1/chat/completions";

fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object is needed") };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// A provider that answers to `n` choices, streamed or not.
fn answer(seen: &Seen) -> Response {
    let n = seen.body["n"].as_u64().unwrap_or(1);
    if seen.body["stream"] == true {
        let deltas = (0..n).flat_map(|index| {
            let text = json!({"role": "assistant", "content": format!("{index}a")});
            [(index, text, None), (index, json!({"content": "b"}), None), (index, json!({}), Some("stop"))]
        });
        let events = deltas.map(|(index, delta, reason)| {
            let choice = json!({"index": index, "delta": delta, "finish_reason": reason});
            format!("data: {}\n\n", json!({"id": "s", "created": 7, "model": "m", "choices": [choice]}))
        });
        let text: String = events.collect();
        return sse(text + "data: [DONE]\n\n");
    }
    let choice = |index| {
        let message = json!({"role": "assistant", "content": "hé", "tool_calls": []});
        json!({"index": index, "message": message, "finish_reason": "stop"})
    };
    Json(json!({"id": "c", "created": 7, "model": "m", "choices": (0..n).map(choice).collect::<Vec<_>>(), "timings": 1}))
        .into_response()
}

async fn started(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> (Mock, Stack) {
    let mock = Mock::new(MODELS, answer).await;
    let stack = mock.stack().await;
    (mock, stack)
}

fn events(text: &str) -> Vec<Value> {
    let events = text.split_terminator("\n\n");
    events.map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn models_are_listed_with_their_provider() {
    let (_mock, stack) = started(answer).await;
    assert_eq!(stack.warnings(), []);
    let (_, text) = get(&stack, "/v1/models").await;
    let models: Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|m| m["identifier"].as_str().unwrap()).collect();
    assert_eq!(ids[..3], ["ollama/llama", "ollama/all-minilm:l6-v2", "ollama/text-embedding-3-small"]);
    assert_eq!(ids.len(), 9);
    assert_eq!(
        get(&stack, "/v1/models/ollama/all-minilm:l6-v2").await,
        (200, r#"{"identifier":"ollama/all-minilm:l6-v2","provider_resource_id":"all-minilm:l6-v2","provider_id":"ollama","type":"model","owner":null,"source":"listed_from_provider","metadata":{"embedding_dimension":384,"context_length":512},"model_type":"embedding"}"#.into())
    );
}

#[tokio::test]
async fn an_answer_is_reshaped_and_stored() {
    let (mock, stack) = started(answer).await;
    let body = with(ask("ollama/llama", "x"), json!({"temperature": 1, "seed": null, "mine": {"a": null}}));
    assert_eq!(
        post(&stack, CHAT, &body).await,
        (200, r#"{"id":"c","choices":[{"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"hé","refusal":null,"role":"assistant","annotations":null,"audio":null,"function_call":null,"tool_calls":null}}],"created":7,"model":"m","object":null,"service_tier":null,"system_fingerprint":null,"usage":null,"timings":1}"#.into())
    );
    let seen = &mock.seen()[0];
    assert_eq!(seen.path, "/ollama/v1/chat/completions");
    assert_eq!(
        seen.body.to_string(),
        r#"{"messages":[{"role":"user","content":"x"}],"model":"llama","temperature":1.0,"mine":{"a":null}}"#
    );
    assert_eq!(seen.authorization, "Bearer NO KEY REQUIRED");
    assert_eq!(
        get(&stack, "/v1/chat/completions/c").await,
        (200, r#"{"id":"c","choices":[{"message":{"role":"assistant","content":"hé","name":null,"tool_calls":null},"finish_reason":"stop","index":0,"logprobs":null}],"object":"chat.completion","created":7,"model":"m","usage":null,"input_messages":[{"role":"user","content":"x","name":null}]}"#.into())
    );
}

#[tokio::test]
async fn a_stream_with_two_choices_is_passed_on_and_stored() {
    let (_mock, stack) = started(answer).await;
    let response = send(
        &stack,
        "POST",
        CHAT,
        &[],
        Some(&with(ask("ollama/llama", "x"), json!({"stream": true, "n": 2}))),
    )
    .await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let (status, text) = read(response).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!text.contains("[DONE]") && !text.contains("event:"));
    let deltas: Vec<String> = events(&text)
        .iter()
        .map(|event| &event["choices"][0])
        .map(|choice| format!("{} {}", choice["index"], choice["delta"]["content"]))
        .collect();
    assert_eq!(deltas, ["0 \"0a\"", "0 \"b\"", "0 null", "1 \"1a\"", "1 \"b\"", "1 null"]);
    let first = text.split("\n\n").next().unwrap();
    assert_eq!(
        first,
        r#"data: {"id":"s","choices":[{"delta":{"content":"0a","function_call":null,"refusal":null,"role":"assistant","tool_calls":null},"finish_reason":null,"index":0,"logprobs":null}],"created":7,"model":"m","object":null,"service_tier":null,"system_fingerprint":null,"usage":null}"#
    );
    let stored: Value = serde_json::from_str(&get(&stack, "/v1/chat/completions/s").await.1).unwrap();
    assert_eq!(stored["model"], "ollama/llama");
    assert_eq!(stored["choices"][0]["message"]["content"], "0ab");
    assert_eq!(stored["choices"][1]["message"]["content"], "1ab");
}

#[tokio::test]
async fn streamed_tool_calls_are_stored_whole() {
    let (_mock, stack) = started(|_| {
        let piece = |call: Value| {
            let choice = json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"});
            format!("data: {}\n\n", json!({"id": "t", "created": 1, "choices": [choice]}))
        };
        let first = piece(
            json!({"index": 0, "id": "call", "type": "function", "function": {"name": "f", "arguments": ""}}),
        );
        sse(first
            + &piece(json!({"index": 0, "function": {"arguments": "{\"a\":"}}))
            + &piece(json!({"index": 0, "function": {"arguments": "1}"}})))
    })
    .await;
    post(&stack, CHAT, &with(ask("ollama/llama", "x"), json!({"stream": true}))).await;
    let (_, text) = get(&stack, "/v1/chat/completions?limit=1").await;
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        list["data"][0]["choices"][0].to_string(),
        r#"{"message":{"role":"assistant","content":null,"name":null,"tool_calls":[{"index":null,"id":"call","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls","index":0,"logprobs":null}"#
    );
    assert_eq!(
        (&list["has_more"], &list["first_id"], &list["object"]),
        (&json!(false), &json!("t"), &json!("list"))
    );
}

#[tokio::test]
async fn refusals_of_the_provider_keep_their_status() {
    let (_mock, stack) = started(|seen| match seen.body["messages"][0]["content"].as_str().unwrap() {
        "429" => (StatusCode::TOO_MANY_REQUESTS, Json(json!({"error": {"message": "it's", "code": null}})))
            .into_response(),
        "500" => (StatusCode::INTERNAL_SERVER_ERROR, " boom ").into_response(),
        "empty" => StatusCode::BAD_REQUEST.into_response(),
        "mid" => sse(
            "data: {\"id\":\"x\",\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"boom\"}}\n\ndata: {}\n\n",
        ),
        _ => "no json".into_response(),
    })
    .await;
    let said = async |text: &str, stream: bool| {
        post(&stack, CHAT, &with(ask("openai/llama", text), json!({"stream": stream}))).await
    };
    let refusal = r#"Error code: 429 - {'error': {'message': \"it's\", 'code': None}}"#;
    assert_eq!(said("429", false).await, (429, format!(r#"{{"detail":"{refusal}"}}"#)));
    let event = format!("data: {{\"error\": {{\"message\": \"429: {refusal}\"}}}}\n\n");
    assert_eq!(said("429", true).await, (200, event));
    assert_eq!(said("500", false).await, (500, r#"{"detail":"boom"}"#.into()));
    assert_eq!(said("empty", false).await, (400, r#"{"detail":"Error code: 400"}"#.into()));
    let internal = r#"{"detail":"Internal server error: An unexpected error occurred."}"#;
    assert_eq!(said("html", false).await, (500, internal.into()));
    let (_, text) = said("mid", true).await;
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2);
    assert_eq!(
        events[1],
        r#"data: {"error": {"message": "500: Internal server error: An unexpected error occurred."}}"#
    );
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_answered_as_upstream_does() {
    let (mock, stack) = started(answer).await;
    let missing = "Model 'nope' not found. Use 'client.models.list()' to list available Models.";
    assert_eq!(post(&stack, CHAT, &ask("nope", "x")).await, (404, format!(r#"{{"detail":"{missing}"}}"#)));
    assert_eq!(
        post(&stack, CHAT, &with(ask("nope", "x"), json!({"stream": true}))).await,
        (200, format!("data: {{\"error\": {{\"message\": \"404: {missing}\"}}}}\n\n"))
    );
    assert_eq!(post(&stack, CHAT, &ask("ollama/all-minilm:l6-v2", "x")).await.0, 500);
    assert_eq!(
        post(&stack, CHAT, &with(ask("ollama/llama", "x"), json!({"tool_choice": "auto"}))).await,
        (
            400,
            r#"{"detail":"Invalid value: 'tool_choice' is only allowed when 'tools' is also provided"}"#
                .into()
        )
    );
    assert_eq!(
        post(&stack, CHAT, &with(ask("ollama/llama", "x"), json!({"tools": [{"type": "function"}]}))).await,
        (
            400,
            r#"{"detail":{"errors":[{"loc":["function"],"msg":"Field required","type":"missing"}]}}"#.into()
        )
    );
    assert_eq!(
        post(&stack, "/v1/completions", &json!({"model": "ollama/llama"})).await,
        (400, r#"{"error":{"detail":{"errors":[{"loc":["body","prompt"],"msg":"Field required","type":"missing"}]}}}"#.into())
    );
    assert_eq!(mock.seen().len(), 0);
}

#[tokio::test]
async fn tools_arrive_verbatim_unless_none_is_to_be_chosen() {
    let (mock, stack) = started(answer).await;
    let tool = json!({"type": "function", "extra": 2, "function": {"name": "f", "strict": null, "parameters":
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"default": null}}}}});
    for choice in ["auto", "none"] {
        post(&stack, CHAT, &with(ask("ollama/llama", "x"), json!({"tools": [tool], "tool_choice": choice})))
            .await;
    }
    let bodies: Vec<Value> = mock.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!((&bodies[0]["tools"][0], &bodies[0]["tool_choice"]), (&tool, &json!("auto")));
    assert_eq!(bodies[1], ask("llama", "x"));
}

#[tokio::test]
async fn vllm_gets_a_limit_and_no_choice_without_tools() {
    let (mock, stack) = started(answer).await;
    post(&stack, CHAT, &with(ask("vllm/llama", "x"), json!({"tools": [], "tool_choice": "auto"}))).await;
    assert_eq!(
        mock.seen()[0].body,
        with(ask("llama", "x"), json!({"max_tokens": 4096, "tools": [], "tool_choice": "none"}))
    );
    assert_eq!(mock.seen()[0].authorization, "Bearer fake");
}

#[tokio::test]
async fn provider_data_replaces_the_key_and_the_trace_goes_on() {
    let (mock, stack) = started(answer).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let data = r#"{"openai_api_key":"trial-42"}"#;
    for header in [data, "not json", r#"{"openai_api_key":3}"#] {
        let headers = [("X-LlamaStack-Provider-Data", header), ("traceparent", trace)];
        send(&stack, "POST", CHAT, &headers, Some(&ask("openai/llama", "x"))).await;
    }
    let keys: Vec<String> = mock.seen().into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(keys, ["Bearer trial-42", "Bearer configured", "Bearer configured"]);
    assert_eq!(mock.seen()[0].traceparent.as_deref(), Some(trace));
}

#[tokio::test]
async fn completions_are_passed_on() {
    let (mock, stack) = started(|seen| {
        let choice = json!({"index": 0, "text": "Hi", "finish_reason": "stop"});
        let body =
            json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]});
        if seen.body["stream"] == true {
            sse(format!("data: {body}\r\n\r\ndata: [DONE]\r\n\r\n"))
        } else {
            Json(body).into_response()
        }
    })
    .await;
    let shaped = r#"{"id":"c","choices":[{"finish_reason":"stop","index":0,"logprobs":null,"text":"Hi"}],"created":1,"model":"m","object":"text_completion","system_fingerprint":null,"usage":null}"#;
    let body = json!({"model": "ollama/llama", "prompt": "x", "logprobs": 1});
    assert_eq!(post(&stack, "/v1/completions", &body).await, (200, shaped.into()));
    let streamed = post(&stack, "/v1/openai/v1/completions", &with(body, json!({"stream": true}))).await;
    assert_eq!(streamed, (200, format!("data: {shaped}\n\n")));
    assert_eq!(
        mock.seen()[1].body,
        json!({"model": "llama", "prompt": "x", "logprobs": true, "stream": true})
    );
}

#[tokio::test]
async fn embeddings_come_as_asked() {
    let (mock, stack) = started(|seen| {
        let vector =
            if seen.body["encoding_format"] == "base64" { json!("AACAPwAAAEA=") } else { json!([1, 0.5]) };
        Json(json!({"data": [{"embedding": vector}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}))
            .into_response()
    })
    .await;
    let embed = async |more: Value| {
        let body = with(json!({"model": "openai/text-embedding-3-small", "input": ["hi"]}), more);
        let (status, text) = post(&stack, "/v1/embeddings", &body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["data"][0]["embedding"].to_string()
    };
    assert_eq!(embed(json!({})).await, "[1.0,0.5]");
    assert_eq!(
        embed(json!({"encoding_format": "base64", "dimensions": 2, "zz": 1})).await,
        r#""AACAPwAAAEA=""#
    );
    assert_eq!(embed(json!({"encoding_format": null})).await, "[1.0,2.0]");
    let bodies: Vec<Value> = mock.seen().into_iter().map(|seen| seen.body).collect();
    let sent = |more: Value| with(json!({"model": "text-embedding-3-small", "input": ["hi"]}), more);
    assert_eq!(bodies[0], sent(json!({"encoding_format": "float"})));
    assert_eq!(bodies[1], sent(json!({"encoding_format": "base64", "dimensions": 2, "zz": 1})));
    assert_eq!(bodies[2], sent(json!({"encoding_format": "base64"})));
}

#[tokio::test]
async fn models_are_registered_and_unregistered() {
    let (_mock, stack) = started(answer).await;
    let register = async |body: Value| post(&stack, "/v1/models", &body).await;
    let (status, text) = register(json!({"model_id": "zz", "provider_id": "ollama"})).await;
    assert_eq!(status, 400);
    assert!(text.contains("'zz' model is not supported. Supported models are: llama, "), "{text}");
    assert!(
        register(json!({"model_id": "llama", "provider_id": "ollama"})).await.1.contains("already exists")
    );
    assert!(
        register(json!({"model_id": "llama"})).await.1.contains("dict_keys(['ollama', 'vllm', 'openai'])")
    );
    let embedding = json!({"model_id": "e", "provider_id": "vllm", "model_type": "embedding"});
    assert!(register(embedding.clone()).await.1.contains("must have an embedding dimension"));
    let (status, text) = register(with(embedding, json!({"metadata": {"embedding_dimension": 4}}))).await;
    assert_eq!((status, text.contains(r#""source":"via_register_api""#)), (200, true), "{text}");
    let deleted = read(send(&stack, "DELETE", "/v1/models/vllm/e", &[], None).await).await;
    assert_eq!(deleted, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(get(&stack, "/v1/models/vllm/e").await.0, 404);
}

#[tokio::test]
async fn what_is_not_served_is_said_and_not_listed() {
    let stack = Stack::start(RunConfig::distribution("starter", &Env::new()).unwrap()).await.unwrap();
    let trainer = json!({"provider_id": "t", "provider_type": "inline::torchtune-cpu"});
    let data = json!({"provider_id": "d", "provider_type": "inline::localfs"});
    let providers = json!({"post_training": [trainer], "datasetio": [data]});
    let config = json!({"version": 2, "providers": providers}).to_string();
    let training = Stack::start(RunConfig::from_yaml(&config, "test", &Env::new()).unwrap()).await.unwrap();
    let (status, text) = get(&training, "/v1alpha/post-training/jobs").await;
    assert_eq!(status, 501);
    assert!(
        text.contains("does not serve the post_training API (GET /v1alpha/post-training/jobs)")
            && text.contains("server:"),
        "{text}"
    );
    assert_eq!(get(&stack, "/v1/nope").await, (404, r#"{"detail":"Not Found"}"#.into()));
    let response = send(&stack, "DELETE", "/v1/health", &[], None).await;
    assert_eq!(
        read(response).await,
        (StatusCode::METHOD_NOT_ALLOWED, r#"{"detail":"Method Not Allowed"}"#.into())
    );
    let (_, routes) = get(&stack, "/v1/inspect/routes").await;
    assert!(routes.contains("/v1/chat/completions") && !routes.contains("post-training"), "{routes}");
    let (_, provider) = get(&stack, "/v1/providers/llama-guard").await;
    assert!(
        provider.starts_with(
            r#"{"api":"safety","provider_id":"llama-guard","provider_type":"inline::llama-guard""#
        )
    );
    assert_eq!(
        get(&stack, "/v1/providers/nope").await,
        (400, r#"{"detail":"Invalid value: Provider nope not found"}"#.into())
    );
    assert_eq!(
        get(&stack, "/v1/chat/completions").await.1,
        r#"{"data":[],"has_more":false,"first_id":"","last_id":"","object":"list"}"#
    );
}

#[tokio::test]
async fn an_old_client_is_turned_away() {
    let stack = Stack::start(RunConfig::distribution("starter", &Env::new()).unwrap()).await.unwrap();
    for (version, status) in [("0.2.9", 426), ("0.3.7", 200), ("next", 200)] {
        let response =
            send(&stack, "GET", "/v1/health", &[("X-LlamaStack-Client-Version", version)], None).await;
        assert_eq!(response.status().as_u16(), status, "{version}");
    }
}

#[tokio::test]
async fn keys_are_not_shown() {
    let (_mock, stack) = started(answer).await;
    let (_, text) = get(&stack, "/v1/providers").await;
    assert!(text.contains(r#""api_key":"********""#) && !text.contains("configured"), "{text}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_a_warning() {
    let env: Env = [("OLLAMA_URL".to_owned(), "http://127.0.0.1:1".to_owned())].into();
    let stack = Stack::start(RunConfig::distribution("starter", &env).unwrap()).await.unwrap();
    let warnings: Vec<String> = stack.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("ollama: Ollama does not run there (cannot connect"), "{warnings:?}");
    assert!(warnings[1].starts_with("ollama: no models: its list could not be read from http://127.0.0.1:1"));
    assert_eq!(get(&stack, "/v1/models").await, (200, r#"{"data":[]}"#.into()));
}

#[tokio::test]
async fn a_stack_that_cannot_start_says_why() {
    let mock = Mock::new(&["m"], answer).await;
    let text = format!(
        "version: 2\nproviders: {{inference: [{{provider_id: o, provider_type: \"remote::ollama\", \
         config: {{url: \"{}\"}}}}]}}\nregistered_resources: {{models: [{{model_id: zz, provider_id: o}}]}}",
        mock.url
    );
    let start = async |env: &Env, text: &str| {
        let config = RunConfig::from_yaml(text, "run.yaml", env).unwrap();
        Stack::start(config).await.err().map(|error| error.to_string())
    };
    assert_eq!(
        start(&Env::new(), &text).await.as_deref(),
        Some(
            "registered_resources: model `zz` of provider `o`: 'zz' model is not supported. Supported models are: m"
        )
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let env: Env = [("SQLITE_STORE_DIR".to_owned(), file.path().display().to_string())].into();
    let error = start(&env, "version: 2\nproviders: {}").await.unwrap();
    assert!(
        error.starts_with("the store of chat completions cannot be opened (")
            && error.ends_with("SQLITE_STORE_DIR"),
        "{error}"
    );
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_providers_stream_and_keeps_what_came() {
    let ended = Arc::new(Notify::new());
    let signal = Arc::clone(&ended);
    let (_mock, stack) = started(move |_| {
        let choice = json!({"index": 0, "delta": {"content": "x"}});
        let event = format!("data: {}\n\n", json!({"id": "gone", "created": 1, "choices": [choice]}));
        let guard = Dropped(Arc::clone(&signal));
        let endless = stream::once(async { event }).chain(stream::pending()).map(move |event| {
            let _held = &guard;
            Ok::<_, Infallible>(Bytes::from(event))
        });
        Body::from_stream(endless).into_response()
    })
    .await;
    let body = with(ask("ollama/llama", "x"), json!({"stream": true}));
    let mut stream = send(&stack, "POST", CHAT, &[], Some(&body)).await.into_body().into_data_stream();
    assert!(stream.next().await.is_some());
    drop(stream);
    tokio::time::timeout(Duration::from_secs(30), ended.notified())
        .await
        .expect("the provider's stream is closed");
    assert!(get(&stack, "/v1/chat/completions/gone").await.1.contains(r#""content":"x""#));
}
