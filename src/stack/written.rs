//! The addresses of providers that are written in a `run.yaml` itself, and a copy of it with others in their place.
//!
//! A configuration is looked at loosely here: it may be meant for a stack that knows more than this one.

use super::config::{Env, yaml_error};
use super::config_error::ConfigError;
use super::{env_syntax, remotes};
use serde_json::Value;

/// Fields in which Llama Stack's remote providers keep their address.
const ADDRESS_KEYS: [&str; 4] = ["url", "base_url", "api_base", "endpoint"];

/// A provider's address in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAddress {
    pub provider_id: String,
    /// The address as the environment makes it.
    pub url: String,
    /// The key beside it, if there is one.
    pub api_key: Option<String>,
    /// The variable that the address is read from, should it be set.
    pub variable: Option<String>,
    /// Where it stands: which inference provider, which field of its configuration.
    place: (usize, &'static str),
}

/// Every remote inference provider that takes part and has its address in this configuration.
///
/// # Errors
/// When the text is not YAML.
pub fn written_addresses(text: &str, file: &str, env: &Env) -> Result<Vec<WrittenAddress>, ConfigError> {
    let config = read(text, file)?;
    let providers = config.pointer("/providers/inference").and_then(Value::as_array);
    Ok(providers
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(at, entry)| written(at, entry, env))
        .collect())
}

fn written(at: usize, entry: &Value, env: &Env) -> Option<WrittenAddress> {
    // A variable that is not set is the stack's to complain about.
    let resolved = |value: &Value| match env_syntax::resolve(value, env, "").ok()? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    };
    let provider_id = resolved(entry.get("provider_id")?).filter(|id| id != "__disabled__")?;
    let kind = entry.get("provider_type")?.as_str()?;
    if !kind.starts_with("remote::") {
        return None;
    }
    let config = entry.get("config")?;
    let declared = remotes::find(kind).map(|remote| remote.address_key);
    let mut keys = declared.into_iter().chain(ADDRESS_KEYS);
    let key = keys.find(|key| config.get(key).is_some())?;
    let raw = config.get(key)?;
    let variable = raw.as_str().and_then(variable);
    let secret = ["api_key", "api_token"].iter().find_map(|key| config.get(*key));
    Some(WrittenAddress {
        provider_id,
        url: resolved(raw)?,
        api_key: secret.and_then(resolved),
        variable: variable.map(str::to_owned),
        place: (at, key),
    })
}

/// The variable of `${env.NAME}` and `${env.NAME:=default}`, when the text is nothing else.
fn variable(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${env.")?.strip_suffix('}')?;
    Some(inner.split(":=").next().unwrap_or(inner)).filter(|name| !name.contains(['$', '{', ':']))
}

/// The configuration with other addresses in the places of these; as JSON, which is YAML too.
///
/// # Errors
/// When the text is not YAML.
pub fn redirected<'a>(
    text: &str,
    file: &str,
    addresses: impl Iterator<Item = (&'a WrittenAddress, String)>,
) -> Result<String, ConfigError> {
    let mut config = read(text, file)?;
    for (written, url) in addresses {
        let (at, key) = written.place;
        if let Some(place) = config.pointer_mut(&format!("/providers/inference/{at}/config/{key}")) {
            *place = url.into();
        }
    }
    Ok(format!("{config:#}\n"))
}

fn read(text: &str, file: &str) -> Result<Value, ConfigError> {
    let options = serde_yaml::options! { strict_booleans: true };
    serde_yaml::from_str_with_options(text, options).map_err(|error| yaml_error(&error, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
version: 2
providers:
  inference:
  - {provider_id: a, provider_type: 'remote::ollama', config: {url: 'http://gpu:1/x'}}
  - {provider_id: '${env.B:+b}', provider_type: 'remote::vllm', config: {url: '${env.B:=http://b}', api_token: '${env.K:=k}'}}
  - {provider_id: c, provider_type: 'remote::openai', config: {base_url: '${env.C:=http://c}', api_key: 3}}
  - {provider_id: d, provider_type: 'inline::meta-reference', config: {url: 'http://d'}}
  - {provider_id: e, provider_type: 'remote::mine', config: {endpoint: 'http://${env.HOST:=h}:1'}}
  - {provider_id: f, provider_type: 'remote::groq', config: {}}
  - {provider_id: g, provider_type: 'remote::tgi', config: {url: '${env.UNSET}'}}
";

    fn outline(env: &[(&str, &str)]) -> Vec<String> {
        let env: Env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = written_addresses(CONFIG, "run.yaml", &env).unwrap();
        let line = |found: &WrittenAddress| {
            let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            format!("{} {} {} {}", found.provider_id, found.url, or(&found.variable), or(&found.api_key))
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn addresses_are_found_where_they_stand() {
        assert_eq!(outline(&[]), ["a http://gpu:1/x - -", "c http://c C -", "e http://h:1 - -"]);
        assert_eq!(
            outline(&[("B", "http://bb"), ("C", "http://cc"), ("UNSET", "http://t")]),
            [
                "a http://gpu:1/x - -",
                "b http://bb B k",
                "c http://cc C -",
                "e http://h:1 - -",
                "g http://t UNSET -"
            ]
        );
    }

    #[test]
    fn a_copy_has_the_other_addresses_and_the_rest_as_it_was() {
        let found = written_addresses(CONFIG, "run.yaml", &Env::new()).unwrap();
        let copy = redirected(
            CONFIG,
            "run.yaml",
            found.iter().map(|found| (found, format!("http://p/{}", found.provider_id))),
        );
        let copy = copy.unwrap();
        let mut want = read(CONFIG, "run.yaml").unwrap();
        for (at, key, id) in [(0, "url", "a"), (2, "base_url", "c"), (4, "endpoint", "e")] {
            want["providers"]["inference"][at]["config"][key] = format!("http://p/{id}").into();
        }
        assert_eq!(read(&copy, "copy").unwrap(), want);
    }
}
