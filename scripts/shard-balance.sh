#!/usr/bin/env bash
# shard-balance.sh [RUN.jsonl…]: how even `--shard-by=duration` makes the shards of earlier runs: for 2 to 16 shards the
# longest shard beside the least that is possible: the mean, the longest trial, or what some shard must take of the longest
# trials, since there are more of them than shards. Without a run, the base suite is replayed, and the run against a real
# Llama Stack is taken too, if scripts/real-stack/check.sh left one. Ends with 1 when a shard takes over 5 % longer than the
# least. RUNNER_BIN names the binary (default: built here).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/runner-bin.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
runs=("$@")
if [[ ${#runs[@]} == 0 ]]; then
    "$runner" --suite=base --setup=llama-cpp --quiet --report="$work/base.jsonl" >/dev/null
    runs=("$work/base.jsonl")
    real=target/real-stack/reports/llama-stack.jsonl
    [[ ! -f $real ]] || runs+=("$real")
fi
exec python3 - "$runner" "${runs[@]}" <<'PYTHON'
import concurrent.futures
import json
import subprocess
import sys

runner, *runs = sys.argv[1:]
bad = 0


def least_possible(times: list[float], count: int) -> float:
    """Of the k*count+1 longest, some shard takes k+1, which are no shorter than the last ones of them."""
    times = sorted(times, reverse=True)
    ends = range(count + 1, len(times) + 1, count)
    crowded = [sum(times[end - 1 - (end - 1) // count : end]) for end in ends]
    return max(sum(times) / count, times[0], *crowded)


for run in runs:
    with open(run, encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    started = events[0]
    seconds = {event["id"]: event["seconds"] for event in events if event["event"] == "trial_finished"}
    selection = [f"--{flag}={started[flag]}" for flag in ("suite", "setup") if started[flag]]
    total, longest = sum(seconds.values()), max(seconds.values())
    print(f"{started['suite']}, {started['setup']}, {started['target']}: {len(seconds)} trials, {total:.2f} s, longest {longest:.2f} s")
    for count in (2, 3, 4, 8, 16):
        def ids(index: int) -> list[str]:
            command = [runner, "--list", "--format=json", f"--shard={index}/{count}", f"--shard-by=duration={run}", *selection]
            trials = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            return [trial["id"] for trial in json.loads(trials)]

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            shards = list(pool.map(ids, range(1, count + 1)))
        loads = [sum(seconds.get(trial, 0) for trial in shard) for shard in shards]
        listed = [trial for shard in shards for trial in shard]
        if len(listed) != len(set(listed)) or not set(seconds) <= set(listed):
            sys.exit(f"{run}: the shards are not the plan")
        least = least_possible(list(seconds.values()), count)
        over = max(loads) / least - 1
        bad += over > 0.05
        print(f"  {count:>2} shards: the longest {max(loads):8.3f} s, least possible {least:8.3f} s, {over:7.3%} over")
sys.exit(1 if bad else 0)
PYTHON
