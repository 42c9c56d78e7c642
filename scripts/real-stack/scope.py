"""Counts whose recordings answered the runs of scope.sh, and compares their outcomes."""

import json
import sys
from pathlib import Path

runs, recordings = Path(sys.argv[1]), Path(sys.argv[2])


def bare(test):
    return (test or "").removeprefix("tests/integration/")


tests = {}  # file -> test
asked = {}  # request -> the tests that have a recording of it
request_of = {}
for path in recordings.rglob("*.json"):
    recording = json.loads(path.read_text())
    if not isinstance(recording, dict) or "request" not in recording:
        continue
    file = path.relative_to(recordings).as_posix()
    request = recording["request"]
    key = json.dumps([request.get("endpoint"), request.get("body")], sort_keys=True)
    tests[file] = bare(recording.get("test_id"))
    asked.setdefault(key, set()).add(tests[file])
    request_of[file] = key


def read(name):
    outcomes, counts = {}, dict(own=0, other=0, shared=0, shared_own=0, misses=0, nobodys=0)
    for line in (runs / f"{name}.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "trial_finished":
            outcomes[event["id"]] = event["outcome"]
            test = bare(event["upstream"])
            for used in event["matches"]:
                if used["file"] is None:
                    counts["misses"] += used["tier"].startswith("miss")
                    continue
                own = tests[used["file"]] == test
                counts["own" if own else "other"] += 1
                if len(asked[request_of[used["file"]]]) > 1:
                    counts["shared"] += 1
                    counts["shared_own"] += own
        elif event["event"] == "run_finished":
            lists = ("/models", "/tags", "/ps")
            counts["nobodys"] = sum(not used["endpoint"].endswith(lists) for used in event["matches"])
    return outcomes, counts


results = {name: read(name) for name in ("one", "four", "shuffled", "untagged")}
print(f"{'run':10} {'own':>5} {'other':>6} {'shared body, own':>17} {'misses':>7} {'no trial known':>15}")
for name, (_, c) in results.items():
    shared = f"{c['shared_own']} of {c['shared']}"
    print(f"{name:10} {c['own']:5} {c['other']:6} {shared:>17} {c['misses']:7} {c['nobodys']:15}")
failed = False
for name in ("four", "shuffled"):
    differing = [t for t in results["one"][0] if results["one"][0][t] != results[name][0].get(t)]
    print(f"outcomes that differ between one and {name}: {len(differing)}")
    failed |= bool(differing)
for name in ("one", "four", "shuffled"):
    failed |= results[name][1]["nobodys"] > 0 or results[name][1]["own"] == 0
sys.exit(failed)
