#!/usr/bin/env python3
"""Compare a run's JSON Lines report with what pytest said about the same upstream tests.

    compare-verdicts.py REPORT.jsonl [--verdicts FILE] [--only PREFIX ...] [--explanations FILE] [--least PERCENT] [-v]

A trial that names an upstream test must end as pytest's test ended; a trial that names none must not fail. Every
difference, a missing trial and a trial without a verdict included, needs a line in the explanations file:
a pattern for the upstream test's id (or the trial's own, where it names none), where `*` stands for anything,
a tab, and the reason. With `--least`, so many percent of pytest's verdicts need a trial, and so many of those that have
one must agree. A trial that passes where pytest's test failed is a false green, which nothing explains. Where pytest
skipped a test there is nothing to agree with: a trial that runs and passes there is one more, and needs its line too; one
that fails there has no excuse. A trial that needs the internet, where pytest's server was patched to do without, is
explained too, and no part of the percentage.
Exit status: 0 all agree or are explained, 1 not, 2 unusable input.
"""

import argparse
import collections
import os
import pathlib
import sys
import typing

import runs
from runs import ROOT, Trial, unusable

SHARED = ROOT / os.environ.get("RUNNER_SHARED", "../shared")
OUTCOMES = {"passed", "failed", "skipped", "xfailed", "xpassed", "broken", "quarantined"}
NEEDS_INTERNET = "needs the internet"
BAD = {"failed", "broken", "xpassed"}


class Difference(typing.NamedTuple):
    kind: str
    key: str
    text: str


def read_trials(path: pathlib.Path) -> list[Trial]:
    trials = runs.trials(path)
    for trial in trials:
        if trial.outcome not in OUTCOMES:
            unusable(f"{path}: {trial.id}: unknown outcome {trial.outcome!r}")
    if not trials:
        unusable(f"{path}: no `trial_finished` line, so nothing can be compared")
    return trials


def compare(trials: list[Trial], verdicts: dict[str, runs.Verdict]) -> tuple[set[str], list[Difference]]:
    """The verdicts that trials agree with, and what does not."""
    agree, differences = set(), []
    for trial in trials:
        why = f": {trial.reason}" if trial.reason else ""
        if trial.upstream is None:
            if trial.outcome in BAD:
                differences.append(Difference("failing", trial.id, f"{trial.outcome}{why}"))
        elif trial.upstream not in verdicts:
            differences.append(Difference("no verdict", trial.upstream, f"{trial.outcome} ({trial.id}){why}"))
        else:
            wanted, _, pytest_reason = verdicts[trial.upstream]
            if wanted == trial.outcome:
                agree.add(trial.upstream)
            elif wanted != "n/a":
                told = f" ({pytest_reason})" if pytest_reason else ""
                text = f"pytest {wanted}{told}, here {trial.outcome}{why}"
                kind = "differ"
                if trial.outcome == "passed":
                    kind = {"skipped": "more", "failed": "false green", "xfailed": "false green"}.get(wanted, kind)
                elif wanted == "skipped" and trial.outcome in BAD:
                    kind = "failing"
                elif trial.outcome == "skipped" and trial.reason.startswith(NEEDS_INTERNET):
                    kind = "offline"
                differences.append(Difference(kind, trial.upstream, text))
    seen = {trial.upstream for trial in trials}
    for key, (outcome, *_) in verdicts.items():
        if key not in seen and outcome != "n/a":
            differences.append(Difference("no trial", key, f"pytest {outcome}"))
    return agree, differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--verdicts", type=pathlib.Path, default=SHARED / "verdicts/base.tsv")
    parser.add_argument("--only", nargs="*", default=[], metavar="PREFIX", help="upstream ids to consider")
    parser.add_argument("--explanations", type=pathlib.Path, default=ROOT / "scripts/verdict-differences.tsv")
    parser.add_argument("--least", type=float, default=0.0, metavar="PERCENT", help="of trials and of agreement")
    parser.add_argument("-v", "--verbose", action="store_true", help="print explained differences too")
    args = parser.parse_args()

    def in_scope(key: str) -> bool:
        return not args.only or key.startswith(tuple(args.only))

    try:
        trials = [t for t in read_trials(args.report) if t.upstream is None or in_scope(t.upstream)]
        verdicts = {key: row for key, row in runs.verdicts(args.verdicts).items() if in_scope(key)}
        explanations = runs.Explanations(args.explanations)
    except OSError as error:
        unusable(str(error))

    agree, differences = compare(trials, verdicts)
    open_ones, counts = 0, collections.Counter()
    for difference in differences:
        inexcusable = difference.kind == "false green" or difference.kind == "failing" and difference.key in verdicts
        reason = None if inexcusable else explanations.reason(difference.key)
        counts[difference.kind, reason is not None] += 1
        open_ones += reason is None
        if reason is None or args.verbose:
            print(f"{difference.kind:<10}  {difference.key}\n            {difference.text}")
        if reason is not None and args.verbose:
            print(f"            explained: {reason}")
    if args.verbose:
        for pattern in explanations.unused():
            print(f"unused      explanation for {pattern}")
    parts = [f"{len(agree)} agree"]
    for kind in ("differ", "more", "offline", "false green", "no trial", "no verdict", "failing"):
        if total := counts[kind, True] + counts[kind, False]:
            parts.append(f"{total} {kind} ({counts[kind, True]} explained)")
    print(f"{args.report.name} against {args.verdicts.name}: {', '.join(parts)}")
    settled = {key for key, (outcome, *_) in verdicts.items() if outcome != "n/a"}
    with_trial = settled & {trial.upstream for trial in trials}
    apart = {difference.key for difference in differences if difference.kind in ("more", "offline")}
    judged = with_trial - apart
    # One trial of several that disagrees is enough.
    agreeing = agree & settled - {difference.key for difference in differences}
    trials_share, agreement = share(with_trial, settled), share(agreeing, judged)
    print(f"  {len(with_trial)} of {len(settled)} verdicts have a trial ({trials_share:.1f} %); of the {len(judged)} that both "
          f"pytest and the trial can reach, {len(agreeing)} agree ({agreement:.1f} %)")
    return 1 if open_ones or min(trials_share, agreement) < args.least else 0


def share(part: set[str], whole: set[str]) -> float:
    """In percent."""
    return 100 * len(part) / len(whole) if whole else 0.0


if __name__ == "__main__":
    sys.exit(main())
