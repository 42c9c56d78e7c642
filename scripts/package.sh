#!/usr/bin/env bash
# package.sh BINARY NAME: NAME.tar.gz with the binary, its manual pages, completions and licence, and NAME.tar.gz.sha256.
# BINARY has to run on this machine.
set -euo pipefail

binary=$(realpath "$1")
name=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/$name/completions"
install -m 755 "$binary" "$work/$name/runner"
cp "$root/README.md" "$root/CHANGELOG.md" "$root/LICENSE" "$work/$name"
cd "$work"
"$binary" man --dir "$name/man/man1"
for shell in bash elvish fish powershell zsh; do
    "$binary" completions "$shell" >"$name/completions/runner.$shell"
done
tar -czf "$out/$name.tar.gz" "$name"
cd "$out"
if command -v sha256sum >/dev/null; then sha256sum "$name.tar.gz"; else shasum -a 256 "$name.tar.gz"; fi >"$name.tar.gz.sha256"
