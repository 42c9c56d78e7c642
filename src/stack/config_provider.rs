//! A provider of the run configuration.

use super::catalog::{self, Api, Known};
use super::config_error::ConfigError;
use super::remotes::RemoteType;
use serde_json::{Map, Value};
use std::fmt;

/// A provider that takes part, its configuration resolved.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) api: &'static str,
    pub(crate) provider_id: String,
    pub(crate) provider_type: String,
    pub(crate) config: Map<String, Value>,
    pub(crate) kind: ProviderKind,
}

#[derive(Clone)]
pub(crate) enum ProviderKind {
    /// Inference over HTTP.
    Remote { remote: &'static RemoteType, address: String },
    /// Not called over HTTP: its API knows what it does, if anything.
    Inert,
}

impl Provider {
    /// Decides what the provider is; everything about it is known afterwards.
    pub(crate) fn new(
        api: &'static Api,
        provider_id: String,
        provider_type: String,
        config: Map<String, Value>,
        place: String,
    ) -> Result<Self, ConfigError> {
        let kind = match api.known(&provider_type) {
            Known::Remote(remote) => {
                let configured = config.get(remote.address_key).and_then(Value::as_str);
                let Some(address) = configured.or(remote.default_address) else {
                    let field = remote.address_key.to_owned();
                    return Err(ConfigError::NoAddress { place, provider_id, field });
                };
                ProviderKind::Remote { remote, address: address.to_owned() }
            }
            Known::Inert => ProviderKind::Inert,
            Known::NotServed => {
                let api = api.name.to_owned();
                return Err(ConfigError::NotServed { place, provider_id, api, provider_type });
            }
            Known::NotBuilt(feature) => {
                return Err(ConfigError::NotBuilt { place, provider_id, provider_type, feature });
            }
            Known::Unknown => {
                let nearest = catalog::nearest(&provider_type, api.usable_types()).map(str::to_owned);
                let api = api.name.to_owned();
                return Err(ConfigError::UnknownProvider { place, provider_id, api, provider_type, nearest });
            }
        };
        Ok(Self { api: api.name, provider_id, provider_type, config, kind })
    }
}

impl fmt::Debug for Provider {
    /// Without `config`, which holds keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.api, self.provider_id, self.provider_type)
    }
}
