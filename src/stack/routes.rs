//! Which path is answered by what.

use super::errors::json_response;
use super::resources::{SHIELD, TOOL_GROUP};
use super::{
    Shared, agents, batches, chat, completions, conversations, datasets, embeddings, eval, files, inspect,
    models,
};
use super::{
    prompts, providers, rag, resources, safety, scoring, shields, stored, tool_runtime, toolgroups, unserved,
    vector_io,
};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;

/// An API that is served here.
pub(crate) struct Served {
    pub(crate) api: &'static str,
    routes: fn() -> Router<Arc<Shared>>,
    /// What `/v1/inspect/routes` lists, in Llama Stack's order. As there, routing tables (`/v1/models`) are not
    /// listed: no provider belongs to them.
    pub(crate) listed: &'static [(&'static str, &'static str)],
}

/// Every API that is served, in Llama Stack's order. Those that a configuration does not name have no routes.
pub(crate) static SERVED: &[Served] = &[
    Served { api: "agents", routes: agents::routes, listed: agents::LISTED },
    Served { api: "batches", routes: batches::routes, listed: batches::LISTED },
    Served { api: "datasetio", routes: datasets::routes, listed: datasets::LISTED },
    Served { api: "eval", routes: eval::routes, listed: eval::LISTED },
    Served { api: "inference", routes: inference, listed: INFERENCE },
    Served { api: "vector_io", routes: vector_io::routes, listed: vector_io::LISTED },
    Served { api: "safety", routes: safety, listed: SAFETY },
    Served { api: "scoring", routes: scoring::routes, listed: scoring::LISTED },
    Served { api: "tool_runtime", routes: tools, listed: TOOLS },
    Served { api: "files", routes: files::routes, listed: files::LISTED },
    Served { api: "conversations", routes: conversations::routes, listed: conversations::LISTED },
];

/// All routes over the given state.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/v1/health", get(inspect::health))
        .route("/v1/version", get(inspect::version))
        .route("/v1/inspect/routes", get(inspect::routes))
        .route("/v1/providers", get(providers::list))
        .route("/v1/providers/{provider_id}", get(providers::get))
        .merge(prompts::routes());
    for served in SERVED.iter().filter(|served| shared.is_configured(served.api)) {
        router = router.merge((served.routes)());
    }
    router
        .method_not_allowed_fallback(unserved::method_not_allowed)
        .fallback(unserved::fallback)
        .layer(middleware::from_fn(same_version))
        .with_state(shared)
}

/// The second prefix is the older one; Llama Stack 0.3 answers to both.
pub(crate) const PREFIXES: [&str; 2] = ["/v1", "/v1/openai/v1"];

fn inference() -> Router<Arc<Shared>> {
    let mut router = Router::new()
        .route("/v1/models", get(models::list).post(models::register))
        .route("/v1/openai/v1/models", get(models::openai_list))
        .route("/v1/models/{*model_id}", get(models::get).delete(models::unregister))
        .route("/v1alpha/inference/rerank", post(unserved::rerank));
    for prefix in PREFIXES {
        router = router
            .route(&format!("{prefix}/chat/completions"), get(stored::list).post(chat::create))
            .route(&format!("{prefix}/chat/completions/{{completion_id}}"), get(stored::get))
            .route(&format!("{prefix}/completions"), post(completions::create))
            .route(&format!("{prefix}/embeddings"), post(embeddings::create));
    }
    router
}

fn safety() -> Router<Arc<Shared>> {
    let mut router = Router::new()
        .route("/v1/shields", resources::all(&SHIELD).post(shields::register))
        .route("/v1/shields/{*shield_id}", resources::removable(&SHIELD))
        .route("/v1/safety/run-shield", post(safety::run));
    for prefix in PREFIXES {
        router = router.route(&format!("{prefix}/moderations"), post(safety::moderate));
    }
    router
}

fn tools() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/toolgroups", resources::all(&TOOL_GROUP).post(toolgroups::register))
        .route("/v1/toolgroups/{*toolgroup_id}", resources::one(&TOOL_GROUP).delete(toolgroups::unregister))
        .route("/v1/tools", get(toolgroups::tools))
        .route("/v1/tools/{*tool_name}", get(toolgroups::tool))
        .route("/v1/tool-runtime/list-tools", get(toolgroups::runtime_tools))
        .route("/v1/tool-runtime/invoke", post(tool_runtime::invoke))
        .route("/v1/tool-runtime/rag-tool/insert", post(rag::insert))
        .route("/v1/tool-runtime/rag-tool/query", post(rag::query))
}

const SAFETY: &[(&str, &str)] =
    &[("POST", "/v1/moderations"), ("POST", "/v1/openai/v1/moderations"), ("POST", "/v1/safety/run-shield")];

const TOOLS: &[(&str, &str)] = &[
    ("POST", "/v1/tool-runtime/invoke"),
    ("GET", "/v1/tool-runtime/list-tools"),
    ("POST", "/v1/tool-runtime/rag-tool/insert"),
    ("POST", "/v1/tool-runtime/rag-tool/query"),
];

const INFERENCE: &[(&str, &str)] = &[
    ("GET", "/v1/chat/completions/{completion_id}"),
    ("GET", "/v1/openai/v1/chat/completions/{completion_id}"),
    ("GET", "/v1/chat/completions"),
    ("GET", "/v1/openai/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/openai/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/openai/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/openai/v1/embeddings"),
    ("POST", "/v1alpha/inference/rerank"),
];

/// Turns away a Llama Stack client of another minor version, as the server does.
async fn same_version(request: Request, next: Next) -> Response {
    let header = request.headers().get("x-llamastack-client-version");
    let version = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A version that cannot be read is let through.
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    match (minor(version), minor(inspect::VERSION)) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            let message = format!(
                "Client version {version} is not compatible with server version {}. Please update your client.",
                inspect::VERSION
            );
            json_response(StatusCode::UPGRADE_REQUIRED, &json!({"error": {"message": message}}))
        }
        _ => next.run(request).await,
    }
}
