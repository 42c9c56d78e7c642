#!/usr/bin/env python3
"""Asks `runner proxy` for every recording of upstream's, as the client would that made it.

    clients.py RUNNER RECORDINGS

A file holds the keyword arguments of a client's method and the objects that it returned. The same arguments are given
to the same method of the real client; what it decodes has to be what the file holds, a stream chunk by chunk. Nothing
but the addresses is taken from the runner: which client, which method and which objects follow from the file alone.

Some calls of a test lie in several files: upstream recorded them again when its rule for file names had changed. Such
files count as one call, whose answer is the one that upstream itself would find by today's name.
Exit status: 0 when every file loads and at least 99 % of the calls decode to what was recorded, 1 when not.
"""

import collections
import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import typing
import urllib.parse
import urllib.request

import ollama
import openai

BOUND = 0.99
# How a user would name the providers of these addresses. Azure's and Databricks' hosts are their customers' own.
HOSTS = {
    "0.0.0.0:11434": "ollama",
    "localhost:11434": "ollama",
    "localhost:8000": "vllm",
    "localhost:8080": "tgi",
    "api.openai.com": "openai",
    "api.together.xyz": "together",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "generativelanguage.googleapis.com": "gemini",
    "integrate.api.nvidia.com": "nvidia",
}


class Recording(typing.NamedTuple):
    file: str
    test: str
    provider: str
    # The client's base address below the provider's host, as `/v1`.
    base: str
    method: str
    arguments: dict
    # What the method returned: one object, or a list of them.
    returned: typing.Any
    # Whether the file has the name by which upstream would look for this call.
    findable: bool

    @property
    def question(self):
        """All that the proxy can know about a call."""
        return json.dumps([self.test, self.provider, self.base, self.method, sent(self.arguments)], sort_keys=True)


def sent(arguments):
    """The arguments as the client puts them on the wire: `extra_body` is merged into the body."""
    merged = {name: value for name, value in arguments.items() if name != "extra_body"}
    return merged | (arguments.get("extra_body") or {})


def provider_of(address):
    host = address.netloc or address.path.split("/")[0]
    if host.endswith(".azure.com"):
        return "azure"
    return "databricks" if host == "__databricks__" else HOSTS[host]


def read(file, content):
    """The call in a file; a text that says why no client can make it."""
    request = content["request"]
    if "tool_name" in request:
        return "the result of a tool, which Llama Stack keeps to itself: no HTTP request to a provider"
    endpoint, arguments = request["endpoint"], request["body"] or {}
    address = urllib.parse.urlparse(request["url"].removesuffix(endpoint))
    base = address.path if address.netloc else address.path.removeprefix("__databricks__")
    method = {
        "/api/ps": "ps",
        "/api/chat": "chat",
        "/api/generate": "generate",
        "/api/embeddings": "embed",
        "/v1/models": "models.list",
        "/v1/embeddings": "embeddings.create",
        # Upstream's first recorder filed chat completions here too.
        "/v1/completions": "chat.completions.create" if "messages" in arguments else "completions.create",
        "/v1/chat/completions": "chat.completions.create",
        "/chat/completions": "chat.completions.create",
    }[endpoint]
    test = content.get("test_id") or ""
    answer = content["response"]["body"]
    return Recording(file, test, provider_of(address), base, method, arguments, answer, is_named_by_hash(file, content))


def is_named_by_hash(file, content):
    request, stem = content["request"], pathlib.PurePath(file).stem
    call = {"method": request["method"], "endpoint": urllib.parse.urlparse(request["url"]).path, "body": request["body"]}
    if "test_id" in content:
        call["test_id"] = content["test_id"]
    return hashlib.sha256(json.dumps(call, sort_keys=True).encode()).hexdigest().startswith(stem)


def data(value):
    """Recorded or decoded objects as plain data. An absent member and one that is null are the same to a client."""
    if isinstance(value, dict):
        if "__type__" in value:
            return data(typed(value))
        return {name: data(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [data(item) for item in value]
    if hasattr(value, "model_dump"):
        return data(value.model_dump(mode="json"))
    return value


def typed(value):
    """A recorded object in its own class where its form is the class's (Ollama's times); OpenAI's is the JSON itself."""
    module, _, name = value["__type__"].rpartition(".")
    if not module.startswith("ollama"):
        return value["__data__"]
    return getattr(importlib.import_module(module), name).model_validate(value["__data__"])


class Proxy:
    """`runner proxy` over the recordings."""

    def __init__(self, runner, recordings, providers):
        command = [runner, "proxy", "--inference-mode=replay", f"--recording-dir={recordings}"]
        # Replay has no way out; the port is one where nothing listens.
        command += [f"--provider={name}=http://127.0.0.1:9" for name in providers]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = [self.process.stdout.readline() for _ in providers]
        self.urls = dict(line.strip().split(": ", 1) for line in lines)
        self.root = next(iter(self.urls.values())).rsplit("/", 1)[0]

    def ask(self, path, body=None):
        method = "GET" if body is None else "PUT"
        request = urllib.request.Request(f"{self.root}/_runner/{path}", data=body, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.load(answer)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Clients:
    """One client for each address."""

    def __init__(self, urls):
        self.urls, self.made = urls, {}

    def call(self, recording):
        is_ollama = recording.method in ("ps", "chat", "generate", "embed")
        address = self.urls[recording.provider] + recording.base
        if (is_ollama, address) not in self.made:
            self.made[is_ollama, address] = (
                ollama.Client(host=address, trust_env=False)
                if is_ollama
                else openai.OpenAI(base_url=address, api_key="none", max_retries=0)
            )
        method = self.made[is_ollama, address]
        for name in recording.method.split("."):
            method = getattr(method, name)
        answer = method(**recording.arguments)
        return list(answer) if recording.arguments.get("stream") or recording.method == "models.list" else answer


def judge(recordings, answer):
    """`None` when one of these recordings of a call was decoded, else why not."""
    got, wanted = data(answer), [data(recording.returned) for recording in recordings]
    if recordings[0].method == "models.list":
        # All lists of a provider are served as one.
        ids = {model["id"] for model in got}
        listed = {model["id"] for models in wanted for model in models}
        return None if listed <= ids else f"models are missing: {', '.join(sorted(listed - ids))}"
    return None if got in wanted else "decodes to something else"


def main():
    runner, root = sys.argv[1], pathlib.Path(sys.argv[2])
    files = sorted(root.rglob("*.json"))
    found = [read(str(file.relative_to(root)), json.loads(file.read_bytes())) for file in files]
    calls = collections.defaultdict(list)
    for recording in found:
        if isinstance(recording, Recording):
            calls[recording.question].append(recording)
    tally = Tally(len(files), [one for one in found if isinstance(one, str)])
    providers = sorted({recording.provider for recordings in calls.values() for recording in recordings})
    with contextlib.closing(Proxy(runner, root, providers)) as proxy:
        clients = Clients(proxy.urls)
        for recordings in calls.values():
            proxy.ask("scope", recordings[0].test.encode())
            current = [recording for recording in recordings if recording.findable] or recordings
            tally.repeated += len(recordings) - 1
            try:
                answer = clients.call(current[0])
            except (openai.APIStatusError, ollama.ResponseError) as error:
                tally.failures[f"answered with {error.status_code}"].append(current[0].file)
            except (openai.OpenAIError, ConnectionError) as error:
                tally.failures[f"no answer that the client takes: {error!r}"].append(current[0].file)
            else:
                tally.add(current, answer, judge(current, answer))
        return tally.report(proxy.ask("health"), proxy.ask("stats"))


class Tally:
    def __init__(self, files, not_sent):
        self.files, self.not_sent = files, collections.Counter(not_sent)
        self.by_method, self.chunks, self.repeated = collections.Counter(), 0, 0
        self.failures = collections.defaultdict(list)

    def add(self, recordings, answer, failure):
        if failure:
            self.failures[failure].append(recordings[0].file)
            return
        self.by_method[recordings[0].method] += 1
        if recordings[0].arguments.get("stream"):
            self.chunks += len(answer)

    def report(self, health, stats):
        good = sum(self.by_method.values())
        calls = good + sum(map(len, self.failures.values()))
        print(f"openai {openai.__version__}, ollama {importlib.metadata.version('ollama')}")
        print(f"{self.files} files, {health['unusable_recordings']} do not load")
        for reason, count in self.not_sent.items():
            print(f"  {count} not sent: {reason}")
        print(f"  {self.repeated} hold a call of a test that another file holds too")
        print(f"{calls} calls, {good} matched and decoded to what was recorded: {good / calls:.2%} (bound {BOUND:.0%})")
        print("  " + ", ".join(f"{method} {count}" for method, count in sorted(self.by_method.items())))
        print(f"  {self.chunks} chunks compared one by one; matches {stats['matches']}, scopes {stats['scopes']}")
        for reason, named in self.failures.items():
            print(f"  {len(named)} not: {reason}")
            for file in named[:5]:
                print(f"    {file}")
        return 0 if health["unusable_recordings"] == 0 and good >= BOUND * calls else 1


if __name__ == "__main__":
    sys.exit(main())
