#!/usr/bin/env bash
# soak.sh [SECONDS]: 64 clients stream from `runner serve` at once, for SECONDS (default 60), each one recording of the
# base suite after the other, ten times as fast as the model that they were recorded from (`runner proxy`). Fails on
# any answer that is not whole, and when the server's memory still grows after it has warmed up. RUNNER_BIN names the
# binary (default: built here).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/runner-bin.sh
exec python3 scripts/soak.py "$runner" "${1:-60}"
