#!/usr/bin/env bash
# python-clients.sh: upstream's recordings, asked for by the OpenAI and the Ollama client for Python over `runner proxy`.
# Prints its figures; fails when a recording does not load, or when fewer than 99 % of those that a client can send are
# matched and decode to what was recorded. RUNNER_BIN names the binary (default: built here). Needs Python 3.12 and the
# shared data; installs the clients below target/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/python312.sh
recordings=${RUNNER_SHARED:-../shared}/recordings/llama-stack-0.3.0
requirements=scripts/python-clients/requirements.txt
venv=target/python-clients

fail() {
    printf 'python clients: %s\n' "$*" >&2
    exit 1
}

[[ -d $recordings ]] || fail "$recordings is absent; set RUNNER_SHARED to the folder of shared data"
wanted=$(cksum <"$requirements")
if [[ $(cat "$venv/.installed" 2>/dev/null) != "$wanted" ]]; then
    python=$(python312) || fail "Python 3.12 is needed (python3.12 on PATH, or 'pyenv install 3.12'); none was found"
    rm -rf "$venv"
    $python -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    printf '%s\n' "$wanted" >"$venv/.installed"
fi
runner=${RUNNER_BIN:-}
if [[ -z $runner ]]; then
    cargo build --quiet --locked --bin runner
    runner=${CARGO_TARGET_DIR:-target}/debug/runner
fi
exec "$venv/bin/python" scripts/python-clients/clients.py "$runner" "$recordings"
