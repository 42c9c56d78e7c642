#!/usr/bin/env bash
# throughput.sh [SECONDS]: replay under load, side by side with what is possible. wrk asks over 8 connections for SECONDS
# each (default 5): a bare axum handler (examples/ceiling.rs, a constant body of the same size) asked for 1 thing and for
# 3,000, since making different requests costs wrk its share of the machine, the replaying proxy with 1 and with 3,000
# recordings, and WireMock and mitmproxy where they can be had (npm, pip; below target/throughput).
# Five rounds, one after the other in each; medians count, and ratios are taken within a round, since other work on the
# machine comes and goes. Processor time per request is shown beside, which such work hardly changes. Fails below 70 % of
# the ceiling, or when 3,000 recordings are more than 10 % slower than one. Needs wrk (apt-get install wrk) and Python 3.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$root/scripts/throughput
home=$root/target/throughput
seconds=${1:-5}
size=1000

command -v wrk >/dev/null || {
    printf 'throughput: wrk is needed: apt-get install wrk\n' >&2
    exit 1
}
cd "$root"
[[ -n ${RUNNER_BUILT:-} ]] || cargo build --release --quiet --bin runner --example ceiling
work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

# start NAME COMMAND…: runs a server until the end; sets $url from the address that it prints.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.out" 2>"$work/$name.err" &
    pids+=($!)
    for _ in $(seq 200); do
        url=$(grep -Eo 'http://127\.0\.0\.1:[0-9]+[^ ]*' "$work/$name.out" | head -n 1 || true)
        [[ -z $url ]] || return 0
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    printf '%s did not start: %s\n' "$name" "$(tail -n 3 "$work/$name.err")" >&2
    return 1
}

# load COUNT URL: prints requests per second, median and 99th percentile in ms, errors.
load() {
    COUNT=$1 wrk -t 2 -c 8 -d "${seconds}s" --latency -s "$here/request.lua" "$2" | sed -n 's/^RESULT //p'
}

show() {
    printf '%-28s %7s req/s   p50 %8s ms   p99 %8s ms   %s errors' "${@:1:5}"
    [[ $# -lt 6 ]] || printf '   %s µs of processor each' "$6"
    printf '\n'
}

python3 "$here/recordings.py" "$work/one" 1 "$size"
python3 "$here/recordings.py" "$work/many" 3000 "$size"
python3 - "$here" "$size" >"$work/body.json" <<'PY'
import json, sys
sys.path.insert(0, sys.argv[1])
from recordings import answer
print(json.dumps(answer(0, int(sys.argv[2])), separators=(",", ":")), end="")
PY

runner=$root/target/release/runner
start ceiling "$root/target/release/examples/ceiling" "$work/body.json"
ceiling=$url/p/v1/chat/completions
start one "$runner" proxy --recording-dir "$work/one" --provider p=http://127.0.0.1:9
one=$url/v1/chat/completions
start many "$runner" proxy --recording-dir "$work/many" --provider p=http://127.0.0.1:9
many=$url/v1/chat/completions

COUNT=3000 wrk -t 1 -c 2 -d 2s -s "$here/request.lua" "$many" >"$work/warm-up"
: >"$work/results"
ticks() {
    awk '{print $14 + $15}' "/proc/$1/stat"
}
# measure NAME PID COUNT URL: one line of results, with the microseconds of processor time that a request took.
measure() {
    local before result after
    before=$(ticks "$2")
    result=$(load "$3" "$4")
    after=$(ticks "$2")
    awk -v used="$((after - before))" -v hz="$(getconf CLK_TCK)" -v seconds="$seconds" -v name="$1" \
        '{printf "%s %s %.1f\n", name, $0, used / hz * 1e6 / ($1 * seconds)}' <<<"$result" >>"$work/results"
}
for _ in 1 2 3 4 5; do
    measure ceiling "${pids[0]}" 1 "$ceiling"
    measure one "${pids[1]}" 1 "$one"
    measure wide "${pids[0]}" 3000 "$ceiling"
    measure many "${pids[2]}" 3000 "$many"
done
median() {
    grep "^$1 " "$work/results" | sort -k2 -n | sed -n 3p | cut -d' ' -f2-
}
read -r -a ceiling_result <<<"$(median ceiling)"
read -r -a wide_result <<<"$(median wide)"
read -r -a one_result <<<"$(median one)"
read -r -a many_result <<<"$(median many)"
show "bare axum (the ceiling)" "${ceiling_result[@]}"
show "the same, 3,000 requests" "${wide_result[@]}"
show "runner, 1 recording" "${one_result[@]}"
show "runner, 3,000 recordings" "${many_result[@]}"
for name in one many; do
    pid=${pids[$([[ $name == one ]] && echo 1 || echo 2)]}
    printf 'memory of runner (%s): %s kB\n' "$name" "$(awk '/VmRSS/ {print $2}' "/proc/$pid/status")"
done

peer() {
    local name=$1 count=$2
    read -r -a result <<<"$(load "$count" "$3")"
    show "$name" "${result[@]}"
}

mkdir -p "$home"
if command -v java >/dev/null && command -v npm >/dev/null; then
    [[ -d $home/node_modules/wiremock ]] ||
        timeout 120 npm install --silent --no-audit --no-fund --prefix "$home" wiremock >"$work/npm" 2>&1 || true
    jar=$(find "$home/node_modules/wiremock" -name '*.jar' 2>/dev/null | head -n 1)
    if [[ -n $jar ]]; then
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        for count in 1 3000; do
            python3 "$here/wiremock.py" "$work/wiremock-$count" "$count" "$size"
            java -jar "$jar" --port "$port" --bind-address 127.0.0.1 --root-dir "$work/wiremock-$count" \
                --no-request-journal --disable-banner --async-response-enabled false >"$work/wiremock.out" 2>&1 &
            pid=$!
            pids+=("$pid")
            for _ in $(seq 300); do
                curl -sf -o "$work/null" "http://127.0.0.1:$port/__admin/health" && break
                sleep 0.1
            done
            COUNT=$count wrk -t 2 -c 8 -d 3s -s "$here/request.lua" "http://127.0.0.1:$port/v1/chat/completions" >"$work/warm-up"
            peer "WireMock, $count" "$count" "http://127.0.0.1:$port/v1/chat/completions"
            kill "$pid"
            wait "$pid" 2>/dev/null || true
        done
    else
        printf 'WireMock: skipped, npm could not install it\n'
    fi
else
    printf 'WireMock: skipped, it needs java and npm\n'
fi

if [[ ! -x $home/venv/bin/mitmdump ]]; then
    python3 -m venv "$home/venv" && timeout 180 "$home/venv/bin/pip" install --quiet mitmproxy >"$work/pip" 2>&1 || true
fi
if [[ -x $home/venv/bin/mitmdump ]]; then
    for count in 1 3000; do
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        "$home/venv/bin/python" "$here/mitmproxy_flows.py" "$work/flows-$count" "$count" "$size"
        "$home/venv/bin/mitmdump" --quiet --listen-host 127.0.0.1 --listen-port "$port" --mode reverse:http://127.0.0.1:9 \
            --server-replay "$work/flows-$count" --set server_replay_reuse=true --set connection_strategy=lazy \
            --set server_replay_kill_extra=true >"$work/mitm.out" 2>&1 &
        pid=$!
        pids+=("$pid")
        for _ in $(seq 100); do
            (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
            sleep 0.1
        done
        peer "mitmproxy, $count" "$count" "http://127.0.0.1:$port/v1/chat/completions"
        kill "$pid"
        wait "$pid" 2>/dev/null || true
    done
else
    printf 'mitmproxy: skipped, pip could not install it\n'
fi

python3 - "$work/results" <<'PY'
import statistics
import sys

rounds = {"ceiling": [], "one": [], "wide": [], "many": []}
errors = 0
for line in open(sys.argv[1]):
    name, rate, _, _, wrong, _ = line.split()
    rounds[name].append(float(rate))
    errors += int(wrong)


def ratio(a, b):
    return statistics.median(x / y for x, y in zip(rounds[a], rounds[b]))


one, many = ratio("one", "ceiling"), ratio("many", "wide")
flat = many / one
print(f"of the ceiling: {one:.0%} with 1 recording, {many:.0%} with 3,000; 3,000 to 1: {flat:.0%}")
sys.exit(0 if one >= 0.7 and many >= 0.7 and flat >= 0.9 and not errors else 1)
PY
