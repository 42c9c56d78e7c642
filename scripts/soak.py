"""Streams from a server for a while; see soak.sh. `soak.py RUNNER SECONDS`; exit status 1 on an error or growth."""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

CLIENTS = 64
RECORDINGS = pathlib.Path("recordings")
PROVIDER = "llama-cpp"
# Growth that is noise: an allocator's arenas fill unevenly.
ALLOWED = 0.05


def streams() -> list[tuple[bytes, int]]:
    """What to ask for, and how many events with text come back, of every recorded stream of a chat."""
    found: dict[bytes, int] = {}
    for path in sorted(RECORDINGS.rglob("*.json")):
        recording = json.loads(path.read_text())
        request, response = recording["request"], recording["response"]
        if request["endpoint"] != "/v1/chat/completions" or not response.get("is_streaming") or response["status"] != 200:
            continue
        text = "".join(chunk.get("text", "") for chunk in response["chunks"])
        if "[DONE]" not in text:
            continue
        body = {**request["body"], "model": f"{PROVIDER}/{request['body']['model']}"}
        found.setdefault(json.dumps(body).encode(), text.count('"choices"'))
    return list(found.items())


@contextlib.contextmanager
def started(command: list[str], **more):
    """A server, and the port that the first line of its output ends with."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more) as process:
        line = process.stdout.readline()
        port = "".join(c for c in line.partition("127.0.0.1:")[2] if c.isdigit() or c == " ").split()
        if not port:
            raise SystemExit(f"{command}: {line}{process.stderr.read()}")
        try:
            yield process, int(port[0])
        finally:
            process.terminate()


async def stream(port: int, body: bytes) -> str:
    """The whole body of one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    data = await reader.read(-1)
    writer.close()
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0] or b"chunked" not in head:
        raise ValueError(data[:500])
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body.decode()
        body, rest = body + rest[:length], rest[length + 2 :]


def memory(process: subprocess.Popen) -> float:
    """Resident memory in MB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


async def soak(process: subprocess.Popen, port: int, seconds: float, asked: list[tuple[bytes, int]]) -> int:
    began = time.monotonic()
    errors: list[str] = []
    whole = 0

    async def client(first: int) -> None:
        nonlocal whole
        turn = first
        while time.monotonic() - began < seconds:
            body, events = asked[turn % len(asked)]
            turn += 1
            try:
                text = await stream(port, body)
                came = text.count('"choices"')
                if came != events:
                    raise ValueError(f"{came} of {events} events: {text[:300]}")
                whole += 1
            except (OSError, ValueError, UnicodeDecodeError) as error:
                errors.append(repr(error))

    samples: list[tuple[float, float]] = []

    async def watch() -> None:
        while time.monotonic() - began < seconds:
            samples.append((time.monotonic() - began, memory(process)))
            await asyncio.sleep(0.25)

    await asyncio.gather(watch(), *(client(i) for i in range(CLIENTS)))

    def most(begin: float, end: float) -> float:
        return max(mb for at, mb in samples if begin * seconds <= at <= end * seconds)

    warm, late = most(1 / 4, 1 / 2), most(3 / 4, 1)
    print(f"{CLIENTS} clients, {seconds:.0f} s, {len(asked)} different streams: {whole} whole, {len(errors)} errors")
    print(f"memory of the server: {samples[0][1]:.1f} MB at first, at most {warm:.1f} MB in the second quarter, {late:.1f} MB in the last")
    for error in errors[:5]:
        print(f"  {error}")
    return int(bool(errors) or whole == 0 or late > warm * (1 + ALLOWED))


def main() -> int:
    runner, seconds = sys.argv[1], float(sys.argv[2])
    asked = streams()
    if not asked:
        raise SystemExit(f"no recorded streams below {RECORDINGS}/")
    proxy = [runner, "proxy", "--port=0", "--inference-mode=replay", f"--recording-dir={RECORDINGS}", "--replay-speed=10",
             "--provider", f"{PROVIDER}=http://127.0.0.1:9/v1"]
    with tempfile.TemporaryDirectory() as state, started(proxy) as (_, provider):
        # On disk, as a server that stays up has it: completions are kept, and memory would hold them.
        env = {**os.environ, "LLAMA_CPP_URL": f"http://127.0.0.1:{provider}/{PROVIDER}/v1", "SQLITE_STORE_DIR": state}
        serve = [runner, "serve", "--port=0", f"--stack-config=inference={PROVIDER}"]
        with started(serve, env=env) as (process, port):
            return asyncio.run(soak(process, port, seconds, asked))


if __name__ == "__main__":
    sys.exit(main())
