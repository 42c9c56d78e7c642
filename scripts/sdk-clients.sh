#!/usr/bin/env bash
# The OpenAI Python client and llama-stack-client 0.3.0 against `runner serve`: chat, streaming, responses with an MCP
# tool, files, vector stores. Model and MCP server are small ones of scripts/sdk-clients/; everything is on loopback.
# RUNNER_BIN names a binary that is built already.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/real-stack/install.sh
source scripts/runner-bin.sh
exec target/real-stack/venv/bin/python scripts/sdk-clients/check.py "$runner"
