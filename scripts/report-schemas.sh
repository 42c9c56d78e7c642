#!/usr/bin/env bash
# report-schemas.sh: reports of a run that has every outcome, of the same run merged, and of the base suite, held
# against Jenkins' schema for JUnit and CTRF's for CTRF. RUNNER_BIN names the binary (default: built here). Installs both
# schemas below target/lint.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lint-tools.sh
lint_tools
source scripts/runner-bin.sh
exec "$lint/venv/bin/python" scripts/report-schemas/check.py "$runner" \
    "$lint/junit-10.xsd" "$lint/node_modules/ctrf/dist/ctrf-schema-0.0.json"
