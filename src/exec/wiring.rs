//! Between a stack and its providers: the record/replay proxy, and how the stack is told to go there.

use std::collections::BTreeMap;
use std::path::Path;

use super::session::{SessionError, SessionSpec};
use super::traffic::Traffic;
use crate::record::{self, Mode, ProviderUpstream, Proxy, ProxyOptions};
use crate::stack::{OFFLINE, WrittenAddress, redirected, written_addresses};

/// A provider's name in recordings. An ad-hoc list may call it `remote::ollama`; elsewhere it is `ollama`.
pub(super) fn wired_name(provider_id: &str) -> &str {
    provider_id.rsplit("::").next().unwrap_or(provider_id)
}

/// A provider's address: where its host is, and the path that the stack appends to.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) origin: String,
    pub(super) path: String,
}

impl Address {
    pub(super) fn of(url: &str) -> Self {
        let after_scheme = url.find("://").map_or(0, |at| at + 3);
        let path_at = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
        Self { origin: url[..path_at].to_owned(), path: url[path_at..].trim_end_matches('/').to_owned() }
    }

    /// The provider behind this address, with the key that the real one wants.
    pub(super) fn upstream(&self, name: &str, api_key: Option<String>) -> ProviderUpstream {
        ProviderUpstream { name: name.to_owned(), base_url: self.origin.clone(), api_key }
    }
}

pub(super) async fn start_proxy(
    spec: &SessionSpec<'_>,
    providers: Vec<ProviderUpstream>,
) -> Result<Proxy, SessionError> {
    let options = ProxyOptions {
        mode: spec.mode,
        dir: spec.recordings.clone(),
        providers,
        setup: spec.setup.clone(),
        secrets: spec.secrets.clone(),
        mask_hosts: record::mask_hosts(&spec.env),
        port: 0,
        replay_speed: spec.replay_speed,
        policy: spec.policy.clone(),
        after_answer: spec.stack.keep_alive.into(),
    };
    let proxy = record::start(options).await.map_err(SessionError::Recordings)?;
    match proxy.problems() {
        [] => Ok(proxy),
        problems => {
            let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(SessionError::BadRecordings(shown))
        }
    }
}

/// In replay, a key that is missing gets a dummy, so that a stack boots with the providers the models need, and
/// our own stack is told to connect nowhere.
pub(super) fn replay_env(spec: &SessionSpec<'_>) -> Vec<(String, String)> {
    let replays = spec.mode == Mode::Replay;
    let offline = replays.then(|| (OFFLINE.to_owned(), "1".to_owned()));
    let missing = |name: &String| spec.env.get(name).is_none_or(String::is_empty);
    spec.stack
        .providers
        .iter()
        .filter(|(name, _)| replays && spec.wanted_providers.contains(&name.value))
        .filter_map(|(_, wiring)| wiring.key_env.clone().filter(missing))
        .map(|key| (key, "replay-needs-no-key".to_owned()))
        .chain(offline)
        .collect()
}

/// A server that will go through the proxy, and how trials can be told apart then.
pub(super) struct Wiring {
    /// Its environment.
    pub(super) env: Vec<(String, String)>,
    pub(super) traffic: Traffic,
    /// Its configuration, when addresses are written there.
    pub(super) rewritten: Option<String>,
    /// Providers that are reached through the proxy.
    pub(super) providers: Vec<String>,
    /// Of those, the ones to which the stack passes a key from the provider-data header, and the member that has it.
    pub(super) taggable: Vec<(String, String)>,
}

/// A provider that the proxy is put in front of.
struct Wired {
    name: String,
    address: Address,
    api_key: Option<String>,
    told: Told,
}

/// How the stack learns the proxy's address.
enum Told {
    Variable(String),
    File(WrittenAddress),
}

/// Puts the proxy in front of every provider that the stack will use: through the variables it reads, and, for
/// addresses that stand in its configuration file, through a rewritten copy.
pub(super) async fn wire(spec: &SessionSpec<'_>, file: Option<&Path>) -> Result<Wiring, SessionError> {
    let mut child: BTreeMap<String, String> = spec.env.clone();
    child.extend(replay_env(spec));
    if !spec.is_wired() {
        return Ok(Wiring {
            env: child.into_iter().collect(),
            traffic: Traffic::unseen(),
            rewritten: None,
            providers: Vec::new(),
            taggable: Vec::new(),
        });
    }
    let mut wired = by_variable(spec, &child);
    let config = file.map(|path| Ok((path, read(path)?))).transpose()?;
    let shown = |path: &Path| path.display().to_string();
    if let Some((path, text)) = &config {
        let written = written_addresses(text, &shown(path), &child).map_err(SessionError::Config)?;
        for written in written {
            let told = |wired: &Wired| matches!(&wired.told, Told::Variable(name) if Some(name) == written.variable.as_ref());
            if wired.iter().any(told) {
                continue;
            }
            // A variable of that provider is not what this configuration reads.
            wired.retain(|wired| wired.name != written.provider_id);
            wired.push(Wired {
                name: written.provider_id.clone(),
                address: Address::of(&written.url),
                api_key: written.api_key.clone(),
                told: Told::File(written),
            });
        }
    }
    let upstreams =
        wired.iter().map(|wired| wired.address.upstream(&wired.name, wired.api_key.clone())).collect();
    let proxy = start_proxy(spec, upstreams).await?;
    let providers = wired.iter().map(|wired| wired.name.clone()).collect();
    let taggable = wired.iter().filter_map(|wired| taggable(spec, wired)).collect();
    let mut replaced = Vec::new();
    for Wired { name, address, told, .. } in wired {
        let url = format!("{}{}", proxy.url(&name), address.path);
        match told {
            Told::Variable(variable) => {
                child.insert(variable, url);
            }
            Told::File(written) => replaced.push((written, url)),
        }
    }
    let rewritten = match &config {
        Some((path, text)) if !replaced.is_empty() => {
            let addresses = replaced.iter().map(|(written, url)| (written, url.clone()));
            Some(redirected(text, &shown(path), addresses).map_err(SessionError::Config)?)
        }
        _ => None,
    };
    let (env, traffic) = (child.into_iter().collect(), Traffic::seen_by(proxy));
    Ok(Wiring { env, traffic, rewritten, providers, taggable })
}

/// The provider and the member of the provider-data header that is its key, when a trial's tag may stand there.
fn taggable(spec: &SessionSpec<'_>, wired: &Wired) -> Option<(String, String)> {
    let mut definitions = spec.stack.providers.iter();
    let (_, definition) = definitions.find(|(name, _)| name.value == wired.name)?;
    let member = definition.provider_data_key.clone()?;
    // A tag stands in the key's place, so the proxy must know the key where it forwards.
    let is_safe = spec.mode == Mode::Replay || wired.api_key.is_some();
    is_safe.then(|| (wired.name.clone(), member))
}

/// The traffic of a stack that is ready, with tags where they stay on this machine; and whether every provider gets them.
///
/// A provider that did not ask through the proxy while the stack started may have its address from somewhere else, and
/// would be sent the tag as its key.
pub(super) fn tagged(
    traffic: Traffic,
    providers: &[String],
    taggable: Vec<(String, String)>,
) -> (Traffic, bool) {
    let taggable: Vec<_> = taggable.into_iter().filter(|(name, _)| traffic.asked_at_boot(name)).collect();
    let all = providers.iter().all(|name| taggable.iter().any(|(tagged, _)| tagged == name));
    let members = taggable.into_iter().map(|(_, member)| member).collect();
    (traffic.tagging(members), all && !providers.is_empty())
}

/// The providers whose addresses the stack reads from variables, by its definition.
fn by_variable(spec: &SessionSpec<'_>, child: &BTreeMap<String, String>) -> Vec<Wired> {
    let set = |variable: &String| child.get(variable).filter(|value| !value.is_empty()).cloned();
    let wired = spec.stack.providers.iter().filter_map(|(name, wiring)| {
        let variable = wiring.url_env.clone()?;
        let api_key = wiring.key_env.as_ref().and_then(set);
        // Without its address variable a provider is used only when it is reached by a key.
        let fallback = wiring.default.as_ref().filter(|_| api_key.is_some()).map(|url| url.value.clone());
        let url = set(&variable).or(fallback)?;
        Some(Wired {
            name: name.value.clone(),
            address: Address::of(&url),
            api_key,
            told: Told::Variable(variable),
        })
    });
    wired.collect()
}

fn read(path: &Path) -> Result<String, SessionError> {
    std::fs::read_to_string(path)
        .map_err(|error| SessionError::ConfigFile { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_s_type_as_its_id_is_a_name_for_the_proxy() {
        assert_eq!(wired_name("remote::ollama"), "ollama");
        assert_eq!(wired_name("ollama"), "ollama");
    }

    #[test]
    fn an_address_is_cut_into_host_and_path() {
        let cut = |url| {
            let address = Address::of(url);
            (address.origin, address.path)
        };
        assert_eq!(cut("http://0.0.0.0:11434"), ("http://0.0.0.0:11434".into(), String::new()));
        assert_eq!(cut("https://api.openai.com/v1/"), ("https://api.openai.com".into(), "/v1".into()));
    }
}
