#!/usr/bin/env python3
"""Whether each trial of a run was answered with the recordings of its own upstream test.

    own-recordings.py REPORT.jsonl --recordings DIR [-v]

Several tests of upstream ask a provider the same thing and were given different answers. Where a trial's request was
recorded for the very test that the trial ports, the recording that answered it has to be that test's. Exit status: 0 all
are, 1 not, 2 unusable input, or nothing in it that could have gone wrong.
"""

import argparse
import collections
import json
import pathlib
import sys
import typing

UPSTREAM_PREFIX = "tests/integration/"


class Call(typing.NamedTuple):
    trial: str
    upstream: str
    file: str


def unusable(message: str) -> typing.NoReturn:
    print(f"own-recordings: {message}", file=sys.stderr)
    sys.exit(2)


def calls_of(path: pathlib.Path) -> list[Call]:
    calls = []
    for line in path.read_text("utf-8").splitlines():
        event = json.loads(line)
        if event.get("event") == "trial_finished" and event.get("upstream"):
            matches = (match for match in event["matches"] if match.get("file"))
            calls += [Call(event["id"], event["upstream"], match["file"]) for match in matches]
    return calls


def read_recordings(root: pathlib.Path) -> tuple[dict[str, str], dict[str, str]]:
    """Of each file, what it asks and which test it was recorded for; none for those that no test is named in."""
    asks, tests = {}, {}
    for path in root.rglob("*.json"):
        content = json.loads(path.read_bytes())
        request = content["request"]
        if "tool_name" in request or not content.get("test_id"):
            continue
        body = {name: value for name, value in (request["body"] or {}).items() if name != "extra_body"}
        body |= (request["body"] or {}).get("extra_body") or {}
        file = path.relative_to(root).as_posix()
        asks[file] = json.dumps([request["url"], body], sort_keys=True)
        tests[file] = content["test_id"].removeprefix(UPSTREAM_PREFIX)
    return asks, tests


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--recordings", type=pathlib.Path, required=True)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every call whose request several tests share")
    args = parser.parse_args()
    try:
        calls = calls_of(args.report)
        asks, tests = read_recordings(args.recordings)
    except (OSError, ValueError, KeyError) as error:
        unusable(f"{type(error).__name__}: {error}")
    owners = collections.defaultdict(set)
    for file, question in asks.items():
        owners[question].add(tests[file])
    recorded = [call for call in calls if call.file in asks]
    own = [call for call in recorded if call.upstream in owners[asks[call.file]]]
    shared = [call for call in own if len(owners[asks[call.file]]) > 1]
    wrong = [call for call in own if tests[call.file] != call.upstream]
    for call in wrong:
        print(f"not its own  {call.trial}\n             {call.file} is of {tests[call.file]}")
    if args.verbose:
        for call in shared:
            print(f"shared by {len(owners[asks[call.file]])}  {call.trial}  {call.file}")
    print(f"{args.report.name}: {len(calls)} provider calls, {len(own)} of them recorded for the test that the trial ports, "
          f"{len(shared)} of those with a body that other tests have too: {len(wrong)} got another test's answer")
    if not shared:
        unusable("no call has a body that several tests share, so this shows nothing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
