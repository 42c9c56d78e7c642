#!/usr/bin/env bash
# offline.sh COMMAND…: runs a command where loopback is the only network interface, so that an outbound
# connection cannot succeed. Ends with the command's exit status; 125 when such a place cannot be made.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf 'offline: %s\n' "$*" >&2
    exit 125
}

[[ $# -gt 0 ]] || fail "usage: $0 COMMAND…"
command -v unshare >/dev/null || fail "unshare (util-linux) is needed"
command -v ip >/dev/null || fail "ip (iproute2) is needed"
unshare --map-root-user --net true 2>/dev/null ||
    fail "unshare is not permitted here: the system forbids user or network namespaces to this user"

exec unshare --map-root-user --net -- bash -c 'ip link set lo up && exec "$@"' offline "$@"
