//! The bodies that go to providers: what was asked, without nulls, under the provider's name for the model.
//!
//! Fields Llama Stack does not know are merged in last, as the OpenAI client merges `extra_body`. The order is
//! the client's; it means nothing in JSON and makes recordings easy to compare by eye.

use super::client::Remote;
use super::fields::{Model, Ty, without_nulls};
use serde_json::{Map, Value};

pub(crate) static CHAT_ORDER: &[&str] = &[
    "messages",
    "model",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
];

pub(crate) static COMPLETION_ORDER: &[&str] = &[
    "model",
    "prompt",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

pub(crate) static EMBEDDINGS_ORDER: &[&str] = &["input", "model", "user", "dimensions", "encoding_format"];

/// The body for the provider. `params` are checked against `model`.
pub(crate) fn body(
    model: &'static Model,
    order: &[&str],
    params: &Map<String, Value>,
    provider_model: &str,
) -> Value {
    let clean = without_nulls(&Ty::Model(model), &Value::Object(params.clone()));
    let mut body = Map::new();
    for name in order {
        match clean.get(*name) {
            Some(_) if *name == "model" => body.insert((*name).to_owned(), provider_model.into()),
            Some(value) => body.insert((*name).to_owned(), value.clone()),
            None => None,
        };
    }
    let declared = |name: &str| model.fields.iter().any(|field| field.name == name);
    body.extend(
        params.iter().filter(|(name, _)| !declared(name)).map(|(name, value)| (name.clone(), value.clone())),
    );
    body.into()
}

/// An id of our own, for a provider that sends none.
pub(crate) fn fresh_id(remote: &Remote) -> Option<String> {
    remote.remote.dialect.needs_ids().then(|| format!("cltsd-{}", uuid::Uuid::new_v4()))
}

/// The answer with such an id.
pub(crate) fn with_id(remote: &Remote, mut answer: Value) -> Value {
    if let (Some(id), Some(map)) = (fresh_id(remote), answer.as_object_mut()) {
        map.insert("id".into(), id.into());
    }
    answer
}
