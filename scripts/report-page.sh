#!/usr/bin/env bash
# report-page.sh: opens `--report=PATH.html` in headless Chromium and uses it as a person would: filters, searches, opens a
# failure, walks through the tabs by keyboard, in light and dark, with 5,000 trials too.
# report-page.sh --shots: runs the suite base and takes the pictures in docs/ anew.
# RUNNER_BIN names the binary (default: built here). Needs Python 3.9; Chromium is installed with apt where it is missing and
# this is root, and CHROMIUM may name one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'report page: %s\n' "$*" >&2
    exit 1
}

chromium() {
    local name
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
        [[ -n $name ]] && command -v "$name" && return
    done
    return 1
}

if ! chromium >/dev/null; then
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || fail "Chromium is needed: install it, or name one in CHROMIUM"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null
    apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
source scripts/runner-bin.sh
exec python3 scripts/report-page/check.py "$@" "$(chromium)" "$runner"
