#!/usr/bin/env bash
# Runs the base suite over upstream's recordings twice, in process and against a real Llama Stack, and compares
# every outcome with pytest's.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repo"
shared=${RUNNER_SHARED:-../shared}
out=$repo/target/real-stack/reports
# Known to be new enough, whatever `python3` is.
python=target/real-stack/venv/bin/python
# The folders whose tests are ported, and those of them whose APIs the in-process stack serves.
ported=(agents/ batches/ conversations/ datasets/ eval/ files/ inference/ inspect/ providers/ safety/ scoring/ tools/
    vector_io/)
in_process=(inference/ inspect/ providers/ safety/ tools/)

if [[ ! -d $shared ]]; then
    printf 'real-stack check: %s is absent; set RUNNER_SHARED to the folder of shared data\n' "$shared" >&2
    exit 1
fi
scripts/real-stack/install.sh
# RUNNER_BIN names a binary that is built already.
runner=${RUNNER_BIN:-}
if [[ -z $runner ]]; then
    cargo build --quiet --locked --bin runner
    runner=${CARGO_TARGET_DIR:-target}/debug/runner
fi

mkdir -p "$out"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export LLAMA_STACK_TEST_RECORDING_DIR=$shared/recordings/llama-stack-0.3.0
export LLAMA_STACK_TEST_INFERENCE_MODE=replay
unset LLAMA_STACK_CONFIG

# run NAME FOLDERS [FLAG…]: one run, then its comparison over these folders. Failing trials are for the comparison
# to judge.
run() {
    local name=$1 status=0
    local -n folders=$2
    shift 2
    printf '\n== base suite, %s\n' "$name"
    rm -f "$out/$name.jsonl"
    "$runner" --suite=base --setup=ollama --quiet --report "jsonl=$out/$name.jsonl" "$@" || status=$?
    case $status in
        0 | 1 | 7) ;;
        *) printf 'real-stack check: runner ended with %s\n' "$status" >&2; return 1 ;;
    esac
    "$python" scripts/compare-verdicts.py "$out/$name.jsonl" --verdicts "$shared/verdicts/base.tsv" --only "${folders[@]}"
}

# Faults are this repository's own cases: every one of them must pass.
faults() {
    printf '\n== declared faults, %s\n' "$1"
    shift
    "$runner" --suite=base --setup=ollama --quiet faults "$@"
}

failures=0
run in-process in_process || failures=1
faults in-process || failures=1
(
    # Fresh state, so that completions stored by an earlier run are not listed by this one.
    export SQLITE_STORE_DIR=$state
    source scripts/real-stack/env.sh
    real=(--stack=llama-stack "--stack-config=server:$shared/real-stack/run.yaml")
    status=0
    run llama-stack ported "${real[@]}" || status=1
    faults llama-stack "${real[@]}" || status=1
    exit "$status"
) || failures=1
exit "$failures"
