"""Runs the clients; see ../sdk-clients.sh. `check.py RUNNER`; exit status 1 when anything does not work."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import typing

import httpx
import llama_stack_client
import model
import openai

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen) -> None:
    while True:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.02)


class Stack:
    """What the checks talk to."""

    def __init__(self, url: str, tools: str) -> None:
        self.url = url
        self.tools = tools
        self.model = f"openai/{model.MODEL}"
        self.embedding = "openai/text-embedding-3-small"
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.client = llama_stack_client.LlamaStackClient(base_url=url, max_retries=0)
        self.both: list[typing.Any] = [self.openai, self.client]


def chat(stack: Stack) -> None:
    for client in stack.both:
        made = client.chat.completions.create(model=stack.model, messages=[{"role": "user", "content": "Hello there"}])
        assert made.choices[0].message.content == "You said: Hello there", made
        assert made.choices[0].finish_reason == "stop", made


def streaming(stack: Stack) -> None:
    for client in stack.both:
        chunks = list(client.chat.completions.create(
            model=stack.model, messages=[{"role": "user", "content": "one two"}], stream=True))
        words = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
        assert words == ["You", "said:", "one", "two"], words


def models(stack: Stack) -> None:
    # In 0.3.0 /v1/models is Llama Stack's own list, whose models have no `id`; OpenAI's list has an address of its own.
    listed = stack.openai.with_options(base_url=f"{stack.url}/v1/openai/v1").models.list()
    assert stack.model in [m.id for m in listed], listed
    assert stack.model in [m.identifier for m in stack.client.models.list()]


def responses_with_mcp(stack: Stack) -> None:
    tool = {"type": "mcp", "server_label": "tools", "server_url": stack.tools, "require_approval": "never"}
    for client in stack.both:
        made = client.responses.create(model=stack.model, input="What boils?", tools=[tool], stream=False)
        kinds = [item.type for item in made.output]
        assert kinds == ["mcp_list_tools", "mcp_call", "message"], kinds
        assert made.output[0].tools[0].name == "boiling_point", made.output[0]
        assert "-100" in made.output[1].output or "-148" in made.output[1].output, made.output[1]
        events = list(client.responses.create(model=stack.model, input="What boils?", tools=[tool], stream=True))
        assert events[0].type == "response.created" and events[-1].type == "response.completed", events
        again = client.responses.retrieve(made.id)
        assert again.id == made.id and [item.type for item in again.output] == kinds


def files(stack: Stack) -> None:
    for client in stack.both:
        made = client.files.create(file=("poem.txt", b"roses are red"), purpose="assistants")
        assert client.files.content(made.id) is not None
        assert stack.openai.files.content(made.id).read() == b"roses are red"
        assert made.id in [file.id for file in client.files.list()]
        client.files.delete(made.id)
        assert made.id not in [file.id for file in client.files.list()]


def vector_stores(stack: Stack) -> None:
    for client in stack.both:
        extra = {"extra_body": {"embedding_model": stack.embedding, "embedding_dimension": model.DIMENSIONS}}
        store = client.vector_stores.create(name="poems", **extra)
        texts = {"red.txt": b"roses are red", "blue.txt": b"violets are blue"}
        made = [client.files.create(file=(name, text), purpose="assistants") for name, text in texts.items()]
        for file in made:
            client.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
        for file in made:
            while (status := client.vector_stores.files.retrieve(vector_store_id=store.id, file_id=file.id).status) == "in_progress":
                time.sleep(0.02)
            assert status == "completed", status
        # Not the text itself: where the vectors are equal the score is infinite, which no answer can hold (400).
        found = client.vector_stores.search(vector_store_id=store.id, query="blue violets").data
        assert found[0].filename == "blue.txt", found
        client.vector_stores.delete(vector_store_id=store.id)
        for file in made:
            client.files.delete(file.id)


CHECKS = [chat, streaming, models, responses_with_mcp, files, vector_stores]


def main() -> int:
    runner, failed = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        def start(command: list[str], **more: typing.Any) -> subprocess.Popen:
            process = subprocess.Popen(command, cwd=folder, **more)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        tools, port = free_port(), free_port()
        mcp = start([sys.executable, f"{HERE}/tools.py", str(tools)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env = os.environ | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": model.start()}
        served = start([runner, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL)
        wait_for(f"http://127.0.0.1:{tools}/mcp", mcp)
        wait_for(f"http://127.0.0.1:{port}/v1/health", served)
        target = Stack(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{tools}/mcp")
        print(f"openai {openai.__version__}, llama-stack-client {llama_stack_client.__version__}")
        for check in CHECKS:
            try:
                check(target)
                print(f"ok      {check.__name__}")
            except Exception:
                failed += 1
                print(f"FAILED  {check.__name__}\n{traceback.format_exc(limit=-3)}")
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} work")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
