//! The request and storage schemas of Llama Stack 0.3's inference and models APIs, as data.
//!
//! Field order is Llama Stack's: it decides the order of reported violations and of stored objects.

use super::fields::{
    Extra, Field, Model, Need, OBJECT, STR_LIST, Ty, absent, body, fixed, model, optional, required,
    typed_dict,
};

const STR_OR_OBJECT: Ty = Ty::Union(&[("str", &Ty::Str), ("dict[str,any]", &OBJECT)]);
const STOP: Ty = Ty::Union(&[("str", &Ty::Str), ("list[str]", &STR_LIST)]);
const LOGIT_BIAS: Ty = Ty::Dict(&Ty::Float);

// Messages

static TEXT_PART: Model =
    model("OpenAIChatCompletionContentPartTextParam", &[fixed("type", &["text"]), required("text", Ty::Str)]);
static IMAGE_URL: Model = model("OpenAIImageURL", &[required("url", Ty::Str), optional("detail", Ty::Str)]);
static IMAGE_PART: Model = model(
    "OpenAIChatCompletionContentPartImageParam",
    &[fixed("type", &["image_url"]), required("image_url", Ty::Model(&IMAGE_URL))],
);
static FILE: Model = model(
    "OpenAIFileFile",
    &[optional("file_data", Ty::Str), optional("file_id", Ty::Str), optional("filename", Ty::Str)],
);
static FILE_PART: Model =
    model("OpenAIFile", &[fixed("type", &["file"]), required("file", Ty::Model(&FILE))]);

const CONTENT: Ty = Ty::Union(&[
    ("str", &Ty::Str),
    (
        "list[tagged-union[OpenAIChatCompletionContentPartTextParam,OpenAIChatCompletionContentPartImageParam,\
         OpenAIFile]]",
        &Ty::List {
            of: &Ty::Tagged {
                by: "type",
                of: &[("text", &TEXT_PART), ("image_url", &IMAGE_PART), ("file", &FILE_PART)],
            },
            min: 0,
        },
    ),
]);
const TEXT_CONTENT: Ty = Ty::Union(&[
    ("str", &Ty::Str),
    ("list[OpenAIChatCompletionContentPartTextParam]", &Ty::List { of: &Ty::Model(&TEXT_PART), min: 0 }),
]);

static CALLED_FUNCTION: Model = model(
    "OpenAIChatCompletionToolCallFunction",
    &[optional("name", Ty::Str), optional("arguments", Ty::Str)],
);
static TOOL_CALL: Model = model(
    "OpenAIChatCompletionToolCall",
    &[
        optional("index", Ty::Int),
        optional("id", Ty::Str),
        fixed("type", &["function"]),
        optional("function", Ty::Model(&CALLED_FUNCTION)),
    ],
);

static USER: Model = model(
    "OpenAIUserMessageParam",
    &[fixed("role", &["user"]), required("content", CONTENT), optional("name", Ty::Str)],
);
static SYSTEM: Model = model(
    "OpenAISystemMessageParam",
    &[fixed("role", &["system"]), required("content", TEXT_CONTENT), optional("name", Ty::Str)],
);
static ASSISTANT: Model = model(
    "OpenAIAssistantMessageParam",
    &[
        fixed("role", &["assistant"]),
        optional("content", TEXT_CONTENT),
        optional("name", Ty::Str),
        optional("tool_calls", Ty::List { of: &Ty::Model(&TOOL_CALL), min: 0 }),
    ],
);
static TOOL_RESULT: Model = model(
    "OpenAIToolMessageParam",
    &[fixed("role", &["tool"]), required("tool_call_id", Ty::Str), required("content", TEXT_CONTENT)],
);
static DEVELOPER: Model = model(
    "OpenAIDeveloperMessageParam",
    &[fixed("role", &["developer"]), required("content", TEXT_CONTENT), optional("name", Ty::Str)],
);

const MESSAGE: Ty = Ty::Tagged {
    by: "role",
    of: &[
        ("user", &USER),
        ("system", &SYSTEM),
        ("assistant", &ASSISTANT),
        ("tool", &TOOL_RESULT),
        ("developer", &DEVELOPER),
    ],
};

// Response formats

static FORMAT_TEXT: Model = model("OpenAIResponseFormatText", &[fixed("type", &["text"])]);
static FORMAT_OBJECT: Model = model("OpenAIResponseFormatJSONObject", &[fixed("type", &["json_object"])]);
static JSON_SCHEMA: Model = typed_dict(&[
    absent("name", Ty::Str, Need::Absent),
    absent("description", Ty::Str, Need::AbsentOrNull),
    absent("strict", Ty::Bool, Need::AbsentOrNull),
    absent("schema", OBJECT, Need::AbsentOrNull),
]);
static FORMAT_SCHEMA: Model = model(
    "OpenAIResponseFormatJSONSchema",
    &[fixed("type", &["json_schema"]), required("json_schema", Ty::Model(&JSON_SCHEMA))],
);
const RESPONSE_FORMAT: Ty = Ty::Tagged {
    by: "type",
    of: &[("text", &FORMAT_TEXT), ("json_schema", &FORMAT_SCHEMA), ("json_object", &FORMAT_OBJECT)],
};

/// `POST /v1/chat/completions`
pub(crate) static CHAT: Model = body(
    &[
        required("model", Ty::Str),
        required("messages", Ty::List { of: &MESSAGE, min: 1 }),
        optional("frequency_penalty", Ty::Float),
        optional("function_call", STR_OR_OBJECT),
        optional("functions", Ty::List { of: &OBJECT, min: 0 }),
        optional("logit_bias", LOGIT_BIAS),
        optional("logprobs", Ty::Bool),
        optional("max_completion_tokens", Ty::Int),
        optional("max_tokens", Ty::Int),
        optional("n", Ty::Int),
        optional("parallel_tool_calls", Ty::Bool),
        optional("presence_penalty", Ty::Float),
        optional("response_format", RESPONSE_FORMAT),
        optional("seed", Ty::Int),
        optional("stop", STOP),
        optional("stream", Ty::Bool),
        optional("stream_options", OBJECT),
        optional("temperature", Ty::Float),
        optional("tool_choice", STR_OR_OBJECT),
        optional("tools", Ty::List { of: &OBJECT, min: 0 }),
        optional("top_logprobs", Ty::Int),
        optional("top_p", Ty::Float),
        optional("user", Ty::Str),
    ],
    Extra::Keep,
);

const INT_LIST: Ty = Ty::List { of: &Ty::Int, min: 0 };

/// `POST /v1/completions`
pub(crate) static COMPLETION: Model = body(
    &[
        required("model", Ty::Str),
        required(
            "prompt",
            Ty::Union(&[
                ("str", &Ty::Str),
                ("list[str]", &STR_LIST),
                ("list[int]", &INT_LIST),
                ("list[list[int]]", &Ty::List { of: &INT_LIST, min: 0 }),
            ]),
        ),
        optional("best_of", Ty::Int),
        optional("echo", Ty::Bool),
        optional("frequency_penalty", Ty::Float),
        optional("logit_bias", LOGIT_BIAS),
        optional("logprobs", Ty::Bool),
        optional("max_tokens", Ty::Int),
        optional("n", Ty::Int),
        optional("presence_penalty", Ty::Float),
        optional("seed", Ty::Int),
        optional("stop", STOP),
        optional("stream", Ty::Bool),
        optional("stream_options", OBJECT),
        optional("temperature", Ty::Float),
        optional("top_p", Ty::Float),
        optional("user", Ty::Str),
        optional("suffix", Ty::Str),
    ],
    Extra::Keep,
);

/// `POST /v1/embeddings`
pub(crate) static EMBEDDINGS: Model = body(
    &[
        required("model", Ty::Str),
        required("input", STOP),
        Field { name: "encoding_format", ty: Ty::Str, need: Need::Default("float") },
        optional("dimensions", Ty::Int),
        optional("user", Ty::Str),
    ],
    Extra::Keep,
);

/// `POST /v1/models`
pub(crate) static REGISTER_MODEL: Model = body(
    &[
        required("model_id", Ty::Str),
        optional("provider_model_id", Ty::Str),
        optional("provider_id", Ty::Str),
        optional("metadata", OBJECT),
        optional("model_type", Ty::Enum(&["llm", "embedding"])),
    ],
    Extra::Drop,
);

/// `POST /v1alpha/inference/rerank`
pub(crate) static RERANK: Model = body(
    &[
        required("model", Ty::Str),
        required("query", Ty::Any),
        required("items", Ty::List { of: &Ty::Any, min: 0 }),
        optional("max_num_results", Ty::Int),
    ],
    Extra::Drop,
);

// Parts the chat handler checks itself, with the OpenAI client's types.

static FUNCTION: Model = typed_dict(&[
    required("name", Ty::Str),
    absent("description", Ty::Str, Need::Absent),
    absent("parameters", OBJECT, Need::Absent),
    absent("strict", Ty::Bool, Need::AbsentOrNull),
]);
static TOOL_PARAM: Model =
    typed_dict(&[required("function", Ty::Model(&FUNCTION)), required("type", Ty::Literal(&["function"]))]);
/// One element of `tools`.
pub(crate) const TOOL: Ty = Ty::Model(&TOOL_PARAM);

static ALLOWED_TOOLS: Model = typed_dict(&[
    required("mode", Ty::Literal(&["auto", "required"])),
    required("tools", Ty::List { of: &OBJECT, min: 0 }),
]);
static ALLOWED: Model = typed_dict(&[
    required("allowed_tools", Ty::Model(&ALLOWED_TOOLS)),
    required("type", Ty::Literal(&["allowed_tools"])),
]);
static NAME: Model = typed_dict(&[required("name", Ty::Str)]);
static NAMED: Model =
    typed_dict(&[required("function", Ty::Model(&NAME)), required("type", Ty::Literal(&["function"]))]);
static NAMED_CUSTOM: Model =
    typed_dict(&[required("custom", Ty::Model(&NAME)), required("type", Ty::Literal(&["custom"]))]);

/// `tool_choice`
pub(crate) const TOOL_CHOICE: Ty = Ty::Union(&[
    ("literal['none','auto','required']", &Ty::Literal(&["none", "auto", "required"])),
    ("ChatCompletionAllowedToolChoiceParam", &Ty::Model(&ALLOWED)),
    ("ChatCompletionNamedToolChoiceParam", &Ty::Model(&NAMED)),
    ("ChatCompletionNamedToolChoiceCustomParam", &Ty::Model(&NAMED_CUSTOM)),
]);

// Stored completions

static TOP_LOGPROB: Model = model(
    "OpenAITopLogProb",
    &[required("token", Ty::Str), optional("bytes", INT_LIST), required("logprob", Ty::Float)],
);
static TOKEN_LOGPROB: Model = model(
    "OpenAITokenLogProb",
    &[
        required("token", Ty::Str),
        optional("bytes", INT_LIST),
        required("logprob", Ty::Float),
        required("top_logprobs", Ty::List { of: &Ty::Model(&TOP_LOGPROB), min: 0 }),
    ],
);
const TOKEN_LOGPROBS: Ty = Ty::List { of: &Ty::Model(&TOKEN_LOGPROB), min: 0 };
static LOGPROBS: Model = model(
    "OpenAIChoiceLogprobs",
    &[optional("content", TOKEN_LOGPROBS), optional("refusal", TOKEN_LOGPROBS)],
);
static CHOICE: Model = model(
    "OpenAIChoice",
    &[
        required("message", MESSAGE),
        required("finish_reason", Ty::Str),
        required("index", Ty::Int),
        optional("logprobs", Ty::Model(&LOGPROBS)),
    ],
);

/// `choices` of a stored completion.
pub(crate) static STORED_CHOICES: Ty = Ty::List { of: &Ty::Model(&CHOICE), min: 0 };
/// `messages` of a request and `input_messages` of a stored completion.
pub(crate) static MESSAGES: Ty = Ty::List { of: &MESSAGE, min: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::fields::{check, without_nulls};
    use serde_json::{Value, json};

    /// One line for each violation: `place: message (type)`.
    fn problems(model: &'static Model, value: &Value) -> String {
        let issues = check(&Ty::Model(model), value, &["body"]).expect_err("the value is wrong");
        let lines = issues.iter().map(|issue| {
            let loc: Vec<String> =
                issue.loc.iter().map(|part| part.as_str().map_or(part.to_string(), str::to_owned)).collect();
            format!("{}: {} ({})", loc.join("."), issue.msg, issue.kind)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What Llama Stack 0.3.0 answered to the same body.
    #[test]
    fn violations_read_as_upstreams() {
        let body = json!({
            "model": 3,
            "messages": [
                {"role": "x", "content": "x"}, {"content": "a"}, {"role": "user"}, {"role": "user", "content": 3},
                {"role": "user", "content": [{"type": "zz"}]},
                {"role": "assistant", "tool_calls": [{"id": 3, "type": "q"}]}
            ],
            "n": "a", "temperature": "x", "stream": "maybe", "stop": 3, "tools": [3],
            "response_format": {"type": "zz"}, "logit_bias": {"a": "b"}, "tool_choice": 3, "logprobs": 3,
            "max_tokens": 1.5, "user": 3, "functions": 3, "stream_options": 3, "parallel_tool_calls": "perhaps"
        });
        let parts = "list[tagged-union[OpenAIChatCompletionContentPartTextParam,\
                     OpenAIChatCompletionContentPartImageParam,OpenAIFile]]";
        let want = format!(
            "body.model: Input should be a valid string (string_type)
body.messages.0: Input tag 'x' found using 'role' does not match any of the expected tags: 'user', 'system', 'assistant', 'tool', 'developer' (union_tag_invalid)
body.messages.1: Unable to extract tag using discriminator 'role' (union_tag_not_found)
body.messages.2.user.content: Field required (missing)
body.messages.3.user.content.str: Input should be a valid string (string_type)
body.messages.3.user.content.{parts}: Input should be a valid list (list_type)
body.messages.4.user.content.str: Input should be a valid string (string_type)
body.messages.4.user.content.{parts}.0: Input tag 'zz' found using 'type' does not match any of the expected tags: 'text', 'image_url', 'file' (union_tag_invalid)
body.messages.5.assistant.tool_calls.0.id: Input should be a valid string (string_type)
body.messages.5.assistant.tool_calls.0.type: Input should be 'function' (literal_error)
body.functions: Input should be a valid list (list_type)
body.logit_bias.a: Input should be a valid number, unable to parse string as a number (float_parsing)
body.logprobs: Input should be a valid boolean, unable to interpret input (bool_parsing)
body.max_tokens: Input should be a valid integer, got a number with a fractional part (int_from_float)
body.n: Input should be a valid integer, unable to parse string as an integer (int_parsing)
body.parallel_tool_calls: Input should be a valid boolean, unable to interpret input (bool_parsing)
body.response_format: Input tag 'zz' found using 'type' does not match any of the expected tags: 'text', 'json_schema', 'json_object' (union_tag_invalid)
body.stop.str: Input should be a valid string (string_type)
body.stop.list[str]: Input should be a valid list (list_type)
body.stream: Input should be a valid boolean, unable to interpret input (bool_parsing)
body.stream_options: Input should be a valid dictionary (dict_type)
body.temperature: Input should be a valid number, unable to parse string as a number (float_parsing)
body.tool_choice.str: Input should be a valid string (string_type)
body.tool_choice.dict[str,any]: Input should be a valid dictionary (dict_type)
body.tools.0: Input should be a valid dictionary (dict_type)
body.user: Input should be a valid string (string_type)"
        );
        assert_eq!(problems(&CHAT, &body), want);
    }

    #[test]
    fn an_empty_conversation_is_too_short() {
        assert_eq!(
            problems(&CHAT, &json!({"messages": []})),
            "body.model: Field required (missing)\n\
             body.messages: List should have at least 1 item after validation, not 0 (too_short)"
        );
    }

    #[test]
    fn declared_nulls_go_and_free_form_nulls_stay() {
        let body = json!({
            "model": "m",
            "messages": [{"role": "assistant", "content": null, "zz": 1, "tool_calls": [{"id": "a"}]}],
            "response_format": {"type": "json_schema", "json_schema": {
                "schema": {"a": null}, "strict": null, "name": "q", "zz": 1}},
            "temperature": 1, "max_tokens": "5", "stream": "false"
        });
        let checked = check(&Ty::Model(&CHAT), &body, &[]).expect("valid");
        assert_eq!(
            without_nulls(&Ty::Model(&CHAT), &checked).to_string(),
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function"}]}],"#
                .to_owned()
                + r#""max_tokens":5,"response_format":{"type":"json_schema","json_schema":{"name":"q","schema":{"a":null}}},"#
                + r#""stream":false,"temperature":1.0}"#
        );
    }
}
