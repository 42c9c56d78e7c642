//! `runner`: see [`stack_runner`] for the architecture.

use std::process::ExitCode;

use stack_runner::cli::{self, Machine};

// Reading a project makes many small values; musl's own allocator, in static binaries, is slower still. Its second version
// gives memory back after 10 ms; the third keeps it for a second, a tenth more at the height of a run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(&Machine::read()).into()
}
