#!/usr/bin/env bash
# Installs the Python Llama Stack that the shared data pins, into target/real-stack/venv. Does nothing when the
# pins have not changed since.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repo"
shared=${RUNNER_SHARED:-../shared}
requirements=$shared/real-stack/requirements.txt
venv=$repo/target/real-stack/venv
stamp=$venv/.installed

fail() {
    printf 'real stack: %s\n' "$*" >&2
    exit 1
}

# Prints a command for Python 3.12, from PATH or from pyenv (whose shim answers only when a version is chosen).
python312() {
    local version
    if python3.12 -c '' 2>/dev/null; then
        echo python3.12
    elif version=$(pyenv latest 3.12 2>/dev/null) && PYENV_VERSION=$version python3.12 -c '' 2>/dev/null; then
        echo "env PYENV_VERSION=$version python3.12"
    else
        return 1
    fi
}

[[ -f $requirements ]] || fail "$requirements is absent; set RUNNER_SHARED to the folder of shared data"
wanted=$(cksum <"$requirements")
if [[ -x $venv/bin/llama && $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then
    printf 'real stack: up to date in %s\n' "$venv"
    exit 0
fi

python=$(python312) || fail "Python 3.12 is needed (python3.12 on PATH, or 'pyenv install 3.12'); none was found"
printf 'real stack: installing %s\n' "$requirements"
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
$python -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
# A boot takes 20 s without compiled files, 8 s with them. Some packages ship sources that do not compile.
"$venv/bin/python" -m compileall -q "$venv/lib" >/dev/null || true
printf '%s\n' "$wanted" >"$stamp"
printf 'real stack: %s\n' "$("$venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep '^llama.stack ')"
