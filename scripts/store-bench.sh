#!/usr/bin/env bash
# store-bench.sh [COUNT]: how fast a replaying proxy is ready over COUNT recordings (default 10,000, 30 kB each: 300 MB),
# without an index and with one, how long a look-up takes with few and with all of them, and how much memory it holds.
# Fails beyond 3 s cold, 0.3 s warm, 100 MB, or when look-ups are not flat. Files are in the page cache, as after a
# checkout. Needs Python 3.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ -n ${RUNNER_BUILT:-} ]] || cargo build --release --quiet
exec python3 scripts/throughput/startup.py target/release/runner "${1:-10000}"
