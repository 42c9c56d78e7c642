//! The one bridge from YAML to the domain: resolve, expand, select, lower.
//!
//! Invariant: nothing here does I/O, so that `--list` shows exactly what a run executes, and the same inputs
//! always give the same plan.

pub mod expression;
pub mod template;
