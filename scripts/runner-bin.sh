# To be sourced at the repository's root: sets $runner to the binary that RUNNER_BIN names, or builds one.
runner=${RUNNER_BIN:-}
if [[ -z $runner ]]; then
    cargo build --quiet --locked --bin runner
    runner=${CARGO_TARGET_DIR:-target}/debug/runner
fi
runner=$(realpath "$runner")
