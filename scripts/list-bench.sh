#!/usr/bin/env bash
# How long `runner --list` of everything in this repository takes, in a release build: list-bench.sh [RUNS]
# Wall times need idle cores; instructions (valgrind, when it is installed) do not, and are what to compare.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${1:-50}
runner=${RUNNER:-}
if [[ -z $runner ]]; then
    cargo build --quiet --release --locked --bin runner
    runner=${CARGO_TARGET_DIR:-target}/release/runner
fi

printf 'files: %s, trials: %s\n' "$(find suites setups stacks test_cases -name '*.yaml' | wc -l)" \
    "$("$runner" --list | tail -1)"
python3 - "$runner" "$runs" <<'PYTHON'
import os, subprocess, sys, time

runner, runs = sys.argv[1], int(sys.argv[2])
walls, cpus = [], []
for _ in range(runs):
    before, start = os.times(), time.perf_counter()
    subprocess.run([runner, "--list"], stdout=subprocess.DEVNULL, check=True)
    walls.append(1000 * (time.perf_counter() - start))
    after = os.times()
    cpus.append(1000 * (after.children_user + after.children_system - before.children_user - before.children_system))
walls.sort()
cpus.sort()
print(f"wall: {walls[0]:.1f} ms at best, {walls[len(walls) // 2]:.1f} ms in the middle of {runs} runs")
print(f"processor: {cpus[len(cpus) // 2]:.0f} ms in the middle, all cores together")
PYTHON
if command -v valgrind >/dev/null; then
    out=$(mktemp)
    trap 'rm -f "$out"' EXIT
    valgrind --tool=callgrind --callgrind-out-file="$out" "$runner" --list 2>&1 >/dev/null | sed -n 's/.*I *refs: */instructions: /p'
fi
