//! The repository's own cases, replayed; every trial is a test that `cargo test` and `cargo nextest` list and run.

fn main() -> std::process::ExitCode {
    stack_runner::cli::harness::main()
}
