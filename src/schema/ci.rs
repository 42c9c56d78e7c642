//! `ci_matrix.yaml`, or upstream's `ci_matrix.json`: which suites CI runs with which setups against which stacks.

use super::decode::Table;
use super::record::record;
use crate::source::Located;

record! {
    /// The whole file.
    pub struct CiMatrix {
        /// What every change is tested with.
        default: Vec<CiEntry>,
        /// What runs at certain times, by cron expression.
        schedules: Table<Vec<CiEntry>>,
        /// Upstream's list for its preview SDK; read so that its file can be used, chosen by `--schedule stainless`.
        stainless: Vec<CiEntry>,
    }
}

record! {
    /// Suites × setups × stacks, each split into shards. A list stands for each of its elements.
    pub struct CiEntry {
        suite: Vec<Located<String>>,
        setup: Vec<Located<String>>,
        /// As `--stack-config`.
        stack_config: Vec<Located<String>>,
        /// As `--stack`.
        stack: Option<Located<String>>,
        inference_mode: Option<Located<String>>,
        /// Of upstream: how a client may reach the stack, `library` (in process) or `server`. Stacks of other kinds are
        /// left out.
        allowed_clients: Vec<Located<String>>,
        /// Parts that run side by side.
        shards: Option<Located<u64>>,
    }
}
