//! Stacks written as a list: `inference=remote::ollama,safety=llama-guard`.

use super::config::{Configured, Env, RunConfig, StoreConfig, find_api};
use super::config_error::ConfigError;
use super::config_provider::Provider;
use super::{catalog, dependencies, env_syntax};
use serde_json::{Map, Value};
use std::path::PathBuf;

impl RunConfig {
    /// Reads pairs `api=provider`, separated by `,` or `;`. A provider may be written without `remote::` or
    /// `inline::`; its id is what is written. An API may be named more than once (Llama Stack keeps the last
    /// only). Addresses and keys come from the variables that `starter` uses.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn ad_hoc(spec: &str, env: &Env) -> Result<Self, ConfigError> {
        let mut providers: Vec<Provider> = Vec::new();
        for pair in spec.split([',', ';']).map(str::trim) {
            let place =
                if pair == spec { format!("stack `{spec}`") } else { format!("stack `{spec}`: `{pair}`") };
            let Some((name, provider)) = pair.split_once('=') else {
                let expected = "each part is `api=provider`, e.g. inference=remote::ollama".to_owned();
                return Err(ConfigError::Shape { place, expected });
            };
            let api = find_api(name.trim(), place.clone())?;
            let written = provider.trim().to_owned();
            let provider_type = api.long_name(&written).unwrap_or_else(|| written.clone());
            let config = sample(api, &provider_type, env, &place)?;
            let provider = Provider::new(api, written, provider_type, config, place.clone())?;
            if providers
                .iter()
                .any(|other| other.api == api.name && other.provider_id == provider.provider_id)
            {
                return Err(ConfigError::DuplicateProvider { place, provider_id: provider.provider_id });
            }
            providers.push(provider);
        }
        let apis: Vec<String> = providers.iter().map(|provider| provider.api.to_owned()).collect();
        dependencies::check(&apis, &providers, &format!("stack `{spec}`"))?;
        let folder = env.get("SQLITE_STORE_DIR").filter(|folder| !folder.is_empty());
        Ok(Self {
            image_name: "distro-test".to_owned(),
            apis,
            providers,
            models: Vec::new(),
            store: folder.map_or(StoreConfig::Memory, |folder| {
                StoreConfig::File(PathBuf::from(folder).join("sql_store.db"))
            }),
            configured: Configured::read(&Value::Null, env),
            offline: env.contains_key(super::config::OFFLINE),
        })
    }
}

fn sample(
    api: &catalog::Api,
    provider_type: &str,
    env: &Env,
    place: &str,
) -> Result<Map<String, Value>, ConfigError> {
    let catalog::Known::Remote(remote) = api.known(provider_type) else { return Ok(Map::new()) };
    let mut config = Map::new();
    for (field, template) in remote.sample {
        let value = env_syntax::resolve(&Value::from(*template), env, field).map_err(|unset| {
            let place = format!("{place}: {}", unset.path);
            ConfigError::UnsetVariable { place, variable: unset.variable }
        })?;
        config.insert((*field).to_owned(), value);
    }
    Ok(config)
}
