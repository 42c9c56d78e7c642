#!/usr/bin/env bash
# The recording of .github/workflows/record.yml: record.sh RUNNER SUMMARY. Takes what to record from the environment, as the
# workflow was given it: SUBDIRS, SETUP, SUITE, PATTERN; all but SETUP may be empty. Starts the setup's provider, where this
# machine has it.
set -euo pipefail

runner=$1
summary=$2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case $SETUP in
llama-cpp) scripts/live-model/start.sh ;;
*)
    printf 'there is no provider for the setup "%s" here; start one in %s\n' "$SETUP" "${BASH_SOURCE[0]}" >&2
    exit 1
    ;;
esac

args=(--setup="$SETUP" --prune --summary="$summary")
[[ -z $SUITE ]] || args+=(--suite="$SUITE")
[[ -z $PATTERN ]] || args+=(-k="$PATTERN")
selectors=()
IFS=, read -ra folders <<<"$SUBDIRS"
for folder in ${folders[@]+"${folders[@]}"}; do
    read -r folder <<<"$folder"
    [[ -z $folder ]] || selectors+=("$folder")
done
"$runner" rerecord "${args[@]}" -- ${selectors[@]+"${selectors[@]}"}
