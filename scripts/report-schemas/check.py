#!/usr/bin/env python3
"""Reports against the schemas of those who read them: check.py RUNNER JUNIT_XSD CTRF_SCHEMA

A run against a small server here has every outcome. Its reports, those of `runner merge`, and those of the base suite
have to be valid; the same with a mistake planted have to be invalid, or the check is worth nothing.
"""

import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import jsonschema
import xmlschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUTCOMES = {"passed", "failed", "skipped", "xfailed", "xpassed", "broken", "quarantined"}
CASES = """
fixtures:
  store: {scope: file, steps: [{post: /broken, expect: [{status: 200}]}]}
cases:
  - {name: passes, upstream: "a/test_a.py::test_passes", steps: [{get: /fine, expect: [{status: 200}]}]}
  - {name: fails <&> "quotes", steps: [{get: /fine, expect: [{status: 404}]}]}
  - {name: skipped, params: [vision_model], steps: [{get: /fine, expect: [{status: 200}]}]}
  - {name: xfails, xfail: [{target_is: url, because: a <known> bug}], steps: [{get: /fine, expect: [{status: 404}]}]}
  - {name: xpasses, xfail: [{target_is: url, because: known}], steps: [{get: /fine, expect: [{status: 200}]}]}
  - {name: broken, uses: store, steps: [{get: /fine, expect: [{status: 200}]}]}
  - {name: quarantined, steps: [{get: /fine, expect: [{status: 404}]}]}
  - {name: flaky, steps: [{get: /flaky, expect: [{status: 200}]}]}
"""


class Stack(http.server.BaseHTTPRequestHandler):
    """A stack that is fine, broken, or fine from the second time on, by path."""

    asked = 0

    def answer(self) -> None:
        bad = self.path == "/broken"
        if self.path == "/flaky":
            Stack.asked += 1
            bad = Stack.asked == 1
        # A control character and an escape, which XML cannot hold.
        body = json.dumps({"path": self.path, "text": "bell \x07, \x1b[31mred\x1b[0m, ]]>"}, ensure_ascii=False).encode()
        self.send_response(500 if bad else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


def run(folder: pathlib.Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def planted_junit(text: str) -> list[str]:
    return [
        text.replace('classname="', 'class="', 1),
        text.replace(' errors="', ' mistakes="'),
        text.replace("</testsuite>", "<properties/><what/></testsuite>", 1),
    ]


def planted_ctrf(text: str) -> list[str]:
    return [
        text.replace('"status":', '"outcome":', 1),
        text.replace('"passed"', '"well"'),
        re.sub(r'"tests": ?\d+', '"tests": "many"', text, count=1),
    ]


def main(runner: str, xsd: str, ctrf: str) -> int:
    runner = str(pathlib.Path(runner).resolve())
    junit_schema = xmlschema.XMLSchema(xsd)
    ctrf_schema = jsonschema.Draft7Validator(json.loads(pathlib.Path(ctrf).read_text()))

    def junit_problems(text: str) -> list[str]:
        return [f"{error.path}: {error.reason}" for error in junit_schema.iter_errors(text)]

    def ctrf_problems(text: str) -> list[str]:
        return [f"{error.json_path}: {error.message}" for error in ctrf_schema.iter_errors(json.loads(text))]

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stack)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path, text in {
            "suites/all.yaml": 'name: all\nroots: ["**"]\n',
            "test_cases/a.yaml": CASES,
            "expectations/known.yaml": 'quarantine: [{trials: "a::quarantined", because: it depends}]\n',
        }.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        reports = [f"--report={folder}/run.{kind}" for kind in ("xml", "json", "jsonl")]
        run(folder, runner, "--suite=all", f"--stack-config=http://127.0.0.1:{server.server_port}", "--retries=1", *reports)
        run(folder, runner, "merge", "run.jsonl", "--report=merged.xml", "--report=merged.json")
        base = [f"--report={folder}/base.{kind}" for kind in ("xml", "json")]
        run(ROOT, runner, "--suite=base", "--setup=llama-cpp", "--quiet", *base)

        events = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
        seen = {event["outcome"] for event in events if event["event"] == "trial_finished"}
        if seen != OUTCOMES or events[-1]["flaky"] != 1:
            sys.exit(f"the run was to have every outcome and a flaky trial; it had {seen}, {events[-1]['flaky']} flaky")
        for stem in ("run", "merged", "base"):
            for ending, problems, planted in (
                ("xml", junit_problems, planted_junit),
                ("json", ctrf_problems, planted_ctrf),
            ):
                text = (folder / f"{stem}.{ending}").read_text("utf-8")
                found = problems(text)
                let_through = [index for index, bad in enumerate(planted(text)) if bad == text or not problems(bad)]
                wrong += bool(found) + bool(let_through)
                print(f"{stem}.{ending}: {'valid' if not found else 'INVALID'}")
                print("".join(f"    {problem}\n" for problem in found[:10]), end="")
                if let_through:
                    print(f"    mistakes that were not found: {let_through}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
