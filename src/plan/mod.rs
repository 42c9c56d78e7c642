//! The one bridge from YAML to the domain: resolve, expand, select, lower.
//!
//! Invariant: nothing here does I/O, so that `--list` shows exactly what a run executes, and the same inputs
//! always give the same plan.

pub mod build;
pub mod ci;
mod contract;
pub mod expectations;
pub mod expression;
mod fault;
pub mod fixture;
mod fixture_tree;
pub mod keyword;
pub mod lint;
mod lower;
pub mod params;
pub mod resolve;
pub mod select;
pub mod shard;
pub mod template;
mod tree;
pub mod trial;
mod vars;

pub use build::{Plan, Selection, build};
pub use contract::contract;
pub use resolve::{Inputs, Settings};
pub use trial::TrialPlan;
