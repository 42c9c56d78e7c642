//! `runner` drives declarative YAML test cases against an LLM stack and records or replays what the
//! stack says to its inference providers.
//!
//! # Architecture
//!
//! Data flows one way, one type per arrow:
//! `Args + Env → RunOptions → documents → Plan of Trials → Events → Summary → ExitStatus`.
//!
//! | module | concern |
//! |---|---|
//! | [`cli`] | arguments, subcommands, exit status; the only place that knows clap |
//! | [`report`] | one file per output; learns what happened from events alone |
//! | [`exec`] | scheduler on libtest-mimic, one trial, events |
//! | [`plan`] | the one bridge from YAML to the domain, pure: resolve, matrix, select, template, lower |
//! | [`schema`] | YAML as written: suites, setups, stacks, cases; locations, no meaning |
//! | [`source`] | finding files, located YAML nodes, problems with excerpts |
//! | [`check`] | assertions over values and streams |
//! | [`http`] | requests, responses, client transports, SSE and NDJSON decoding without I/O |
//! | [`target`] | URL, server process, in-process stack; start, readiness, shutdown guards |
//! | [`record`] | key, canonical JSON, normalisers, store, upstream formats, redaction, proxy |
//! | [`mcp`] | local MCP servers for the stack under test to call, and what they received |
//! | [`mutate`] | answers corrupted on purpose, to see what a case lets through |
//! | [`scoring`] | scores of answers and their sums, without I/O |
//! | [`stack`] | the in-process stack: run config, routing, one file per API and per provider |
//! | [`vector`] | vector stores without requests: text of files, chunks, filters, fusion, the SQLite index |
//! | [`responses`] | the Responses API without I/O: input to chat messages, chunks and tool outcomes to events |
//!
//! [`secret`] lies below all of them: what may never be printed or stored.
//!
//! Dependencies point one way: `cli → report, exec → plan → schema → source`. The leaves (`check`,
//! `http`, `target`, `record`, `mcp`, `stack`, `vector`, `mutate`) own their types and import none of `schema`, `plan`, `exec`,
//! `report`; `schema` uses the types of [`check`], so that a check is written once for YAML, templates and values.
//! Four failures have four words: `Problem` (the user's files), `Mismatch` (the system under
//! test), `Fault` (the environment), `Miss` (a recording). Only `cli` and `report` write to the terminal.

pub mod check;
pub mod cli;
pub mod exec;
pub mod http;
pub mod mcp;
pub mod mutate;
pub mod plan;
pub mod record;
pub mod report;
pub mod responses;
pub mod schema;
pub mod scoring;
pub mod secret;
pub mod source;
pub mod stack;
pub mod target;
pub mod vector;
