#!/usr/bin/env python3
"""Try every YAML example of the documentation with a runner: check-docs.py RUNNER [FILE.md …]

A block that begins with a comment naming a file, such as `# test_cases/tour/first.yaml`, becomes that file of a
temporary project; any other block is a list of steps and becomes a case of its own. All of them must be planned without
a problem, and run without a failure over this repository's recordings. A block fenced as `yaml plan` is planned only.
Exit status: 0 all right, 1 not.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```yaml( plan)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_COMMENT = re.compile(r"# ((?:(?:suites|setups|stacks|fixtures|expectations|schemas|shapes|test_cases)/[\w./-]+|ci_matrix)\.ya?ml)\n")


def write_block(project: pathlib.Path, document: pathlib.Path, line: int, block: str, planned_only: bool) -> None:
    named = FILE_COMMENT.match(block)
    where = f"{document.stem}_line_{line}"
    folder = "planned" if planned_only else "run"
    if named:
        path = project / named[1]
        if path.exists():
            sys.exit(f"{document}:{line}: {named[1]} is there already")
        text = block
    else:
        path = project / f"test_cases/{folder}/{where}.yaml"
        steps = textwrap.indent(block, "      ")
        text = f"cases:\n  - name: steps\n    params: [text_model, embedding_model]\n    steps:\n{steps}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def run(project: pathlib.Path, runner: str, *args: str) -> bool:
    options = [] if args[0] == "matrix" else ["--setup=llama-cpp", "--inference-mode=replay"]
    command = [runner, *args, "--root", str(project), *options]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        print(f"{' '.join(args)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.returncode == 0


def matrix_is_right(project: pathlib.Path, runner: str) -> bool:
    """A matrix names suites and setups of this repository."""
    path = project / "ci_matrix.yaml"
    return not path.exists() or run(ROOT, runner, "matrix", "--file", str(path))


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 1
    runner = str(pathlib.Path(sys.argv[1]).resolve())
    documents = [pathlib.Path(name) for name in sys.argv[2:]] or [ROOT / "README.md", ROOT / "docs/cases.md"]
    with tempfile.TemporaryDirectory(prefix="runner-docs-") as folder:
        project = pathlib.Path(folder)
        for name in ("suites", "setups", "stacks", "shapes"):
            shutil.copytree(ROOT / name, project / name)
        # Roots of these suites are folders that the temporary project does not have.
        shutil.rmtree(project / "suites")
        (project / "test_cases/responses").mkdir(parents=True)
        shutil.copy(ROOT / "test_cases/responses/experts.pdf", project / "test_cases/responses")
        (project / "suites").mkdir()
        count = 0
        for document in documents:
            text = document.read_text("utf-8")
            for fence in FENCE.finditer(text):
                line = text.count("\n", 0, fence.start()) + 1
                write_block(project, document, line, fence[2], bool(fence[1]))
                count += 1
        recordings = str(ROOT / "recordings")
        ok = run(project, runner, "--list") and run(
            project, runner, "--recording-dir", recordings, "-k", "not planned/", "--quiet"
        )
        # The suite of the documentation is run by its name, with its contract.
        ok = ok and run(project, runner, "--suite=checked", "--recording-dir", recordings, "--quiet")
        ok = ok and matrix_is_right(project, runner)
        print(f"{count} examples of {', '.join(d.name for d in documents)}: {'all right' if ok else 'NOT all right'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
