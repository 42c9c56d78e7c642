#!/usr/bin/env bash
# secrets-check.sh: tells 40 secrets to a recording proxy, in every place and encoding, and looks for them in every byte
# that it wrote. Prints the figure; fails when one is found.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(cargo test --quiet --lib no_seeded_secret_is_on_disk -- --nocapture 2>&1) || {
    printf '%s\n' "$out" >&2
    exit 1
}
grep ' secrets, .* encodings' <<<"$out"
