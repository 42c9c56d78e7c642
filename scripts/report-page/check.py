#!/usr/bin/env python3
"""check.py [--shots] CHROMIUM RUNNER: see scripts/report-page.sh.

Exit status: 0 the page does what it should; 1 it does not; 2 a report could not be made.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing

from browser import Browser, Failed, colours

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "target/report-page"
MANY = 5_000

# What a page must survive and show: markup in names and reasons, a value that differs, a miss, a stream, a skip.
CASES = r"""# yaml-language-server: $schema=../../schemas/case.json
cases:
  - name: says_</script><script>document.title='taken'</script>
    xfail: [{target_is: in_process, because: "<img src=x onerror=alert(1)>"}]
    steps: [{get: /v1/version, expect: [{status: 404}]}]
  - name: usage_differs
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "Hello, world!"}], stream: false}}
        expect:
          - json: {at: $.usage, equals: {prompt_tokens: 34, completion_tokens: 47, total_tokens: 82}}
  - name: nothing_recorded
    params: [text_model]
    steps:
      - post: /v1/chat/completions
        body: {json: {model: "${{ text_model }}", messages: [{role: user, content: "Which planet do cats live on?"}]}}
        expect: [{status: 200}]
  - name: steady
    rows: [{id: one}, {id: two}]
    steps: [{get: /v1/version, expect: [{status: STATUS}]}]
"""


def run(runner: str, root: pathlib.Path, state: pathlib.Path, args: list[str], statuses: tuple[int, ...]) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA_STACK", "GITHUB_"))} | {"XDG_STATE_HOME": str(state)}
    done = subprocess.run([runner, *args], cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in statuses:
        print(f"report page: {' '.join(args)} ended with {done.returncode}:\n{done.stdout[-3000:]}", file=sys.stderr)
        sys.exit(2)


def failing_run(runner: str, folder: pathlib.Path) -> pathlib.Path:
    """A run with every kind of outcome, after one that ended otherwise."""
    root, cases = folder / "project", folder / "project/test_cases/own"
    for kept in ("suites", "setups", "stacks", "shapes", "fixtures", "test_cases"):
        shutil.copytree(ROOT / kept, root / kept)
    cases.mkdir()
    report = folder / "report.html"
    args = ["inference", "own", "--setup=llama-cpp", "-q", f"--recording-dir={ROOT / 'recordings'}", f"--report={report}"]
    for status in ("200", "500"):
        (cases / "own.yaml").write_text(CASES.replace("STATUS", status), "utf-8")
        run(runner, root, folder / "state", args, (1,))
    return report


def large_run(runner: str, folder: pathlib.Path) -> pathlib.Path:
    """The base run's trials again and again, as one run of many."""
    base = folder / "base.jsonl"
    run(runner, ROOT, folder / "state", ["--suite=base", "--setup=llama-cpp", "-q", f"--report={base}"], (0,))
    lines = [json.loads(line) for line in base.read_text("utf-8").splitlines()]
    trials = [line for line in lines if line["event"] == "trial_finished"]
    many = [lines[0]]
    for number in range(MANY):
        trial = trials[number % len(trials)]
        file, name = trial["id"].split("::", 1)
        many.append(trial | {"id": f"{file}_{number // len(trials):02}::{name}"})
    many.append(lines[-1])
    (folder / "many.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in many), "utf-8")
    report = folder / "many.html"
    run(runner, folder, folder / "state", ["merge", "many.jsonl", f"--report={report}"], (0,))
    return report


def expect(what: str, found: typing.Any, wanted: typing.Any) -> None:
    if found != wanted:
        raise Failed(f"{what}: expected {wanted!r}, found {found!r}")


def holds(what: str, found: typing.Any) -> None:
    if not found:
        raise Failed(f"{what}: {found!r}")


ROWS = "[...document.querySelectorAll('.trial')].map((row) => row.querySelector('.glyph').getAttribute('aria-label'))"
SHOWN = "document.getElementById('shown').textContent"
FOCUS = "document.activeElement.closest('.trial')?.querySelector('button').dataset.id || document.activeElement.id || document.activeElement.className"
# The contrast of text with what is behind it, as WCAG 2 defines it, for each kind of text that is on the page.
CONTRAST = """(() => {
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c) && c !== "transparent") return c; } return "rgb(255,255,255)"; };
  const found = {};
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length || e.closest("svg")) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const name = e.className || e.tagName;
    found[name] = Math.min(found[name] ?? 99, ratio);
  }
  return Object.entries(found).filter(([, ratio]) => ratio < 4.5).map(([name, ratio]) => `${name} ${ratio.toFixed(2)}`);
})()"""


def filtering(page: Browser, total: int) -> None:
    expect("all trials are counted", page.js(SHOWN), f"{total} of {total} trials")
    expect("the worst come first", page.js(ROWS)[0], "failed")
    expect("markup in a name is text", page.js("document.title"), page.js("document.title").replace("taken", ""))
    expect("no element comes from a name", page.js("document.querySelectorAll('img, main script').length"), 0)
    page.click("#only-failed")
    failed = page.js(ROWS)
    holds("only failures are left", failed and set(failed) == {"failed"})
    expect("a pressed filter says so", page.js("document.getElementById('only-failed').getAttribute('aria-pressed')"), "true")
    page.press("/", 191, "/")
    expect("/ goes to the search", page.js(FOCUS), "query")
    page.type("usage_dif")
    expect("search and filter work together", page.js(SHOWN), f"1 of {total} trials")
    holds("the address keeps both", "usage_dif" in page.js("location.hash") and "failed" in page.js("location.hash"))


def failure(page: Browser) -> None:
    page.press("ArrowDown", 40)
    holds("an arrow leads to the trial", "usage_differs" in page.js(FOCUS))
    page.press("Enter", 13, "\r")
    expect("Enter opens it", page.js("document.activeElement.getAttribute('aria-expanded')"), "true")
    detail = page.js("document.querySelector('.detail').innerText")
    for part in ("test_cases/own/own.yaml:1", "equals: {prompt_tokens: 34", "difference (- expected, + actual)", "curl -sS -X POST", "HTTP 200 OK", "llama-cpp", "exact", "responses/", "runner '"):
        holds(f"the failure shows {part}, it shows: {detail}", part in detail)
    for part, least in {".failure .at": 1, ".failure .add": 1, ".failure .del": 1, ".waterfall .body": 1, ".waterfall .provider": 1, ".copy": 2, ".strip i": 2, ".detail table": 1}.items():
        holds(f"the failure has {part}", page.js(f"document.querySelectorAll({json.dumps(part)}).length") >= least)


def others(page: Browser, total: int) -> None:
    page.press("Escape", 27)
    page.click("#only-failed")
    page.click("#query")
    page.type("chat_completion_streaming")
    page.press("ArrowDown", 40)
    page.press("Enter", 13, "\r")
    holds("a stream's chunks are drawn", (page.js("document.querySelector('.waterfall .tick')?.getAttribute('d') || ''")).count("M") > 3)
    holds("and counted", "first chunk after" in page.js("document.querySelector('.waterfall').innerText"))
    page.press("Escape", 27)
    page.js("document.getElementById('tab-trials').focus()")
    page.press("ArrowRight", 39)
    expect("arrows turn to the next tab", page.js(FOCUS), "tab-grid")
    expect("the grid has a cell for each trial", page.js("document.querySelectorAll('.cell').length"), total)
    expect("it is one tab stop", page.js("document.querySelectorAll('.cell[tabindex=\"0\"]').length"), 1)
    holds("clients are its columns", "openai_client" in page.js("document.querySelector('.grid thead').innerText"))
    for view, word in {"times": "first chunk, median", "providers": "prompt tokens", "history": "changes and retries", "reasons": "vision_model empty"}.items():
        page.click(f"#tab-{view}")
        holds(f"{view} shows {word}", word in page.js("document.getElementById('view').innerText"))
    page.click("#tab-history")
    expect("what ended otherwise before is told", page.js("document.querySelectorAll('#view tbody tr').length"), 2)
    page.js("document.querySelector('#view .link').focus()")
    page.press("Enter", 13, "\r")
    holds("a link opens the trial in the list", "own/own::steady" in page.js(FOCUS))


def looks(page: Browser, report: pathlib.Path) -> None:
    page.open(report, "#outcomes=failed&trial=" + page.js("encodeURIComponent(document.querySelector('[data-id*=\"usage_differs\"]')?.dataset.id || 'own/own::usage_differs[txt=llama-cpp/smollm2-135m]')"))
    expect("an address opens its trial", page.js("document.querySelectorAll('.detail').length"), 1)
    seen = {}
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        expect(f"text can be read ({scheme})", page.js(CONTRAST), [])
        picture = colours(page.shot(OUT / f"{scheme}.png"))
        seen[scheme] = max(picture, key=lambda colour: picture[colour])
        holds(f"the picture shows the parts of the page ({scheme})", len(picture) > 100)
        for name in ("--failed", "--passed", "--accent"):
            value = page.js(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
            colour = tuple(int(value[at : at + 2], 16) for at in (1, 3, 5))
            holds(f"the picture has {name} ({scheme})", picture.get(colour, 0) > 20)
    holds("dark is dark", sum(seen["light"]) > 600 > 200 > sum(seen["dark"]))


def large(page: Browser, report: pathlib.Path) -> None:
    began = time.monotonic()
    page.open(report)
    page.frame()
    opened = time.monotonic() - began
    holds("not all rows are drawn at once", len(page.js(ROWS)) < 1_000)
    began = time.monotonic()
    page.click("#tab-grid")
    page.frame()
    grid = time.monotonic() - began
    expect("the grid has them all", page.js("document.querySelectorAll('.cell').length"), MANY)
    page.click("#tab-trials")
    page.click("#query")
    began = time.monotonic()
    page.type("vector_io")
    page.frame()
    searched = time.monotonic() - began
    page.js("window.scrollTo(0, document.body.scrollHeight)")
    page.js("new Promise((done) => { const look = () => document.querySelectorAll('.trial').length > 200 ? done() : requestAnimationFrame(look); look(); })")
    size = report.stat().st_size / 1e6
    print(f"{MANY} trials, {size:.1f} MB: opened in {opened:.2f} s, grid in {grid:.2f} s, searched in {searched:.2f} s")


def shots(chromium: str, runner: str, folder: pathlib.Path) -> None:
    report = folder / "base.html"
    args = ["--suite=base", "--setup=llama-cpp", "-q", "--replay-speed=20", f"--report={report}"]
    for _ in range(2):
        run(runner, ROOT, folder / "state", args, (0,))
    with Browser(chromium, 1280, 1000) as page:
        for name, scheme, fragment in (
            ("report.png", "light", "#query=chat_completion_streaming&trial=inference%2Fchat_completion%3A%3Achat_completion_streaming%5Bopenai_client-txt%3Dllama-cpp%2Fsmollm2-135m-streaming_01%5D"),
            ("report-grid.png", "dark", "#view=grid&query=vector_io"),
        ):
            page.scheme(scheme)
            page.open(report, fragment)
            page.js("window.scrollTo(0, 0)")
            page.frame()
            page.shot(ROOT / "docs" / name)
            print(f"docs/{name}: {(ROOT / 'docs' / name).stat().st_size} bytes")


def main() -> int:
    chromium, runner = sys.argv[-2:]
    with tempfile.TemporaryDirectory(prefix="report-page-") as name:
        folder = pathlib.Path(name)
        if "--shots" in sys.argv:
            shots(chromium, runner, folder)
            return 0
        report, many = failing_run(runner, folder), large_run(runner, folder)
        with Browser(chromium) as page:
            try:
                page.open(report)
                total = page.js("JSON.parse(document.getElementById('data').textContent).trials.length")
                filtering(page, total)
                failure(page)
                others(page, total)
                expect("no complaint and no request", page.complaints(), [])
                looks(page, report)
                large(page, many)
                expect("no complaint and no request", page.complaints(), [])
            except Failed as failed:
                page.shot(OUT / "failed.png")
                print(f"report page: {failed}\n  what it looked like: {OUT / 'failed.png'}\n  {page.complaints()}", file=sys.stderr)
                return 1
    print(f"the page of {total} trials was filtered, searched and read by keyboard; pictures in {OUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
