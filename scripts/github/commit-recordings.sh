#!/usr/bin/env bash
# commit-recordings.sh RECORDINGS CLONE BRANCH COMMIT: makes recordings/responses of the clone, whose HEAD must be COMMIT,
# what RECORDINGS/responses has, and pushes that to BRANCH of origin. RECORDINGS has been verified (runner recordings
# verify --foreign); the clone holds somebody's branch, so nothing in it is run, and no link in it is followed.
set -euo pipefail

recordings=$(cd "$1" && pwd -P)
clone=$(cd "$2" && pwd -P)
branch=$3
commit=$4

fail() {
    printf 'commit-recordings: %s\n' "$*" >&2
    exit 1
}

# No hook, and no attributes but those of an empty tree: the branch's may name filters that this machine has.
empty_tree=$(git hash-object -t tree /dev/null)
git=(git --attr-source="$empty_tree" -C "$clone" -c core.hooksPath=/dev/null)
git check-ref-format --branch "$branch" >/dev/null 2>&1 || fail "\"$branch\" is no name of a branch"
[[ $("${git[@]}" rev-parse HEAD) == "$commit" ]] ||
    fail "$branch has other commits than when it was recorded; record it again"
for folder in recordings recordings/responses; do
    [[ ! -L $clone/$folder ]] || fail "$folder is a link in $branch"
    [[ ! -e $clone/$folder || -d $clone/$folder ]] || fail "$folder is no folder in $branch"
done
[[ -d $recordings/responses && ! -L $recordings/responses ]] || fail "there are no responses in what was recorded"

rm -rf -- "$clone/recordings/responses"
mkdir -p -- "$clone/recordings"
cp -R --no-dereference -- "$recordings/responses" "$clone/recordings/responses"
"${git[@]}" add --all -- recordings/responses
# Everything that is staged is a plain file where recordings are; git says so itself.
while read -r _ mode _ _ _ path; do
    [[ $path =~ ^recordings/responses/([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*\.json$ ]] ||
        fail "\"$path\" is no place for a recording"
    [[ $mode == 100644 || $mode == 000000 ]] || fail "$path is no plain file (mode $mode)"
done < <("${git[@]}" diff --cached --raw --no-renames | tr '\t' ' ')
if "${git[@]}" diff --cached --quiet; then
    printf 'nothing changed; there is nothing to commit\n'
    exit 0
fi
"${git[@]}" diff --cached --stat --no-renames -- recordings/responses
"${git[@]}" -c user.name='github-actions[bot]' -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
    commit --quiet --no-verify --message 'Recordings made anew'
"${git[@]}" push --quiet --no-verify origin "HEAD:refs/heads/$branch"
printf 'committed to %s\n' "$branch"
