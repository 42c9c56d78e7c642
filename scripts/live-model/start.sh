#!/usr/bin/env bash
# Starts the live model: start.sh [PORT] (default 28474). Installs it below target/ on first use, returns when
# it answers. Fails when the port belongs to somebody else. stop.sh ends it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$(cd "$here/../.." && pwd)/target/live-model
venv=$home/venv
port=${1:-28474}
alias_=smollm2-135m
url=http://127.0.0.1:$port
log=$home/server.log
pid_file=$home/server.pid

fail() {
    printf 'live model: %s\n' "$*" >&2
    exit 1
}

get() {
    curl --silent --noproxy '*' --max-time 5 "$@"
}

serves_ours() {
    get --fail "$url/v1/models" | grep -Eq "\"id\": *\"$alias_\""
}

[[ $port =~ ^[0-9]+$ ]] || fail "the port must be a number, not '$port'"
command -v curl >/dev/null || fail "curl is needed"
mkdir -p "$home"

if get --output /dev/null "$url/"; then
    serves_ours || fail "something else answers at $url; stop it, or name another port: $0 PORT"
    printf '%s already runs at %s\n' "$alias_" "$url"
    exit 0
fi

wanted=$(cksum <"$here/requirements.txt")
if [[ ! -x $venv/bin/python || $(cat "$venv/.installed" 2>/dev/null) != "$wanted" ]]; then
    printf 'installing %s\n' "$here/requirements.txt"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
    printf '%s\n' "$wanted" >"$venv/.installed"
fi

# Its own session, so that a Ctrl-C meant for another command does not end it.
setsid "$venv/bin/python" "$here/serve.py" --port "$port" >"$log" 2>&1 </dev/null &
pid=$!
printf '%s\n' "$pid" >"$pid_file"

# A taken port shows as our process ending while a stranger answers, hence both checks.
for _ in $(seq 600); do
    if ! kill -0 "$pid" 2>/dev/null; then
        rm -f "$pid_file"
        fail "the server ended at once; the end of $log:"$'\n'"$(tail -n 15 "$log")"
    fi
    if get --fail --output /dev/null "$url/health"; then
        serves_ours || { kill "$pid"; rm -f "$pid_file"; fail "$url serves other models than $alias_"; }
        printf '%s at %s (pid %s)\n' "$alias_" "$url" "$pid"
        exit 0
    fi
    sleep 0.2
done
kill "$pid"
rm -f "$pid_file"
fail "no answer at $url/health after 2 minutes; the end of $log:"$'\n'"$(tail -n 15 "$log")"
