//! Llama Stack's provider-data header: a JSON object whose keys the stack passes on to its providers. A trial's tag in
//! the place of a key tells the proxy whose request comes.

use serde_json::{Map, Value};

use crate::http::{HeaderMap, HeaderName, HeaderValue};
use crate::record::trial_api_key;

/// Upstream writes it `X-LlamaStack-Provider-Data`.
const HEADER: &str = "x-llamastack-provider-data";

/// Puts the trial's tag into each of these members.
pub(super) fn tag(members: &[String], trial: &str, headers: &mut HeaderMap) {
    let tag = trial_api_key(trial);
    let data: Map<String, Value> =
        members.iter().map(|member| (member.clone(), Value::from(tag.as_str()))).collect();
    if let Ok(value) = HeaderValue::from_str(&Value::Object(data).to_string()) {
        headers.insert(HEADER, value);
    }
}

/// The text of a header that a case sets: provider data is added to what is there already, and what the case says wins. A
/// text that is no object stands as it is: a case may send what is wrong.
pub(super) fn merged(headers: &HeaderMap, name: &HeaderName, text: String) -> String {
    if name != HEADER {
        return text;
    }
    let object = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    };
    let there = headers.get(HEADER).and_then(|value| value.to_str().ok()).and_then(object);
    match (there, object(&text)) {
        (Some(mut members), Some(own)) => {
            members.extend(own);
            Value::Object(members).to_string()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> String {
        let mut headers = HeaderMap::new();
        tag(&["openai_api_key".to_owned()], "a::b", &mut headers);
        merged(&headers, &HeaderName::from_static(HEADER), text.to_owned())
    }

    #[test]
    fn a_case_s_provider_data_keeps_the_tag_unless_it_has_a_key_of_its_own() {
        let key = trial_api_key("a::b");
        assert_eq!(sent(r#"{"x": 1}"#), format!(r#"{{"openai_api_key":"{key}","x":1}}"#));
        assert_eq!(sent(r#"{"openai_api_key": "mine"}"#), r#"{"openai_api_key":"mine"}"#);
        assert_eq!(sent("no JSON"), "no JSON");
        let other = HeaderName::from_static("x-other");
        assert_eq!(merged(&HeaderMap::new(), &other, "{}".to_owned()), "{}");
    }
}
