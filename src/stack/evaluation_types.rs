//! The request schemas of datasets, scoring, evaluation and batches, as data.
//!
//! Field order is Llama Stack's: it decides the order of reported violations and of stored objects.

use super::agent_types::STRATEGY;
use super::fields::{
    Extra, Model, Need, OBJECT, STR_LIST, Ty, absent, body, fixed, model, optional, required,
};

const ROWS: Ty = Ty::List { of: &OBJECT, min: 0 };

// Datasets

static URI_SOURCE: Model = model("URIDataSource", &[fixed("type", &["uri"]), required("uri", Ty::Str)]);
static ROWS_SOURCE: Model = model("RowsDataSource", &[fixed("type", &["rows"]), required("rows", ROWS)]);

/// `POST /v1beta/datasets`
pub(crate) static REGISTER_DATASET: Model = body(
    &[
        required(
            "purpose",
            Ty::Enum(&["post-training/messages", "eval/question-answer", "eval/messages-answer"]),
        ),
        required("source", Ty::Tagged { by: "type", of: &[("uri", &URI_SOURCE), ("rows", &ROWS_SOURCE)] }),
        optional("metadata", OBJECT),
        optional("dataset_id", Ty::Str),
    ],
    Extra::Drop,
);

/// `POST /v1beta/datasetio/append-rows/{dataset_id}`
pub(crate) static APPEND_ROWS: Model = body(&[required("rows", ROWS)], Extra::Drop);

// Scoring

const AGGREGATIONS: Ty = Ty::List {
    of: &Ty::Enum(&["average", "weighted_average", "median", "categorical_count", "accuracy"]),
    min: 0,
};
static JUDGE: Model = model(
    "LLMAsJudgeScoringFnParams",
    &[
        fixed("type", &["llm_as_judge"]),
        required("judge_model", Ty::Str),
        optional("prompt_template", Ty::Str),
        absent("judge_score_regexes", STR_LIST, Need::Empty),
        absent("aggregation_functions", AGGREGATIONS, Need::Empty),
    ],
);
static REGEX_PARSER: Model = model(
    "RegexParserScoringFnParams",
    &[
        fixed("type", &["regex_parser"]),
        absent("parsing_regexes", STR_LIST, Need::Empty),
        absent("aggregation_functions", AGGREGATIONS, Need::Empty),
    ],
);
static BASIC: Model = model(
    "BasicScoringFnParams",
    &[fixed("type", &["basic"]), absent("aggregation_functions", AGGREGATIONS, Need::Empty)],
);
const SCORING_PARAMS: Ty = Ty::Tagged {
    by: "type",
    of: &[("llm_as_judge", &JUDGE), ("regex_parser", &REGEX_PARSER), ("basic", &BASIC)],
};

static STRING: Model = model("StringType", &[fixed("type", &["string"])]);
static NUMBER: Model = model("NumberType", &[fixed("type", &["number"])]);
static BOOLEAN: Model = model("BooleanType", &[fixed("type", &["boolean"])]);
static ARRAY: Model = model("ArrayType", &[fixed("type", &["array"])]);
static MAPPING: Model = model("ObjectType", &[fixed("type", &["object"])]);
static JSON: Model = model("JsonType", &[fixed("type", &["json"])]);
static UNION: Model = model("UnionType", &[fixed("type", &["union"])]);
static CHAT_INPUT: Model = model("ChatCompletionInputType", &[fixed("type", &["chat_completion_input"])]);
static COMPLETION_INPUT: Model = model("CompletionInputType", &[fixed("type", &["completion_input"])]);
static TURN_INPUT: Model = model("AgentTurnInputType", &[fixed("type", &["agent_turn_input"])]);
const PARAM_TYPE: Ty = Ty::Tagged {
    by: "type",
    of: &[
        ("string", &STRING),
        ("number", &NUMBER),
        ("boolean", &BOOLEAN),
        ("array", &ARRAY),
        ("object", &MAPPING),
        ("json", &JSON),
        ("union", &UNION),
        ("chat_completion_input", &CHAT_INPUT),
        ("completion_input", &COMPLETION_INPUT),
        ("agent_turn_input", &TURN_INPUT),
    ],
};

/// `POST /v1/scoring-functions`
pub(crate) static REGISTER_SCORING_FUNCTION: Model = body(
    &[
        required("scoring_fn_id", Ty::Str),
        required("description", Ty::Str),
        required("return_type", PARAM_TYPE),
        optional("provider_scoring_fn_id", Ty::Str),
        optional("provider_id", Ty::Str),
        optional("params", SCORING_PARAMS),
    ],
    Extra::Drop,
);

/// Scoring functions by name, each with its parameters or null.
const FUNCTIONS: Ty = Ty::Dict(&Ty::OrNull(&SCORING_PARAMS));

/// `POST /v1/scoring/score`
pub(crate) static SCORE: Model =
    body(&[required("input_rows", ROWS), required("scoring_functions", FUNCTIONS)], Extra::Drop);

/// `POST /v1/scoring/score-batch`
pub(crate) static SCORE_BATCH: Model = body(
    &[
        required("dataset_id", Ty::Str),
        required("scoring_functions", FUNCTIONS),
        absent("save_results_dataset", Ty::Bool, Need::Absent),
    ],
    Extra::Drop,
);

// Evaluation

/// `POST /v1alpha/eval/benchmarks`
pub(crate) static REGISTER_BENCHMARK: Model = body(
    &[
        required("benchmark_id", Ty::Str),
        required("dataset_id", Ty::Str),
        required("scoring_functions", STR_LIST),
        optional("provider_benchmark_id", Ty::Str),
        optional("provider_id", Ty::Str),
        optional("metadata", OBJECT),
    ],
    Extra::Drop,
);

static SAMPLING: Model = model(
    "SamplingParams",
    &[
        absent("strategy", STRATEGY, Need::Absent),
        // Absent is 0, null is an error when the model is asked.
        absent("max_tokens", Ty::Int, Need::AbsentOrNull),
        absent("repetition_penalty", Ty::Float, Need::AbsentOrNull),
        optional("stop", STR_LIST),
    ],
);
static MODEL_CANDIDATE: Model = model(
    "ModelCandidate",
    &[
        fixed("type", &["model"]),
        required("model", Ty::Str),
        required("sampling_params", Ty::Model(&SAMPLING)),
        optional("system_message", OBJECT),
    ],
);
static AGENT_CONFIG: Model = Model {
    fields: &[required("model", Ty::Str), required("instructions", Ty::Str)],
    extra: Extra::Keep,
    otherwise: super::fields::NotAnObject::Instance("AgentConfig"),
};
static AGENT_CANDIDATE: Model =
    model("AgentCandidate", &[fixed("type", &["agent"]), required("config", Ty::Model(&AGENT_CONFIG))]);
static BENCHMARK_CONFIG: Model = model(
    "BenchmarkConfig",
    &[
        required(
            "eval_candidate",
            Ty::Tagged { by: "type", of: &[("model", &MODEL_CANDIDATE), ("agent", &AGENT_CANDIDATE)] },
        ),
        absent("scoring_params", Ty::Dict(&SCORING_PARAMS), Need::Empty),
        optional("num_examples", Ty::Int),
    ],
);

/// `POST /v1alpha/eval/benchmarks/{benchmark_id}/evaluations`
pub(crate) static EVALUATE_ROWS: Model = body(
    &[
        required("input_rows", ROWS),
        required("scoring_functions", STR_LIST),
        required("benchmark_config", Ty::Model(&BENCHMARK_CONFIG)),
    ],
    Extra::Drop,
);

/// `POST /v1alpha/eval/benchmarks/{benchmark_id}/jobs`
pub(crate) static RUN_EVAL: Model =
    body(&[required("benchmark_config", Ty::Model(&BENCHMARK_CONFIG))], Extra::Drop);

// Batches

/// `POST /v1/batches`
pub(crate) static CREATE_BATCH: Model = body(
    &[
        required("input_file_id", Ty::Str),
        required("endpoint", Ty::Str),
        required("completion_window", Ty::Literal(&["24h"])),
        optional("metadata", Ty::Dict(&Ty::Str)),
        optional("idempotency_key", Ty::Str),
    ],
    Extra::Drop,
);

/// The query of `GET /v1/batches`
pub(crate) static BATCHES_QUERY: Model =
    body(&[optional("after", Ty::Str), absent("limit", Ty::Int, Need::Absent)], Extra::Drop);
