//! The whole program: the binary is run in temporary projects, and what it prints is compared.

mod again;
mod bad_cases;
mod bad_fixtures;
mod bad_targets;
mod bad_tree;
mod bad_usage;
mod bad_yaml;
mod check;
mod compare;

mod composition;
mod contract;
mod expectations;
mod files_and_streams;
mod fixtures;
#[cfg(unix)]
mod github;
mod interrupt;
mod language;
mod matrix;
mod mutate;
mod outcomes;
mod packaging;
mod policies;
mod provider;
mod replay;
mod reports;
mod rerecord;
mod resolution;
mod shards;
mod support;
