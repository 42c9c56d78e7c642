//! `runner`: see [`stack_runner`] for the architecture.

use std::process::ExitCode;

use stack_runner::cli::{self, Machine};

fn main() -> ExitCode {
    cli::main(&Machine::read()).into()
}
