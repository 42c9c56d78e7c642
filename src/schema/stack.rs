//! `stacks/*.yaml`: how `server:` starts a stack, and where that stack reads its providers' addresses.

use std::time::Duration;

use super::decode::{Scalar, Table};
use super::record::record;
use crate::source::Located;

record! {
    /// A stack that runs as a process of its own.
    pub struct StackDefinition {
        name: Located<String>,
        description: Option<String>,
        /// Command and arguments; `${{ config }}`, `${{ port }}`, `${{ runner }}` and `${{ state_dir }}` are filled in.
        launch: Vec<Located<String>>,
        /// Added to the child's environment, same templates.
        env: Table<Scalar>,
        ready: Ready,
        /// More trials at once make this stack fail.
        max_parallel: Option<Located<u64>>,
        /// Whether it passes a request's `traceparent` on to the provider requests that it causes.
        traceparent: Option<bool>,
        /// False where the stack must not keep connections to providers open between requests.
        keep_alive: Option<bool>,
        providers: Table<ProviderWiring>,
    }
}

record! {
    /// When the stack is ready for trials.
    pub struct Ready {
        /// A path that answers with a success status.
        get: Located<String>,
        within: Option<Duration>,
    }
}

record! {
    /// Where the stack reads one provider's address and key.
    pub struct ProviderWiring {
        url_env: Option<String>,
        /// The provider's address when the variable is not set.
        default: Option<Located<String>>,
        /// Appended to the proxy's address for this provider when the default has a path.
        key_env: Option<String>,
        /// The member of Llama Stack's provider-data header that is this provider's key; a trial's tag stands there.
        provider_data_key: Option<String>,
    }
}
