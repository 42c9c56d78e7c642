#!/usr/bin/env bash
# Prints a new folder for the state of a Llama Stack, in memory where there is /dev/shm: its SQLite stores wait for the disk
# at every commit, and with four trials at a time on a slow one they give up ("database is locked").
set -euo pipefail
if [[ -w /dev/shm ]]; then
    exec mktemp -d -p /dev/shm llama-stack.XXXXXX
fi
exec mktemp -d
