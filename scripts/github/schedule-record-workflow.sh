#!/usr/bin/env bash
# Starts the workflow that records anew (.github/workflows/record.yml), for a branch on GitHub. Needs gh, logged in, and
# runs in a clone. See --help.
set -euo pipefail

workflow=record.yml
branch=
subdirs=
setup=llama-cpp
suite=base
pattern=

usage() {
    cat <<END
Usage: ${0##*/} [OPTION]...

Records anew, on GitHub, the trials whose provider requests changed since their recordings. Another workflow checks what
came of it, and commits it to the branch.

  -b, --branch BRANCH         the branch, which must be on GitHub [default: the one that is checked out]
  -s, --subdirs DIRS          only these folders or files below test_cases/, separated by commas
  -p, --setup SETUP           a setup in setups/ [default: $setup]
  -t, --suite SUITE           a suite in suites/ [default: $suite]
  -k, --pattern EXPR          only trials whose id matches, as runner's -k
  -h, --help                  this text

Upstream's names of these options are known, too: --test-subdirs, --test-setup, --test-suite, --test-pattern.
The branch of a pull request from a fork is recorded in the fork.

  ${0##*/} --subdirs "inference,agents"
  ${0##*/} --branch my-branch --suite responses --pattern "streaming and not tools"
END
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

misused() {
    printf '%s: %s\n%s --help lists the options\n' "${0##*/}" "$*" "$0" >&2
    exit 4
}

# The value of option $1 is $2, unless that is another option or nothing.
value=
take() {
    [[ $# -ge 2 && -n $2 && $2 != -* ]] || misused "$1 needs a value"
    value=$2
}

while [[ $# -gt 0 ]]; do
    # --option=value is --option value.
    if [[ $1 == --*=* ]]; then
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
    fi
    case $1 in
    -b | --branch) take "$@" && branch=$value ;;
    -s | --subdirs | --test-subdirs) take "$@" && subdirs=$value ;;
    -p | --setup | --test-setup) take "$@" && setup=$value ;;
    -t | --suite | --test-suite) take "$@" && suite=$value ;;
    -k | --pattern | --test-pattern) take "$@" && pattern=$value ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*) misused "there is no option $1" ;;
    *) misused "\"$1\" is no option; folders are given as --subdirs \"$1\"" ;;
    esac
    shift 2
done

command -v git >/dev/null || fail "git is needed"
command -v gh >/dev/null || fail "gh, GitHub's command line, is needed: https://cli.github.com"
root=$(git rev-parse --show-toplevel 2>/dev/null) || fail "this is no git repository; run it in a clone"

# What is not here is not there either, and saying so now is quicker than a failed job.
[[ -f $root/setups/$setup.yaml ]] || misused "there is no setups/$setup.yaml; --setup names one of these: $(cd "$root/setups" && echo *.yaml)"
[[ -f $root/suites/$suite.yaml ]] || misused "there is no suites/$suite.yaml; --suite names one of these: $(cd "$root/suites" && echo *.yaml)"
IFS=, read -ra folders <<<"$subdirs"
for folder in ${folders[@]+"${folders[@]}"}; do
    read -r folder <<<"$folder"
    [[ -z $folder || $folder == *[*?{:]* || -e $root/test_cases/$folder || -e $root/test_cases/$folder.yaml ]] ||
        misused "there is no test_cases/$folder"
done

if [[ -z $branch ]]; then
    branch=$(git symbolic-ref --quiet --short HEAD) || misused "no branch is checked out; --branch names one"
fi
git check-ref-format --branch "$branch" >/dev/null 2>&1 || misused "\"$branch\" is no name of a branch"
gh auth status >/dev/null 2>&1 || fail "gh is not logged in; run: gh auth login"

# A pull request knows where its branch lies; a fork's lies in the fork.
request=$(gh pr view "$branch" --json state,number,headRepositoryOwner,headRepository \
    --jq '[.state, .number, .headRepositoryOwner.login + "/" + .headRepository.name] | @tsv' 2>/dev/null) || request=
if [[ -n $request ]]; then
    IFS=$'\t' read -r state number repository <<<"$request"
    [[ $state != MERGED ]] || fail "pull request $number of $branch is merged: its branch takes no more commits"
else
    repository=$(gh repo view --json nameWithOwner --jq .nameWithOwner) || fail "gh finds no repository on GitHub for this clone"
fi
[[ $repository =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] || fail "\"$repository\" is no name of a repository"
gh api "repos/$repository/git/ref/heads/$branch" --silent 2>/dev/null ||
    fail "$repository has no branch $branch; push it first: git push --set-upstream origin $branch"
gh api "repos/$repository/contents/.github/workflows/$workflow" --silent 2>/dev/null ||
    fail "$repository has no .github/workflows/$workflow on its default branch; bring it up to date"

inputs=(-f "suite=$suite" -f "setup=$setup")
[[ -z $subdirs ]] || inputs+=(-f "subdirs=$subdirs")
[[ -z $pattern ]] || inputs+=(-f "pattern=$pattern")
gh workflow run "$workflow" --repo "$repository" --ref "$branch" "${inputs[@]}" ||
    fail "GitHub did not take the job; is the workflow enabled in $repository?"
printf 'started for %s of %s: suite %s, setup %s%s%s\n' "$branch" "$repository" "$suite" "$setup" \
    "${subdirs:+, only $subdirs}" "${pattern:+, matching $pattern}"
printf 'watch it: gh run list --repo %s --workflow %s\n' "$repository" "$workflow"
