//! Web search and computation by services: Tavily, Brave, Bing and Wolfram Alpha, each one tool with a `query`.
//!
//! Upstream's addresses are fixed; here `url` in a provider's configuration puts another in their place.

use super::caller::Caller;
use super::client;
use super::config_provider::Provider;
use super::errors::ApiError;
use super::mcp_tools::on_this_machine;
use super::python;
use super::tool_runtime::{definition, query_schema, result};
use serde_json::{Map, Value, json};

/// A service.
pub(crate) struct Search {
    provider_type: &'static str,
    tool: &'static str,
    description: &'static str,
    query: &'static str,
    address: &'static str,
    path: &'static str,
    /// The field of the provider data with the caller's key, and how the service is called in a message about it.
    key_field: &'static str,
    key_of: &'static str,
    service: Service,
}

#[derive(Clone, Copy)]
enum Service {
    Tavily,
    Brave,
    Bing,
    Wolfram,
}

static ALL: &[Search] = &[
    Search {
        provider_type: "remote::tavily-search",
        tool: "web_search",
        description: "Search the web for information",
        query: "The query to search for",
        address: "https://api.tavily.com",
        path: "/search",
        key_field: "tavily_search_api_key",
        key_of: "Search provider's",
        service: Service::Tavily,
    },
    Search {
        provider_type: "remote::brave-search",
        tool: "web_search",
        description: "Search the web for information",
        query: "The query to search for",
        address: "https://api.search.brave.com",
        path: "/res/v1/web/search",
        key_field: "brave_search_api_key",
        key_of: "Search provider's",
        service: Service::Brave,
    },
    Search {
        provider_type: "remote::bing-search",
        tool: "web_search",
        description: "Search the web using Bing Search API",
        query: "The query to search for",
        address: "https://api.bing.microsoft.com",
        path: "/v7.0/search",
        key_field: "bing_search_api_key",
        key_of: "Bing Search",
        service: Service::Bing,
    },
    Search {
        provider_type: "remote::wolfram-alpha",
        tool: "wolfram_alpha",
        description: "Query WolframAlpha for computational knowledge",
        query: "The query to compute",
        address: "https://api.wolframalpha.com",
        path: "/v2/query",
        key_field: "wolfram_alpha_api_key",
        key_of: "WolframAlpha",
        service: Service::Wolfram,
    },
];

impl Search {
    pub(crate) fn find(provider_type: &str) -> Option<&'static Self> {
        ALL.iter().find(|search| search.provider_type == provider_type)
    }

    pub(crate) fn definition(&self) -> Value {
        let schema = query_schema(self.query);
        definition(self.tool, Some(self.description), schema, Value::Null, Value::Null)
    }

    /// Asks the service. While `offline`, only one on this machine.
    pub(crate) async fn invoke(
        &self,
        provider: &Provider,
        kwargs: &Map<String, Value>,
        caller: &Caller,
        offline: bool,
    ) -> Result<Value, ApiError> {
        let configured =
            |field: &str| provider.config.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let key = configured("api_key").or_else(|| caller.provider_key(self.key_field)).ok_or_else(|| {
            ApiError::Value(format!(
                "Pass {} API Key in the header X-LlamaStack-Provider-Data as {{ \"{}\": <your api key>}}",
                self.key_of, self.key_field
            ))
        })?;
        let Some(query) = kwargs.get("query").and_then(Value::as_str) else {
            return Err(ApiError::Internal("the tool was called without a `query`".into()));
        };
        let address = configured("url").unwrap_or(self.address).trim_end_matches('/');
        if offline && !on_this_machine(address) {
            return Err(ApiError::Unreachable(format!(
                "{} is not asked while provider traffic is replayed: its answers are not recorded",
                self.provider_type
            )));
        }
        let count = |field: &str| provider.config.get(field).and_then(Value::as_u64).unwrap_or(3);
        let url = format!("{address}{}", self.path);
        let http = client::http_client().map_err(|error| ApiError::Internal(client::cause(&error)))?;
        let request = match self.service {
            Service::Tavily => http.post(url).json(&json!({"api_key": key, "query": query})),
            Service::Brave => http
                .get(url)
                .header("X-Subscription-Token", key)
                .header(reqwest::header::ACCEPT, "application/json")
                .query(&[("q", query)]),
            Service::Bing => http.get(url).header("Ocp-Apim-Subscription-Key", key).query(&[
                ("count", count("top_k").to_string().as_str()),
                ("textDecorations", "true"),
                ("textFormat", "HTML"),
                ("q", query),
            ]),
            Service::Wolfram => http.get(url).query(&[
                ("input", query),
                ("appid", key),
                ("format", "plaintext"),
                ("output", "json"),
            ]),
        };
        let found = client::answer(request).await?;
        let text = match self.service {
            Service::Tavily => tavily(&found),
            Service::Brave => brave(&found, usize::try_from(count("max_results")).unwrap_or(usize::MAX)),
            Service::Bing => bing(&found),
            Service::Wolfram => Some(python::dumps(&wolfram(found))),
        };
        let text =
            text.ok_or_else(|| ApiError::Internal(format!("{}: unexpected answer", self.provider_type)))?;
        Ok(result(text.into(), None, Value::Null))
    }
}

fn tavily(found: &Value) -> Option<String> {
    let found = json!({"query": found.get("query")?, "top_k": found.get("results")?});
    Some(python::dumps(&found))
}

/// Each result of Brave's mixed list as Python shows a dictionary, one a line.
fn brave(found: &Value, most: usize) -> Option<String> {
    let Some(mixed) = found.get("mixed") else { return Some(String::new()) };
    let mut lines = Vec::new();
    for entry in mixed.get("main")?.as_array()?.iter().take(most) {
        let kind = entry.get("type")?.as_str()?;
        let results = found.get(kind)?.get("results")?;
        let one = |index: &Value| results.get(usize::try_from(index.as_u64()?).ok()?);
        lines.push(match kind {
            "web" => {
                let fields = ["type", "title", "url", "description", "date", "extra_snippets"];
                python::repr(&only(one(entry.get("index")?)?, &fields))
            }
            "infobox" => {
                let fields = ["type", "title", "url", "description", "long_desc"];
                python::repr(&only(one(entry.get("index")?)?, &fields))
            }
            "faq" => python::repr(&only(results, &["type", "question", "answer", "title", "url"])),
            "videos" => python::repr(&only(results, &["type", "url", "title", "description", "date"])),
            "news" => python::repr(&only(results, &["type", "title", "url", "description"])),
            "locations" => {
                let fields = [
                    "type",
                    "title",
                    "url",
                    "description",
                    "coordinates",
                    "postal_address",
                    "contact",
                    "rating",
                    "distance",
                    "zoom_level",
                ];
                python::repr(&only(results, &fields))
            }
            _ => String::new(),
        });
    }
    Some(lines.join("\n"))
}

fn bing(found: &Value) -> Option<String> {
    let query = found.pointer("/queryContext/originalQuery")?;
    let list = |name: &str, fields: &[&str]| {
        found
            .get(name)
            .map(|section| only(&section["value"], fields))
            .and_then(|list| list.as_array().cloned())
    };
    let mut top = list("webPages", &["name", "url", "snippet"]).unwrap_or_default();
    // Pages one by one, news as one list: upstream's own notion.
    top.extend(list("news", &["name", "url", "description"]).map(Value::Array));
    Some(python::dumps(&json!({"query": query, "top_k": top})))
}

/// Without what a model has no use for, and without the pods after the result.
fn wolfram(mut found: Value) -> Value {
    const RESULT: &[&str] = &[
        "datatypes",
        "error",
        "timedout",
        "timedoutpods",
        "numpods",
        "timing",
        "parsetiming",
        "parsetimedout",
        "recalculate",
        "id",
        "host",
        "server",
        "related",
        "version",
        "assumptions",
    ];
    const POD: &[&str] =
        &["scanner", "id", "error", "expressiontypes", "states", "infos", "position", "numsubpods"];
    if let Some(result) = found.get_mut("queryresult").and_then(Value::as_object_mut) {
        result.retain(|name, _| !RESULT.contains(&name.as_str()));
        if let Some(pods) = result.get_mut("pods").and_then(Value::as_array_mut) {
            let last = pods.iter().position(|pod| pod["title"] == "Result");
            pods.truncate(last.map_or(pods.len(), |last| last + 1));
            for pod in pods.iter_mut().filter_map(Value::as_object_mut) {
                pod.retain(|name, _| !POD.contains(&name.as_str()));
            }
        }
    }
    found
}

/// Objects with these fields alone, in their own order.
fn only(value: &Value, fields: &[&str]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| only(item, fields)).collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, _)| fields.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_to_what_upstream_hands_on() {
        let found = json!({"query": "é", "results": [{"url": "u"}], "time": 1});
        assert_eq!(tavily(&found).as_deref(), Some(r#"{"query": "\u00e9", "top_k": [{"url": "u"}]}"#));
        assert_eq!(tavily(&json!({"detail": "no"})), None);

        let found = json!({
            "mixed": {"main": [{"type": "web", "index": 1}, {"type": "odd"}, {"type": "news"}, {"type": "web", "index": 0}]},
            "web": {"results": [{"title": "a", "x": 1}, {"title": "b", "url": "u", "x": 1}]},
            "odd": {"results": []},
            "news": {"results": [{"title": "n", "y": 2}]},
        });
        assert_eq!(brave(&found, 3).as_deref(), Some("{'title': 'b', 'url': 'u'}\n\n[{'title': 'n'}]"));
        assert_eq!(brave(&json!({}), 3).as_deref(), Some(""));

        let found = json!({
            "queryContext": {"originalQuery": "q"},
            "webPages": {"value": [{"name": "n", "url": "u", "snippet": "s", "id": 1}]},
            "news": {"value": [{"name": "m", "url": "v", "description": "d", "id": 1}]},
        });
        assert_eq!(
            bing(&found).as_deref(),
            Some(
                r#"{"query": "q", "top_k": [{"name": "n", "url": "u", "snippet": "s"}, [{"name": "m", "url": "v", "description": "d"}]]}"#
            )
        );

        let found = json!({"queryresult": {"success": true, "timing": 1, "pods": [
            {"title": "Input", "id": 1}, {"title": "Result", "subpods": []}, {"title": "More"}
        ]}});
        assert_eq!(
            wolfram(found),
            json!({"queryresult": {"success": true, "pods": [{"title": "Input"}, {"title": "Result", "subpods": []}]}})
        );
    }
}
