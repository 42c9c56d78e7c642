//! Which APIs a provider needs beside its own: what Llama Stack 0.3.0's provider registry declares.
//!
//! There, models come with inference, datasets with datasetio, tool groups with tool_runtime, and conversations
//! are always there; so only what a configuration has to name is listed here.

use super::catalog;
use super::config_error::{ConfigError, Needs};
use super::config_provider::Provider;

/// APIs that are served when the configuration lists them, with whichever providers it has; the others are
/// served by their provider itself.
const ROUTED: [&str; 7] =
    ["inference", "safety", "vector_io", "datasetio", "scoring", "eval", "tool_runtime"];

/// What a provider of this API and type needs.
fn needed(api: &str, provider_type: &str) -> &'static [&'static str] {
    match (api, provider_type) {
        ("agents", _) => &["inference", "safety", "vector_io", "tool_runtime"],
        ("batches", _) => &["inference", "files"],
        ("eval", _) => &["datasetio", "scoring", "inference", "agents"],
        ("post_training", _) => &["datasetio"],
        ("safety", "inline::llama-guard") | ("vector_io", _) => &["inference"],
        ("scoring", "inline::llm-as-judge") => &["datasetio", "inference"],
        ("scoring", _) => &["datasetio"],
        ("tool_runtime", "inline::rag-runtime") => &["vector_io", "inference", "files"],
        _ => &[],
    }
}

/// Refuses providers that lack an API they need, all of them at once.
pub(crate) fn check(apis: &[String], providers: &[Provider], place: &str) -> Result<(), ConfigError> {
    let available = |api: &str| {
        if ROUTED.contains(&api) {
            apis.iter().any(|listed| listed == api)
        } else {
            providers.iter().any(|provider| provider.api == api)
        }
    };
    let lacking = providers.iter().filter_map(|provider| {
        let needed = needed(provider.api, &provider.provider_type).iter().copied();
        let missing: Vec<&'static str> = needed.filter(|api| !available(api)).collect();
        let provider = format!("{}={}", provider.api, provider.provider_type);
        (!missing.is_empty()).then_some(Needs { provider, missing })
    });
    let lacking: Vec<Needs> = lacking.collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let mut add: Vec<&'static str> = Vec::new();
    let mut wanted: Vec<&'static str> = lacking.iter().flat_map(|needs| needs.missing.clone()).collect();
    // What is added may need something itself.
    while let Some(api) = wanted.pop() {
        if available(api) || add.contains(&api) {
            continue;
        }
        add.push(api);
        wanted.extend(needed(api, usual(api)));
    }
    add.sort_by_key(|api| catalog::APIS.iter().position(|known| known.name == *api));
    let add = add.iter().map(|api| format!("{api}={}", usual(api))).collect();
    Err(ConfigError::MissingApis { place: place.to_owned(), lacking, add })
}

/// The provider to propose for an API.
fn usual(api: &str) -> &'static str {
    match api {
        "inference" => "remote::ollama",
        "safety" => "inline::llama-guard",
        "scoring" => "inline::basic",
        "tool_runtime" => "remote::model-context-protocol",
        "vector_io" => "inline::faiss",
        "agents" => "inline::meta-reference",
        _ => "inline::localfs",
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunConfig;
    use super::super::config::Env;

    /// The message for a list of providers, or nothing.
    fn lacks(spec: &str) -> String {
        let read = RunConfig::ad_hoc(spec, &Env::new());
        read.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn every_api_can_be_composed_alone() {
        for spec in [
            "inference=ollama",
            "files=localfs",
            "datasetio=localfs",
            "tool_runtime=model-context-protocol",
            "safety=code-scanner",
            "inference=ollama,safety=llama-guard",
            "inference=ollama,vector_io=sqlite-vec",
            "inference=ollama,files=localfs,batches=reference",
            "datasetio=localfs,scoring=basic",
            "inference=ollama,files=localfs,vector_io=faiss,tool_runtime=rag-runtime",
            "inference=ollama,safety=llama-guard,vector_io=faiss,tool_runtime=tavily-search,agents=meta-reference",
        ] {
            assert_eq!(lacks(spec), "", "{spec}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_add() {
        assert_eq!(
            lacks("safety=llama-guard"),
            "stack `safety=llama-guard`: safety=inline::llama-guard needs the API inference, which is not there; add \
             inference=remote::ollama"
        );
        assert_eq!(
            lacks("inference=ollama,safety=llama-guard,agents=meta-reference"),
            "stack `inference=ollama,safety=llama-guard,agents=meta-reference`: agents=inline::meta-reference needs the \
             APIs vector_io and tool_runtime, which are not there; add \
             tool_runtime=remote::model-context-protocol,vector_io=inline::faiss"
        );
        assert_eq!(
            lacks("eval=meta-reference,scoring=basic"),
            "stack `eval=meta-reference,scoring=basic`: eval=inline::meta-reference needs the APIs datasetio, inference \
             and agents, scoring=inline::basic needs the API datasetio, which are not there; add \
             inference=remote::ollama,agents=inline::meta-reference,datasetio=inline::localfs,safety=inline::llama-guard,\
             tool_runtime=remote::model-context-protocol,vector_io=inline::faiss"
        );
    }
}
