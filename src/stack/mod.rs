//! The in-process stack: behaves like Llama Stack 0.3.0.
//!
//! # Architecture
//!
//! [`RunConfig`] (pure: what the YAML and the environment say) → [`Stack::start`] (asks the providers for their
//! models, opens the store) → [`Stack::router`] (an axum router, called directly or put behind a port).
//!
//! What vector stores are made of is in [`crate::vector`]; `vector_io` and its siblings bring requests to it.
//!
//! A request flows `caller` (headers, body, `fields` against `request_types`) → one file per API → `outbound` →
//! `client` → `shapes` → answer; a stream goes through `events` and `relay`, and `assemble` gathers it for the
//! `store`. Facts about upstream are data: `remotes` and `catalog` (providers), `request_types` and `shapes`.
//!
//! # Differences from Llama Stack, on purpose
//!
//! - Provider requests are not retried; the Python client retries twice.
//! - A caller's `traceparent` goes on to the providers.
//! - The cause of an internal error is in the header `x-stack-cause`; upstream has it in its log only.
//! - Model lists are fetched once, at start; upstream asks again every 5 minutes.
//! - Everything is stored in memory, and uploaded files in a temporary folder, unless `SQLITE_STORE_DIR` or
//!   `FILES_STORAGE_DIR` is set. `inline::faiss` and `inline::sqlite-vec` share one index in SQLite.
//! - Text is cut into chunks at nearly the places where Llama 3's tokenizer cuts it; see `vector::tokens`.
//! - `inline::sentence-transformers` has the models that lie in a local folder and downloads none.
//! - The `ranker` of a RAG query is used; upstream fails when it is given.
//! - The addresses of Fireworks, Together, Anthropic and Gemini can be configured, and those of the web searches;
//!   upstream's are fixed.
//! - An unregistered tool group's tools are forgotten; upstream finds them until it ends. All pages of an MCP server's
//!   list are read, and a tool may answer with a picture; upstream reads one page and fails.
//! - A shield whose provider cannot run here is not registered.
//! - A response is stored before its last event is sent, so that who has seen its end also finds it.
//! - An agent's documents are texts; none is fetched from an address.
//! - Parameters of a scoring function that come with a request do not stay for later ones.
//! - A registration that is refused leaves nothing behind at the provider.
//!
//! Invariant: nothing here knows of cases, plans or recordings, and nothing connects anywhere but to the
//! configured providers, to MCP servers, to the documents a request gives to the RAG tool and, for Ollama and
//! SambaNova, to the images it names; when [`OFFLINE`] is set, to none of these beyond this machine.

mod adhoc;
mod agent_messages;
mod agent_stream;
mod agent_tools;
mod agent_turn;
mod agent_types;
mod agents;
mod assemble;
mod batch_input;
mod batch_run;
mod batches;
mod caller;
mod catalog;
mod chat;
mod client;
mod completions;
mod config;
mod config_error;
mod config_provider;
mod content;
mod conversations;
mod data_url;
mod databricks;
mod datasets;
mod dependencies;
mod documents;
mod embeddings;
mod env_syntax;
mod errors;
mod eval;
mod evaluation_types;
mod events;
mod fields;
mod file_search;
mod files;
mod images;
mod inspect;
mod json;
mod listing;
mod llama_cpp;
mod llama_guard;
mod mcp_tools;
mod models;
mod ollama;
mod outbound;
mod pages;
mod prompts;
mod providers;
mod python;
mod rag;
mod rag_template;
mod relay;
mod remotes;
mod request_types;
mod resources;
mod responding;
mod response_store;
mod response_tools;
mod response_types;
mod responses;
mod routes;
mod safety;
mod scoring;
mod sentences;
mod shapes;
mod shields;
mod store;
mod stored;
mod table;
mod tgi;
mod time;
mod tool_runtime;
mod toolgroups;
mod unserved;
mod vector_batches;
mod vector_files;
mod vector_io;
mod vector_stores;
mod vector_types;
mod vllm;
mod web_search;
mod written;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tool_tests;

pub use config::{Env, OFFLINE, ProviderAddress, RunConfig};
pub use config_error::{ConfigError, Needs};
pub use written::{WrittenAddress, redirected, written_addresses};

use batches::Batches;
use client::Remote;
use config::{Configured, StoreConfig};
use config_provider::{Provider, ProviderKind};
use documents::Documents;
use errors::ApiError;
use files::FileStore;
use indexmap::IndexMap;
use models::Models;
use remotes::Dialect;
use sentences::Sentences;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;
use toolgroups::Tools;
use vector_stores::Vectors;

/// A running stack.
pub struct Stack {
    shared: Arc<Shared>,
}

/// What all requests share.
struct Shared {
    image_name: String,
    apis: Vec<String>,
    providers: Vec<Provider>,
    remotes: IndexMap<String, Remote>,
    /// The providers that compute embeddings here.
    sentences: IndexMap<String, Sentences>,
    models: Models,
    store: Option<Store>,
    /// What the APIs keep.
    documents: Documents,
    files: FileStore,
    vectors: Vectors,
    /// `registered_resources` and `vector_stores` as configured, variables resolved.
    configured: Configured,
    /// Nothing that a request names is fetched or called beyond this machine.
    offline: bool,
    tools: Tools,
    batches: Batches,
    warnings: Mutex<Vec<StackWarning>>,
}

/// Something that did not keep the stack from running and that its user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackWarning {
    /// The provider, or the part of the stack, concerned.
    pub about: String,
    pub message: String,
}

impl fmt::Display for StackWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.message)
    }
}

/// Why a stack did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackError {
    /// TLS cannot be set up.
    Tls(String),
    /// The store cannot be opened.
    Store { place: String, cause: String },
    /// A model of `registered_resources` is refused.
    Model { model_id: String, provider_id: String, cause: String },
    /// Another entry of `registered_resources` is refused.
    Resource { list: &'static str, cause: String },
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(cause) => write!(f, "TLS cannot be set up for calls to providers: {cause}"),
            Self::Store { place, cause } => {
                write!(
                    f,
                    "the store of chat completions cannot be opened ({place}): {cause}; see SQLITE_STORE_DIR"
                )
            }
            Self::Model { model_id, provider_id, cause } => {
                write!(f, "registered_resources: model `{model_id}` of provider `{provider_id}`: {cause}")
            }
            Self::Resource { list, cause } => write!(f, "registered_resources.{list}: {cause}"),
        }
    }
}

impl std::error::Error for StackError {}

impl Stack {
    /// Starts a stack: opens the store, registers the configured models, asks every provider for its models. A
    /// provider that does not answer leaves the stack without its models and with a warning.
    ///
    /// # Errors
    /// See [`StackError`].
    pub async fn start(config: RunConfig) -> Result<Self, StackError> {
        let remotes = remotes(&config.providers)?;
        let unopened = |error: rusqlite::Error| StackError::Store {
            place: match &config.store {
                StoreConfig::File(path) => path.display().to_string(),
                StoreConfig::None | StoreConfig::Memory => "in memory".to_owned(),
            },
            cause: error.to_string(),
        };
        let store = Store::open(&config.store).map_err(unopened)?;
        let documents = Documents::open(&config.store).map_err(unopened)?;
        let vectors = Vectors::open(&config.store).map_err(unopened)?;
        let sentences = config
            .providers
            .iter()
            .filter(|provider| provider.provider_type == sentences::TYPE)
            .map(|provider| (provider.provider_id.clone(), Sentences::new(provider, &config.configured)))
            .collect();
        let localfs = config.providers.iter().find(|provider| provider.api == "files");
        let files = FileStore::new(&config.configured, localfs.map(|provider| &provider.config));
        let shared = Shared {
            image_name: config.image_name,
            apis: config.apis,
            remotes,
            sentences,
            models: Models::default(),
            store,
            documents,
            files,
            vectors,
            configured: config.configured,
            offline: config.offline,
            tools: Tools::default(),
            batches: Batches::new(&config.providers),
            providers: config.providers,
            warnings: Mutex::default(),
        };
        shared.add_scoring_functions().map_err(unopened)?;
        for input in config.models {
            let (model_id, provider_id) = (input.model_id.clone(), input.provider_id.clone());
            shared.register(input).await.map_err(|error| StackError::Model {
                model_id,
                provider_id,
                cause: error.to_string(),
            })?;
        }
        let refused = |list| move |error: ApiError| StackError::Resource { list, cause: error.to_string() };
        if shared.serves("safety") {
            shared.register_configured_shields().map_err(refused("shields"))?;
        }
        if shared.serves("tool_runtime") {
            shared.register_configured_tool_groups().await.map_err(refused("tool_groups"))?;
        }
        shared.list_models().await;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The stack as a service. Cheap; every router shares the same state.
    pub fn router(&self) -> axum::Router {
        routes::router(Arc::clone(&self.shared))
    }

    /// The name of the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.image_name
    }

    /// What went wrong without stopping the stack, so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<StackWarning> {
        self.shared.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The providers that are called. Without any, TLS is not set up, which takes most of the time of a start.
fn remotes(providers: &[Provider]) -> Result<IndexMap<String, Remote>, StackError> {
    let mut remotes = IndexMap::new();
    let mut shared_http = None;
    for provider in providers {
        let ProviderKind::Remote { remote, address } = &provider.kind else { continue };
        let http = match &shared_http {
            Some(http) => http,
            None => shared_http
                .insert(client::http_client().map_err(|error| StackError::Tls(client::cause(&error)))?),
        };
        let remote = Remote {
            id: provider.provider_id.clone(),
            remote,
            config: provider.config.clone(),
            address: address.trim_end_matches('/').to_owned(),
            http: http.clone(),
        };
        remotes.insert(remote.id.clone(), remote);
    }
    Ok(remotes)
}

impl Shared {
    fn serves(&self, api: &str) -> bool {
        self.apis.iter().any(|name| name == api)
    }

    fn providers_of(&self, api: &str) -> impl Iterator<Item = &Provider> {
        self.providers.iter().filter(move |provider| provider.api == api)
    }

    fn warn(&self, about: &str, message: String) {
        let warning = StackWarning { about: about.to_owned(), message };
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// Asks all providers at once; their answers are taken in the order of the configuration.
    async fn list_models(&self) {
        for (id, sentences) in &self.sentences {
            match sentences.list() {
                Ok(listed) => self.models.add_listed(id, listed),
                Err(cause) => self.warn(id, cause),
            }
        }
        let asked = self.remotes.values().map(|remote| async move {
            if remote.remote.dialect == Dialect::Ollama
                && let Err(cause) = ollama::greet(remote).await
            {
                self.warn(&remote.id, cause);
            }
            (remote, listing::models(remote).await)
        });
        for (remote, listed) in futures_util::future::join_all(asked).await {
            match listed {
                Ok(listed) => self.models.add_listed(&remote.id, listed),
                Err(cause) => {
                    let address = &remote.address;
                    self.warn(
                        &remote.id,
                        format!("no models: its list could not be read from {address}: {cause}"),
                    );
                }
            }
        }
    }
}
