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
# timed SUITE FLAG…
timed() {
    local suite=$1 report=$out/wall-time-$1.jsonl began=$EPOCHREALTIME
    shift
    "$runner" --suite="$suite" --jobs=4 --quiet --stack=llama-stack "--stack-config=server:$RUNNER_SHARED/real-stack/run.yaml" \
        --report "jsonl=$report" "$@" >/dev/null || [[ $? == 1 || $? == 7 ]]
    python3 - "$suite" "$report" "$RUNNER_SHARED/verdicts/$suite.tsv" "$began" "$EPOCHREALTIME" <<'PYTHON'
import json
import sys

suite, report, verdicts, began, ended = sys.argv[1:]
events = [json.loads(line) for line in open(report, encoding="utf-8")]
ran = {e["upstream"] for e in events if e["event"] == "trial_finished" and e["outcome"] != "skipped"}
finished = next(e for e in events if e["event"] == "run_finished")
rows = [line.rstrip("\n").split("\t") for line in open(verdicts, encoding="utf-8")][1:]
judged = {row[0]: float(row[2]) for row in rows if row[1] not in ("skipped", "n/a")}
both = sum(seconds for test, seconds in judged.items() if test in ran)
every = sum(float(row[2]) for row in rows)
trials = finished["seconds"]
whole = float(ended) - float(began)
shared = len(ran & judged.keys())
print(f"{suite}: {trials:.0f} s for {shared} tests that pytest spent {both:.0f} s in, and for {len(ran) - shared} that it "
      f"skips or could not judge: {trials / both:.2f} of that")
print(f"  with the server's start {whole:.0f} s; pytest's whole file {every:.0f} s ({len(rows)} rows)")
sys.exit(trials * 3 > both)
PYTHON
}

timed base --setup=ollama || failures=1
timed responses --setup=gpt --env OLLAMA_URL=http://0.0.0.0:11434 || failures=1
printf 'load when it ended: %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
exit "$failures"
