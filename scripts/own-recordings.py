#!/usr/bin/env python3
"""Whether each trial of a run was answered with the recordings of its own upstream test.

    own-recordings.py REPORT.jsonl --recordings DIR [-v]

Several tests of upstream ask a provider the same thing and were given different answers. Where a trial's request was
recorded for the very test that the trial ports, the recording that answered it has to be that test's. Exit status: 0 all
are, 1 not, 2 unusable input, or nothing in it that could have gone wrong.
"""

import argparse
import pathlib
import sys
import typing

import runs


class Call(typing.NamedTuple):
    trial: str
    upstream: str
    file: str


def calls_of(path: pathlib.Path) -> list[Call]:
    ported = (trial for trial in runs.trials(path) if trial.upstream)
    return [Call(trial.id, trial.upstream, match["file"]) for trial in ported for match in trial.matches if match.get("file")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--recordings", type=pathlib.Path, required=True)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every call whose request several tests share")
    args = parser.parse_args()
    try:
        calls = calls_of(args.report)
        recordings = runs.Recordings(args.recordings)
    except (OSError, ValueError, KeyError) as error:
        runs.unusable(f"{type(error).__name__}: {error}")
    own = [call for call in calls if call.upstream in recordings.tests_that_ask(call.file)]
    shared = [call for call in own if recordings.is_shared(call.file)]
    wrong = [call for call in own if recordings.tests[call.file] != call.upstream]
    for call in wrong:
        print(f"not its own  {call.trial}\n             {call.file} is of {recordings.tests[call.file]}")
    if args.verbose:
        for call in shared:
            print(f"shared by {len(recordings.tests_that_ask(call.file))}  {call.trial}  {call.file}")
    print(f"{args.report.name}: {len(calls)} provider calls, {len(own)} of them recorded for the test that the trial ports, "
          f"{len(shared)} of those with a body that other tests have too: {len(wrong)} got another test's answer")
    if not shared:
        runs.unusable("no call has a body that several tests share, so this shows nothing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
