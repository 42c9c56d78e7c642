#!/usr/bin/env bash
# python-clients.sh: upstream's recordings, asked for by the OpenAI and the Ollama client for Python over `runner proxy`:
# those that Llama Stack 0.3.0 itself speaks with. Prints its figures; fails when a recording does not load, or when fewer
# than 99 % of those that a client can send are matched and decode to what was recorded. RUNNER_BIN names the binary
# (default: built here). Needs Python 3.12 and the shared data.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
recordings=${RUNNER_SHARED:-../shared}/recordings/llama-stack-0.3.0
[[ -d $recordings ]] || {
    printf 'python clients: %s is absent; set RUNNER_SHARED to the folder of shared data\n' "$recordings" >&2
    exit 1
}
scripts/real-stack/install.sh
source scripts/runner-bin.sh
exec target/real-stack/venv/bin/python scripts/python-clients/clients.py "$runner" "$recordings"
