#!/usr/bin/env bash
# wall-time.sh: how long the suites base and responses take with -j4 against a real Llama Stack over upstream's recordings,
# beside what pytest took. pytest's suite itself cannot run here: neither the wheel nor the source archive of llama-stack
# holds it. So pytest's figures are those of the reference run (verdicts/*.tsv, seconds for each test): same server
# version, same recordings, one test after another, but on another machine and day. Compared is what both ran: the rows
# that have a trial which was not skipped. Beside the starting of trials and the ending of the last, the run's whole time
# is printed, which includes the server's start. RUNNER_BIN names the binary. Fails when a suite takes more than a third.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export RUNNER_SHARED=${RUNNER_SHARED:-../shared}
runner=${RUNNER_BIN:-target/release/runner}
if [[ -z ${RUNNER_BIN:-} ]]; then
    cargo build --quiet --locked --release --bin runner
fi
scripts/real-stack/install.sh
out=$PWD/target/real-stack-reports
mkdir -p "$out"
state=$(scripts/real-stack/fresh-state.sh)
trap 'rm -rf "$state"' EXIT
export SQLITE_STORE_DIR=$state LLAMA_STACK_TEST_INFERENCE_MODE=replay
export LLAMA_STACK_TEST_RECORDING_DIR=$RUNNER_SHARED/recordings/llama-stack-0.3.0
source scripts/real-stack/env.sh

failures=0
# timed SUITE FLAG…: the whole suite; and, when that takes longer than it may, what both ran alone.
timed() {
    local suite=$1 report=$out/wall-time-$1.jsonl began=$EPOCHREALTIME
    local compare=(python3 scripts/real-stack/wall-time.py "$suite" "$RUNNER_SHARED/verdicts/$suite.tsv")
    shift
    suite_run "$suite" "$report" "$@"
    "${compare[@]}" "$report" "$began" "$EPOCHREALTIME" --shared "$out/shared-trials" && return
    mapfile -t shared <"$out/shared-trials"
    began=$EPOCHREALTIME
    suite_run "$suite" "$report" "$@" "${shared[@]}"
    "${compare[@]}" "$report" "$began" "$EPOCHREALTIME"
}

suite_run() {
    local suite=$1 report=$2
    shift 2
    "$runner" --suite="$suite" --jobs=4 --quiet --stack=llama-stack "--stack-config=server:$RUNNER_SHARED/real-stack/run.yaml" \
        --report "jsonl=$report" "$@" >/dev/null || [[ $? == 1 || $? == 7 ]]
}

timed base --setup=ollama || failures=1
timed responses --setup=gpt --env OLLAMA_URL=http://0.0.0.0:11434 || failures=1
printf 'load when it ended: %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
exit "$failures"
