#!/usr/bin/env bash
# Runs the suites base and responses over upstream's recordings against a real Llama Stack, and base in process too;
# compares every outcome with pytest's, looks whether each test was answered with its own recordings, and counts which of
# upstream's tests are ported.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repo"
shared=${RUNNER_SHARED:-../shared}
# Not below target/real-stack, which several checkouts may share.
out=$repo/target/real-stack-reports
# Known to be new enough, whatever `python3` is.
python=target/real-stack/venv/bin/python
# What is compared with pytest: in process, the folders whose APIs that stack serves; on the real one everything.
in_process=(--only agents/ batches/ conversations/ datasets/ eval/ files/ inference/ inspect/ providers/ safety/ scoring/
    tool_runtime/ tools/
    vector_io/)
real_stack=(--least 95)

if [[ ! -d $shared ]]; then
    printf 'real-stack check: %s is absent; set RUNNER_SHARED to the folder of shared data\n' "$shared" >&2
    exit 1
fi
scripts/real-stack/install.sh
source scripts/runner-bin.sh

mkdir -p "$out"
state=$(scripts/real-stack/fresh-state.sh)
trap 'rm -rf "$state"' EXIT
export LLAMA_STACK_TEST_RECORDING_DIR=$shared/recordings/llama-stack-0.3.0
export LLAMA_STACK_TEST_INFERENCE_MODE=replay
unset LLAMA_STACK_CONFIG

# run NAME SUITE COMPARISON [FLAG…]: one run, then its comparison. Failing trials are for the comparison to judge.
run() {
    local name=$1 suite=$2 status=0
    local -n comparison=$3
    shift 3
    printf '\n== suite %s, %s\n' "$suite" "$name"
    rm -f "$out/$name.jsonl"
    "$runner" --suite="$suite" --quiet --report "jsonl=$out/$name.jsonl" "$@" || status=$?
    case $status in
        0 | 1 | 7) ;;
        *) printf 'real-stack check: runner ended with %s\n' "$status" >&2; return 1 ;;
    esac
    "$python" scripts/compare-verdicts.py "$out/$name.jsonl" --verdicts "$shared/verdicts/$suite.tsv" "${comparison[@]}"
}

# Faults are this repository's own cases: every one of them must pass.
faults() {
    printf '\n== declared faults, %s\n' "$1"
    shift
    "$runner" --suite=base --setup=ollama --quiet faults "$@"
}

failures=0
run in-process base in_process --setup=ollama || failures=1
faults in-process || failures=1
(
    # Fresh state, so that completions stored by an earlier run are not listed by this one.
    export SQLITE_STORE_DIR=$state
    source scripts/real-stack/env.sh
    real=(--stack=llama-stack "--stack-config=server:$shared/real-stack/run.yaml")
    status=0
    run llama-stack base real_stack --setup=ollama "${real[@]}" || status=1
    faults llama-stack "${real[@]}" || status=1
    for_responses "$state" "$shared/real-stack/run.yaml"
    run llama-stack-responses responses real_stack "${responses_flags[@]}" || status=1
    exit "$status"
) || failures=1
printf '\n== each test its own recordings\n'
for name in llama-stack llama-stack-responses; do
    "$python" scripts/own-recordings.py "$out/$name.jsonl" --recordings "$LLAMA_STACK_TEST_RECORDING_DIR" || failures=1
done
printf '\n== what is ported\n'
# No suite holds it; a server without a provider for it skips it.
"$runner" --setup=ollama --quiet post_training --report "jsonl=$out/post-training.jsonl" >/dev/null || [[ $? == 5 ]] || failures=1
"$python" scripts/ported.py --runner "$runner" "$out"/{in-process,llama-stack,llama-stack-responses,post-training}.jsonl ||
    failures=1
exit "$failures"
