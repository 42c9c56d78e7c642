#!/usr/bin/env python3
"""One run's time beside pytest's: wall-time.py SUITE VERDICTS.tsv REPORT.jsonl BEGAN ENDED [--shared FILE]

Writes the ids of the trials that both ran into FILE. Exit status: 0 when the trials took at most a third of pytest's time, else 1.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import runs

parser = argparse.ArgumentParser()
for name in ("suite", "verdicts", "report"):
    parser.add_argument(name)
for name in ("began", "ended"):
    parser.add_argument(name, type=float)
parser.add_argument("--shared")
options = parser.parse_args()

report = pathlib.Path(options.report)
ran = {e["upstream"]: e["id"] for e in runs.events(report, "trial_finished") if e["outcome"] != "skipped"}
(trials,) = (e["seconds"] for e in runs.events(report, "run_finished"))
verdicts = runs.verdicts(pathlib.Path(options.verdicts))
judged = {test: verdict.seconds for test, verdict in verdicts.items() if verdict.outcome not in ("skipped", "n/a")}
both = ran.keys() & judged.keys()
pytest = sum(judged[test] for test in both)
print(
    f"{options.suite}: {trials:.1f} s for {len(both)} tests that pytest spent {pytest:.1f} s in, and for {len(ran) - len(both)} "
    f"that it skips or could not judge: {trials / pytest:.2f} of that"
)
print(f"  with the server's start {options.ended - options.began:.0f} s; pytest's whole file {sum(verdict.seconds for verdict in verdicts.values()):.0f} s ({len(verdicts)} rows)")
if options.shared:
    pathlib.Path(options.shared).write_text("".join(f"{ran[test]}\n" for test in both), encoding="utf-8")
sys.exit(trials * 3 > pytest)
