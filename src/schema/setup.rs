//! `setups/*.yaml`: models and environment that any suite can run with.

use super::decode::{Amount, Scalar, Table};
use super::record::record;
use crate::source::Located;

record! {
    /// A named set of defaults; flags and the environment win over it.
    pub struct Setup {
        name: Located<String>,
        description: Option<String>,
        /// Environment for the stack and for templates, where the variable is not set already.
        env: Table<Scalar>,
        /// Values of model parameters; a comma list or a YAML list gives several.
        defaults: Table<Vec<Located<Scalar>>>,
        /// Capabilities its models do not have; cases that require one are skipped with that reason.
        lacks: Vec<Located<String>>,
        /// What models cost, by `provider/model`; reports multiply tokens by it.
        prices: Table<TokenPrice>,
    }
}

record! {
    /// Dollars for a million tokens.
    pub struct TokenPrice {
        prompt: Amount,
        answer: Amount,
    }
}
