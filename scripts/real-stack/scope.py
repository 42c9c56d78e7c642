"""Counts whose recordings answered the runs of scope.sh, and compares their outcomes."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import runs

out, recordings = pathlib.Path(sys.argv[1]), runs.Recordings(pathlib.Path(sys.argv[2]))


def read(name):
    report = out / f"{name}.jsonl"
    outcomes, counts = {}, dict(own=0, other=0, shared=0, shared_own=0, misses=0, nobodys=0)
    for trial in runs.trials(report):
        outcomes[trial.id] = trial.outcome
        for used in trial.matches:
            if used["file"] is None:
                counts["misses"] += used["tier"].startswith("miss")
                continue
            own = recordings.tests.get(used["file"]) == trial.upstream
            counts["own" if own else "other"] += 1
            if recordings.is_shared(used["file"]):
                counts["shared"] += 1
                counts["shared_own"] += own
    lists = ("/models", "/tags", "/ps")
    for end in runs.events(report, "run_finished"):
        counts["nobodys"] = sum(not used["endpoint"].endswith(lists) for used in end["matches"])
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
