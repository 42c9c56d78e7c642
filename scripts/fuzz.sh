#!/usr/bin/env bash
# fuzz.sh [SECONDS] [TARGET…]: runs every fuzz target (fuzz/fuzz_targets) for so long, 10 seconds unless given, from the
# committed corpus. What it finds on the way stays in target/fuzz-corpus; an input that breaks something is printed and kept
# in fuzz/artifacts. Needs cargo-fuzz and a C++ compiler, but no nightly toolchain: the code has no `unsafe`, so that
# coverage without a sanitizer is enough.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-10}
shift || true
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(sse ndjson canonical recording)
fuzz=$PWD/target/tools/bin/cargo-fuzz
[[ -x $fuzz ]] || fuzz=cargo-fuzz
command -v "$fuzz" >/dev/null || {
    printf 'fuzz: cargo-fuzz is needed: cargo install --locked cargo-fuzz\n' >&2
    exit 1
}
# Unoptimised: building is most of the time of a short run.
common=(--dev --sanitizer none --target-dir "$PWD/target/fuzz")
log=$PWD/target/fuzz.log

# The targets are built with the versions that the project itself is built with.
cp Cargo.lock fuzz/Cargo.lock
"$fuzz" build "${common[@]}" >"$log" 2>&1 || {
    cat "$log"
    exit 1
}
for target in "${targets[@]}"; do
    found=target/fuzz-corpus/$target
    mkdir -p "$found"
    "$fuzz" run "${common[@]}" "$target" "$PWD/$found" "$PWD/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -max_len=16384 -print_final_stats=1 >"$log" 2>&1 || {
        cat "$log"
        exit 1
    }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-10s %s inputs in %s s, none of %s seeds or its offspring breaks it (%s edges covered)\n' \
        "$target" "$runs" "$seconds" "$(find "fuzz/corpus/$target" -type f | wc -l)" "$covered"
done
