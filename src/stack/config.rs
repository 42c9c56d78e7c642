//! The resolved run configuration: which providers, where they are, what is registered, where to store.
//!
//! Reads version 2 of Llama Stack's `run.yaml`. Pure: everything that comes from the machine is in [`Env`].
//! Sections that do not matter in one process (`server`, `logging`, `telemetry`, …) are accepted and ignored.

use super::catalog::{self, Api};
use super::config_error::ConfigError;
use super::config_provider::{Provider, ProviderKind};
use super::{dependencies, env_syntax};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, complete: nothing else is looked up.
pub type Env = BTreeMap<String, String>;

/// What a stack is built from.
#[derive(Debug, Clone)]
pub struct RunConfig {
    pub(crate) image_name: String,
    /// The APIs to serve.
    pub(crate) apis: Vec<String>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) models: Vec<ModelInput>,
    pub(crate) store: StoreConfig,
    pub(crate) configured: Configured,
    /// Whether a run must stay on this machine: nothing that a request names is fetched or called elsewhere.
    pub(crate) offline: bool,
}

/// Set to anything, this variable keeps the stack from fetching or calling what a request names beyond this machine.
pub const OFFLINE: &str = "RUNNER_OFFLINE";

/// A model of `registered_resources`.
#[derive(Debug, Clone)]
pub(crate) struct ModelInput {
    pub(crate) model_id: String,
    pub(crate) provider_id: String,
    pub(crate) provider_model_id: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) embedding: bool,
}

/// Sections that single APIs read for themselves, variables resolved.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configured {
    /// `registered_resources`: lists by their name, as `shields` or `tool_groups`.
    resources: Map<String, Value>,
    /// `vector_stores`: the defaults for new ones.
    pub(crate) vector_stores: Map<String, Value>,
    /// Where uploaded files lie; none for a folder that ends with the stack.
    pub(crate) files_folder: Option<PathBuf>,
    /// Where the models of `inline::sentence-transformers` lie.
    pub(crate) sentence_models: Option<PathBuf>,
}

impl Configured {
    /// What a configuration says, and the environment beside it.
    pub(crate) fn read(config: &Value, env: &Env) -> Self {
        let section = |name: &str| config.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        Self {
            resources: section("registered_resources"),
            vector_stores: section("vector_stores"),
            files_folder: files_folder(config, env),
            sentence_models: env
                .get(super::sentences::FOLDER)
                .filter(|folder| !folder.is_empty())
                .map(PathBuf::from),
        }
    }

    /// The entries of a list whose provider is named; a variable that is not set names none.
    pub(crate) fn enabled(&self, list: &str) -> impl Iterator<Item = &Map<String, Value>> {
        self.resources(list).filter(|entry| {
            let provider = entry.get("provider_id").and_then(Value::as_str);
            provider.is_some_and(|provider| !provider.is_empty() && provider != "__disabled__")
        })
    }

    /// The entries of one list of `registered_resources`.
    pub(crate) fn resources(&self, list: &str) -> impl Iterator<Item = &Map<String, Value>> {
        let entries = self.resources.get(list).and_then(Value::as_array);
        entries.into_iter().flatten().filter_map(Value::as_object)
    }
}

/// Where completions are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreConfig {
    /// The configuration names no inference store.
    None,
    Memory,
    File(PathBuf),
}

/// A remote provider and the address it is reached at.
#[derive(Debug)]
pub struct ProviderAddress<'a> {
    pub provider_id: &'a str,
    pub provider_type: &'a str,
    /// The base address as configured; write another one to put a proxy in front.
    pub url: &'a mut String,
}

static STARTER: &str = include_str!("starter.yaml");
/// The distributions built in. Upstream's CI calls its copy of `starter` `ci-tests`.
const DISTRIBUTIONS: [&str; 2] = ["starter", "ci-tests"];

impl RunConfig {
    /// A distribution that is built in.
    ///
    /// # Errors
    /// When there is none of that name, or its variables are set to something unusable.
    pub fn distribution(name: &str, env: &Env) -> Result<Self, ConfigError> {
        if !DISTRIBUTIONS.contains(&name) {
            return Err(ConfigError::UnknownDistribution {
                name: name.to_owned(),
                known: DISTRIBUTIONS.join(", "),
                nearest: catalog::nearest(name, DISTRIBUTIONS).map(str::to_owned),
            });
        }
        let mut config = Self::from_yaml(STARTER, name, env)?;
        name.clone_into(&mut config.image_name);
        Ok(config)
    }

    /// Reads a `run.yaml`. `file` is what messages call it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_yaml(text: &str, file: &str, env: &Env) -> Result<Self, ConfigError> {
        let options = serde_yaml::options! { strict_booleans: true };
        let written: Value =
            serde_yaml::from_str_with_options(text, options).map_err(|error| yaml_error(&error, file))?;
        let place = Place(file);
        match written.get("version") {
            Some(version) if *version == 2 || *version == "2" => {}
            found => {
                let found = found.map_or_else(|| "missing".to_owned(), Value::to_string);
                return Err(ConfigError::Version { file: file.to_owned(), found });
            }
        }
        let config = env_syntax::resolve(&written, env, "").map_err(|unset| ConfigError::UnsetVariable {
            place: place.at(&unset.path),
            variable: unset.variable,
        })?;
        let providers = read_providers(&config, &place)?;
        let apis: Vec<String> = match config.get("apis").and_then(Value::as_array) {
            Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => providers.iter().map(|provider| provider.api.to_owned()).collect(),
        };
        dependencies::check(&apis, &providers, file)?;
        Ok(Self {
            image_name: config.get("image_name").and_then(Value::as_str).unwrap_or("custom").to_owned(),
            apis,
            models: read_models(&config, &place)?,
            store: read_store(&config, env),
            configured: Configured::read(&config, env),
            offline: env.contains_key(OFFLINE),
            providers,
        })
    }

    /// The remote providers, so that a record/replay proxy can be put in front of each.
    pub fn provider_addresses(&mut self) -> impl Iterator<Item = ProviderAddress<'_>> {
        self.providers.iter_mut().filter_map(|provider| match &mut provider.kind {
            ProviderKind::Remote { address, .. } => Some(ProviderAddress {
                provider_id: &provider.provider_id,
                provider_type: &provider.provider_type,
                url: address,
            }),
            ProviderKind::Inert => None,
        })
    }
}

/// The parser's own excerpt is left out: it does not know the file's name.
pub(crate) fn yaml_error(error: &serde_yaml::Error, file: &str) -> ConfigError {
    let place = error.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
    let whole = error.without_snippet().to_string();
    let message = whole.split(" at line ").next().unwrap_or(&whole).trim().to_owned();
    ConfigError::Yaml { file: format!("{file}{place}"), message }
}

/// Names places inside a file.
struct Place<'a>(&'a str);

impl Place<'_> {
    fn at(&self, path: &str) -> String {
        format!("{}: {path}", self.0)
    }

    fn shape(&self, path: &str, expected: &str) -> ConfigError {
        ConfigError::Shape { place: self.at(path), expected: expected.to_owned() }
    }
}

fn read_providers(config: &Value, place: &Place<'_>) -> Result<Vec<Provider>, ConfigError> {
    let Some(by_api) = config.get("providers").and_then(Value::as_object) else {
        return Err(place.shape("providers", "a mapping from API to a list of providers is needed"));
    };
    let mut providers: Vec<Provider> = Vec::new();
    for (name, listed) in by_api {
        let path = format!("providers.{name}");
        let api = find_api(name, place.at(&path))?;
        let listed = match listed {
            Value::Array(listed) => listed.as_slice(),
            Value::Null => &[],
            _ => return Err(place.shape(&path, "a list of providers is needed")),
        };
        for (i, entry) in listed.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let text = |field: &str| match entry.get(field) {
                Some(Value::String(text)) => Ok(text.clone()),
                // An id such as `${env.NAME}` may have been read as a number.
                Some(Value::Number(number)) => Ok(number.to_string()),
                _ => Err(place.shape(&format!("{path}.{field}"), "a text is needed")),
            };
            let settings = match entry.get("config") {
                Some(Value::Object(map)) => map.clone(),
                None | Some(Value::Null) => Map::new(),
                Some(_) => return Err(place.shape(&format!("{path}.config"), "a mapping is needed")),
            };
            let provider =
                Provider::new(api, text("provider_id")?, text("provider_type")?, settings, place.at(&path))?;
            if providers
                .iter()
                .any(|other| other.api == api.name && other.provider_id == provider.provider_id)
            {
                let provider_id = provider.provider_id;
                return Err(ConfigError::DuplicateProvider { place: place.at(&path), provider_id });
            }
            providers.push(provider);
        }
    }
    Ok(providers)
}

/// The API of this name, or an error that names the nearest.
pub(crate) fn find_api(name: &str, place: String) -> Result<&'static Api, ConfigError> {
    catalog::api(name).ok_or_else(|| ConfigError::UnknownApi {
        place,
        api: name.to_owned(),
        nearest: catalog::nearest(name, catalog::APIS.iter().map(|api| api.name)).map(str::to_owned),
    })
}

fn read_models(config: &Value, place: &Place<'_>) -> Result<Vec<ModelInput>, ConfigError> {
    let listed = config.pointer("/registered_resources/models").and_then(Value::as_array);
    let mut models = Vec::new();
    for (i, entry) in listed.into_iter().flatten().enumerate() {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
        let path = format!("registered_resources.models[{i}]");
        let needed =
            |field: &str| text(field).ok_or_else(|| place.shape(&path, &format!("`{field}` is needed")));
        models.push(ModelInput {
            model_id: needed("model_id")?,
            provider_id: needed("provider_id")?,
            provider_model_id: text("provider_model_id"),
            metadata: entry.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
            embedding: text("model_type").as_deref() == Some("embedding"),
        });
    }
    Ok(models)
}

/// In memory, unless `SQLITE_STORE_DIR` is set: a test run leaves nothing behind that was not asked for. Then it
/// is the file the configuration names, which in Llama Stack's own configurations lies in that folder.
fn read_store(config: &Value, env: &Env) -> StoreConfig {
    let storage = config.get("storage");
    let reference = storage.and_then(|storage| storage.pointer("/stores/inference"));
    if storage.is_some() && reference.is_none_or(Value::is_null) {
        return StoreConfig::None;
    }
    let Some(folder) = env.get("SQLITE_STORE_DIR").filter(|folder| !folder.is_empty()) else {
        return StoreConfig::Memory;
    };
    let backend = reference.and_then(|reference| reference.get("backend")).and_then(Value::as_str);
    let path = backend.and_then(|name| storage?.pointer(&format!("/backends/{name}/db_path"))?.as_str());
    StoreConfig::File(path.map_or_else(|| PathBuf::from(folder).join("sql_store.db"), PathBuf::from))
}

/// The folder that `FILES_STORAGE_DIR` names, or, when `SQLITE_STORE_DIR` says that things are to be kept, the one
/// that the configuration of the files provider names.
fn files_folder(config: &Value, env: &Env) -> Option<PathBuf> {
    let variable = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(folder) = variable("FILES_STORAGE_DIR") {
        return Some(PathBuf::from(folder));
    }
    let kept = variable("SQLITE_STORE_DIR")?;
    let configured = config.pointer("/providers/files/0/config/storage_dir").and_then(Value::as_str);
    Some(configured.map_or_else(|| PathBuf::from(kept).join("files"), PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// One line for each provider: api, id, type and, for a remote one, its address.
    fn outline(config: &RunConfig) -> Vec<String> {
        let lines = config.providers.iter().map(|provider| match &provider.kind {
            ProviderKind::Remote { address, .. } => format!("{provider:?} {address}"),
            ProviderKind::Inert => format!("{provider:?}"),
        });
        lines.collect()
    }

    fn inference(config: &RunConfig) -> Vec<String> {
        outline(config).into_iter().filter(|line| line.starts_with("inference ")).collect()
    }

    /// The message for a configuration whose `providers` are these.
    fn problem(providers: &str) -> String {
        let text = format!("version: 2\nproviders:\n{providers}");
        RunConfig::from_yaml(&text, "run.yaml", &env(&[])).expect_err("it is wrong").to_string()
    }

    #[test]
    fn starter_has_no_inference_until_a_variable_says_so() {
        let bare = RunConfig::distribution("starter", &env(&[])).unwrap();
        assert_eq!(inference(&bare), [""; 0]);
        assert!(bare.apis.contains(&"inference".to_owned()));
        let set = env(&[
            ("OLLAMA_URL", "http://0.0.0.0:11434"),
            ("LLAMA_CPP_URL", "http://127.0.0.1:28474/v1"),
            ("OPENAI_API_KEY", "sk-x"),
            ("DATABRICKS_HOST", "https://dbc.example"),
            ("DATABRICKS_TOKEN", "t"),
        ]);
        assert_eq!(
            inference(&RunConfig::distribution("starter", &set).unwrap()),
            [
                "inference ollama (remote::ollama) http://0.0.0.0:11434",
                "inference llama-cpp (remote::llama-cpp) http://127.0.0.1:28474/v1",
                "inference openai (remote::openai) https://api.openai.com/v1",
                "inference databricks (remote::databricks) https://dbc.example",
            ]
        );
    }

    #[test]
    fn ad_hoc_specs_take_short_and_long_names() {
        let env = env(&[("VLLM_URL", "http://127.0.0.1:8000/v1")]);
        let config =
            RunConfig::ad_hoc("inference=remote::ollama,inference=vllm; safety=llama-guard", &env).unwrap();
        assert_eq!(
            outline(&config),
            [
                "inference remote::ollama (remote::ollama) http://localhost:11434",
                "inference vllm (remote::vllm) http://127.0.0.1:8000/v1",
                "safety llama-guard (inline::llama-guard)",
            ]
        );
    }

    #[test]
    fn addresses_can_be_rewritten() {
        let mut config = RunConfig::ad_hoc("inference=ollama,safety=llama-guard", &env(&[])).unwrap();
        for provider in config.provider_addresses() {
            *provider.url = format!("http://127.0.0.1:1/{}", provider.provider_id);
        }
        assert_eq!(inference(&config), ["inference ollama (remote::ollama) http://127.0.0.1:1/ollama"]);
    }

    #[test]
    fn the_store_is_in_memory_unless_a_folder_is_named() {
        let at = |text: &str, env: &Env| RunConfig::from_yaml(text, "f", env).unwrap().store;
        let folder = env(&[("SQLITE_STORE_DIR", "/tmp/s")]);
        let named = "version: 2\nproviders: {}\nstorage:\n  backends: {b: {db_path: \"${env.SQLITE_STORE_DIR:=~}/x.db\"}}\n  \
                     stores: {inference: {backend: b}}";
        assert_eq!(at(named, &env(&[])), StoreConfig::Memory);
        assert_eq!(at(named, &folder), StoreConfig::File("/tmp/s/x.db".into()));
        assert_eq!(at("version: 2\nproviders: {}", &folder), StoreConfig::File("/tmp/s/sql_store.db".into()));
        assert_eq!(at("version: 2\nproviders: {}\nstorage: {stores: {}}", &folder), StoreConfig::None);
    }

    #[test]
    fn unknown_provider_types_name_the_nearest() {
        assert_eq!(
            problem("  inference:\n  - {provider_id: o, provider_type: \"remote::olama\"}"),
            "run.yaml: providers.inference[0]: provider `o` has the unknown type `remote::olama` for the API \
             `inference` (did you mean `remote::ollama`?); for a provider of your own, use a real Llama Stack \
             instead: --stack-config=server:<run.yaml> --stack=llama-stack"
        );
        assert_eq!(
            problem("  vector_io:\n  - {provider_id: x, provider_type: \"inline::fais\"}"),
            "run.yaml: providers.vector_io[0]: provider `x` has the unknown type `inline::fais` for the API \
             `vector_io` (did you mean `inline::faiss`?); for a provider of your own, use a real Llama Stack \
             instead: --stack-config=server:<run.yaml> --stack=llama-stack"
        );
    }

    #[test]
    fn known_types_that_cannot_run_here_say_so() {
        assert_eq!(
            problem("  inference:\n  - {provider_id: b, provider_type: \"remote::bedrock\"}"),
            "run.yaml: providers.inference[0]: provider `b`: the in-process stack cannot run `remote::bedrock` for \
             the API `inference`; remove it, or use a real Llama Stack instead: \
             --stack-config=server:<run.yaml> --stack=llama-stack"
        );
    }

    #[test]
    fn other_mistakes_are_named_with_their_place() {
        assert_eq!(
            problem("  infrence: []"),
            "run.yaml: providers.infrence: Llama Stack has no API `infrence` (did you mean `inference`?)"
        );
        assert_eq!(
            problem("  inference:\n  - {provider_id: v, provider_type: \"remote::vllm\"}"),
            "run.yaml: providers.inference[0]: provider `v` has no address; set `url` in its `config`"
        );
        assert_eq!(
            problem(
                "  inference:\n  - {provider_id: v, provider_type: \"remote::vllm\", config: {url: \"${env.V}\"}}"
            ),
            "run.yaml: providers.inference[0].config.url: environment variable V is not set or empty; set it, or \
             write ${env.V:=default}, or ${env.V:+value} to make the field conditional"
        );
        assert_eq!(
            problem(
                "  files:\n  - {provider_id: a, provider_type: \"inline::localfs\"}\n  - {provider_id: a, provider_type: \"remote::s3\"}"
            ),
            "run.yaml: providers.files[1]: there already is a provider `a` for this API; give it another id"
        );
        assert_eq!(problem("  files: 3"), "run.yaml: providers.files: a list of providers is needed");
        assert_eq!(
            problem("  files:\n  - {provider_id: a}"),
            "run.yaml: providers.files[0].provider_type: a text is needed"
        );
    }

    #[test]
    fn other_versions_and_broken_yaml_are_refused() {
        let read =
            |text: &str| RunConfig::from_yaml(text, "run.yaml", &env(&[])).expect_err("wrong").to_string();
        assert!(read("version: '1'").starts_with("run.yaml: `version` is \"1\", but only version 2"));
        assert!(read("providers: {}").starts_with("run.yaml: `version` is missing, but only version 2"));
        assert_eq!(
            read("version: 2\nproviders: {a: b\n"),
            "run.yaml:2:12: not valid YAML: unclosed bracket '{'"
        );
    }

    #[test]
    fn unknown_distributions_and_bad_specs_are_refused() {
        let named = RunConfig::distribution("startr", &env(&[])).expect_err("unknown").to_string();
        assert_eq!(
            named,
            "no distribution `startr` is built in (did you mean `starter`?), only starter, ci-tests; give the path \
             of a run.yaml, or use a real Llama Stack instead: --stack-config=server:<run.yaml> --stack=llama-stack"
        );
        let spec = |spec: &str| RunConfig::ad_hoc(spec, &env(&[])).expect_err("wrong").to_string();
        assert_eq!(
            spec("inference=ollama,safety"),
            "stack `inference=ollama,safety`: `safety`: each part is `api=provider`, e.g. inference=remote::ollama"
        );
        assert_eq!(
            spec("inference=olama"),
            "stack `inference=olama`: provider `olama` has the unknown type `olama` for the API `inference` (did you mean \
             `remote::ollama`?); for a provider of your own, use a real Llama Stack instead: \
             --stack-config=server:<run.yaml> --stack=llama-stack"
        );
        assert_eq!(
            spec("inference=vllm"),
            "stack `inference=vllm`: provider `vllm` has no address; set `url` in its `config`"
        );
    }

    /// The configuration the real server is compared with is read here too.
    #[test]
    fn the_real_servers_run_yaml_is_read() {
        let shared = std::env::var("RUNNER_SHARED").unwrap_or_else(|_| "../shared".into());
        let path = PathBuf::from(shared).join("real-stack/run.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("skipped: {} is not there (RUNNER_SHARED)", path.display());
            return;
        };
        let config = RunConfig::from_yaml(&text, "run.yaml", &env(&[("OLLAMA_URL", "http://o")])).unwrap();
        assert_eq!(
            inference(&config),
            [
                "inference ollama (remote::ollama) http://o",
                "inference openai (remote::openai) https://api.openai.com/v1"
            ]
        );
        assert_eq!(config.providers.len(), 15);
    }
}
