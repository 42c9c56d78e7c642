#!/usr/bin/env python3
"""Counts upstream's test functions: those that have a case here, those that no server here can run, and those without.

    ported.py [--runner PATH] [REPORT.jsonl ...] [-v]

Which functions there are, and why some have no case, is in scripts/upstream-tests.tsv; which have a case is what the YAML
says (`runner --list`). Reports of runs tell further whether a function's trials ran, or all of them were skipped and why.
Exit status: 0 everything is accounted for; 1 a function has neither a case nor a reason, or both, or the YAML names one
that upstream does not have, or no report given holds a function that has a case; 2 unusable input.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import typing

import runs
from runs import ROOT, unusable

SKIPPED = "skipped"


class Function(typing.NamedTuple):
    version: str
    why_not: str


def function_of(upstream: str) -> str:
    """A test id without its parameters."""
    return upstream.split("[", 1)[0]


def read_functions(path: pathlib.Path) -> dict[str, Function]:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    rows = [(line + "\t\t").split("\t")[:3] for line in lines[1:]]
    functions = {name: Function(version, why_not) for name, version, why_not in rows}
    if len(functions) != len(rows):
        unusable(f"{path}: a function is listed twice")
    return functions


def cases(runner: pathlib.Path) -> set[str]:
    """The functions that the YAML names."""
    listed = subprocess.run([runner, "--list", "--format", "json"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        unusable(f"{runner} --list ended with {listed.returncode}: {listed.stderr.strip()}")
    return {function_of(trial["upstream"]) for trial in json.loads(listed.stdout) if trial["upstream"]}


def outcomes(reports: list[pathlib.Path]) -> dict[str, set[tuple[str, str]]]:
    """Of each function, how its trials ended in any report, with the reason of those that were skipped."""
    found = collections.defaultdict(set)
    for report in reports:
        for trial in runs.trials(report):
            if trial.upstream:
                reason = trial.reason if trial.outcome == SKIPPED else ""
                found[function_of(trial.upstream)].add((trial.outcome, reason))
    return found


def accounted(functions: dict[str, Function], with_case: set[str]) -> list[str]:
    """What is wrong with the account."""
    problems = [f"{name}: in the YAML, but upstream has no such test" for name in sorted(with_case - functions.keys())]
    for name, function in functions.items():
        if name in with_case and function.why_not:
            problems.append(f"{name}: has a case, and a reason to have none")
        if name not in with_case and not function.why_not:
            problems.append(f"{name}: has neither a case nor a reason to have none")
    return problems


def print_groups(by_reason: dict[str, list[str]], verbose: bool) -> None:
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        print(f"  {len(names):>3}  {reason}")
        for name in names if verbose else []:
            print(f"         {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="*", type=pathlib.Path, metavar="REPORT")
    parser.add_argument("--runner", type=pathlib.Path, default=ROOT / "target/debug/runner")
    parser.add_argument("-v", "--verbose", action="store_true", help="name the functions that did not run")
    args = parser.parse_args()
    try:
        functions = read_functions(ROOT / "scripts/upstream-tests.tsv")
        with_case = cases(args.runner.resolve())
        ended = outcomes(args.reports)
    except (OSError, ValueError) as error:
        unusable(str(error))

    problems = accounted(functions, with_case)
    versions = collections.Counter(function.version for function in functions.values())
    seed, later = versions["both"] + versions["seed"], versions["both"] + versions["0.3.0"]
    print(f"{len(functions)} test functions of upstream: {seed} at its seed commit, {later} in v0.3.0, {versions['both']} of them in both")
    without = collections.defaultdict(list)
    skipped = collections.defaultdict(list)
    for name, function in functions.items():
        if name not in with_case:
            without[function.why_not].append(name)
        elif args.reports and name not in ended:
            problems.append(f"{name}: has a case, but is in none of the reports")
        elif args.reports and all(outcome == SKIPPED for outcome, _ in ended[name]):
            skipped["; ".join(sorted({reason for _, reason in ended[name]}))].append(name)
    not_run, none = sum(map(len, skipped.values())), sum(map(len, without.values()))
    ported = len(functions) - not_run - none
    print(f"{ported:>5} ported{', and run by a report' if args.reports else ''}")
    if args.reports:
        print(f"{not_run:>5} ported, but skipped by every server that the reports are of:")
        print_groups(skipped, args.verbose)
    print(f"{none:>5} not portable:")
    print_groups(without, args.verbose)
    print(f"{ported + not_run + none:>5} in all")
    for problem in problems:
        print(f"problem: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
