# Short names for the commands in CONTRIBUTING.md.

default: lint test

test:
    cargo test

lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

docs:
    cargo build --quiet
    scripts/check-docs.py target/debug/runner

# .ci/run installs cargo-deny there.
deny:
    target/tools/bin/cargo-deny check bans licenses sources

ci:
    .ci/run

list *args:
    cargo run --quiet -- --list {{ args }}

# The base suite over the recordings in this repository.
replay *args:
    cargo run --quiet -- --suite=base --setup=llama-cpp {{ args }}

replay-offline suite="base":
    cargo build --quiet
    scripts/offline.sh target/debug/runner --suite={{ suite }} --setup=llama-cpp

# Adds what the recordings lack, from the live model.
record suite="base" mode="record-if-missing":
    cargo build --quiet
    scripts/live-model/start.sh
    target/debug/runner --suite={{ suite }} --setup=llama-cpp --inference-mode={{ mode }}; status=$?; scripts/live-model/stop.sh; exit $status

# Figures that a change to the store must not spoil; on an idle machine.
figures:
    scripts/secrets-check.sh
    scripts/kill9.sh
    scripts/store-bench.sh
    scripts/throughput.sh

real-stack:
    scripts/real-stack/check.sh
