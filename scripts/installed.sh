#!/usr/bin/env bash
# `cargo install --path .`, then `runner init` and `runner` in an empty directory with an empty environment: all from
# the installed binary. Debug, so that the build is mostly there already; installed.sh --release for the real thing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=--debug
[[ ${1-} != --release ]] || profile=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086 # no argument at all for --release
PATH=$work/bin:$PATH cargo install --locked --quiet $profile --no-track --path . --root "$work"
mkdir "$work/project"
cd "$work/project"
for command in init check ''; do
    printf '$ runner %s\n' "$command"
    # shellcheck disable=SC2086 # no argument at all, when it is empty
    env -i HOME="$work" PATH="$work/bin" runner $command
done
