//! The remote inference providers: one table of OpenAI-compatible services.
//!
//! What differs in behaviour, not only in values, has a [`Dialect`] and, where it is more than a line, a file.

/// A kind of remote inference provider.
pub(crate) struct RemoteType {
    /// As in a run configuration, e.g. `remote::ollama`.
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    /// The configuration field that holds the address.
    pub(crate) address_key: &'static str,
    pub(crate) default_address: Option<&'static str>,
    /// Appended to the address; OpenAI's paths follow.
    pub(crate) suffix: &'static str,
    pub(crate) key: KeyRule,
    /// The field of `X-LlamaStack-Provider-Data` whose value replaces the configured key.
    pub(crate) data_field: Option<&'static str>,
    /// Embedding models among the listed ones: name, dimension, context length in tokens.
    pub(crate) embeddings: &'static [(&'static str, u32, u32)],
    pub(crate) lacks: &'static [Call],
    /// The configuration an ad-hoc stack gives it.
    pub(crate) sample: &'static [(&'static str, &'static str)],
}

/// Where a provider's API key comes from.
pub(crate) enum KeyRule {
    /// The service takes none; this placeholder is sent, as the OpenAI client insists on one.
    None,
    /// The configuration field; without it every call is refused before it is sent.
    Needed(&'static str),
    /// The configuration field, or the placeholder.
    IfSet(&'static str),
}

/// What is sent where a service needs no key.
pub(crate) const NO_KEY: &str = "NO KEY REQUIRED";

/// Behaviour beyond the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Plain,
    Ollama,
    Vllm,
    LlamaCpp,
    Tgi,
    Together,
    Databricks,
    Anthropic,
    Gemini,
    Nvidia,
    Runpod,
    SambaNova,
}

/// The calls a provider may lack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    Completions,
    Embeddings,
}

impl Dialect {
    /// Whether images behind a URL are fetched here and sent inline.
    pub(crate) fn inlines_images(self) -> bool {
        matches!(self, Self::Ollama | Self::SambaNova)
    }

    /// Whether answers get an id of our own, because the service sends an empty one.
    pub(crate) fn needs_ids(self) -> bool {
        self == Self::Tgi
    }
}

/// The remote type of this name.
pub(crate) fn find(name: &str) -> Option<&'static RemoteType> {
    TYPES.iter().find(|remote| remote.name == name)
}

const PLAIN: RemoteType = RemoteType {
    name: "",
    dialect: Dialect::Plain,
    address_key: "url",
    default_address: None,
    suffix: "",
    key: KeyRule::Needed("api_key"),
    data_field: None,
    embeddings: &[],
    lacks: &[],
    sample: &[],
};

/// Every remote inference provider served here. All but `remote::llama-cpp` are Llama Stack's.
pub(crate) static TYPES: &[RemoteType] = &[
    RemoteType {
        name: "remote::ollama",
        dialect: Dialect::Ollama,
        default_address: Some("http://localhost:11434"),
        suffix: "/v1",
        key: KeyRule::None,
        embeddings: &[
            ("all-minilm:l6-v2", 384, 512),
            ("nomic-embed-text:latest", 768, 8192),
            ("nomic-embed-text:v1.5", 768, 8192),
            ("nomic-embed-text:137m-v1.5-fp16", 768, 8192),
        ],
        sample: &[("url", "${env.OLLAMA_URL:=http://localhost:11434}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::vllm",
        dialect: Dialect::Vllm,
        key: KeyRule::IfSet("api_token"),
        data_field: Some("vllm_api_token"),
        sample: &[
            ("url", "${env.VLLM_URL:=}"),
            ("max_tokens", "${env.VLLM_MAX_TOKENS:=4096}"),
            ("api_token", "${env.VLLM_API_TOKEN:=fake}"),
            ("tls_verify", "${env.VLLM_TLS_VERIFY:=true}"),
        ],
        ..PLAIN
    },
    RemoteType {
        name: "remote::openai",
        address_key: "base_url",
        default_address: Some("https://api.openai.com/v1"),
        data_field: Some("openai_api_key"),
        embeddings: &[("text-embedding-3-small", 1536, 8192), ("text-embedding-3-large", 3072, 8192)],
        sample: &[
            ("api_key", "${env.OPENAI_API_KEY:=}"),
            ("base_url", "${env.OPENAI_BASE_URL:=https://api.openai.com/v1}"),
        ],
        ..PLAIN
    },
    RemoteType {
        name: "remote::llama-cpp",
        dialect: Dialect::LlamaCpp,
        key: KeyRule::IfSet("api_key"),
        data_field: Some("llama_cpp_api_key"),
        sample: &[("url", "${env.LLAMA_CPP_URL:=}"), ("api_key", "${env.LLAMA_CPP_API_KEY:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::tgi",
        dialect: Dialect::Tgi,
        suffix: "/v1",
        key: KeyRule::None,
        lacks: &[Call::Embeddings],
        sample: &[("url", "${env.TGI_URL:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::together",
        dialect: Dialect::Together,
        default_address: Some("https://api.together.xyz/v1"),
        data_field: Some("together_api_key"),
        embeddings: &[
            ("togethercomputer/m2-bert-80M-32k-retrieval", 768, 32768),
            ("BAAI/bge-large-en-v1.5", 1024, 512),
            ("BAAI/bge-base-en-v1.5", 768, 512),
            ("Alibaba-NLP/gte-modernbert-base", 768, 8192),
            ("intfloat/multilingual-e5-large-instruct", 1024, 512),
        ],
        sample: &[("url", "https://api.together.xyz/v1"), ("api_key", "${env.TOGETHER_API_KEY:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::fireworks",
        default_address: Some("https://api.fireworks.ai/inference/v1"),
        data_field: Some("fireworks_api_key"),
        embeddings: &[
            ("nomic-ai/nomic-embed-text-v1.5", 768, 8192),
            ("accounts/fireworks/models/qwen3-embedding-8b", 4096, 40960),
        ],
        sample: &[
            ("url", "https://api.fireworks.ai/inference/v1"),
            ("api_key", "${env.FIREWORKS_API_KEY:=}"),
        ],
        ..PLAIN
    },
    RemoteType {
        name: "remote::cerebras",
        address_key: "base_url",
        default_address: Some("https://api.cerebras.ai"),
        suffix: "/v1",
        lacks: &[Call::Embeddings],
        sample: &[
            ("base_url", "${env.CEREBRAS_BASE_URL:=https://api.cerebras.ai}"),
            ("api_key", "${env.CEREBRAS_API_KEY:=}"),
        ],
        ..PLAIN
    },
    RemoteType {
        name: "remote::databricks",
        dialect: Dialect::Databricks,
        suffix: "/serving-endpoints",
        key: KeyRule::Needed("api_token"),
        embeddings: &[("databricks-gte-large-en", 1024, 8192), ("databricks-bge-large-en", 1024, 512)],
        lacks: &[Call::Completions],
        sample: &[("url", "${env.DATABRICKS_HOST:=}"), ("api_token", "${env.DATABRICKS_TOKEN:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::anthropic",
        dialect: Dialect::Anthropic,
        address_key: "base_url",
        default_address: Some("https://api.anthropic.com/v1"),
        data_field: Some("anthropic_api_key"),
        sample: &[("api_key", "${env.ANTHROPIC_API_KEY:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::gemini",
        dialect: Dialect::Gemini,
        address_key: "base_url",
        default_address: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        data_field: Some("gemini_api_key"),
        embeddings: &[("models/text-embedding-004", 768, 2048), ("models/gemini-embedding-001", 3072, 2048)],
        sample: &[("api_key", "${env.GEMINI_API_KEY:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::groq",
        default_address: Some("https://api.groq.com"),
        suffix: "/openai/v1",
        data_field: Some("groq_api_key"),
        sample: &[("url", "https://api.groq.com"), ("api_key", "${env.GROQ_API_KEY:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::sambanova",
        dialect: Dialect::SambaNova,
        default_address: Some("https://api.sambanova.ai/v1"),
        data_field: Some("sambanova_api_key"),
        sample: &[("url", "https://api.sambanova.ai/v1"), ("api_key", "${env.SAMBANOVA_API_KEY:=}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::nvidia",
        dialect: Dialect::Nvidia,
        default_address: Some("https://integrate.api.nvidia.com"),
        key: KeyRule::IfSet("api_key"),
        embeddings: &[
            ("nvidia/llama-3.2-nv-embedqa-1b-v2", 2048, 8192),
            ("nvidia/nv-embedqa-e5-v5", 512, 1024),
            ("nvidia/nv-embedqa-mistral-7b-v2", 512, 4096),
            ("snowflake/arctic-embed-l", 512, 1024),
        ],
        sample: &[
            ("url", "${env.NVIDIA_BASE_URL:=https://integrate.api.nvidia.com}"),
            ("api_key", "${env.NVIDIA_API_KEY:=}"),
            ("append_api_version", "${env.NVIDIA_APPEND_API_VERSION:=True}"),
        ],
        ..PLAIN
    },
    RemoteType {
        name: "remote::llama-openai-compat",
        address_key: "openai_compat_api_base",
        default_address: Some("https://api.llama.com/compat/v1"),
        data_field: Some("llama_api_key"),
        lacks: &[Call::Completions, Call::Embeddings],
        sample: &[
            ("openai_compat_api_base", "https://api.llama.com/compat/v1/"),
            ("api_key", "${env.LLAMA_API_KEY}"),
        ],
        ..PLAIN
    },
    RemoteType {
        name: "remote::runpod",
        dialect: Dialect::Runpod,
        key: KeyRule::Needed("api_token"),
        sample: &[("url", "${env.RUNPOD_URL:=}"), ("api_token", "${env.RUNPOD_API_TOKEN}")],
        ..PLAIN
    },
    RemoteType {
        name: "remote::azure",
        address_key: "api_base",
        suffix: "/openai/v1",
        data_field: Some("azure_api_key"),
        sample: &[
            ("api_key", "${env.AZURE_API_KEY:=}"),
            ("api_base", "${env.AZURE_API_BASE:=}"),
            ("api_version", "${env.AZURE_API_VERSION:=}"),
            ("api_type", "${env.AZURE_API_TYPE:=}"),
        ],
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::mock::{Mock, Seen, get, post};
    use crate::stack::{Env, RunConfig, Stack};
    use axum::Json;
    use axum::response::{IntoResponse as _, Response};
    use serde_json::{Value, json};

    /// Answers for every service: each lists the one model `m`, and chats.
    fn service(seen: &Seen) -> Response {
        let listed = json!([{"id": "m", "meta": {"n_embd": 576, "n_ctx_train": 2048}}]);
        let answer = match seen.path.strip_prefix("/at").unwrap() {
            "/info" => json!({"model_id": "m", "max_total_tokens": 1}),
            "/api/2.0/serving-endpoints" => json!({"endpoints": [{"name": "m"}]}),
            path if path.ends_with("/models") && seen.authorization == "Bearer bare" => listed,
            path if path.ends_with("/models") => json!({"data": listed}),
            path if path.ends_with("/embeddings") => json!({"data": [{"embedding": [0.5]}], "usage": {}}),
            _ => json!({"id": "", "created": 1, "model": "m", "choices": []}),
        };
        Json(answer).into_response()
    }

    /// A stack with the one provider `p`, whose service is the mock below `/at`.
    async fn stack(mock: &Mock, remote: &RemoteType, key: &str) -> Stack {
        let key_field = match remote.key {
            KeyRule::None => "unused",
            KeyRule::Needed(field) | KeyRule::IfSet(field) => field,
        };
        let config = json!({remote.address_key: format!("{}/at/", mock.url), key_field: key});
        let provider = json!({"provider_id": "p", "provider_type": remote.name, "config": config});
        let config = json!({"version": 2, "providers": {"inference": [provider]}}).to_string();
        Stack::start(RunConfig::from_yaml(&config, "test", &Env::new()).unwrap()).await.unwrap()
    }

    fn ask(more: &Value) -> Value {
        let mut body = json!({"model": "p/m", "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[tokio::test]
    async fn every_service_is_reached_where_it_is() {
        let mut reached = Vec::new();
        for remote in TYPES {
            let mock = Mock::new(&[], service).await;
            let stack = stack(&mock, remote, "key").await;
            assert_eq!(stack.warnings(), [], "{}", remote.name);
            mock.take();
            let (status, text) = post(&stack, "/v1/chat/completions", &ask(&json!({}))).await;
            assert_eq!(status, 200, "{}: {text}", remote.name);
            let seen = mock.take().remove(0);
            let path = seen.path.replace("/at", "").replace("/chat/completions", "");
            reached.push(format!("{} {path:?} {}", remote.name.replace("remote::", ""), seen.authorization));
        }
        assert_eq!(
            reached,
            [
                "ollama \"/v1\" Bearer NO KEY REQUIRED",
                "vllm \"\" Bearer key",
                "openai \"\" Bearer key",
                "llama-cpp \"\" Bearer key",
                "tgi \"/v1\" Bearer NO KEY REQUIRED",
                "together \"\" Bearer key",
                "fireworks \"\" Bearer key",
                "cerebras \"/v1\" Bearer key",
                "databricks \"/serving-endpoints\" Bearer key",
                "anthropic \"\" Bearer key",
                "gemini \"\" Bearer key",
                "groq \"/openai/v1\" Bearer key",
                "sambanova \"\" Bearer key",
                "nvidia \"/v1\" Bearer key",
                "llama-openai-compat \"\" Bearer key",
                "runpod \"\" Bearer key",
                "azure \"/openai/v1\" Bearer key",
            ]
        );
    }

    #[tokio::test]
    async fn without_a_key_nothing_is_asked() {
        let mock = Mock::new(&[], service).await;
        let stack = stack(&mock, find("remote::openai").unwrap(), "").await;
        assert_eq!(stack.warnings(), []);
        assert_eq!(get(&stack, "/v1/models").await.1, r#"{"data":[]}"#);
        assert_eq!(mock.seen().len(), 0);
    }

    #[tokio::test]
    async fn dialects() {
        let call = async |name: &str, key: &str, path: &str, more: Value| {
            let mock = Mock::new(&[], service).await;
            let stack = stack(&mock, find(name).unwrap(), key).await;
            mock.take();
            let (status, text) = post(&stack, path, &ask(&more)).await;
            (status, text, mock.take().pop().map(|seen| seen.body))
        };
        let chat = "/v1/chat/completions";
        let (_, text, _) = call("remote::tgi", "", chat, json!({})).await;
        assert!(text.starts_with(r#"{"id":"cltsd-"#), "{text}");
        let (_, _, body) = call("remote::runpod", "k", chat, json!({"stream": true})).await;
        assert_eq!(body.unwrap()["stream_options"], json!({"include_usage": true}));
        let (status, text, _) =
            call("remote::databricks", "k", "/v1/completions", json!({"prompt": "x"})).await;
        assert_eq!((status, text.as_str()), (501, r#"{"detail":"Not implemented: "}"#));
        // Together's list is bare; its stack chats nevertheless.
        assert_eq!(call("remote::together", "bare", chat, json!({})).await.0, 200);
        // The one model of llama.cpp embeds as well.
        let (status, text, _) = call("remote::llama-cpp", "", "/v1/embeddings", json!({"input": "x"})).await;
        assert_eq!(status, 200, "{text}");
    }

    #[tokio::test]
    async fn images_are_fetched_for_ollama_only() {
        let mock = Mock::new(&["m"], |seen| {
            if seen.path == "/at/dog.png" {
                return ([("content-type", "image/png")], "dog").into_response();
            }
            service(seen)
        })
        .await;
        let image = format!("{}/at/dog.png", mock.url);
        let parts = json!([{"type": "image_url", "image_url": {"url": image}}]);
        let messages = json!({"messages": [{"role": "user", "content": parts}]});
        for (name, sent) in
            [("remote::ollama", "data:image/png;base64,ZG9n"), ("remote::openai", image.as_str())]
        {
            let stack = stack(&mock, find(name).unwrap(), "k").await;
            post(&stack, "/v1/chat/completions", &ask(&messages)).await;
            let body = mock.take().pop().unwrap().body;
            assert_eq!(body["messages"][0]["content"][0]["image_url"]["url"], sent);
        }
    }
}
