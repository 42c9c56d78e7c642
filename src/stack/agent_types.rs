//! The request schemas of Llama Stack 0.3's Agents API, as data.

use super::content::{CONTENT, TOOL_MESSAGE, URL, USER_MESSAGE};
use super::fields::{
    Extra, Model, Need, OBJECT, STR_LIST, Ty, absent, body, fixed, optional, part, required,
};

static GREEDY: Model = part("GreedySamplingStrategy", &[fixed("type", &["greedy"])]);
static TOP_P: Model = part(
    "TopPSamplingStrategy",
    &[
        fixed("type", &["top_p"]),
        required("temperature", Ty::OrNull(&Ty::Float)),
        absent("top_p", Ty::Float, Need::AbsentOrNull),
    ],
);
static TOP_K: Model = part("TopKSamplingStrategy", &[fixed("type", &["top_k"]), required("top_k", Ty::Int)]);
/// `SamplingStrategy`
pub(crate) const STRATEGY: Ty =
    Ty::Tagged { by: "type", of: &[("greedy", &GREEDY), ("top_p", &TOP_P), ("top_k", &TOP_K)] };
static SAMPLING: Model = part(
    "SamplingParams",
    &[
        required("strategy", STRATEGY),
        absent("max_tokens", Ty::Int, Need::Number(0)),
        absent("repetition_penalty", Ty::Float, Need::Number(1)),
        optional("stop", STR_LIST),
    ],
);

static GROUP_WITH_ARGS: Model =
    part("AgentToolGroupWithArgs", &[required("name", Ty::Str), required("args", OBJECT)]);
const GROUP: Ty = Ty::Union(&[("str", &Ty::Str), ("AgentToolGroupWithArgs", &Ty::Model(&GROUP_WITH_ARGS))]);
const GROUPS: Ty = Ty::List { of: &GROUP, min: 0 };
static TOOL_DEF: Model = part(
    "ToolDef",
    &[
        optional("toolgroup_id", Ty::Str),
        required("name", Ty::Str),
        optional("description", Ty::Str),
        optional("input_schema", OBJECT),
        optional("output_schema", OBJECT),
        optional("metadata", OBJECT),
    ],
);
const PROMPT_FORMAT: Ty = Ty::Enum(&["json", "function_tag", "python_list"]);
static TOOL_CONFIG: Model = part(
    "ToolConfig",
    &[
        absent("tool_choice", Ty::Str, Need::Default("auto")),
        optional("tool_prompt_format", PROMPT_FORMAT),
        absent("system_message_behavior", Ty::Enum(&["append", "replace"]), Need::Default("append")),
    ],
);
static SCHEMA_FORMAT: Model =
    part("JsonSchemaResponseFormat", &[fixed("type", &["json_schema"]), required("json_schema", OBJECT)]);
static GRAMMAR_FORMAT: Model =
    part("GrammarResponseFormat", &[fixed("type", &["grammar"]), required("bnf", OBJECT)]);

/// The lists may be null, and are empty when absent.
static CONFIG: Model = part(
    "AgentConfig",
    &[
        optional("sampling_params", Ty::Model(&SAMPLING)),
        absent("input_shields", Ty::OrNull(&STR_LIST), Need::Empty),
        absent("output_shields", Ty::OrNull(&STR_LIST), Need::Empty),
        absent("toolgroups", Ty::OrNull(&GROUPS), Need::Empty),
        absent("client_tools", Ty::OrNull(&Ty::List { of: &Ty::Model(&TOOL_DEF), min: 0 }), Need::Empty),
        optional("tool_choice", Ty::Enum(&["auto", "required", "none"])),
        optional("tool_prompt_format", PROMPT_FORMAT),
        optional("tool_config", Ty::Model(&TOOL_CONFIG)),
        absent("max_infer_iters", Ty::Int, Need::Number(10)),
        required("model", Ty::Str),
        required("instructions", Ty::Str),
        optional("name", Ty::Str),
        absent("enable_session_persistence", Ty::Bool, Need::Number(0)),
        optional(
            "response_format",
            Ty::Tagged { by: "type", of: &[("json_schema", &SCHEMA_FORMAT), ("grammar", &GRAMMAR_FORMAT)] },
        ),
    ],
);

/// `POST /v1alpha/agents`
pub(crate) static CREATE: Model = body(&[required("agent_config", Ty::Model(&CONFIG))], Extra::Drop);

/// `POST /v1alpha/agents/{id}/session`
pub(crate) static SESSION: Model = body(&[required("session_name", Ty::Str)], Extra::Drop);

const MESSAGE: Ty = Ty::Union(&[
    ("UserMessage", &Ty::Model(&USER_MESSAGE)),
    ("ToolResponseMessage", &Ty::Model(&TOOL_MESSAGE)),
]);
static DOCUMENT: Model = part(
    "Document",
    &[
        required("content", Ty::Union(&[("content", &CONTENT), ("URL", &Ty::Model(&URL))])),
        required("mime_type", Ty::Str),
    ],
);

/// `POST /v1alpha/agents/{id}/session/{id}/turn`
pub(crate) static TURN: Model = body(
    &[
        required("messages", Ty::List { of: &MESSAGE, min: 0 }),
        optional("stream", Ty::Bool),
        optional("documents", Ty::List { of: &Ty::Model(&DOCUMENT), min: 0 }),
        optional("toolgroups", GROUPS),
        optional("tool_config", Ty::Model(&TOOL_CONFIG)),
    ],
    Extra::Drop,
);

static TOOL_RESPONSE: Model = part(
    "ToolResponse",
    &[
        required("call_id", Ty::Str),
        required("tool_name", Ty::Str),
        required("content", CONTENT),
        optional("metadata", OBJECT),
    ],
);

/// `POST …/turn/{id}/resume`
pub(crate) static RESUME: Model = body(
    &[
        required("tool_responses", Ty::List { of: &Ty::Model(&TOOL_RESPONSE), min: 0 }),
        optional("stream", Ty::Bool),
    ],
    Extra::Drop,
);
