"""trials.py RUNNER TRIALS: kills a recording proxy at random moments. See ../kill9.sh.

An exchange is finished once its client has seen the end of the answer: the announced length, or the last chunk. The
proxy stores an exchange before it passes that end on, so a finished exchange must be readable whatever happens next.

The provider here is a mock: it answers at once, in JSON or as a stream, with the number it was asked for.
"""

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CLIENTS = 4
EXCHANGES = 12  # about as many as a proxy gets to record before it is killed, at most


class MockProvider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Two small writes must not wait for an acknowledgement.
    disable_nagle_algorithm = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        number = body["messages"][0]["content"]
        self.send_response(200)
        if body.get("stream"):
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for text in [number, "end", "[DONE]"]:
                event = f"data: {text}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.write(b"0\r\n\r\n")
        else:
            answer = json.dumps({"answer": number, "filling": "x" * 4000}).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *args):
        pass


class MockServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A proxy that is killed hangs up on it: that is the point."""


class Proxy:
    def __init__(self, runner, mode, directory, upstream):
        command = [runner, "proxy", f"--inference-mode={mode}", "--recording-dir", directory]
        self.process = subprocess.Popen(
            [*command, "--provider", f"p={upstream}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.port = None
        for line in self.process.stdout:
            if "http://127.0.0.1:" in line:
                self.port = int(line.split("http://127.0.0.1:")[1].split("/")[0])
                break
        if self.port is None:
            sys.exit(f"the proxy did not start: {self.process.stderr.read()}")

    def end(self, how):
        self.process.send_signal(how)
        stderr = self.process.communicate()[1]
        return stderr


def request(number):
    stream = number % 2 == 0
    return {"model": "m", "messages": [{"role": "user", "content": f"number {number}"}], "stream": stream}


def ask(connection, number):
    """The whole answer, or an exception when it did not come completely."""
    body = json.dumps(request(number))
    connection.request("POST", "/p/v1/chat/completions", body, {"content-type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def expected(number):
    if number % 2 == 0:
        return f"data: number {number}\n\ndata: end\n\ndata: [DONE]\n\n".encode()
    return json.dumps({"answer": f"number {number}", "filling": "x" * 4000}).encode()


def record_until_killed(port, numbers, finished, stop):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not stop.is_set():
        number = next(numbers)
        try:
            status, body = ask(connection, number)
        except (OSError, http.client.HTTPException):
            return
        if status == 200 and body == expected(number):
            finished.append(number)


def counter(start):
    lock = threading.Lock()
    state = [start]

    class Counter:
        def __next__(self):
            with lock:
                state[0] += 1
                return state[0]

    return Counter()


def corrupt_files(directory):
    bad = []
    for path in Path(directory).rglob("*.json"):
        if path.name.startswith("."):
            continue
        try:
            recording = json.loads(path.read_bytes())
            assert {"request", "response", "meta"} <= recording.keys()
        except (ValueError, AssertionError):
            bad.append(str(path))
    return bad


def verify(runner, directory, numbers):
    """What replay does not answer as it was recorded, and what the proxy complains about."""
    proxy = Proxy(runner, "replay", directory, "http://127.0.0.1:9")
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    lost = [number for number in numbers if ask(connection, number) != (200, expected(number))]
    complaints = proxy.end(signal.SIGTERM).strip()
    return lost, complaints


def seconds_for_exchanges(runner, upstream, directory):
    """How long recording EXCHANGES takes on this machine."""
    proxy = Proxy(runner, "record", directory, upstream)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    began = time.monotonic()
    for number in range(-EXCHANGES, 0):
        assert ask(connection, number) == (200, expected(number))
    took = time.monotonic() - began
    proxy.end(signal.SIGTERM)
    shutil.rmtree(directory)
    return took


def trial(runner, upstream, directory, numbers, finished, longest):
    proxy = Proxy(runner, "record", directory, upstream)
    stop = threading.Event()
    clients = [
        threading.Thread(target=record_until_killed, args=(proxy.port, numbers, finished, stop))
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    time.sleep(random.uniform(0, longest))
    proxy.end(signal.SIGKILL)
    stop.set()
    for client in clients:
        client.join()


def two_at_once(runner, upstream, directory):
    proxies = [Proxy(runner, "record", directory, upstream) for _ in range(2)]
    finished, stop = [], threading.Event()
    numbers = counter(10_000_000)
    clients = [
        threading.Thread(target=record_until_killed, args=(proxy.port, numbers, finished, stop))
        for proxy in proxies
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    time.sleep(3)
    stop.set()
    for client in clients:
        client.join()
    complaints = " ".join(proxy.end(signal.SIGTERM).strip() for proxy in proxies).strip()
    lost, more = verify(runner, directory, finished)
    return len(finished), lost, (complaints + more).strip()


def main():
    runner, trials = sys.argv[1], int(sys.argv[2])
    random.seed(os.environ.get("SEED", "1"))
    provider = MockServer(("127.0.0.1", 0), MockProvider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    upstream = f"http://127.0.0.1:{provider.server_port}"
    home = tempfile.mkdtemp(prefix="kill9-")
    directory = f"{home}/recordings"
    numbers, total, corrupt, lost, complaints, halves = counter(0), 0, [], [], [], 0
    longest = seconds_for_exchanges(runner, upstream, directory)
    batch = []
    for done in range(1, trials + 1):
        trial(runner, upstream, directory, numbers, batch, longest)
        halves += len(list(Path(directory).rglob(".*.tmp")))
        # A fresh start after every kill reads the directory; answers are compared every 25 kills.
        corrupt += corrupt_files(directory)
        if done % 25 == 0 or done == trials:
            missing, said = verify(runner, directory, batch)
            lost += missing
            complaints += [said] if said else []
            total += len(batch)
            batch = []
            shutil.rmtree(directory)
    answered, both_lost, both_said = two_at_once(runner, upstream, directory)
    complaints += [both_said] if both_said else []
    print(f"kill -9: {trials} trials, {total} finished exchanges, {len(corrupt)} corrupt, {len(lost)} lost")
    print(f"  hidden temporary files seen after kills, never read: {halves}")
    print(f"two recorders at once: {answered} exchanges, {len(both_lost)} lost")
    for complaint in complaints:
        print(f"  the proxy said: {complaint}")
    shutil.rmtree(home)
    sys.exit(1 if corrupt or lost or both_lost or complaints or total == 0 else 0)


main()
