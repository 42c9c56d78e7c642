#!/usr/bin/env bash
# Ends the live model that start.sh started; does nothing when there is none.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pid_file=$(cd "$here/../.." && pwd)/target/live-model/server.pid

[[ -f $pid_file ]] || exit 0
pid=$(cat "$pid_file")
# The number may belong to another process by now.
if ps -o args= -p "$pid" 2>/dev/null | grep -Fq "$here/serve.py"; then
    kill "$pid"
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
fi
rm -f "$pid_file"
