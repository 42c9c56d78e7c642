#!/usr/bin/env bash
# Whose requests are they? Runs the suite responses over upstream's recordings on a real Llama Stack: one trial at a time, four
# at a time, four at a time in another order, and four at a time without tags. Prints how many of the trials' requests got
# recordings of their own test, and fails when an outcome depends on the order or a tagged run leaves a request to nobody.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repo"
export RUNNER_SHARED=${RUNNER_SHARED:-../shared}
scripts/real-stack/install.sh
source scripts/runner-bin.sh
out=$(mktemp -d)
state=$(scripts/real-stack/fresh-state.sh)
trap 'rm -rf "$out" "$state"' EXIT
export LLAMA_STACK_TEST_RECORDING_DIR
LLAMA_STACK_TEST_RECORDING_DIR=$(realpath "$RUNNER_SHARED/recordings/llama-stack-0.3.0")
unset LLAMA_STACK_CONFIG LLAMA_STACK_TEST_INFERENCE_MODE

# The same project with a definition that tags nothing.
mkdir "$out/untagged"
cp -r suites setups stacks fixtures shapes test_cases "$out/untagged"
sed -i '/provider_data_key/d' "$out/untagged/stacks/llama-stack.yaml"

run() {
    local name=$1 status=0
    shift
    (
        export SQLITE_STORE_DIR=$state/$name
        source scripts/real-stack/env.sh
        for_responses "$out" "$RUNNER_SHARED/real-stack/run.yaml"
        "$runner" --suite=responses --quiet "${responses_flags[@]}" --report "jsonl=$out/$name.jsonl" "$@" >"$out/$name.log"
    ) || status=$?
    case $status in
        0 | 1 | 7) ;;
        *) cat "$out/$name.log" >&2; return 1 ;;
    esac
}

run one -j1
run four -j4
run shuffled -j4 --shuffle=7
run untagged -j4 --root="$out/untagged"
target/real-stack/venv/bin/python scripts/real-stack/scope.py "$out" "$LLAMA_STACK_TEST_RECORDING_DIR"
