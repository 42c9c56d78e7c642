#!/usr/bin/env python3
"""How like a real Llama Stack 0.3.0 the in-process stack is: the same suites over the same recordings.

    faithfulness.py [--only base|responses|llama-cpp ...] [--out DIR] [--reuse] [SELECTOR ...]

Runs each suite in process and against Python's Llama Stack (scripts/real-stack): base and responses over upstream's
recordings, and base with the setup llama-cpp over this repository's; with `--report jsonl` and
`--report exchanges`, and prints for every endpoint how many answers were compared and where they differ: status,
names and types of fields, order of a stream's events. What the answers say is not compared. A trial must end alike on
both sides. Every difference needs a line in scripts/faithfulness.tsv: `outcome TRIAL`, `shape METHOD ENDPOINT PLACE`
or `shape METHOD ENDPOINT PLACE in TRIAL`, where `*` stands for anything, a tab, and the reason.

Exit status: 0 all alike or explained, and at least 97 % of the trials alike; 1 not; 2 the runs could not be made.
Environment: RUNNER_BIN (a runner that is built), RUNNER_SHARED (recordings; default ../shared).
"""

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys
import typing

import runs
from runs import ROOT, unusable

SHARED = pathlib.Path(os.environ.get("RUNNER_SHARED") or ROOT.parent / "shared").resolve()
UPSTREAM = SHARED / "recordings/llama-stack-0.3.0"
LEAST_ALIKE = 0.97
# So that what an earlier run stored is not listed by this one.
WITH_FRESH_STATE = """
export SQLITE_STORE_DIR=$(scripts/real-stack/fresh-state.sh) || exit
trap 'rm -rf "$SQLITE_STORE_DIR"' EXIT
source scripts/real-stack/env.sh
"$@"
"""
# Where the recordings of `responses` have Ollama's models, of which one is the default for vector stores.
FLAGS = {
    "base": ["--suite=base", "--setup=ollama", f"--recording-dir={UPSTREAM}"],
    "responses": ["--suite=responses", "--setup=gpt", "--env=OLLAMA_URL=http://0.0.0.0:11434", f"--recording-dir={UPSTREAM}"],
    "llama-cpp": ["--suite=base", "--setup=llama-cpp", f"--recording-dir={ROOT / 'recordings'}"],
}
# One model of llama.cpp's server chats and embeds. Llama Stack has a model do one or the other, so that there it is a model
# of two providers, which reach the same server.
EMBEDDER = "embedder"
EMBEDDING_MODEL = "smollm2-135m"


def provider(name: str) -> str:
    return f'  - {{provider_id: {name}, provider_type: "remote::openai", config: {{api_key: none, base_url: "${{env.LLAMA_CPP_URL}}"}}}}\n'


def real_stack(name: str, out: pathlib.Path) -> list[str]:
    """How the real one is started."""
    original = SHARED / "real-stack/run.yaml"
    if name != "llama-cpp":
        return ["--stack=llama-stack", f"--stack-config=server:{original}"]
    before, rest = original.read_text(encoding="utf-8").split("  inference:\n", 1)
    after = rest[rest.index("  vector_io:\n") :]
    text = f"{before}  inference:\n{provider('llama-cpp')}{provider(EMBEDDER)}{after}"
    model = f"model_id: {EMBEDDING_MODEL}, provider_id: {EMBEDDER}"
    replaced = {
        "  models: []\n": f"  models: [{{{model}, model_type: embedding, metadata: {{embedding_dimension: 576}}}}]\n",
        'default_embedding_model: {provider_id: ollama, model_id: "all-minilm:l6-v2"}': f"default_embedding_model: {{{model}}}",
    }
    for written, wanted in replaced.items():
        if written not in text:
            unusable(f"{original} has no line `{written.strip()}` any more")
        text = text.replace(written, wanted)
    config = out / "llama-cpp.yaml"
    config.write_text(text, encoding="utf-8")
    embedder = [f"--embedding-model={EMBEDDER}/{EMBEDDING_MODEL}", f"--env=DEFAULT_EMBEDDING_PROVIDER={EMBEDDER}"]
    return ["--stack=llama-stack", f"--stack-config=server:{config}", "--env=SAFETY_MODEL=", *embedder]


def run(side: str, name: str, out: pathlib.Path, selectors: list[str]) -> None:
    runner = os.environ.get("RUNNER_BIN") or str(ROOT / "target/debug/runner")
    command = [runner, *FLAGS[name], "--quiet", "--inference-mode=replay"]
    command += [f"--report=jsonl={out / f'{name}-{side}.jsonl'}", f"--report=exchanges={out / f'{name}-{side}.exchanges'}"]
    command += selectors
    env = {k: v for k, v in os.environ.items() if k not in ("LLAMA_STACK_CONFIG", "LLAMA_STACK_TEST_RECORDING_DIR")}
    env |= {"RUNNER_SHARED": str(SHARED)}
    if side == "real":
        command = ["bash", "-c", WITH_FRESH_STATE, "faithfulness", *command, *real_stack(name, out)]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in (0, 1, 7):
        unusable(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")


def ours(trial: str) -> str:
    """The id of a trial as it is in process."""
    return trial.replace(f"emb={EMBEDDER}/", "emb=llama-cpp/")


def outcomes(path: pathlib.Path) -> dict[str, tuple[str, str]]:
    return {ours(trial.id): (trial.outcome, trial.reason) for trial in runs.trials(path)}


def is_literal(segment: str) -> bool:
    invented = ("no-", "nope", "non-existent", "nonexistent", "bogus", "invalid", "pages-", "judge-", "benchmark-")
    return re.fullmatch(r"[a-z][a-z_-]*|v1(alpha|beta)?", segment) is not None and not segment.startswith(invented)


def endpoint(method: str, path: str) -> str:
    """The path without its query, ids replaced."""
    parts = path.partition("?")[0].strip("/").split("/")
    for slashed in ("models", "shields", "datasets", "iterrows", "scoring-functions", "toolgroups", "tools"):
        if slashed in parts and parts.index(slashed) + 1 < len(parts):
            parts = [*parts[: parts.index(slashed) + 1], "{id}"]
    return f"{method} /" + "/".join(part if is_literal(part) or part == "{id}" else "{id}" for part in parts)


Key = tuple[str, str, int]


def exchanges(path: pathlib.Path) -> dict[Key, dict]:
    """Answers by trial, endpoint and number. Of a request that was repeated, as in polling, the last counts."""
    found: dict[Key, dict] = {}
    numbers: dict[tuple[str, str], int] = collections.Counter()
    last: dict[tuple[str, str, str], Key] = {}
    for line in runs.events(path, "exchange"):
        line["id"] = ours(line["id"])
        at = endpoint(line["method"], line["path"])
        same = (line["id"], line["method"], line["path"])
        if line["method"] == "GET" and same in last:
            found[last[same]] = line
            continue
        key = (line["id"], at, numbers[line["id"], at])
        numbers[line["id"], at] += 1
        last[same] = key
        found[key] = line
    return found


def types(kinds: dict[str, dict[str, list[str]]]) -> dict[str, str]:
    return {f"{kind} {place}".strip(): " or ".join(names) for kind, places in kinds.items() for place, names in places.items()}


def shape_differences(ours: dict, real: dict) -> typing.Iterator[tuple[str, str, str]]:
    if ours["status"] != real["status"]:
        yield "status", str(ours["status"]), str(real["status"])
        return
    for part in ("media_type", "cut"):
        if ours[part] != real[part]:
            yield part, str(ours[part]), str(real[part])
    if ours["sequence"] != real["sequence"]:
        yield "events", ", ".join(ours["sequence"]), ", ".join(real["sequence"])
    here, there = types(ours["shapes"]), types(real["shapes"])
    lacking: list[str] = []
    for place in sorted(here.keys() | there.keys()):
        if here.get(place) == there.get(place) or any(place.startswith((f"{p}.", f"{p}[")) for p in lacking):
            continue
        # What is below a field that one side lacks says nothing more.
        lacking.append(place)
        yield place, here.get(place, "absent"), there.get(place, "absent")


def compare(suite: str, out: pathlib.Path, explanations: runs.Explanations) -> int:
    for path in (out / f"{suite}-{side}.{kind}" for side in ("ours", "real") for kind in ("jsonl", "exchanges")):
        if not path.exists():
            unusable(f"{path} is not there; run without --reuse")
    in_process, real = (outcomes(out / f"{suite}-{side}.jsonl") for side in ("ours", "real"))
    unexplained = 0
    print(f"\n== {suite}: {len(in_process)} trials in process, {len(real)} against Llama Stack 0.3.0")
    counts = collections.Counter((in_process.get(i, ("absent", ""))[0], real.get(i, ("absent", ""))[0]) for i in in_process | real)
    for (here, there), count in sorted(counts.items()):
        print(f"{count:6}  {here} in process, {there} there")
    alike = sum(count for (here, there), count in counts.items() if here == there)
    total = sum(counts.values())
    for trial in sorted(in_process | real):
        here, there = in_process.get(trial, ("absent", "")), real.get(trial, ("absent", ""))
        if here[0] != there[0]:
            reason = explanations.reason(f"outcome {trial}")
            unexplained += reason is None
            print(f"  {'explained' if reason else 'DIFFERS  '} {trial}: {here[0]} here, {there[0]} there")
            print(f"            {reason or f'here: {here[1][:200]} | there: {there[1][:200]}'}")
    print(f"{alike} of {total} trials end alike ({alike / total:.1%})" if total else "no trials")

    here, there = (exchanges(out / f"{suite}-{side}.exchanges") for side in ("ours", "real"))
    again = {ours(e["id"]) for e in runs.events(out / f"{suite}-real.jsonl", "trial_finished") if e["attempts"] > 1}
    for trial in sorted(again):
        print(f"  needed another attempt there, so that its answers are not compared: {trial}")
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    found: dict[tuple[str, str, str, str], list[str]] = collections.defaultdict(list)
    for key in sorted(here.keys() & there.keys()):
        trial, at, _ = key
        # Trials that end differently are told above. A fixture is no trial; its requests count.
        if trial in again or in_process.get(trial, ("",))[0] != real.get(trial, ("",))[0]:
            continue
        differences = list(shape_differences(here[key], there[key]))
        table[at]["compared"] += 1
        table[at]["alike"] += not differences
        for place, mine, theirs in differences:
            found[at, place, mine, theirs].append(trial)
    print(f"\n{'compared':>9} {'alike':>6}  endpoint")
    for at, row in sorted(table.items()):
        print(f"{row['compared']:9} {row['alike']:6}  {at}")
    for (at, place, mine, theirs), trials in sorted(found.items()):
        reason = explanations.reason(f"shape {at} {place}")
        if reason is None:
            of_trials = [explanations.reason(f"shape {at} {place} in {trial}") for trial in trials]
            reason = of_trials[0] if all(of_trials) else None
        unexplained += reason is None
        print(f"  {'explained' if reason else 'DIFFERS  '} {at} {place}: {mine} here, {theirs} there ({len(trials)} times, e.g. {trials[0]})")
        if reason:
            print(f"            {reason}")
    if total and alike / total < LEAST_ALIKE:
        print(f"fewer than {LEAST_ALIKE:.0%} of the trials end alike")
        unexplained += 1
    return unexplained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("selectors", nargs="*", help="folders, files or cases; all of the suite unless given")
    parser.add_argument("--only", action="append", choices=sorted(FLAGS), help="all of them unless given")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/faithfulness")
    parser.add_argument("--reuse", action="store_true", help="compare what the last runs left")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    explanations = runs.Explanations(ROOT / "scripts/faithfulness.tsv")
    unexplained = 0
    for suite in options.only or FLAGS:
        if not options.reuse:
            for side in ("ours", "real"):
                run(side, suite, options.out, options.selectors)
        unexplained += compare(suite, options.out, explanations)
    if not options.selectors and not options.only:
        for pattern in explanations.unused():
            # No failure: what a list holds of other trials differs from run to run.
            print(f"an explanation that nothing needed this time: {pattern}")
    print(f"\n{unexplained} unexplained" if unexplained else "\nall alike or explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
