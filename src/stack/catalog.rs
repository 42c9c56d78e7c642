//! The APIs and provider types that Llama Stack 0.3.0 knows, and which of them are served here.

use super::remotes::{self, RemoteType};
use super::sentences;

/// An API that providers implement, with the provider types Llama Stack has for it.
pub(crate) struct Api {
    pub(crate) name: &'static str,
    provider_types: &'static [&'static str],
    /// Paths, without their version, that the API answers to.
    pub(crate) paths: &'static [&'static str],
}

/// Every API with providers.
pub(crate) static APIS: &[Api] = &[
    Api {
        name: "inference",
        // Those that remotes.rs does not list. Of them sentence-transformers alone is served here, in some builds.
        provider_types: &[
            "inline::meta-reference",
            "inline::sentence-transformers",
            "remote::hf::serverless",
            "remote::hf::endpoint",
            "remote::bedrock",
            "remote::vertexai",
            "remote::passthrough",
            "remote::watsonx",
        ],
        paths: &["inference", "chat", "completions", "embeddings", "models"],
    },
    Api { name: "agents", provider_types: &["inline::meta-reference"], paths: &["agents", "responses"] },
    Api { name: "batches", provider_types: &["inline::reference"], paths: &["batches"] },
    Api {
        name: "datasetio",
        provider_types: &["inline::localfs", "remote::huggingface", "remote::nvidia"],
        paths: &["datasetio", "datasets"],
    },
    Api { name: "eval", provider_types: &["inline::meta-reference", "remote::nvidia"], paths: &["eval"] },
    Api { name: "files", provider_types: &["inline::localfs", "remote::s3"], paths: &["files"] },
    Api {
        name: "post_training",
        provider_types: &[
            "inline::torchtune-cpu",
            "inline::torchtune-gpu",
            "inline::huggingface-gpu",
            "remote::nvidia",
        ],
        paths: &["post-training"],
    },
    Api {
        name: "safety",
        provider_types: &[
            "inline::prompt-guard",
            "inline::llama-guard",
            "inline::code-scanner",
            "remote::bedrock",
            "remote::nvidia",
            "remote::sambanova",
        ],
        paths: &["safety", "moderations", "shields"],
    },
    Api {
        name: "scoring",
        provider_types: &["inline::basic", "inline::llm-as-judge", "inline::braintrust"],
        paths: &["scoring", "scoring-functions"],
    },
    Api {
        name: "tool_runtime",
        provider_types: &[
            "inline::rag-runtime",
            "remote::brave-search",
            "remote::bing-search",
            "remote::tavily-search",
            "remote::wolfram-alpha",
            "remote::model-context-protocol",
        ],
        paths: &["tool-runtime", "toolgroups", "tools"],
    },
    Api {
        name: "vector_io",
        provider_types: &[
            "inline::meta-reference",
            "inline::faiss",
            "inline::sqlite-vec",
            "inline::sqlite_vec",
            "inline::chromadb",
            "inline::qdrant",
            "inline::milvus",
            "remote::chromadb",
            "remote::pgvector",
            "remote::weaviate",
            "remote::qdrant",
            "remote::milvus",
        ],
        paths: &["vector-io", "vector_stores", "vector-dbs"],
    },
];

/// What a provider type is to this stack.
pub(crate) enum Known {
    /// Remote inference, served.
    Remote(&'static RemoteType),
    /// Not called over HTTP: its API knows what it does, if anything.
    Inert,
    /// Llama Stack has it; nothing here can stand in for it.
    NotServed,
    /// Served in builds with this Cargo feature, which this one has not.
    NotBuilt(&'static str),
    Unknown,
}

/// The API of this name.
pub(crate) fn api(name: &str) -> Option<&'static Api> {
    APIS.iter().find(|api| api.name == name)
}

impl Api {
    /// What `provider_type` is for this API.
    pub(crate) fn known(&self, provider_type: &str) -> Known {
        if self.name == "inference"
            && let Some(remote) = remotes::find(provider_type)
        {
            return Known::Remote(remote);
        }
        match (self.provider_types.contains(&provider_type), self.name) {
            (true, "inference") if provider_type == sentences::TYPE => match sentences::BUILT {
                true => Known::Inert,
                false => Known::NotBuilt(sentences::FEATURE),
            },
            (true, "inference") => Known::NotServed,
            (true, _) => Known::Inert,
            (false, _) => Known::Unknown,
        }
    }

    /// The full type for what may be a short name: `ollama` is `remote::ollama`. As written first, then inline,
    /// then remote, which is Llama Stack's order.
    pub(crate) fn long_name(&self, name: &str) -> Option<String> {
        [name.to_owned(), format!("inline::{name}"), format!("remote::{name}")]
            .into_iter()
            .find(|name| !matches!(self.known(name), Known::Unknown))
    }

    /// Every type a user may write for this API and have it work.
    pub(crate) fn usable_types(&self) -> Vec<&'static str> {
        match self.name {
            "inference" => remotes::TYPES.iter().map(|remote| remote.name).chain([sentences::TYPE]).collect(),
            _ => self.provider_types.to_vec(),
        }
    }
}

/// The candidate most like `name`, when one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let short = |text: &str| text.rsplit("::").next().unwrap_or_default().to_lowercase();
    let name = short(name);
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &short(candidate)), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
