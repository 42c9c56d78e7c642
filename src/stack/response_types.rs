//! The request and storage schemas of Llama Stack 0.3's Responses and Conversations APIs, as data.

use super::fields::{
    Extra, Model, Need, OBJECT, STR_LIST, Ty, absent, body, fixed, optional, part, required, typed_dict,
};

// Content

static INPUT_TEXT: Model = part(
    "OpenAIResponseInputMessageContentText",
    &[required("text", Ty::Str), fixed("type", &["input_text"])],
);
static INPUT_IMAGE: Model = part(
    "OpenAIResponseInputMessageContentImage",
    &[
        absent(
            "detail",
            Ty::Union(&[
                ("literal['low']", &Ty::Literal(&["low"])),
                ("literal['high']", &Ty::Literal(&["high"])),
                ("literal['auto']", &Ty::Literal(&["auto"])),
            ]),
            Need::Fixed("auto"),
        ),
        fixed("type", &["input_image"]),
        optional("image_url", Ty::Str),
    ],
);
static FILE_CITATION: Model = part(
    "OpenAIResponseAnnotationFileCitation",
    &[
        fixed("type", &["file_citation"]),
        required("file_id", Ty::Str),
        required("filename", Ty::Str),
        required("index", Ty::Int),
    ],
);
static URL_CITATION: Model = part(
    "OpenAIResponseAnnotationCitation",
    &[
        fixed("type", &["url_citation"]),
        required("end_index", Ty::Int),
        required("start_index", Ty::Int),
        required("title", Ty::Str),
        required("url", Ty::Str),
    ],
);
static CONTAINER_CITATION: Model = part(
    "OpenAIResponseAnnotationContainerFileCitation",
    &[
        fixed("type", &["container_file_citation"]),
        required("container_id", Ty::Str),
        required("end_index", Ty::Int),
        required("file_id", Ty::Str),
        required("filename", Ty::Str),
        required("start_index", Ty::Int),
    ],
);
static FILE_PATH: Model = part(
    "OpenAIResponseAnnotationFilePath",
    &[fixed("type", &["file_path"]), required("file_id", Ty::Str), required("index", Ty::Int)],
);
const ANNOTATION: Ty = Ty::Tagged {
    by: "type",
    of: &[
        ("file_citation", &FILE_CITATION),
        ("url_citation", &URL_CITATION),
        ("container_file_citation", &CONTAINER_CITATION),
        ("file_path", &FILE_PATH),
    ],
};
static OUTPUT_TEXT: Model = part(
    "OpenAIResponseOutputMessageContentOutputText",
    &[
        required("text", Ty::Str),
        fixed("type", &["output_text"]),
        absent("annotations", Ty::List { of: &ANNOTATION, min: 0 }, Need::Empty),
    ],
);
static REFUSAL: Model =
    part("OpenAIResponseContentPartRefusal", &[fixed("type", &["refusal"]), required("refusal", Ty::Str)]);
const CONTENT: Ty = Ty::Union(&[
    ("str", &Ty::Str),
    (
        "list[tagged-union[OpenAIResponseInputMessageContentText,OpenAIResponseInputMessageContentImage]]",
        &Ty::List {
            of: &Ty::Tagged { by: "type", of: &[("input_text", &INPUT_TEXT), ("input_image", &INPUT_IMAGE)] },
            min: 0,
        },
    ),
    (
        "list[tagged-union[OpenAIResponseOutputMessageContentOutputText,OpenAIResponseContentPartRefusal]]",
        &Ty::List {
            of: &Ty::Tagged { by: "type", of: &[("output_text", &OUTPUT_TEXT), ("refusal", &REFUSAL)] },
            min: 0,
        },
    ),
]);

// Items

const ROLE: Ty = Ty::Union(&[
    ("literal['system']", &Ty::Literal(&["system"])),
    ("literal['developer']", &Ty::Literal(&["developer"])),
    ("literal['user']", &Ty::Literal(&["user"])),
    ("literal['assistant']", &Ty::Literal(&["assistant"])),
]);
static MESSAGE: Model = part(
    "OpenAIResponseMessage",
    &[
        required("content", CONTENT),
        required("role", ROLE),
        fixed("type", &["message"]),
        optional("id", Ty::Str),
        optional("status", Ty::Str),
    ],
);
static WEB_SEARCH_CALL: Model = part(
    "OpenAIResponseOutputMessageWebSearchToolCall",
    &[required("id", Ty::Str), required("status", Ty::Str), fixed("type", &["web_search_call"])],
);
static SEARCH_RESULT: Model = part(
    "OpenAIResponseOutputMessageFileSearchToolCallResults",
    &[
        required("attributes", OBJECT),
        required("file_id", Ty::Str),
        required("filename", Ty::Str),
        required("score", Ty::Float),
        required("text", Ty::Str),
    ],
);
static FILE_SEARCH_CALL: Model = part(
    "OpenAIResponseOutputMessageFileSearchToolCall",
    &[
        required("id", Ty::Str),
        required("queries", STR_LIST),
        required("status", Ty::Str),
        fixed("type", &["file_search_call"]),
        optional("results", Ty::List { of: &Ty::Model(&SEARCH_RESULT), min: 0 }),
    ],
);
static FUNCTION_CALL: Model = part(
    "OpenAIResponseOutputMessageFunctionToolCall",
    &[
        required("call_id", Ty::Str),
        required("name", Ty::Str),
        required("arguments", Ty::Str),
        fixed("type", &["function_call"]),
        optional("id", Ty::Str),
        optional("status", Ty::Str),
    ],
);
static FUNCTION_OUTPUT: Model = part(
    "OpenAIResponseInputFunctionToolCallOutput",
    &[
        required("call_id", Ty::Str),
        required("output", Ty::Str),
        fixed("type", &["function_call_output"]),
        optional("id", Ty::Str),
        optional("status", Ty::Str),
    ],
);
static APPROVAL_REQUEST: Model = part(
    "OpenAIResponseMCPApprovalRequest",
    &[
        required("arguments", Ty::Str),
        required("id", Ty::Str),
        required("name", Ty::Str),
        required("server_label", Ty::Str),
        fixed("type", &["mcp_approval_request"]),
    ],
);
static APPROVAL_RESPONSE: Model = part(
    "OpenAIResponseMCPApprovalResponse",
    &[
        required("approval_request_id", Ty::Str),
        required("approve", Ty::Bool),
        fixed("type", &["mcp_approval_response"]),
        optional("id", Ty::Str),
        optional("reason", Ty::Str),
    ],
);
static MCP_CALL: Model = part(
    "OpenAIResponseOutputMessageMCPCall",
    &[
        required("id", Ty::Str),
        fixed("type", &["mcp_call"]),
        required("arguments", Ty::Str),
        required("name", Ty::Str),
        required("server_label", Ty::Str),
        optional("error", Ty::Str),
        optional("output", Ty::Str),
    ],
);
static LISTED_TOOL: Model = part(
    "MCPListToolsTool",
    &[required("input_schema", OBJECT), required("name", Ty::Str), optional("description", Ty::Str)],
);
static MCP_LIST: Model = part(
    "OpenAIResponseOutputMessageMCPListTools",
    &[
        required("id", Ty::Str),
        fixed("type", &["mcp_list_tools"]),
        required("server_label", Ty::Str),
        required("tools", Ty::List { of: &Ty::Model(&LISTED_TOOL), min: 0 }),
    ],
);

/// An item of a response's input. Its `type` may be absent: the first that fits, in Llama Stack's order.
const INPUT_ITEM: Ty = Ty::Union(&[
    ("OpenAIResponseOutputMessageWebSearchToolCall", &Ty::Model(&WEB_SEARCH_CALL)),
    ("OpenAIResponseOutputMessageFileSearchToolCall", &Ty::Model(&FILE_SEARCH_CALL)),
    ("OpenAIResponseOutputMessageFunctionToolCall", &Ty::Model(&FUNCTION_CALL)),
    ("OpenAIResponseInputFunctionToolCallOutput", &Ty::Model(&FUNCTION_OUTPUT)),
    ("OpenAIResponseMCPApprovalRequest", &Ty::Model(&APPROVAL_REQUEST)),
    ("OpenAIResponseMCPApprovalResponse", &Ty::Model(&APPROVAL_RESPONSE)),
    ("OpenAIResponseOutputMessageMCPCall", &Ty::Model(&MCP_CALL)),
    ("OpenAIResponseOutputMessageMCPListTools", &Ty::Model(&MCP_LIST)),
    ("OpenAIResponseMessage", &Ty::Model(&MESSAGE)),
]);
/// Pydantic's name of a list of such items.
const INPUT_LABEL: &str = "list[union[OpenAIResponseOutputMessageWebSearchToolCall,\
     OpenAIResponseOutputMessageFileSearchToolCall,OpenAIResponseOutputMessageFunctionToolCall,\
     OpenAIResponseInputFunctionToolCallOutput,OpenAIResponseMCPApprovalRequest,OpenAIResponseMCPApprovalResponse,\
     OpenAIResponseOutputMessageMCPCall,OpenAIResponseOutputMessageMCPListTools,OpenAIResponseMessage]]";
const INPUT_ITEMS: Ty = Ty::List { of: &INPUT_ITEM, min: 0 };

/// An item of a conversation.
const ITEM: Ty = Ty::Tagged {
    by: "type",
    of: &[
        ("message", &MESSAGE),
        ("web_search_call", &WEB_SEARCH_CALL),
        ("file_search_call", &FILE_SEARCH_CALL),
        ("function_call", &FUNCTION_CALL),
        ("function_call_output", &FUNCTION_OUTPUT),
        ("mcp_approval_request", &APPROVAL_REQUEST),
        ("mcp_approval_response", &APPROVAL_RESPONSE),
        ("mcp_call", &MCP_CALL),
        ("mcp_list_tools", &MCP_LIST),
    ],
};
pub(crate) const ITEMS: Ty = Ty::List { of: &ITEM, min: 0 };

// Tools

static WEB_SEARCH: Model = part(
    "OpenAIResponseInputToolWebSearch",
    &[
        fixed("type", &["web_search", "web_search_preview", "web_search_preview_2025_03_11"]),
        absent("search_context_size", Ty::Str, Need::Default("medium")),
    ],
);
static FUNCTION: Model = part(
    "OpenAIResponseInputToolFunction",
    &[
        fixed("type", &["function"]),
        required("name", Ty::Str),
        optional("description", Ty::Str),
        required("parameters", Ty::OrNull(&OBJECT)),
        optional("strict", Ty::Bool),
    ],
);
static RANKING: Model = part(
    "SearchRankingOptions",
    &[optional("ranker", Ty::Str), absent("score_threshold", Ty::Float, Need::Number(0))],
);
static FILE_SEARCH: Model = part(
    "OpenAIResponseInputToolFileSearch",
    &[
        fixed("type", &["file_search"]),
        required("vector_store_ids", STR_LIST),
        optional("filters", OBJECT),
        absent("max_num_results", Ty::Int, Need::Number(10)),
        optional("ranking_options", Ty::Model(&RANKING)),
    ],
);
static APPROVAL_FILTER: Model =
    part("ApprovalFilter", &[optional("always", STR_LIST), optional("never", STR_LIST)]);
static ALLOWED_FILTER: Model = part("AllowedToolsFilter", &[optional("tool_names", STR_LIST)]);
static MCP: Model = part(
    "OpenAIResponseInputToolMCP",
    &[
        fixed("type", &["mcp"]),
        required("server_label", Ty::Str),
        required("server_url", Ty::Str),
        optional("headers", OBJECT),
        absent(
            "require_approval",
            Ty::Union(&[
                ("literal['always']", &Ty::Literal(&["always"])),
                ("literal['never']", &Ty::Literal(&["never"])),
                ("ApprovalFilter", &Ty::Model(&APPROVAL_FILTER)),
            ]),
            Need::Fixed("never"),
        ),
        optional(
            "allowed_tools",
            Ty::Union(&[("list[str]", &STR_LIST), ("AllowedToolsFilter", &Ty::Model(&ALLOWED_FILTER))]),
        ),
    ],
);
const TOOL: Ty = Ty::Tagged {
    by: "type",
    of: &[
        ("web_search", &WEB_SEARCH),
        ("web_search_preview", &WEB_SEARCH),
        ("web_search_preview_2025_03_11", &WEB_SEARCH),
        ("file_search", &FILE_SEARCH),
        ("function", &FUNCTION),
        ("mcp", &MCP),
    ],
};

// Requests

static TEXT_FORMAT: Model = typed_dict(&[
    absent(
        "type",
        Ty::Union(&[
            ("literal['text']", &Ty::Literal(&["text"])),
            ("literal['json_schema']", &Ty::Literal(&["json_schema"])),
            ("literal['json_object']", &Ty::Literal(&["json_object"])),
        ]),
        Need::Absent,
    ),
    absent("name", Ty::Str, Need::AbsentOrNull),
    absent("schema", OBJECT, Need::AbsentOrNull),
    absent("description", Ty::Str, Need::AbsentOrNull),
    absent("strict", Ty::Bool, Need::AbsentOrNull),
]);
static TEXT: Model = part("OpenAIResponseText", &[optional("format", Ty::Model(&TEXT_FORMAT))]);
static GUARDRAIL: Model = part("ResponseGuardrailSpec", &[required("type", Ty::Str)]);
const GUARDRAIL_OR_NAME: Ty =
    Ty::Union(&[("str", &Ty::Str), ("ResponseGuardrailSpec", &Ty::Model(&GUARDRAIL))]);

/// `POST /v1/responses`
pub(crate) static RESPONSE: Model = body(
    &[
        required("input", Ty::Union(&[("str", &Ty::Str), (INPUT_LABEL, &INPUT_ITEMS)])),
        required("model", Ty::Str),
        optional("instructions", Ty::Str),
        optional("previous_response_id", Ty::Str),
        optional("conversation", Ty::Str),
        absent("store", Ty::Bool, Need::AbsentOrNull),
        optional("stream", Ty::Bool),
        optional("temperature", Ty::Float),
        optional("text", Ty::Model(&TEXT)),
        optional("tools", Ty::List { of: &TOOL, min: 0 }),
        optional("include", STR_LIST),
        absent("max_infer_iters", Ty::Int, Need::Number(10)),
        optional("guardrails", Ty::List { of: &GUARDRAIL_OR_NAME, min: 0 }),
    ],
    Extra::Drop,
);

/// `GET /v1/responses/{id}/input_items`
pub(crate) static INPUT_ITEMS_QUERY: Model = body(
    &[
        optional("after", Ty::Str),
        optional("before", Ty::Str),
        optional("include", Ty::Any),
        optional("limit", Ty::Int),
        optional("order", Ty::Enum(&["asc", "desc"])),
    ],
    Extra::Drop,
);

/// `POST /v1/conversations`
pub(crate) static CONVERSATION: Model =
    body(&[optional("items", ITEMS), optional("metadata", Ty::Dict(&Ty::Str))], Extra::Drop);

/// `POST /v1/conversations/{id}`
pub(crate) static CONVERSATION_UPDATE: Model = body(&[required("metadata", Ty::Dict(&Ty::Str))], Extra::Drop);

/// `POST /v1/conversations/{id}/items`
pub(crate) static CONVERSATION_ITEMS: Model = body(&[required("items", ITEMS)], Extra::Drop);
