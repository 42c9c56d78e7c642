"""What scripts share that look at runs: reports in JSON Lines, upstream's recordings, explained differences."""

import json
import pathlib
import re
import sys
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPSTREAM_PREFIX = "tests/integration/"


def unusable(message: str) -> typing.NoReturn:
    print(f"{pathlib.Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(2)


def lines(path: pathlib.Path) -> typing.Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            yield number, line


def events(path: pathlib.Path, kind: str) -> list[dict]:
    """The events of one kind in a report, be it of a run or of exchanges."""
    found = []
    for number, line in lines(path):
        try:
            event = json.loads(line)
        except ValueError as error:
            unusable(f"{path}:{number}: not JSON: {error}")
        if event.get("event") == kind:
            found.append(event)
    return found


class Trial(typing.NamedTuple):
    id: str
    outcome: str
    reason: str
    # Without a prefix, as verdicts have it.
    upstream: str | None
    # What answered its provider requests: `endpoint`, `tier` and `file`, which is null where nothing did.
    matches: list[dict]


def trials(path: pathlib.Path) -> list[Trial]:
    """The trials that ended in a run, in that order."""
    ended = events(path, "trial_finished")
    return [Trial(e["id"], e["outcome"], e.get("reason") or "", e.get("upstream"), e["matches"]) for e in ended]


class Verdict(typing.NamedTuple):
    # `n/a` for a row that settles nothing.
    outcome: str
    seconds: float
    reason: str


def verdicts(path: pathlib.Path) -> dict[str, Verdict]:
    """What pytest's run came to, by upstream test id."""
    rows = [line.split("\t") for _, line in lines(path)]
    if not rows or rows[0] != ["test_id", "outcome", "seconds", "reason"]:
        unusable(f"{path}: the first line must name the columns test_id, outcome, seconds and reason")
    return {test: Verdict(outcome, float(seconds), reason) for test, outcome, seconds, reason in rows[1:]}


class Recordings:
    """Upstream's recordings that a test is named in."""

    def __init__(self, root: pathlib.Path) -> None:
        # Of each file, by its path from the root: the test it was recorded for, and what it asks.
        self.tests: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.owners: dict[str, set[str]] = {}
        for path in root.rglob("*.json"):
            content = json.loads(path.read_bytes())
            request = content["request"]
            if "tool_name" in request or not content.get("test_id"):
                continue
            body = {name: value for name, value in (request["body"] or {}).items() if name != "extra_body"}
            body |= (request["body"] or {}).get("extra_body") or {}
            file = path.relative_to(root).as_posix()
            self.asks[file] = json.dumps([request["url"], body], sort_keys=True)
            self.tests[file] = content["test_id"].removeprefix(UPSTREAM_PREFIX)
            self.owners.setdefault(self.asks[file], set()).add(self.tests[file])

    def tests_that_ask(self, file: str) -> set[str]:
        """Those that have a recording of what this file answers; none for a file that no test is named in."""
        return self.owners[self.asks[file]] if file in self.asks else set()

    def is_shared(self, file: str) -> bool:
        return len(self.tests_that_ask(file)) > 1


class Explanations:
    """Known differences: a pattern, a tab, the reason. Of a pattern only `*` is special (anything): ids hold brackets,
    which shell patterns would read as classes."""

    def __init__(self, path: pathlib.Path) -> None:
        self.known: list[tuple[str, str]] = []
        self.used: set[str] = set()
        for number, line in lines(path) if path.exists() else ():
            if line.startswith("#"):
                continue
            pattern, tab, reason = line.partition("\t")
            if not tab or not reason.strip():
                unusable(f"{path}:{number}: expected `pattern<TAB>reason`")
            self.known.append((pattern.strip(), reason.strip()))

    def reason(self, what: str) -> str | None:
        """That of the first pattern that fits, which counts as used from then on."""
        for pattern, reason in self.known:
            if re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), what):
                self.used.add(pattern)
                return reason
        return None

    def unused(self) -> list[str]:
        return [pattern for pattern, _ in self.known if pattern not in self.used]
