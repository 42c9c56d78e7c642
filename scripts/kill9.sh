#!/usr/bin/env bash
# kill9.sh [TRIALS]: ends a recording proxy with kill -9 at a random moment, TRIALS times (default 500), and looks whether
# what clients had received completely is readable afterwards. Then lets two proxies record into one directory at once.
# Prints its figures; fails when anything is corrupt or lost. RUNNER names the binary (default target/release/runner, or
# target/debug/runner). Needs Python 3 and nothing else.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
runner=${RUNNER:-}
for candidate in "$root/target/release/runner" "$root/target/debug/runner"; do
    [[ -n $runner ]] || { [[ -x $candidate ]] && runner=$candidate; } || true
done
[[ -x $runner ]] || {
    printf 'kill9: build first: cargo build --release\n' >&2
    exit 1
}
exec python3 "$root/scripts/kill9/trials.py" "$runner" "${1:-500}"
