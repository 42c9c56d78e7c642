#!/usr/bin/env python3
"""The examples for CI services, as far as they are commands: ci-examples.py RUNNER

What the workflow for GitHub and the pipelines for GitLab run is run here, in a new project with four jobs, and each pod
of the Kubernetes Job over this repository. Every job has to pass, and what is merged has to be all trials.
Needs PyYAML. Exit status: 0 all right, 1 not.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples/ci"
MATRIX = 'default: [{suite: smoke, stack_config: [starter, "server:starter"], shards: 2}]\n'
# Three cases in two stacks.
MERGED = "6 passed, 0 failed"


def read(name: str) -> list:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text("utf-8")))


def run(what: str, command: list[str], folder: pathlib.Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def merged(what: str, said: str, want: str) -> None:
    if want not in said:
        sys.exit(f"{what}: `{want}` was to be merged, but:\n{said}")
    print(f"{what}: {said.strip().splitlines()[-1]}")


def step(job: dict, words: str) -> dict:
    return next(step for step in job["steps"] if words in step.get("run", ""))


def github(folder: pathlib.Path, env: dict[str, str]) -> None:
    def bash(what: str, step: dict, **more: str) -> str:
        unset = set(step.get("env", {})) - set(more)
        if unset:
            sys.exit(f"{what} needs {unset}")
        return run(what, ["bash", "-e", "-o", "pipefail", "-c", step["run"]], folder, env | more)

    jobs = read("github.yml")[0]["jobs"]
    output = folder / "output"
    bash("github, plan", step(jobs["plan"], "runner matrix"), BASE="", GITHUB_OUTPUT=str(output))
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    matrix = json.loads(outputs["matrix"])["include"]
    if outputs["jobs"] != str(len(matrix)):
        sys.exit(f"github: {outputs['jobs']} jobs were counted of {len(matrix)}")
    for job in matrix:
        bash(f"github, {job['name']}", step(jobs["run"], "runner "), ARGS=job["args"], NAME=job["name"])
    merged("github", bash("github, merge", step(jobs["merge"], "runner merge")), MERGED)


def gitlab(folder: pathlib.Path, env: dict[str, str]) -> None:
    def sh(what: str, job: dict, **more: str) -> str:
        return run(f"gitlab, {what}", ["sh", "-ec", "\n".join(job["script"])], folder, env | more)

    parent, child = read("gitlab-ci.yml")[0], read("runner.gitlab-ci.yml")[0]
    sh("plan", parent["plan"])
    jobs = json.loads((folder / "jobs.yml").read_text())
    if jobs.pop("include") != [{"local": "runner.gitlab-ci.yml"}]:
        sys.exit("gitlab: the jobs include another file than the example's")
    for name, job in jobs.items():
        sh(name, child[job["extends"]], **job["variables"])
    merged("gitlab", sh("merge", child["merge"]), MERGED)


def kubernetes(folder: pathlib.Path, env: dict[str, str], runner: str) -> None:
    spec = next(document for document in read("kubernetes.yaml") if document["kind"] == "Job")["spec"]
    container = spec["template"]["spec"]["containers"][0]
    given = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    for index in range(spec["completions"]):
        arguments = [arg.replace("$(SHARD)", str(index)).replace("/runs/", f"{folder}/") for arg in container["args"]]
        run(f"kubernetes, pod {index}", [runner, *arguments], ROOT, env | given | {"JOB_COMPLETION_INDEX": str(index)})
    said = run("kubernetes, merge", [runner, "merge", str(folder)], ROOT, env)
    # The whole suite: merge notices a shard that is missing.
    merged("kubernetes", said, " passed, 0 failed")


def main(runner: str) -> None:
    runner = str(pathlib.Path(runner).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        path = f"{pathlib.Path(runner).parent}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": path, "HOME": name, "TMPDIR": name}
        for service in (github, gitlab):
            project = folder / service.__name__
            run(service.__name__, [runner, "init", str(project)], folder, env)
            (project / "ci_matrix.yaml").write_text(MATRIX)
            service(project, env)
        (folder / "kubernetes").mkdir()
        kubernetes(folder / "kubernetes", env, runner)


if __name__ == "__main__":
    main(*sys.argv[1:])
