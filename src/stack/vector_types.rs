//! The request schemas of Llama Stack 0.3's vector APIs, as data; see `request_types` for the rules. Of a part that
//! is no object upstream says here what it says of a body.

use super::content::{CONTENT, PART, URL};
use super::fields::{
    Extra, Field, Model, Need, OBJECT, STR_LIST, Ty, absent, body, fixed, optional, required,
};

// A document's content may also be an address

const CONTENT_OR_URL: Ty = Ty::Union(&[
    ("str", &Ty::Str),
    ("tagged-union[ImageContentItem,TextContentItem]", &PART),
    ("list[tagged-union[ImageContentItem,TextContentItem]]", &Ty::List { of: &PART, min: 0 }),
    ("URL", &Ty::Model(&URL)),
]);

// Chunks

static CHUNK_METADATA: Model = body(
    &[
        optional("chunk_id", Ty::Str),
        optional("document_id", Ty::Str),
        optional("source", Ty::Str),
        optional("created_timestamp", Ty::Int),
        optional("updated_timestamp", Ty::Int),
        optional("chunk_window", Ty::Str),
        optional("chunk_tokenizer", Ty::Str),
        optional("chunk_embedding_model", Ty::Str),
        optional("chunk_embedding_dimension", Ty::Int),
        optional("content_token_count", Ty::Int),
        optional("metadata_token_count", Ty::Int),
    ],
    Extra::Drop,
);
static CHUNK: Model = body(
    &[
        required("content", CONTENT),
        absent("metadata", OBJECT, Need::Absent),
        optional("embedding", Ty::List { of: &Ty::Float, min: 0 }),
        optional("chunk_id", Ty::Str),
        optional("chunk_metadata", Ty::Model(&CHUNK_METADATA)),
    ],
    Extra::Drop,
);

/// `POST /v1/vector-io/insert`
pub(crate) static INSERT: Model = body(
    &[
        required("vector_db_id", Ty::Str),
        required("chunks", Ty::List { of: &Ty::Model(&CHUNK), min: 0 }),
        optional("ttl_seconds", Ty::Int),
    ],
    Extra::Drop,
);

/// `POST /v1/vector-io/query`
pub(crate) static QUERY: Model = body(
    &[required("vector_db_id", Ty::Str), required("query", CONTENT), optional("params", OBJECT)],
    Extra::Drop,
);

// Vector stores

/// `POST /v1/vector_stores`
pub(crate) static CREATE: Model = body(
    &[
        optional("name", Ty::Str),
        optional("file_ids", STR_LIST),
        optional("expires_after", OBJECT),
        optional("chunking_strategy", OBJECT),
        optional("metadata", OBJECT),
    ],
    Extra::Keep,
);

/// `POST /v1/vector_stores/{id}`
pub(crate) static UPDATE: Model = body(
    &[optional("name", Ty::Str), optional("expires_after", OBJECT), optional("metadata", OBJECT)],
    Extra::Drop,
);

static RANKING_OPTIONS: Model =
    body(&[optional("ranker", Ty::Str), optional("score_threshold", Ty::Float)], Extra::Drop);

/// `POST /v1/vector_stores/{id}/search`
pub(crate) static SEARCH: Model = body(
    &[
        required("query", Ty::Union(&[("str", &Ty::Str), ("list[str]", &STR_LIST)])),
        optional("filters", OBJECT),
        optional("max_num_results", Ty::Int),
        optional("ranking_options", Ty::Model(&RANKING_OPTIONS)),
        optional("rewrite_query", Ty::Bool),
        Field { name: "search_mode", ty: Ty::Str, need: Need::Default("vector") },
    ],
    Extra::Drop,
);

/// The query of every list of vector stores.
pub(crate) static LIST: Model = body(
    &[
        optional("limit", Ty::Int),
        optional("order", Ty::Str),
        optional("after", Ty::Str),
        optional("before", Ty::Str),
    ],
    Extra::Drop,
);

const STATUS: Ty = Ty::Union(&[
    ("literal['completed']", &Ty::Literal(&["completed"])),
    ("literal['in_progress']", &Ty::Literal(&["in_progress"])),
    ("literal['cancelled']", &Ty::Literal(&["cancelled"])),
    ("literal['failed']", &Ty::Literal(&["failed"])),
]);

/// The query of the list of a store's files.
pub(crate) static LIST_FILES: Model = body(
    &[
        optional("limit", Ty::Int),
        optional("order", Ty::Str),
        optional("after", Ty::Str),
        optional("before", Ty::Str),
        optional("filter", STATUS),
    ],
    Extra::Drop,
);

/// The query of the list of a batch's files.
pub(crate) static LIST_BATCH: Model = body(
    &[
        optional("after", Ty::Str),
        optional("before", Ty::Str),
        optional("filter", Ty::Str),
        optional("limit", Ty::Int),
        optional("order", Ty::Str),
    ],
    Extra::Drop,
);

// Files of a store

static STATIC_SIZES: Model = body(
    &[
        absent("chunk_overlap_tokens", Ty::Int, Need::Absent),
        absent("max_chunk_size_tokens", Ty::IntWithin { least: 100, most: 4096 }, Need::Absent),
    ],
    Extra::Drop,
);
static AUTO: Model = body(&[fixed("type", &["auto"])], Extra::Drop);
static STATIC: Model =
    body(&[fixed("type", &["static"]), required("static", Ty::Model(&STATIC_SIZES))], Extra::Drop);
const CHUNKING: Ty = Ty::Tagged { by: "type", of: &[("auto", &AUTO), ("static", &STATIC)] };

/// `POST /v1/vector_stores/{id}/files`
pub(crate) static ATTACH: Model = body(
    &[required("file_id", Ty::Str), optional("attributes", OBJECT), optional("chunking_strategy", CHUNKING)],
    Extra::Drop,
);

/// `POST /v1/vector_stores/{id}/files/{file_id}`
pub(crate) static UPDATE_FILE: Model = body(&[required("attributes", OBJECT)], Extra::Drop);

/// `POST /v1/vector_stores/{id}/file_batches`
pub(crate) static CREATE_BATCH: Model = body(
    &[
        required("file_ids", STR_LIST),
        optional("attributes", OBJECT),
        optional("chunking_strategy", CHUNKING),
    ],
    Extra::Keep,
);

// The RAG tool

static DOCUMENT: Model = body(
    &[
        required("document_id", Ty::Str),
        required("content", CONTENT_OR_URL),
        optional("mime_type", Ty::Str),
        absent("metadata", OBJECT, Need::Absent),
    ],
    Extra::Drop,
);

/// `POST /v1/tool-runtime/rag-tool/insert`
pub(crate) static RAG_INSERT: Model = body(
    &[
        required("documents", Ty::List { of: &Ty::Model(&DOCUMENT), min: 0 }),
        required("vector_store_id", Ty::Str),
        absent("chunk_size_in_tokens", Ty::Int, Need::Absent),
    ],
    Extra::Drop,
);

static GENERATOR_DEFAULT: Model = body(
    &[fixed("type", &["default"]), Field { name: "separator", ty: Ty::Str, need: Need::Fixed(" ") }],
    Extra::Drop,
);
static GENERATOR_LLM: Model =
    body(&[fixed("type", &["llm"]), required("model", Ty::Str), required("template", Ty::Str)], Extra::Drop);
static RRF: Model =
    body(&[fixed("type", &["rrf"]), absent("impact_factor", Ty::Float, Need::Absent)], Extra::Drop);
static WEIGHTED: Model =
    body(&[fixed("type", &["weighted"]), absent("alpha", Ty::Float, Need::Absent)], Extra::Drop);

static RAG_CONFIG: Model = body(
    &[
        absent(
            "query_generator_config",
            Ty::Tagged { by: "type", of: &[("default", &GENERATOR_DEFAULT), ("llm", &GENERATOR_LLM)] },
            Need::Absent,
        ),
        absent("max_tokens_in_context", Ty::Int, Need::Absent),
        absent("max_chunks", Ty::Int, Need::Absent),
        absent("chunk_template", Ty::Str, Need::Absent),
        Field { name: "mode", ty: Ty::Enum(&["vector", "keyword", "hybrid"]), need: Need::Default("vector") },
        optional("ranker", Ty::Tagged { by: "type", of: &[("rrf", &RRF), ("weighted", &WEIGHTED)] }),
    ],
    Extra::Drop,
);
/// The configuration of a query, as `knowledge_search` takes it too.
pub(crate) static RAG_QUERY_CONFIG: Ty = Ty::Model(&RAG_CONFIG);

/// `POST /v1/tool-runtime/rag-tool/query`
pub(crate) static RAG_QUERY: Model = body(
    &[
        required("content", CONTENT),
        required("vector_store_ids", STR_LIST),
        optional("query_config", Ty::Model(&RAG_CONFIG)),
    ],
    Extra::Drop,
);
