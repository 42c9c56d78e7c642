# Short names for the commands in CONTRIBUTING.md.

default: lint test

test:
    cargo test

lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

deny:
    cargo deny check bans licenses sources

ci:
    .ci/run

list *args:
    cargo run --quiet -- --list {{ args }}

# The recordings that a fresh clone replays.
record suite="base":
    scripts/live-model/start.sh
    cargo run -- --suite={{ suite }} --setup=llama-cpp --inference-mode=record; status=$?; scripts/live-model/stop.sh; exit $status

replay-offline suite="base":
    cargo build
    scripts/offline.sh target/debug/runner --suite={{ suite }} --setup=llama-cpp

# Figures that a change to the store must not spoil; on an idle machine.
figures:
    scripts/secrets-check.sh
    scripts/kill9.sh
    scripts/store-bench.sh
    scripts/throughput.sh

real-stack:
    scripts/real-stack/check.sh
